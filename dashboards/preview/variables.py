"""What stands for `$cluster` and the like: the values to choose from, those that are chosen, and texts with them in. Pure.

Source: Grafana, "Variable syntax" and its Prometheus data source: values of a variable that allows several are regular
expressions, others are texts between quotes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from dashboards.preview.model import Variable

ALL = "$__all"
"""How an address says that every value is chosen, as Grafana's do."""

_LABEL_VALUES = re.compile(r"label_values\(\s*(?:(.*)\s*,\s*)?([a-zA-Z_]\w*)\s*\)\Z", re.DOTALL)
_QUERY_RESULT = re.compile(r"query_result\((.*)\)\Z", re.DOTALL)
_METRICS = re.compile(r"metrics\((.*)\)\Z", re.DOTALL)
_USE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\[\[(\w+)(?::(\w+))?\]\]|\$(\w+)")
_FIELD = re.compile(r"\$\{__(?:field\.labels|data\.fields)[.\[]\"?([^}\"\]]+?)\"?\]?(?::\w+)?\}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What Prometheus is asked for the values of a variable: values of *label* on *selector*, or results of *query*."""

    label: str = ""
    selector: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A variable with the values to choose from and those chosen; all of them where *is_all*."""

    variable: Variable
    values: tuple[str, ...]
    chosen: tuple[str, ...]
    is_all: bool = False
    error: str = ""
    """Why there are no values, as Prometheus said it; "" for none."""

    @property
    def promql(self) -> str:
        """What stands for it in a query."""
        variable = self.variable
        if self.is_all and variable.all_value:
            return variable.all_value
        chosen = self.values if self.is_all else self.chosen
        if not variable.is_multi and not variable.has_all:
            return escaped(chosen[0]) if chosen else ""
        literal = [escaped(literal_regex(value)) for value in chosen]
        return literal[0] if len(literal) == 1 else f"({'|'.join(literal)})" if literal else ""

    @property
    def text(self) -> str:
        """What stands for it in a title."""
        return "All" if self.is_all else " + ".join(self.chosen)

    @property
    def address(self) -> list[tuple[str, str]]:
        """Its part of an address."""
        return [(f"var-{self.variable.name}", value) for value in ((ALL,) if self.is_all else self.chosen)]


def asked(variable: Variable, earlier: Mapping[str, Chosen]) -> Asked:
    """Return what is asked for a variable of type query, with *earlier* ones in it. Raises ValueError for what is not known."""
    text = in_query(variable.query, earlier, {}).strip()
    if found := _LABEL_VALUES.match(text):
        return Asked(label=found[2], selector=(found[1] or "").strip())
    if found := _QUERY_RESULT.match(text):
        return Asked(query=found[1])
    if found := _METRICS.match(text):
        return Asked(label="__name__", selector=f'{{__name__=~"{found[1] or ".+"}"}}')
    raise ValueError(
        f"variable {variable.name}: {variable.query!r} is not drawn here; write label_values(series, label)"
    )


def fixed_values(variable: Variable) -> list[str] | None:
    """Return the values of a variable that needs no question, None for one that does."""
    match variable.type:
        case "custom" | "interval":
            parts = re.split(r"(?<!\\),", variable.query)
            return [part.replace("\\,", ",").rpartition(" : ")[2].strip() for part in parts if part.strip()]
        case "constant" | "textbox":
            return [variable.query]
        case "datasource":
            return ["default"]
        case _:
            return None


def narrowed(variable: Variable, found: Sequence[str]) -> list[str]:
    """Return the values that the variable's regular expression leaves, in its order, each once."""
    values = list(dict.fromkeys(found))
    if variable.regex:
        pattern = re.compile(variable.regex.strip("/"))
        matches = [match for value in values if (match := pattern.search(value))]
        values = list(dict.fromkeys((match[1] if match.groups() else match.string) or "" for match in matches))
    if not variable.sort:
        return values
    # Grafana's numbers: 1 and 2 by letters, 3 and 4 by number, 5 and 6 without case; even ones backward.
    if variable.sort in {3, 4}:
        values.sort(key=lambda value: float(number[0]) if (number := re.search(r"\d+(?:\.\d+)?", value)) else -1.0)
    else:
        values.sort(key=str.casefold if variable.sort in {5, 6} else str)
    return values[::-1] if variable.sort % 2 == 0 else values


def choose(variable: Variable, values: Sequence[str], wanted: Sequence[str]) -> Chosen:
    """Return what is chosen: *wanted* of an address, else the file's own choice, else the first or all.

    A wanted value that is not among *values* is kept, as an alert's link may name what is gone by now.
    """
    current = [value for value in variable.current if value == ALL or value in values]
    first = [ALL] if variable.has_all else list(values[:1])
    chosen = [value for value in wanted if value] or current or first
    if ALL in chosen and variable.has_all:
        return Chosen(variable, tuple(values), tuple(values), is_all=True)
    kept = [value for value in chosen if value != ALL] or list(values[:1])
    return Chosen(variable, tuple(values), tuple(kept if variable.is_multi else kept[:1]))


def in_query(text: str, chosen: Mapping[str, Chosen], special: Mapping[str, str]) -> str:
    """Return a query with the variables' values in it; *special* are Grafana's own, such as `__interval`."""

    def value(name: str, form: str) -> str | None:
        if name in special:
            return special[name]
        found = chosen.get(name)
        if found is None:
            return None
        values = found.values if found.is_all else found.chosen
        match form:
            case "raw" | "csv":
                return ",".join(values)
            case "pipe":
                return "|".join(values)
            case "text":
                return found.text
            case _:
                return found.promql

    return _substituted(text, value)


def in_text(text: str, chosen: Mapping[str, Chosen], special: Mapping[str, str] | None = None) -> str:
    """Return a title or a text with the variables' values in it, as a person reads them."""
    own = special or {}
    return _substituted(text, lambda name, _form: own.get(name, chosen[name].text if name in chosen else None))


def in_link(url: str, chosen: Mapping[str, Chosen], times: Sequence[tuple[str, str]], labels: Mapping[str, str]) -> str:
    """Return an address with variables, times and the labels of a series or the columns of a table's line in it."""
    url = _FIELD.sub(lambda found: quote(labels.get(found[1], ""), safe=""), url)
    every = [pair for each in chosen.values() if each.variable.type != "datasource" for pair in each.address]

    def value(name: str, form: str) -> str | None:
        if name in {"__url_time_range", "__all_variables"}:
            return urlencode(times if name == "__url_time_range" else every)
        found = chosen.get(name)
        if found is None:
            return None
        if form == "queryparam":
            return urlencode(found.address)
        return quote(ALL if found.is_all else ",".join(found.chosen), safe="")

    return _substituted(url, value)


def escaped(value: str) -> str:
    """Return *value* as it stands between the quotes of PromQL."""
    return value.replace("\\", "\\\\").replace('"', '\\"')


def literal_regex(value: str) -> str:
    """Return a regular expression for *value* itself."""
    return "".join(f"\\{letter}" if letter in r"\.+*?()|[]{}^$" else letter for letter in value)


def _substituted(text: str, value_of: Callable[[str, str], str | None]) -> str:
    def replaced(found: re.Match[str]) -> str:
        name = found[1] or found[3] or found[5]
        value = value_of(name, found[2] or found[4] or "")
        return found[0] if value is None else value

    return _USE.sub(replaced, text)
