"""The functions that expressions in job files may call: strings, numbers, collections, conversions, hashes.

All are pure. What needs a clock, randomness or a file (timestamp, uuidv4, file …) is refused by name, because the
same job file must always mean the same job; regular expressions are refused because a hostile one would not end.
Source: the function reference of Nomad's HCL2.
"""

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"

MAX_TEXT_CHARACTERS = 1024 * 1024
MAX_ITEMS = 100_000
_MAX_WIDTH = 1000  # of a %…d

IMPURE = {
    **dict.fromkeys(
        ("file", "fileexists", "fileset", "filebase64", "templatefile", "pathexpand", "abspath"), "reads files"
    ),
    **dict.fromkeys(("timestamp", "timeadd", "formatdate"), "depends on the time"),
    **dict.fromkeys(("uuidv4", "uuid", "bcrypt", "rsadecrypt"), "depends on chance or secrets"),
    **dict.fromkeys(("regex", "regexall", "regex_replace"), "could run without end"),
}


@dataclass(frozen=True, slots=True)
class Function:
    """A function and how many arguments it takes; `most` None is any number."""

    call: Callable[..., Value]
    fewest: int
    most: int | None


def type_name(value: Value) -> str:
    """Return what an error message calls the type of *value*."""
    match value:
        case bool():
            return "a bool"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "an object"
        case None:
            return "null"


def to_text(value: Value) -> str:
    """Return a scalar as an interpolation shows it. Raises ValueError for the rest."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            if abs(value) >= 10**300:
                raise ValueError("a number this large cannot be shown")
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case _:
            raise ValueError(f"{type_name(value)} cannot stand in a string; use jsonencode() or join()")


def to_number(value: Value) -> int | float:
    """Return a number, or the number that a string spells. Raises ValueError for the rest."""
    if isinstance(value, str) and len(value) <= 64:
        try:
            spelled = Decimal(value)
        except InvalidOperation:
            raise ValueError(f'"{value}" is no number') from None
        if spelled.is_finite() and abs(spelled.adjusted()) < 300:
            return int(spelled) if spelled == spelled.to_integral_value() else float(spelled)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{type_name(value)} is no number")  # noqa: TRY004 - one error for the caller
    return value


def to_bool(value: Value) -> bool:
    """Return a bool, or the one that a string spells. Raises ValueError for the rest."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in {"true", "false"}:
        return value == "true"
    raise ValueError(f"{type_name(value)} is neither true nor false")


