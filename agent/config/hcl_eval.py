"""Expressions to values: references, templates, operators, for-expressions and calls.

An interpolation that names something only known when the task runs (${attr.kernel.name}, ${NOMAD_PORT_http},
${env["HOME"]}) stays as it is written: the client fills it in. Anything else without a value is an HclError.
Source: the HCL expression specification; Nomad's jobspec2 for what stays.
"""

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from agent.config import hcl_ast as ast
from agent.config.hcl_ast import HclError, Position
from agent.config.hcl_functions import (
    FUNCTIONS,
    IMPURE,
    MAX_ITEMS,
    MAX_TEXT_CHARACTERS,
    Value,
    equal,
    to_bool,
    to_number,
    to_text,
    type_name,
)

MAX_STEPS = 200_000  # values computed for one file; the largest of real job files need some hundreds
MAX_VALUE_DEPTH = 40
MAX_CALL_DEPTH = 120  # expressions inside expressions, through local values too; about 4 frames each

_PLAIN_NAME = re.compile(r"[A-Za-z_][\w-]*")

# What a client fills in. Source: Nomad's reference of runtime interpolation.
_RUNTIME_ROOTS = frozenset({"attr", "device", "env", "meta", "node"})


@dataclass(slots=True)
class _Effort:
    """What evaluating one file has cost so far."""

    steps: int = 0
    depth: int = 0


@dataclass(slots=True)
class Scope:
    """What names mean. `local` holds expressions, evaluated when first asked for."""

    variables: Mapping[str, Value] = field(default_factory=dict)
    local: Mapping[str, ast.Expression] = field(default_factory=dict)
    done: dict[str, Value] = field(default_factory=dict)
    busy: list[str] = field(default_factory=list)
    loops: tuple[tuple[str, Value], ...] = ()
    effort: _Effort = field(default_factory=_Effort)

    def knows(self, name: str) -> bool:
        """Say whether *name* has a meaning here, rather than only on the client."""
        return name in {"var", "local"} or any(name == loop for loop, _ in self.loops)

    def inside(self, *loops: tuple[str, Value]) -> "Scope":
        """Return the scope of a loop's body, with further names."""
        return Scope(self.variables, self.local, self.done, self.busy, (*self.loops, *loops), self.effort)


def evaluate(expression: ast.Expression, scope: Scope) -> Value:
    """Return the value of *expression*. Raises HclError naming the place and what is wrong."""
    value = _evaluate(expression, scope)
    check_size(value, expression.position)
    return value


