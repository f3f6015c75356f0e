"""From the body of one file to settings: each key looked up, converted, and kept with its place.

Settings are flat, "server.bootstrap_expect" → Setting, so that files merge as dictionaries do. Problems are
collected, not raised: an operator wants to see all of them.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.config import hcl_ast as ast
from agent.config.hcl_ast import HclError, Position
from agent.config.hcl_parser import body_of_object
from agent.config.schema_keys import BlockSpec, Key, Kind, Merge, State
from agent.config.units import parse_duration

Value = str | bool | int | float | tuple[str, ...] | dict[str, str]


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that was given, and where."""

    value: Value
    position: Position
    merge: Merge = Merge.REPLACE


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong: a whole sentence, and where."""

    position: Position
    message: str

    def __str__(self) -> str:
        return f"{self.position}: {self.message}"


@dataclass(slots=True)
class Reading:
    """What reading files brought together. `later` are keys that have no effect yet, by path."""

    settings: dict[str, Setting] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    later: dict[str, Position] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def merge(self, other: "Reading") -> None:
        """Lay *other* over this, as the Merge of each setting says; values passed over are told in `ignored`."""
        for path, new in other.settings.items():
            old = self.settings.get(path)
            if old is not None and isinstance(old.value, dict) and isinstance(new.value, dict):
                new = Setting({**old.value, **new.value}, new.position)  # noqa: PLW2901 - the merged one
            elif old is not None and isinstance(old.value, tuple) and new.merge is Merge.APPEND:
                added = new.value if isinstance(new.value, tuple) else ()
                new = Setting(tuple(dict.fromkeys((*old.value, *added))), new.position, Merge.APPEND)  # noqa: PLW2901
            elif old is not None and new.merge is Merge.REPLACE and not new.value:
                if old.value:
                    self.ignored.append(
                        f"{new.position}: {path}{show_value(new.value)} has no effect, because an empty value does not "
                        f"override {path}{show_value(old.value)} of {old.position}."
                    )
                continue
            self.settings[path] = new
        self.problems += other.problems
        self.ignored += other.ignored
        for path, position in other.later.items():
            self.later.setdefault(path, position)


def read_body(body: ast.Body, spec: BlockSpec) -> Reading:
    """Return the settings of a file, and every problem in it."""
    reading = Reading()
    _read_block(body, spec, "", reading)
    return reading


def _read_block(body: ast.Body, spec: BlockSpec, path: str, reading: Reading) -> None:
    """Read the items of one block into *reading*; *path* ends with a dot unless it is empty."""
    seen: dict[str, Position] = {}
    for item in body.items:
        name = item.type if isinstance(item, ast.Block) else item.name
        entry = spec.find(name)
        if entry is None:
            _unknown(item.position, path, name, spec, reading)
            continue
        if entry.state is State.ACCEPTED:
            label = f' "{item.labels[0]}"' if isinstance(item, ast.Block) and item.labels else ""
            reading.later.setdefault(f"{path}{name}{label}", item.position)
        elif isinstance(entry, BlockSpec):
            for inner, inner_path, position in _bodies(item, entry, path, reading):
                inner_spec = entry
                if entry.labelled:
                    label = inner_path.rsplit(".", 1)[-1]
                    found = entry.find(label)
                    if not isinstance(found, BlockSpec):
                        reading.later.setdefault(f'{path}{name} "{label}"', position)
                        continue
                    inner_spec = found
                _read_block(inner, inner_spec, f"{inner_path}.", reading)
        else:
            if isinstance(item, ast.Attribute) and name in seen:
                first = seen[name]
                reading.problems.append(
                    Problem(item.position, f"{path}{name} is set twice, first at {first}: remove one of the two.")
                )
            seen[name] = item.position
            _read_key(item, entry, f"{path}{name}", reading)
    if spec.whole and body.items:
        _fill_whole(body, spec, path, reading)


def _fill_whole(body: ast.Body, spec: BlockSpec, path: str, reading: Reading) -> None:
    """Switch off what a block that counts as a whole leaves out."""
    for key in spec.keys:
        if key.field:
            reading.settings.setdefault(f"{path}{key.name}", Setting(False, body.position, key.merge))


def _unknown(position: Position, path: str, name: str, spec: BlockSpec, reading: Reading) -> None:
    """Note a key that nobody knows, with the nearest that exists."""
    near = nearest(name, spec.names)
    where = f"the {path.rstrip('.')} block" if path else "an agent's file"
    hint = f'did you mean "{near}"?' if near else f"its keys are {', '.join(spec.names)}."
    if not near and len(spec.names) > 12:
        hint = "remove it, or look the name up in the reference."
    reading.problems.append(Problem(position, f'"{name}" is no key of {where}: {hint}'))


def nearest(name: str, names: tuple[str, ...]) -> str:
    """Return the one of *names* that is most like *name*, or an empty string."""
    found = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return found[0] if found else ""


def _bodies(
    item: ast.Attribute | ast.Block, spec: BlockSpec, path: str, reading: Reading
) -> Iterator[tuple[ast.Body, str, Position]]:
    """Yield every body that *item* stands for, with its path: a block, an object, or a list of objects."""
    here = f"{path}{spec.name}"
    wanted = 1 if spec.labelled else 0
    if isinstance(item, ast.Block):
        if len(item.labels) == wanted:
            yield item.body, ".".join((here, *item.labels)), item.position
            return
        shape = f'{spec.name} "name" {{ … }}' if wanted else f"{spec.name} {{ … }}"
        reading.problems.append(
            Problem(item.position, f"{here} has {len(item.labels)} labels, not {wanted}: write {shape}.")
        )
        return
    values = item.value.items if isinstance(item.value, ast.ListExpression) else (item.value,)
    for value in values:
        if not isinstance(value, ast.ObjectExpression):
            reading.problems.append(
                Problem(value.position, f"{here} is a block and has no value of its own: write {spec.name} {{ … }}.")
            )
            continue
        body = body_of_object(value)
        if not wanted:
            yield body, here, item.position
            continue
        for attribute in body.attributes:  # JSON carries the label as a key
            inner = attribute.value.items if isinstance(attribute.value, ast.ListExpression) else (attribute.value,)
            for one in inner:
                if isinstance(one, ast.ObjectExpression):
                    yield body_of_object(one), f"{here}.{attribute.name}", attribute.position


def _read_key(item: ast.Attribute | ast.Block, key: Key, path: str, reading: Reading) -> None:
    """Convert one value and keep it, or note why it cannot be."""
    if key.state is State.MOOT and not key.field:
        return
    if key.state is State.REFUSED:
        reading.problems.append(Problem(item.position, f"{path}: {key.why}."))
        return
    try:
        value = _value_of(item, key)
    except HclError as error:
        reading.problems.append(Problem(error.position, f"{path}: {error.args[0].split(': ', 1)[-1]}."))
        return
    except ValueError as error:
        shown = "" if isinstance(item, ast.Block) else show(item.value)
        reading.problems.append(Problem(item.position, f"{path}{shown}: {error}."))
        return
    if key.state is State.PROTECTIVE:
        if value:
            shown = show_value(value) if isinstance(value, bool) else " is set"  # never the secret itself
            reading.problems.append(Problem(item.position, f"{path}{shown}: {key.why}."))
        return
    previous = reading.settings.get(path)
    if previous is not None and isinstance(previous.value, dict) and isinstance(value, dict):
        value = {**previous.value, **value}
    reading.settings[path] = Setting(value, item.position, key.merge)


def _value_of(item: ast.Attribute | ast.Block, key: Key) -> Value:
    """Return the converted and checked value. Raises ValueError with what is wrong and what to write."""
    if isinstance(item, ast.Block):
        if key.kind is not Kind.STRING_MAP or item.labels:
            raise ValueError(f"it is a value, not a block: write {key.name} = {_example(key.kind)}")
        if any(isinstance(inner, ast.Block) for inner in item.body.items):
            raise ValueError("its values are strings, not blocks")
        return {attribute.name: _map_text(attribute.name, plain(attribute.value)) for attribute in item.body.attributes}
    if isinstance(item.value, ast.Name) and key.kind in {Kind.BOOL, Kind.INT, Kind.FLOAT}:
        raise ValueError(
            f"{item.value.name} is not understood: it must be {key.kind.value}, such as {_example(key.kind)}"
        )
    value = convert(plain(item.value), key.kind)
    if isinstance(value, bool | str | dict):
        number = None
    elif isinstance(value, tuple):
        number = None
        for text in value if key.choices else ():
            _check_choice(text, key)
    else:
        number = value
    if number is not None:
        unit = " seconds" if key.kind is Kind.DURATION else ""
        if key.minimum is not None and number < key.minimum:
            raise ValueError(f"it must be at least {key.minimum:g}{unit}")
        if key.maximum is not None and number > key.maximum:
            raise ValueError(f"it must be at most {key.maximum:g}{unit}")
    if isinstance(value, str) and key.choices:
        return _check_choice(value, key)
    return value


def _check_choice(text: str, key: Key) -> str:
    """Return the choice that *text* is, in the case it is written with here."""
    for choice in key.choices:
        if choice.lower() == text.lower():
            return choice
    raise ValueError(f'"{text}" is not one of {", ".join(key.choices)}')


def plain(expression: ast.Expression) -> object:
    """Return the value of a literal, a list or an object of such. Raises HclError for anything that computes."""
    match expression:
        case ast.Literal(value=value):
            return value
        case ast.ListExpression(items=items):
            return [plain(item) for item in items]
        case ast.ObjectExpression():
            return {attribute.name: plain(attribute.value) for attribute in body_of_object(expression).attributes}
        case ast.Name(name=name):
            raise HclError(expression.position, f'found the bare word {name}: put strings in quotes, "{name}"')
        case _:
            raise HclError(expression.position, "found an expression: an agent's file holds plain values only")


def convert(value: object, kind: Kind) -> Value:
    """Return *value* as *kind*, as weakly typed as HCL1 is: "true" is a bool, "3" a number, "a" a list of one.

    Raises ValueError with what is wrong.
    """
    match kind:
        case Kind.STRING | Kind.PATH:
            return _text(value)
        case Kind.BOOL:
            if isinstance(value, bool):
                return value
            if isinstance(value, str) and value.lower() in {"true", "false", "1", "0"}:
                return value.lower() in {"true", "1"}
        case Kind.INT:
            return _whole(value)
        case Kind.FLOAT:
            if isinstance(value, str):
                return float(value)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        case Kind.DURATION:
            if isinstance(value, str | int | float):
                return parse_duration(value)
        case Kind.STRINGS:
            return tuple(_text(item) for item in (value if isinstance(value, list) else [value]))
        case Kind.STRING_MAP:
            maps = value if isinstance(value, list) else [value]
            if all(isinstance(item, dict) for item in maps):
                return {
                    str(key): _map_text(str(key), inner)
                    for item in maps
                    if isinstance(item, dict)
                    for key, inner in item.items()
                }
        case Kind.ANYTHING:
            return ""
    raise ValueError(f"it must be {kind.value}, such as {_example(kind)}")


def _whole(value: object) -> int:
    """Return a whole number."""
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal() and len(value) <= 20:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"it must be {Kind.INT.value}, such as {_example(Kind.INT)}")


def _text(value: object) -> str:
    """Return the text of a scalar."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            raise ValueError(f"it must be {Kind.STRING.value} in quotes")