def equal(left: Value, right: Value) -> bool:
    """Compare as HCL does: values of different types differ, and true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return left == right


def _list(value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise ValueError(f"{type_name(value)} is no list")  # noqa: TRY004 - one error for the caller
    return value


def _object(value: Value) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise ValueError(f"{type_name(value)} is no object")  # noqa: TRY004 - one error for the caller
    return value


def _whole(value: Value) -> int:
    number = to_number(value)
    if number != int(number):
        raise ValueError(f"{number} is no whole number")
    return int(number)


def _texts(value: Value) -> list[str]:
    return [to_text(item) for item in _list(value)]


def _distinct(values: Value) -> list[Value]:
    seen: dict[str, Value] = {}
    for value in _list(values):
        seen.setdefault(json.dumps(value, sort_keys=True), value)
    return list(seen.values())


def _to_set(values: Value) -> Value:
    found = _distinct(values)
    return sorted(found, key=to_text) if all(isinstance(value, str | int | float) for value in found) else found


def _flatten(value: Value) -> list[Value]:
    flat: list[Value] = []
    for item in _list(value):
        flat += _flatten(item) if isinstance(item, list) else [item]
    return flat


def _length(value: Value) -> int:
    if not isinstance(value, str | list | dict):
        raise ValueError(f"{type_name(value)} has no length")  # noqa: TRY004 - one error for the caller
    return len(value)


def _element(values: Value, index: Value) -> Value:
    items = _list(values)
    if not items:
        raise ValueError("the list is empty")
    return items[_whole(index) % len(items)]


def _lookup(values: Value, key: Value, *default: Value) -> Value:
    found = _object(values)
    if to_text(key) in found:
        return found[to_text(key)]
    if not default:
        raise ValueError(f'there is no key "{to_text(key)}"')
    return default[0]


def _merge(*objects: Value) -> Value:
    merged: dict[str, Value] = {}
    for each in objects:
        merged |= _object(each)
    return merged


def _range(*bounds: Value) -> Value:
    numbers = [to_number(bound) for bound in bounds]
    start, limit = (0, numbers[0]) if len(numbers) == 1 else numbers[:2]
    step = numbers[2] if len(numbers) == 3 else (1 if start <= limit else -1)
    if step == 0 or (limit - start) / step > 1024:
        raise ValueError("a range has at most 1024 numbers")  # Source: the limit in Nomad's function reference
    count = max(0, math.ceil((limit - start) / step))
    return [start + step * number for number in range(count)]


def _slice(values: Value, start: Value, end: Value) -> Value:
    items, first, last = _list(values), _whole(start), _whole(end)
    if not 0 <= first <= last <= len(items):
        raise ValueError(f"{first} to {last} lies outside a list of {len(items)}")
    return items[first:last]


def _substr(text: Value, offset: Value, length: Value) -> Value:
    whole, first, count = to_text(text), _whole(offset), _whole(length)
    first = max(0, first + len(whole)) if first < 0 else first
    return whole[first:] if count < 0 else whole[first : first + count]


def _replace(text: Value, old: Value, new: Value) -> Value:
    pattern = to_text(old)
    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        raise ValueError("a regular expression is not supported here")
    if pattern and len(to_text(text)) + to_text(text).count(pattern) * len(to_text(new)) > MAX_TEXT_CHARACTERS:
        raise ValueError("the result is too long")
    return to_text(text).replace(pattern, to_text(new)) if pattern else to_text(text)


def _zipmap(keys: Value, values: Value) -> Value:
    names, items = _texts(keys), _list(values)
    if len(names) != len(items):
        raise ValueError(f"there are {len(names)} keys and {len(items)} values")
    return dict(zip(names, items, strict=True))


def _coalesce(*values: Value) -> Value:
    found = next((value for value in values if value is not None and value != ""), None)
    if found is None:
        raise ValueError("every argument is null or empty")
    return found


def _index(values: Value, wanted: Value) -> Value:
    for number, item in enumerate(_list(values)):
        if equal(item, wanted):
            return number
    raise ValueError("the list does not hold it")


def _decode_json(text: Value) -> Value:
    try:
        decoded: Value = json.loads(to_text(text), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError("the text is no JSON") from None
    return decoded


def _no_constant(name: str) -> Value:
    raise ValueError(f"{name} is no JSON")


def _decode_base64(text: Value) -> Value:
    try:
        return base64.b64decode(to_text(text), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("the text is no base64 of UTF-8") from None


def _chunks(values: Value, size: Value) -> Value:
    items, width = _list(values), _whole(size)
    if width <= 0:
        raise ValueError("the size must be at least 1")
    return [items[at : at + width] for at in range(0, len(items), width)]


_VERB = re.compile(r"%([-+ 0#]*)([0-9]{1,4})?(?:\.([0-9]{1,4}))?([a-zA-Z%])")


def _format(template: Value, *arguments: Value) -> str:
    """Fill in Go's verbs. Raises ValueError for too few or too many arguments and for unknown verbs."""
    waiting = list(arguments)

    def fill(found: re.Match[str]) -> str:
        if found[4] == "%":
            return "%"
        if not waiting:
            raise ValueError(f"{found[0]} has no argument")
        if int(found[2] or 0) > _MAX_WIDTH or int(found[3] or 0) > 100:
            raise ValueError(f"{found[0]} is too wide")
        return _verb(found, waiting.pop(0))

    text = to_text(template)
    filled = _VERB.sub(fill, text)
    if waiting:
        raise ValueError(f"{len(waiting)} arguments too many for the format")
    return filled


def _verb(found: re.Match[str], value: Value) -> str:
    """Return one filled-in verb."""
    flags, width, precision, verb = found[1], found[2] or "", found[3], found[4]
    match verb:
        case "s" | "v":
            text = to_text(value) if not isinstance(value, list | dict) else json.dumps(value, separators=(",", ":"))
            text = text[: int(precision)] if precision else text
        case "q":
            text = json.dumps(to_text(value), ensure_ascii=False)
        case "t":
            text = to_text(to_bool(value))
        case "d" | "x" | "X" | "o" | "b":
            sign = "+" if "+" in flags else ""
            text = format(_whole(value), f"{sign}{'0' + width if '0' in flags and width else ''}{verb}")
        case "f" | "e" | "g" | "E" | "G":
            sign = "+" if "+" in flags else ""
            number = float(to_number(value))
            digits = precision or ("6" if verb in "feE" else "")
            text = format(
                number, f"{sign}{'0' + width if '0' in flags and width else ''}{'.' + digits if digits else ''}{verb}"
            )
        case _:
            raise ValueError(f"%{verb} is no verb of format()")
    return text.ljust(int(width or 0)) if "-" in flags else text.rjust(int(width or 0))


def _hash(name: str) -> Callable[[Value], Value]:
    return lambda text: hashlib.new(name, to_text(text).encode(), usedforsecurity=False).hexdigest()


def _round(up: bool) -> Callable[[Value], Value]:
    return lambda value: (math.ceil if up else math.floor)(to_number(value))


def _pow(base: Value, exponent: Value) -> Value:
    number, power = to_number(base), to_number(exponent)
    if abs(power) > 1000 or abs(number) > 1e9:
        raise ValueError("the numbers are too large")
    try:
        result = float(number) ** float(power)
    except (OverflowError, ZeroDivisionError):
        raise ValueError("there is no such number") from None
    if isinstance(result, complex) or not math.isfinite(result):
        raise ValueError("there is no such number")
    return int(result) if result.is_integer() else result