def check_size(value: Value, position: Position) -> None:
    """Raise HclError when a value is nested too deeply or has too many parts, each counted as often as it is used."""
    parts, waiting = 0, [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        parts += 1
        if depth > MAX_VALUE_DEPTH or parts > MAX_ITEMS:
            raise HclError(position, f"found a value with more than {MAX_VALUE_DEPTH} levels or {MAX_ITEMS} parts")
        if isinstance(item, list):
            waiting += [(inner, depth + 1) for inner in item]
        elif isinstance(item, dict):
            waiting += [(inner, depth + 1) for inner in item.values()]


def _evaluate(expression: ast.Expression, scope: Scope) -> Value:
    """Compute one expression; steps and depth are counted, so that no file computes without end."""
    effort = scope.effort
    effort.steps += 1
    if effort.steps > MAX_STEPS:
        raise HclError(expression.position, f"the file needs more than {MAX_STEPS} steps to evaluate")
    if effort.depth >= MAX_CALL_DEPTH:
        raise HclError(expression.position, f"expressions stand inside each other more than {MAX_CALL_DEPTH} deep")
    effort.depth += 1
    try:
        return _compute(expression, scope)
    finally:
        effort.depth -= 1


def _compute(expression: ast.Expression, scope: Scope) -> Value:
    """Choose by the kind of expression."""
    match expression:
        case ast.Literal(value=value):
            return value
        case ast.Template():
            return _template(expression, scope)
        case ast.ListExpression(items=items):
            return [_evaluate(item, scope) for item in items]
        case ast.ObjectExpression(items=items):
            return {_key(key, scope): _evaluate(value, scope) for key, value in items}
        case ast.Name() | ast.Index():
            return _reference(expression, scope)
        case ast.Splat():
            return _splat(expression, scope)
        case ast.Unary():
            return _unary(expression, scope)
        case ast.Binary():
            return _binary(expression, scope)
        case ast.Conditional(test=test, yes=yes, no=no):
            return _evaluate(yes if _as_bool(test, _evaluate(test, scope)) else no, scope)
        case ast.Call():
            return _call(expression, scope)
        case ast.For():
            return _for(expression, scope)
        case _:
            raise HclError(expression.position, "found an expression of an unknown kind")


def _key(key: ast.Expression, scope: Scope) -> str:
    try:
        return to_text(_evaluate(key, scope))
    except ValueError as error:
        raise HclError(key.position, f"found a key that is no string: {error}") from None


def _template(template: ast.Template, scope: Scope) -> Value:
    """Join the parts; a template that is one interpolation alone keeps the type of its value."""
    if len(template.parts) == 1 and isinstance(only := template.parts[0], ast.Interpolation):
        return only.source if _left_to_client(only.expression, scope) else _evaluate(only.expression, scope)
    texts: list[str] = []
    for part in template.parts:
        if isinstance(part, str):
            texts.append(part)
        elif _left_to_client(part.expression, scope):
            texts.append(part.source)
        else:
            try:
                texts.append(to_text(_evaluate(part.expression, scope)))
            except ValueError as error:
                raise HclError(part.expression.position, str(error)) from None
    return _bounded("".join(texts), template.position)


def _left_to_client(expression: ast.Expression, scope: Scope) -> bool:
    """Say whether an interpolation is a plain reference to something that only a client knows."""
    while isinstance(expression, ast.Index | ast.Splat):
        if isinstance(expression, ast.Index) and not isinstance(expression.key, ast.Literal):
            return False
        expression = expression.base
    return isinstance(expression, ast.Name) and not scope.knows(expression.name)


def _bounded(value: Value, position: Position) -> Value:
    """Return *value*, or raise HclError when a text or list outgrows what a file may compute."""
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
        raise HclError(position, f"found a text of more than {MAX_TEXT_CHARACTERS} characters")
    if isinstance(value, list | dict) and len(value) > MAX_ITEMS:
        raise HclError(position, f"found a collection of more than {MAX_ITEMS} items")
    if isinstance(value, int) and abs(value) >= 10**300:
        raise HclError(position, "found a number too large")
    if isinstance(value, float) and not math.isfinite(value):
        raise HclError(position, "found a number too large")
    return value


def _reference(expression: ast.Expression, scope: Scope) -> Value:
    """Walk var.x["y"].z from its root."""
    keys: list[ast.Expression] = []
    root = expression
    while isinstance(root, ast.Index):
        keys.append(root.key)
        root = root.base
    keys.reverse()
    if isinstance(root, ast.Name):
        value, used = _root(root, keys, scope)
        keys = keys[used:]
    else:
        value = _evaluate(root, scope)
    for key in keys:
        value = _access(value, _evaluate(key, scope), key.position)
    return value


def _root(root: ast.Name, keys: list[ast.Expression], scope: Scope) -> tuple[Value, int]:
    """Return the value at the root of a reference, and how many of its keys that took."""
    for name, value in reversed(scope.loops):
        if name == root.name:
            return value, 0
    if root.name in _RUNTIME_ROOTS or root.name.startswith("NOMAD_"):
        return "${" + root.name + "".join(map(_written, keys)) + "}", len(keys)
    if root.name not in {"var", "local"}:
        raise HclError(
            root.position,
            f"found {root.name}, which has no value here, expected var.name, local.name or a string in quotes "
            f'("${{{root.name}…}}" leaves it to the client)',
        )
    if not keys:
        raise HclError(root.position, f"found {root.name} alone, expected {root.name}.name")
    name = _key(keys[0], scope)
    known = scope.variables if root.name == "var" else scope.local
    if name not in known:
        near = difflib.get_close_matches(name, list(known), n=1)
        kind = "variable" if root.name == "var" else "local value"
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise HclError(root.position, f'found the {kind} "{name}", which is not declared{hint}')
    if root.name == "var":
        return scope.variables[name], 1
    return _local(name, root.position, scope), 1


def _written(key: ast.Expression) -> str:
    """Return how an access is written."""
    if not isinstance(key, ast.Literal):
        raise HclError(key.position, "found a computed index into what only the client knows, expected a plain one")
    return f".{key.value}" if isinstance(key.value, str) and _PLAIN_NAME.fullmatch(key.value) else f"[{_quoted(key)}]"


def _quoted(key: ast.Literal) -> str:
    return f'"{key.value}"' if isinstance(key.value, str) else str(key.value)


def _local(name: str, position: Position, scope: Scope) -> Value:
    """Return a local value, computing it the first time."""
    if name in scope.done:
        return scope.done[name]
    if name in scope.busy:
        raise HclError(position, f"found a circle: {' → '.join((*scope.busy, name))}")
    scope.busy.append(name)
    expression = scope.local[name]
    outside = Scope(scope.variables, scope.local, scope.done, scope.busy, (), scope.effort)
    try:
        value = evaluate(expression, outside)
    finally:
        scope.busy.pop()
    scope.done[name] = value
    return value


def _access(value: Value, key: Value, position: Position) -> Value:
    """Return value[key]."""
    match value:
        case dict():
            name = key if isinstance(key, str) else str(key)
            if name in value:
                return value[name]
            near = difflib.get_close_matches(name, list(value), n=1)
            raise HclError(position, f'found no key "{name}"' + (f'; did you mean "{near[0]}"?' if near else ""))
        case list():
            try:
                index = to_number(key)
            except ValueError as error:
                raise HclError(position, f"found a list indexed with what is no number: {error}") from None
            if index != int(index) or not 0 <= index < len(value):
                raise HclError(position, f"found index {index} in a list of {len(value)}, which begins at 0")
            return value[int(index)]
        case _:
            raise HclError(position, f"found an access into {type_name(value)}, expected a list or an object")


def _splat(splat: ast.Splat, scope: Scope) -> Value:
    """Take the same accesses from every element; a single value counts as a list of one, null as none."""
    base = _evaluate(splat.base, scope)
    items = base if isinstance(base, list) else [] if base is None else [base]
    taken: list[Value] = []
    for item in items:
        value = item
        for key in splat.keys:
            value = _access(value, _evaluate(key, scope), key.position)
        taken.append(value)
    return taken


def _as_bool(expression: ast.Expression, value: Value) -> bool:
    try:
        return to_bool(value)
    except ValueError as error:
        raise HclError(expression.position, str(error)) from None


def _as_number(expression: ast.Expression, value: Value) -> int | float:
    try:
        return to_number(value)
    except ValueError as error:
        raise HclError(expression.position, str(error)) from None


def _unary(expression: ast.Unary, scope: Scope) -> Value:
    value = _evaluate(expression.operand, scope)
    if expression.operator == "!":
        return not _as_bool(expression.operand, value)
    return -_as_number(expression.operand, value)


def _binary(expression: ast.Binary, scope: Scope) -> Value:
    """Compute a chain of operators from its left end, without a frame for each link."""
    chain: list[ast.Binary] = []
    leftmost: ast.Expression = expression
    while isinstance(leftmost, ast.Binary):
        chain.append(leftmost)
        leftmost = leftmost.left
    value = _evaluate(leftmost, scope)
    for link in reversed(chain):
        value = _operate(link, value, scope)
    return value


def _operate(link: ast.Binary, left: Value, scope: Scope) -> Value:
    """Apply one operator to the *left* value and what stands to its right."""
    operator = link.operator
    if operator in {"&&", "||"}:
        first = _as_bool(link.left, left)
        # both sides are computed, as in HCL2: an error to the right is an error
        second = _as_bool(link.right, _evaluate(link.right, scope))
        return (first and second) if operator == "&&" else (first or second)
    right = _evaluate(link.right, scope)
    if operator in {"==", "!="}:
        return equal(left, right) is (operator == "==")
    a, b = _as_number(link.left, left), _as_number(link.right, right)
    match operator:
        case "<":
            return a < b
        case "<=":
            return a <= b
        case ">":
            return a > b
        case ">=":
            return a >= b
        case _:
            return _bounded(_arithmetic(operator, a, b, link), link.position)


def _arithmetic(operator: str, a: float, b: float, link: ast.Binary) -> int | float:
    """Compute + - * / %; a result that is whole is an int."""
    try:
        match operator:
            case "+":
                result = a + b
            case "-":
                result = a - b
            case "*":
                result = a * b
            case "/":
                result = a // b if isinstance(a, int) and isinstance(b, int) and b and a % b == 0 else a / b
            case _:
                result = int(math.fmod(a, b)) if isinstance(a, int) and isinstance(b, int) else math.fmod(a, b)
    except ZeroDivisionError:
        raise HclError(link.right.position, "found a division by zero") from None
    except (OverflowError, ValueError):
        if b == 0:
            raise HclError(link.right.position, "found a division by zero") from None
        raise HclError(link.position, "found a number too large") from None
    return int(result) if isinstance(result, float) and result.is_integer() and abs(result) < 1e15 else result


def _call(call: ast.Call, scope: Scope) -> Value:
    """Call a function; try() and can() look at their arguments' errors, all others at their values."""
    if call.function in {"try", "can"}:
        return _try(call, scope)
    function = FUNCTIONS.get(call.function)
    if function is None:
        if reason := IMPURE.get(call.function):
            raise HclError(call.position, f"found {call.function}(), which {reason} and is not supported here")
        near = difflib.get_close_matches(call.function, list(FUNCTIONS), n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise HclError(call.position, f"found the function {call.function}(), which does not exist{hint}")
    arguments = [_evaluate(argument, scope) for argument in call.arguments]
    if call.expand:
        last = arguments.pop()
        if not isinstance(last, list):
            raise HclError(call.arguments[-1].position, f"found {type_name(last)} before ..., expected a list")
        arguments += last
    if len(arguments) < function.fewest or (function.most is not None and len(arguments) > function.most):
        wanted = str(function.fewest) if function.most == function.fewest else f"{function.fewest} or more"
        if function.most is not None and function.most != function.fewest:
            wanted = f"{function.fewest} to {function.most}"
        raise HclError(call.position, f"found {len(arguments)} arguments of {call.function}(), expected {wanted}")
    for argument in arguments:
        check_size(argument, call.position)
    try:
        return _bounded(function.call(*arguments), call.position)
    except (ValueError, OverflowError) as error:
        raise HclError(call.position, f"{call.function}(): {error}") from None


def _try(call: ast.Call, scope: Scope) -> Value:
    """Return the first argument that has a value; for can(), whether its argument has one."""
    for argument in call.arguments:
        try:
            value = _evaluate(argument, scope)
        except HclError:
            if scope.effort.steps > MAX_STEPS or scope.effort.depth >= MAX_CALL_DEPTH:
                raise
            continue
        return True if call.function == "can" else value
    if call.function == "can":
        return False
    raise HclError(call.position, "try(): no argument has a value")


def _for(loop: ast.For, scope: Scope) -> Value:
    """Compute a for-expression; objects are walked in the order of their keys."""
    source = _evaluate(loop.source, scope)
    if not isinstance(source, list | dict):
        raise HclError(loop.source.position, f"found {type_name(source)}, expected a list or an object to walk over")
    items: list[Value] = []
    result: dict[str, Value] = {}
    for key, value in _pairs(source):
        inner = scope.inside((loop.key_name, key), (loop.value_name, value))
        if loop.test is not None and not _as_bool(loop.test, _evaluate(loop.test, inner)):
            continue
        if loop.key is None:
            items.append(_evaluate(loop.value, inner))
            continue
        name = _key(loop.key, inner)
        made = _evaluate(loop.value, inner)
        if loop.group:
            group = result.setdefault(name, [])
            assert isinstance(group, list)
            group.append(made)
        elif name in result:
            raise HclError(loop.key.position, f'found the key "{name}" twice; write ... after the value to group them')
        else:
            result[name] = made
    return items if loop.key is None else result


def _pairs(source: list[Value] | dict[str, Value]) -> Iterator[tuple[Value, Value]]:
    return enumerate(source) if isinstance(source, list) else iter(sorted(source.items()))
