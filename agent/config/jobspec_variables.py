"""The variables and locals of a job file: declared, given, converted to their types, checked.

Source: Nomad's reference of input variables; type constraints as in HCL2.
"""

import difflib
from collections.abc import Iterator, Mapping

from agent.config import hcl_ast as ast
from agent.config.hcl_ast import HclError, Position
from agent.config.hcl_eval import Scope, check_size, evaluate
from agent.config.hcl_functions import Value, to_bool, to_number, to_text, type_name
from agent.config.hcl_parser import parse_expression

_VARIABLE_KEYS = ("default", "description", "sensitive", "type")


def build_scope(body: ast.Body, given: Mapping[str, str], filename: str) -> Scope:
    """Return the scope that a file's `variable`, `variables` and `locals` blocks make with the values *given*.

    Raises HclError for a value that does not fit, a variable without a value, and a value for no variable.
    """
    declared = dict(_declarations(body))
    for name in sorted(given):
        if name not in declared:
            near = difflib.get_close_matches(name, list(declared), n=1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise HclError(
                Position(filename), f'a value is given for the variable "{name}", which is not declared{hint}'
            )
    values = {name: _value(name, block, given.get(name)) for name, block in declared.items()}
    scope = Scope(variables=values, local=dict(_locals(body)))
    for name, block in declared.items():
        _validate(name, block, scope)
    return scope


def _declarations(body: ast.Body) -> Iterator[tuple[str, ast.Block]]:
    """Yield each declared variable; an attribute of a `variables` block counts as one with a default."""
    seen: dict[str, Position] = {}
    for block in body.blocks:
        found: list[ast.Block] = []
        if block.type == "variable":
            if len(block.labels) != 1:
                raise HclError(block.position, f'found {len(block.labels)} labels, expected variable "name" {{ … }}')
            found = [block]
        elif block.type == "variables":
            for item in block.body.attributes:
                default = ast.Attribute("default", item.value, item.position)
                found.append(ast.Block("variable", (item.name,), ast.Body((default,), item.position), item.position))
        for one in found:
            name = one.labels[0]
            if name in seen:
                raise HclError(one.position, f'found the variable "{name}" again, first declared at {seen[name]}')
            seen[name] = one.position
            yield name, one


def _locals(body: ast.Body) -> Iterator[tuple[str, ast.Expression]]:
    seen: dict[str, Position] = {}
    for block in body.blocks:
        if block.type == "locals":
            for item in block.body.items:
                if isinstance(item, ast.Block):
                    raise HclError(item.position, f"found a block, expected {item.type} = … in locals")
                if item.name in seen:
                    raise HclError(
                        item.position, f'found the local value "{item.name}" again, first set at {seen[item.name]}'
                    )
                seen[item.name] = item.position
                yield item.name, item.value


def _value(name: str, block: ast.Block, text: str | None) -> Value:
    """Return the value of one variable: what was given, else its default, in its type."""
    attributes = {item.name: item.value for item in block.body.attributes}
    for key, attribute in attributes.items():
        if key not in _VARIABLE_KEYS:
            expected = ", ".join(_VARIABLE_KEYS)
            raise HclError(attribute.position, f'found "{key}" in variable "{name}", expected one of {expected}')
    wanted = attributes.get("type")
    default = evaluate(attributes["default"], Scope()) if "default" in attributes else None
    if text is None:
        if "default" not in attributes:
            raise HclError(
                block.position, f'the variable "{name}" has no value: give it with -var {name}=… or a default'
            )
        return _convert(default, wanted, attributes["default"].position) if wanted else default
    place = Position(f"the value of variable {name}")
    if wanted is None:
        # without a type, the type of the default decides; without a default it is a string
        return _parsed(text, place) if default is not None and not isinstance(default, str) else text
    primitive = isinstance(wanted, ast.Name) and wanted.name in {"string", "any", "number", "bool"}
    value: Value = text if primitive else _parsed(text, place)
    check_size(value, place)
    return _convert(value, wanted, place)


def _parsed(text: str, place: Position) -> Value:
    """Return a value given as text, which is an expression like any other."""
    return evaluate(parse_expression(text, place.file), Scope())


def _convert(value: Value, wanted: ast.Expression, place: Position) -> Value:
    """Return *value* in the type that *wanted* names. Raises HclError."""
    if value is None:
        return None
    match wanted:
        case ast.Name(name="any"):
            return value
        case ast.Name(name="string" | "number" | "bool" as name):
            convert = {"string": to_text, "number": to_number, "bool": to_bool}[name]
            try:
                return convert(value)
            except ValueError as error:
                raise HclError(place, f"{error}, expected a {name}") from None
        case ast.Call(function="list" | "set", arguments=(inner,)):
            if not isinstance(value, list):
                raise HclError(place, f"found {type_name(value)}, expected a list")
            return [_convert(item, inner, place) for item in value]
        case ast.Call(function="map", arguments=(inner,)):
            if not isinstance(value, dict):
                raise HclError(place, f"found {type_name(value)}, expected a map")
            return {key: _convert(item, inner, place) for key, item in value.items()}
        case ast.Call(function="tuple", arguments=(ast.ListExpression(items=items),)):
            if not isinstance(value, list) or len(value) != len(items):
                raise HclError(place, f"found {type_name(value)}, expected a list of {len(items)}")
            return [_convert(item, inner, place) for item, inner in zip(value, items, strict=True)]
        case ast.Call(function="object", arguments=(ast.ObjectExpression(items=pairs),)):
            return _convert_object(value, pairs, place)
        case _:
            raise HclError(
                wanted.position, "found no type, expected string, number, bool, list(…), map(…) or object({…})"
            )


def _convert_object(value: Value, pairs: tuple[tuple[ast.Expression, ast.Expression], ...], place: Position) -> Value:
    if not isinstance(value, dict):
        raise HclError(place, f"found {type_name(value)}, expected an object")
    result: dict[str, Value] = {}
    for key, inner in pairs:
        name = str(key.value) if isinstance(key, ast.Literal) else ""
        optional = isinstance(inner, ast.Call) and inner.function == "optional" and inner.arguments
        if name not in value and not optional:
            raise HclError(place, f'found an object without "{name}"')
        kind = inner.arguments[0] if isinstance(inner, ast.Call) and optional else inner
        result[name] = _convert(value.get(name), kind, place)
    return result


def _validate(name: str, block: ast.Block, scope: Scope) -> None:
    """Hold a variable against its validation blocks."""
    for rule in block.body.blocks:
        if rule.type != "validation":
            raise HclError(rule.position, f'found the block {rule.type} in variable "{name}", expected validation')
        parts = {item.name: item.value for item in rule.body.attributes}
        if "condition" not in parts:
            raise HclError(rule.position, f'found a validation of "{name}" without its condition')
        if evaluate(parts["condition"], scope) is not True:
            message = evaluate(parts["error_message"], scope) if "error_message" in parts else "the condition is false"
            raise HclError(rule.position, f'the value of variable "{name}" is refused: {message}')
