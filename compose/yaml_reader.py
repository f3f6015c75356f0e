"""YAML read with the line of every value, so that a mistake in outrider.yaml is named by file, line and field.

A `Section` is one mapping of the file. Reading a key marks it as known; `finish` reports the keys nobody read and
names the nearest known one. Every mistake raises `SettingsError` with one sentence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

import yaml

from telemetry.scrape.duration import parse_duration

_T = TypeVar("_T")
_BOOLEANS = {"true": True, "false": False}
_TYPED = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null")}


class SettingsError(ValueError):
    """A setting cannot be used; the text names file, line, field, value and remedy."""


class Section:
    """One mapping of the file, at *path* within it ("" at the top)."""

    def __init__(self, file: str, path: str, node: yaml.MappingNode | None, line: int = 1) -> None:
        """Take the fields of *node*; without one the section is empty, and errors name *line*."""
        self._file = file
        self._path = path
        self._line = line if node is None else node.start_mark.line + 1
        self._known: list[str] = []
        self._values: dict[str, yaml.Node] = {}
        self._lines: dict[str, int] = {}
        for key, value in node.value if node is not None else ():
            name = str(key.value)
            line = key.start_mark.line + 1
            if name in self._values:
                raise SettingsError(f"{file}:{line}: {self.field(name)} stands twice; keep one")
            self._values[name] = value
            self._lines[name] = line

    def empty(self, name: str) -> "Section":
        """Return the section that *name* would be if it were given without a field; errors name this one's line."""
        return Section(self._file, self.field(name), None, self._line)

    def field(self, name: str) -> str:
        """Return the full name of a field of this section, such as `links.runbooks`."""
        return f"{self._path}.{name}" if self._path else name

    def error(self, name: str, problem: str) -> SettingsError:
        """Make the error that says *problem* of field *name*."""
        return SettingsError(f"{self._file}:{self._lines.get(name, self._line)}: {self.field(name)} {problem}")

    def has(self, name: str) -> bool:
        """Say whether *name* is given, and mark it as known."""
        self._known.append(name)
        return name in self._values

    def text(self, name: str) -> str:
        """Return a text that must be given and must not be empty."""
        value = self.optional_text(name)
        if value is None:
            raise self.error(name, "is missing; write it here")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a text, or None when it is not given."""
        if not self.has(name):
            return None
        value = self._scalar(name)
        if not value:
            raise self.error(name, "is empty; give a value or remove the line")
        return value

    def names(self) -> list[str]:
        """Return the names of all fields, in the order of the file."""
        return list(self._values)

    def raw_text(self, name: str) -> str:
        """Return a text that must be given and may be empty."""
        if not self.has(name):
            raise self.error(name, "is missing; write it here")
        return self._scalar(name)

    def duration(self, name: str) -> float:
        """Return a duration in seconds that must be given and may be 0."""
        value = self.text(name)
        return self._converted(name, value, parse_duration, 'a duration such as "0s", "90s" or "1h"')

    def integer(self, name: str, default: int) -> int:
        """Return a whole number, or *default* when it is not given."""
        value = self.optional_text(name)
        if value is None:
            return default
        return self._converted(name, value, int, "a whole number such as 3")

    def boolean(self, name: str, *, default: bool) -> bool:
        """Return true or false, or *default* when it is not given."""
        value = self.optional_text(name)
        if value is None:
            return default
        if value.lower() not in _BOOLEANS:
            raise self.error(name, f"is {value!r}; write true or false")
        return _BOOLEANS[value.lower()]

    def seconds(self, name: str, default: float) -> float:
        """Return a duration in seconds, longer than 0, or *default* when it is not given."""
        value = self.optional_text(name)
        if value is None:
            return default
        seconds = self._converted(name, value, parse_duration, 'a duration such as "5s" or "1m"')
        if seconds <= 0:
            raise self.error(name, f"is {value!r}; it must be longer than 0s")
        return seconds

    def choice(self, name: str, choices: Mapping[str, _T], default: _T) -> _T:
        """Return what the word under *name* stands for."""
        value = self.optional_text(name)
        return default if value is None else self._chosen(name, value, choices)

    def choices(self, name: str, choices: Mapping[str, _T], default: tuple[_T, ...]) -> tuple[_T, ...]:
        """Return what each word of the list under *name* stands for."""
        if not self.has(name):
            return default
        return tuple(self._chosen(name, str(item.value), choices) for item in self._items(name))

    def texts(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return the text under *name*, or each text of the list there, or *default* when it is not given."""
        if not self.has(name):
            return default
        if not isinstance(self._values[name], yaml.SequenceNode):
            return (self.text(name),)
        items = self._items(name)
        if not all(isinstance(item, yaml.ScalarNode) and item.value for item in items):
            raise self.error(name, "is a list of something else than texts; write one `- text` line for each")
        return tuple(str(item.value) for item in items)

    def section(self, name: str) -> "Section | None":
        """Return the mapping under *name*, or None when it is not given."""
        if not self.has(name):
            return None
        node = self._values[name]
        if not isinstance(node, yaml.MappingNode):
            raise self.error(name, "is not a group of fields; indent its fields below it")
        return Section(self._file, self.field(name), node)

    def sections(self, name: str) -> Iterator["Section"]:
        """Yield the mappings of the list under *name*; none when it is not given."""
        if not self.has(name):
            return
        for number, item in enumerate(self._items(name)):
            if not isinstance(item, yaml.MappingNode):
                raise self.error(name, f"entry {number + 1} is not a group of fields; write `- name: ...`")
            yield Section(self._file, f"{self.field(name)}[{number}]", item)

    def is_list(self, name: str) -> bool:
        """Say whether what stands under *name* is a list, and mark it as known."""
        return self.has(name) and isinstance(self._values[name], yaml.SequenceNode)

    def plain(self, name: str) -> object:
        """Return what stands under *name* as YAML has it: mappings, lists, texts, numbers."""
        self._known.append(name)
        return _construct(self._values[name])

    def error_at(self, path: Sequence[str | int], problem: str) -> SettingsError:
        """Make the error that says *problem* of what *path*, which begins with a key of this section, leads to."""
        node, line, field = self._values[str(path[0])], self._lines[str(path[0])], self.field(str(path[0]))
        for step in path[1:]:
            if isinstance(step, int) and isinstance(node, yaml.SequenceNode):
                node, field = node.value[step], f"{field}[{step}]"
                line = node.start_mark.line + 1
            elif isinstance(node, yaml.MappingNode):
                key, node = next((key, value) for key, value in node.value if str(key.value) == step)
                line, field = key.start_mark.line + 1, f"{field}.{step}"
        return SettingsError(f"{self._file}:{line}: {field} {problem}")

    def finish(self) -> None:
        """Raise when the section has a key that nobody asked for."""
        for name in self._values:
            if name in self._known:
                continue
            near = get_close_matches(name, self._known, n=1, cutoff=0.0)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise self.error(name, f"is not a known setting{hint}")

    def _items(self, name: str) -> list[yaml.Node]:
        node = self._values[name]
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(name, "is not a list; write one `- ` line for each entry")
        return list(node.value)

    def _scalar(self, name: str) -> str:
        node = self._values[name]
        if not isinstance(node, yaml.ScalarNode):
            raise self.error(name, "is not a single value; write it on one line")
        return "" if node.tag == "tag:yaml.org,2002:null" else str(node.value)

    def _chosen(self, name: str, value: str, choices: Mapping[str, _T]) -> _T:
        if value not in choices:
            raise self.error(name, f"is {value!r}; choose one of {', '.join(choices)}")
        return choices[value]

    def _converted(self, name: str, value: str, convert: Callable[[str], _T], wanted: str) -> _T:
        try:
            return convert(value)
        except ValueError:
            raise self.error(name, f"is {value!r}; write {wanted}") from None


def _construct(node: yaml.Node) -> object:
    """Return the value of *node*; what only YAML 1.1 takes for a number in base 60, such as 10:30, stays a text."""
    match node:
        case yaml.MappingNode():
            return {str(key.value): _construct(value) for key, value in node.value}
        case yaml.SequenceNode():
            return [_construct(item) for item in node.value]
        case yaml.ScalarNode(value=text) if ":" not in text and node.tag in _TYPED:
            return yaml.constructor.SafeConstructor().construct_object(node)
        case _:
            return str(node.value)


def read_sections(text: str, file: str) -> Section:
    """Return the top section of a YAML *text*; *file* names it in errors."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{file}:{line}: this is not YAML: {error.problem}; check the indentation") from None
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError(f"{file}:1: there are no settings; start with `cluster: NAME`")
    return Section(file, "", node)