def _map_text(name: str, value: object) -> str:
    """Return the text of a scalar in a map. Raises ValueError naming its key."""
    if isinstance(value, list | dict) or value is None:
        raise ValueError(f"the value of {name} must be {Kind.STRING.value} in quotes")
    return _text(value)


def _example(kind: Kind) -> str:
    return {
        Kind.BOOL: "true",
        Kind.INT: "3",
        Kind.FLOAT: "1.5",
        Kind.DURATION: '"30s"',
        Kind.STRINGS: '["10.0.0.1"]',
        Kind.STRING_MAP: '{ rack = "r1" }',
    }.get(kind, '"text"')


def show(expression: ast.Expression) -> str:
    """Return " = value" for a message, or nothing where the value is long or computed."""
    try:
        value = plain(expression)
    except HclError:
        return ""
    return show_value(value)


def show_value(value: object) -> str:
    """Return " = value" as a file writes it, or nothing where it is long."""
    if isinstance(value, bool):
        return f" = {str(value).lower()}"
    if isinstance(value, int | float):
        return f" = {value}"
    if isinstance(value, str):
        return f' = "{value}"' if len(value) <= 60 else ""
    if isinstance(value, list | tuple):
        text = ", ".join(f'"{item}"' for item in value)
        return f" = [{text}]" if len(text) <= 80 else ""
    return ""
