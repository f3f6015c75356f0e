"""A job file to the job that Nomad's API takes: HCL with variables, or JSON.

Defaults are not filled in: the server does that, for every client alike. Source: Nomad's job specification; the
folding of short forms (constraints, static ports) is that of jobspec2.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from agent.config import hcl_ast as ast
from agent.config.hcl_ast import HclError, Position
from agent.config.hcl_eval import Scope, check_size, evaluate
from agent.config.hcl_functions import Value, to_bool, to_number, to_text, type_name
from agent.config.hcl_lexer import MAX_SOURCE_CHARACTERS
from agent.config.hcl_parser import body_of_object, parse
from agent.config.jobspec_schema import JOB, FieldKind, Inner, JobBlock, Many
from agent.config.jobspec_variables import build_scope
from agent.config.units import parse_duration_nanoseconds

MAX_DYNAMIC_BLOCKS = 1000

Job = dict[str, Any]

_TOP_LEVEL = ("job", "locals", "variable", "variables")
_SHORT_OPERANDS = ("version", "semver", "regexp", "set_contains", "set_contains_all", "set_contains_any")
_SCALING_TYPES = {"cpu": "vertical_cpu", "mem": "vertical_mem"}


def parse_job(text: str, filename: str, variables: Mapping[str, str]) -> Job:
    """Return the value of "Job" in a request: CamelCase keys, durations in whole nanoseconds.

    *variables* are the values of `variable` blocks, as -var gives them. A text that begins with { is JSON, with the
    job bare or below "Job". Raises HclError (a ConfigError) with file, line, column and what was expected.
    """
    stripped = text.removeprefix("\ufeff").lstrip()
    if stripped.startswith("{"):
        return _parse_json(text.removeprefix("\ufeff"), filename)
    body = parse(text, filename)
    scope = build_scope(body, variables, filename)
    block = _job_block(body, filename)
    if len(block.labels) != 1:
        raise HclError(block.position, f'found {len(block.labels)} labels, expected job "name" {{ … }}')
    job = _read(block.body, JOB, scope, 'job "' + block.labels[0] + '"')
    job.setdefault("ID", block.labels[0])
    job.setdefault("Name", block.labels[0])
    return _normalize(job)


def _job_block(body: ast.Body, filename: str) -> ast.Block:
    """Return the one job block."""
    found: ast.Block | None = None
    for item in body.items:
        name = item.type if isinstance(item, ast.Block) else item.name
        if isinstance(item, ast.Attribute) or name not in _TOP_LEVEL:
            raise HclError(
                item.position, f'found "{name}", expected job "name" {{ … }}{_did_you_mean(name, _TOP_LEVEL)}'
            )
        if name == "job":
            if found is not None:
                raise HclError(item.position, f"found a second job, expected one; the first is at {found.position}")
            found = item
    if found is None:
        raise HclError(Position(filename, 1, 1), 'found no job, expected job "name" { … }')
    return found


def _parse_json(text: str, filename: str) -> Job:
    """Return the job of a JSON file as it stands."""
    if len(text) > MAX_SOURCE_CHARACTERS:
        raise HclError(Position(filename, 1, 1), f"the text has more than {MAX_SOURCE_CHARACTERS} characters")
    try:
        decoded = json.loads(text)
    except json.JSONDecodeError as error:
        place = Position(filename, error.lineno, error.colno)
        raise HclError(place, f"found no JSON: {error.msg[:1].lower()}{error.msg[1:]}") from None
    except (RecursionError, ValueError):
        raise HclError(Position(filename, 1, 1), "found JSON nested too deeply or with a number too long") from None
    job = decoded.get("Job", decoded)
    if not isinstance(job, dict) or not isinstance(job.get("ID", job.get("Name")), str):
        raise HclError(Position(filename, 1, 1), 'found a JSON object without "ID", expected a job or {"Job": …}')
    return job


def _did_you_mean(name: str, names: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _read(body: ast.Body, spec: JobBlock, scope: Scope, where: str) -> Job:
    """Return what one block becomes."""
    result: Job = {}
    seen: dict[str, Position] = {}
    for item, inner_scope in _items(body, scope):
        name = item.type if isinstance(item, ast.Block) else item.name
        inner = spec.blocks.get(name)
        if inner is not None:
            for block in _as_blocks(item, name):
                _read_block(block, inner, inner_scope, result, seen)
        elif name in spec.fields:
            json_name, kind = spec.fields[name]
            if name in seen and not (isinstance(item, ast.Block) and kind is not FieldKind.FREE):
                raise HclError(item.position, f"found {name} again in {where}, first set at {seen[name]}")
            value = _field(item, name, kind, inner_scope)
            earlier = result.get(json_name)
            result[json_name] = {**earlier, **value} if isinstance(earlier, dict) and isinstance(value, dict) else value
            seen[name] = item.position
        elif name in spec.absent:
            raise HclError(item.position, f"found {name} in {where}, but {spec.absent[name]}")
        else:
            names = (*spec.fields, *spec.blocks)
            hint = _did_you_mean(name, names) or f", expected one of {', '.join(sorted(names))}"
            raise HclError(item.position, f'found "{name}", which {where} does not have{hint}')
    return result


def _items(body: ast.Body, scope: Scope) -> Iterator[tuple[ast.Attribute | ast.Block, Scope]]:
    """Yield the items of a body with the scope of each; a dynamic block stands for as many as it makes."""
    for item in body.items:
        if isinstance(item, ast.Block) and item.type == "dynamic":
            yield from _dynamic(item, scope)
        else:
            yield item, scope


def _dynamic(block: ast.Block, scope: Scope) -> Iterator[tuple[ast.Block, Scope]]:
    """Expand dynamic "name" { for_each, iterator, labels, content }."""
    if len(block.labels) != 1:
        raise HclError(block.position, f'found {len(block.labels)} labels, expected dynamic "block" {{ … }}')
    parts = {item.name: item.value for item in block.body.attributes}
    contents = [inner for inner in block.body.blocks if inner.type == "content"]
    if "for_each" not in parts or len(contents) != 1:
        raise HclError(block.position, "found a dynamic block without for_each or without one content { … }")
    each = evaluate(parts["for_each"], scope)
    if not isinstance(each, list | dict):
        raise HclError(parts["for_each"].position, f"found {type_name(each)}, expected a list or an object")
    iterator = block.labels[0]
    if "iterator" in parts:
        chosen = parts["iterator"]
        if not isinstance(chosen, ast.Name):
            raise HclError(chosen.position, "found an expression, expected a bare word as iterator")
        iterator = chosen.name
    pairs: list[tuple[Value, Value]] = list(sorted(each.items()) if isinstance(each, dict) else enumerate(each))
    if len(pairs) > MAX_DYNAMIC_BLOCKS:
        raise HclError(
            block.position, f"found a dynamic block that makes {len(pairs)}, at most {MAX_DYNAMIC_BLOCKS} may be"
        )
    for key, value in pairs:
        inner = scope.inside((iterator, {"key": key, "value": value}))
        labels = evaluate(parts["labels"], inner) if "labels" in parts else []
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise HclError(parts["labels"].position, "found labels that are no list of strings")
        yield ast.Block(block.labels[0], tuple(map(str, labels)), contents[0].body, block.position), inner


def _as_blocks(item: ast.Attribute | ast.Block, name: str) -> list[ast.Block]:
    """Return the blocks that an item stands for; name = { … } and name = [{ … }] are blocks too."""
    if isinstance(item, ast.Block):
        return [item]
    values = item.value.items if isinstance(item.value, ast.ListExpression) else (item.value,)
    blocks = []
    for value in values:
        if not isinstance(value, ast.ObjectExpression):
            raise HclError(value.position, f"found a value, expected a block: {name} {{ … }}")
        blocks.append(ast.Block(name, (), body_of_object(value), item.position))
    return blocks


def _read_block(block: ast.Block, inner: Inner, scope: Scope, result: Job, seen: dict[str, Position]) -> None:
    """Read one inner block and put it where it belongs."""
    labelled = 1 if inner.label else 0
    if len(block.labels) != labelled:
        shape = f'{block.type} "name" {{ … }}' if labelled else f"{block.type} {{ … }}"
        raise HclError(block.position, f"found {len(block.labels)} labels, expected {shape}")
    where = f'{block.type} "{block.labels[0]}"' if labelled else block.type
    value = _read(block.body, inner.spec, scope, where)
    if labelled:
        value = {inner.label: block.labels[0], **value}
    _fold(block, value)
    place = f"{block.type} {value.get(inner.label, '')}"
    repeated = place in seen and (inner.many is Many.ONE or (labelled and block.type != "scaling"))
    if repeated:
        raise HclError(block.position, f"found {where} again, first at {seen[place]}")
    seen[place] = block.position
    match inner.many:
        case Many.ONE:
            result[inner.json_name] = value
        case Many.LIST:
            result.setdefault(inner.json_name, []).append(value)
        case Many.BY_LABEL:
            result.setdefault(inner.json_name, {})[block.labels[0]] = value


def _fold(block: ast.Block, value: Job) -> None:
    """Bring the short forms of a block into the fields that the API has."""
    match block.type:
        case "constraint" | "affinity":
            _fold_targets(value)
        case "network":
            ports = value.pop("DynamicPorts", [])
            dynamic = [port for port in ports if not port.get("Value")]
            reserved = [port for port in ports if port.get("Value")]
            value.update({"DynamicPorts": dynamic} if dynamic else {})
            value.update({"ReservedPorts": reserved} if reserved else {})
        case "periodic" if "Spec" in value or "Specs" in value:
            value["SpecType"] = "cron"
        case "scaling" if block.labels:
            if block.labels[0].lower() not in _SCALING_TYPES:
                raise HclError(block.position, f'found scaling "{block.labels[0]}", expected "cpu" or "mem"')
            value["Type"] = _SCALING_TYPES[block.labels[0].lower()]
        case "scaling":
            value.setdefault("Type", "horizontal")
        case _:
            pass


def _fold_targets(value: Job) -> None:
    """Turn version = "> 1" and its like into operator and value."""
    for name in _SHORT_OPERANDS:
        short = value.pop("".join(part.capitalize() for part in name.split("_")), None)
        if short:
            value["Operand"], value["RTarget"] = name, short
    if value.pop("DistinctHosts", False):
        value["Operand"] = "distinct_hosts"
    if wanted := value.pop("DistinctProperty", None):
        value["Operand"], value["LTarget"] = "distinct_property", wanted
    value.setdefault("Operand", "=")


def _field(item: ast.Attribute | ast.Block, name: str, kind: FieldKind, scope: Scope) -> Any:
    """Return the value of one attribute, or of a block of free keys."""
    if isinstance(item, ast.Block):
        if kind not in {FieldKind.FREE, FieldKind.STRING_MAP, FieldKind.LISTS_MAP} or item.labels:
            raise HclError(item.position, f"found a block, expected {name} = {kind.value}")
        value: Value = _free(item.body, scope)
    else:
        value = evaluate(item.value, scope)
    if value is None:
        return None
    try:
        return _convert(value, kind)
    except ValueError as error:
        place = item.position if isinstance(item, ast.Block) else item.value.position
        raise HclError(place, f"{name}: {error}, expected {kind.value}") from None


def _convert(value: Value, kind: FieldKind) -> Any:
    """Return *value* as *kind*. Raises ValueError with what is wrong."""
    match kind:
        case FieldKind.STRING:
            return to_text(value)
        case FieldKind.BOOL:
            return to_bool(value)
        case FieldKind.INT:
            number = to_number(value)
            if number != int(number):
                raise ValueError(f"found {number}")
            return int(number)
        case FieldKind.DURATION:
            if not isinstance(value, str | int | float):
                raise ValueError(f"found {type_name(value)}")  # noqa: TRY004 - one error for the caller
            return parse_duration_nanoseconds(value)
        case FieldKind.STRINGS:
            if not isinstance(value, list):
                raise ValueError(f"found {type_name(value)}")  # noqa: TRY004 - one error for the caller
            return [to_text(item) for item in value]
        case FieldKind.STRING_MAP | FieldKind.LISTS_MAP | FieldKind.FREE:
            if not isinstance(value, dict):
                raise ValueError(f"found {type_name(value)}")  # noqa: TRY004 - one error for the caller
            if kind is FieldKind.FREE:
                return value
            if kind is FieldKind.STRING_MAP:
                return {key: to_text(item) for key, item in value.items()}
            return {
                key: [to_text(one) for one in (item if isinstance(item, list) else [item])]
                for key, item in value.items()
            }


def _free(body: ast.Body, scope: Scope) -> dict[str, Value]:
    """Return a block whose keys belong to somebody else (a driver): inner blocks become lists of objects."""
    result: dict[str, Value] = {}
    for item, inner_scope in _items(body, scope):
        if isinstance(item, ast.Attribute):
            if item.name in result:
                raise HclError(item.position, f"found {item.name} again")
            result[item.name] = evaluate(item.value, inner_scope)
            continue
        value: Value = _free(item.body, inner_scope)
        for label in reversed(item.labels):
            value = {label: value}
        listed = result.setdefault(item.type, [])
        if not isinstance(listed, list):
            raise HclError(item.position, f"found {item.type} as a block and as a value")
        listed.append(value)
    check_size(result, body.position)
    return result


def _normalize(job: Job) -> Job:
    """Move what may stand in two places to the one that the API has."""
    lone = [{"Name": task["Name"], "Tasks": [task]} for task in job.pop("Tasks", [])]
    if lone:
        job["TaskGroups"] = [*lone, *job.get("TaskGroups", [])]
    vault = job.pop("Vault", None)
    for group in job.get("TaskGroups", []):
        group_vault = group.pop("Vault", vault)
        for task in group.get("Tasks", []):
            if group_vault is not None:
                task.setdefault("Vault", group_vault)
            _split_identities(task)
    return job


def _split_identities(task: Job) -> None:
    """Part the default identity of a task, which the API holds alone, from those with a name."""
    identities = task.pop("Identities", [])
    named = [identity for identity in identities if identity.get("Name", "default") != "default"]
    default = [identity for identity in identities if identity.get("Name", "default") == "default"]
    if default:
        task["Identity"] = {"Name": "default", **default[-1]}
    if named:
        task["Identities"] = named