def _indent(spaces: Value, text: Value) -> Value:
    width, whole = _whole(spaces), to_text(text)
    if not 0 <= width <= _MAX_WIDTH or width * whole.count("\n") > MAX_TEXT_CHARACTERS:
        raise ValueError("the indentation is too wide")
    return whole.replace("\n", "\n" + " " * width)


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(lambda value: abs(to_number(value)), 1, 1),
    "alltrue": Function(lambda values: all(to_bool(value) for value in _list(values)), 1, 1),
    "anytrue": Function(lambda values: any(to_bool(value) for value in _list(values)), 1, 1),
    "base64decode": Function(_decode_base64, 1, 1),
    "base64encode": Function(lambda text: base64.b64encode(to_text(text).encode()).decode(), 1, 1),
    "ceil": Function(_round(up=True), 1, 1),
    "chomp": Function(lambda text: to_text(text).rstrip("\r\n"), 1, 1),
    "chunklist": Function(_chunks, 2, 2),
    "coalesce": Function(_coalesce, 1, None),
    "coalescelist": Function(lambda *lists: next((one for one in lists if _list(one)), []), 1, None),
    "compact": Function(lambda values: [text for text in _texts(values) if text], 1, 1),
    "concat": Function(lambda *lists: [item for each in lists for item in _list(each)], 1, None),
    "contains": Function(lambda values, wanted: any(equal(item, wanted) for item in _list(values)), 2, 2),
    "distinct": Function(_distinct, 1, 1),
    "element": Function(_element, 2, 2),
    "endswith": Function(lambda text, end: to_text(text).endswith(to_text(end)), 2, 2),
    "flatten": Function(_flatten, 1, 1),
    "floor": Function(_round(up=False), 1, 1),
    "format": Function(_format, 1, None),
    "indent": Function(_indent, 2, 2),
    "index": Function(_index, 2, 2),
    "join": Function(
        lambda between, *lists: to_text(between).join(text for each in lists for text in _texts(each)), 2, None
    ),
    "jsondecode": Function(_decode_json, 1, 1),
    "jsonencode": Function(lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False), 1, 1),
    "keys": Function(lambda value: list[Value](sorted(_object(value))), 1, 1),
    "length": Function(_length, 1, 1),
    "lookup": Function(_lookup, 2, 3),
    "lower": Function(lambda text: to_text(text).lower(), 1, 1),
    "max": Function(lambda *values: max(map(to_number, values)), 1, None),
    "md5": Function(_hash("md5"), 1, 1),
    "merge": Function(_merge, 0, None),
    "min": Function(lambda *values: min(map(to_number, values)), 1, None),
    "pow": Function(_pow, 2, 2),
    "range": Function(_range, 1, 3),
    "replace": Function(_replace, 3, 3),
    "reverse": Function(lambda values: _list(values)[::-1], 1, 1),
    "sha1": Function(_hash("sha1"), 1, 1),
    "sha256": Function(_hash("sha256"), 1, 1),
    "sha512": Function(_hash("sha512"), 1, 1),
    "signum": Function(lambda value: (to_number(value) > 0) - (to_number(value) < 0), 1, 1),
    "slice": Function(_slice, 3, 3),
    "sort": Function(lambda values: list[Value](sorted(_texts(values))), 1, 1),
    "split": Function(lambda between, text: list[Value](_split(to_text(between), to_text(text))), 2, 2),
    "startswith": Function(lambda text, start: to_text(text).startswith(to_text(start)), 2, 2),
    "strlen": Function(lambda text: len(to_text(text)), 1, 1),
    "strrev": Function(lambda text: to_text(text)[::-1], 1, 1),
    "substr": Function(_substr, 3, 3),
    "sum": Function(lambda values: sum(map(to_number, _list(values))), 1, 1),
    "title": Function(lambda text: re.sub(r"\b\w", lambda found: found[0].upper(), to_text(text)), 1, 1),
    "tobool": Function(to_bool, 1, 1),
    "tolist": Function(_list, 1, 1),
    "tomap": Function(_object, 1, 1),
    "tonumber": Function(to_number, 1, 1),
    "toset": Function(_to_set, 1, 1),
    "tostring": Function(to_text, 1, 1),
    "trim": Function(lambda text, cutset: to_text(text).strip(to_text(cutset)), 2, 2),
    "trimprefix": Function(lambda text, start: to_text(text).removeprefix(to_text(start)), 2, 2),
    "trimspace": Function(lambda text: to_text(text).strip(), 1, 1),
    "trimsuffix": Function(lambda text, end: to_text(text).removesuffix(to_text(end)), 2, 2),
    "upper": Function(lambda text: to_text(text).upper(), 1, 1),
    "values": Function(lambda value: [item for _, item in sorted(_object(value).items())], 1, 1),
    "zipmap": Function(_zipmap, 2, 2),
}


def _split(between: str, text: str) -> list[str]:
    return text.split(between) if between else list(text)
