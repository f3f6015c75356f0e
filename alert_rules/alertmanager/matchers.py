"""Alertmanager's matchers, as its configuration writes them; read alike by the old parser and that of 0.27."""

import re
from collections.abc import Iterable

_REGEX_MARKS = re.compile(r"[\\.+*?()|\[\]{}^$]")


def equal(label: str, value: str) -> str:
    """Return the matcher of alerts whose *label* is *value*."""
    return f'{label}="{_quoted(value)}"'


def one_of(label: str, values: Iterable[str]) -> str:
    """Return the matcher of alerts whose *label* is one of *values*, of which there is at least one."""
    given = list(values)
    if len(given) == 1:
        return equal(label, given[0])
    return f'{label}=~"{_quoted(alternatives(given))}"'


def alternatives(values: Iterable[str]) -> str:
    """Return the regular expression that matches each of *values* and nothing else."""
    return "|".join(_REGEX_MARKS.sub(lambda mark: "\\" + mark[0], value) for value in values)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
