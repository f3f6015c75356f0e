"""Version numbers and the constraints on them, for the operands `version` and `semver`.

A constraint is a list of conditions separated by commas, such as ">= 1.2, < 2.0" or "~> 1.4.2" (at least that, and
the last given number alone may grow). Source: Nomad, job specification, constraint.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?:-?([0-9A-Za-z][0-9A-Za-z.~-]*))?(?:\+[0-9A-Za-z.~-]+)?")
_CONDITION = re.compile(r"\s*(>=|<=|!=|~>|=|>|<|)\s*(\S+)\s*")
_NUMBERS = 3
"""Versions are padded to so many numbers: 1.2 is 1.2.0."""

Rank = tuple[tuple[int, int, str], ...]


class Version(NamedTuple):
    """A parsed version; compares as versions do, a pre-release below its release."""

    numbers: tuple[int, ...]
    rank: Rank
    """The order among versions of the same numbers: releases last."""
    given: int
    """How many numbers were written."""

    @property
    def prerelease(self) -> bool:
        """Whether this is a pre-release."""
        return self.rank != _RELEASE


_RELEASE: Rank = ((2, 0, ""),)


@lru_cache(maxsize=4096)
def parse(text: str) -> Version | None:
    """Return the version in *text*, or None when it is none."""
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        return None
    numbers = tuple(int(part) for part in match.group(1).split("."))
    padded = numbers + (0,) * (_NUMBERS - len(numbers))
    rank = tuple(_rank(part) for part in match.group(2).split(".")) if match.group(2) else _RELEASE
    return Version(padded, rank, len(numbers))


def satisfies(text: str, constraint: str, *, strict: bool = False) -> bool:
    """Tell whether the version in *text* meets every condition of *constraint*; what cannot be read meets nothing.

    With *strict*, the operand `semver`, pre-releases are ordered like any version; otherwise, the operand `version`,
    one is only let in by a condition that names a pre-release of the same numbers.
    """
    version = parse(text)
    conditions = _conditions(constraint)
    if version is None or conditions is None:
        return False
    return all(_meets(version, operator, wanted, strict=strict) for operator, wanted in conditions)


@lru_cache(maxsize=1024)
def _conditions(constraint: str) -> tuple[tuple[str, Version], ...] | None:
    conditions = []
    for part in constraint.split(","):
        match = _CONDITION.fullmatch(part)
        wanted = parse(match.group(2)) if match else None
        if match is None or wanted is None:
            return None
        conditions.append((match.group(1) or "=", wanted))
    return tuple(conditions)


def _meets(version: Version, operator: str, wanted: Version, *, strict: bool) -> bool:
    if version.prerelease and not strict and operator not in {"=", "!="}:
        same_numbers = version.numbers == wanted.numbers
        if not wanted.prerelease or not same_numbers:
            return False
    ours, theirs = (version.numbers, version.rank), (wanted.numbers, wanted.rank)
    if operator == "~>":
        kept = max(1, wanted.given - 1)
        return ours >= theirs and version.numbers[:kept] == wanted.numbers[:kept]
    return _COMPARE[operator](ours, theirs)


_Ordered = tuple[tuple[int, ...], Rank]
_COMPARE: dict[str, Callable[[_Ordered, _Ordered], bool]] = {
    "=": lambda ours, theirs: ours == theirs,
    "!=": lambda ours, theirs: ours != theirs,
    ">": lambda ours, theirs: ours > theirs,
    "<": lambda ours, theirs: ours < theirs,
    ">=": lambda ours, theirs: ours >= theirs,
    "<=": lambda ours, theirs: ours <= theirs,
}


def _rank(part: str) -> tuple[int, int, str]:
    """Order parts of a pre-release: numbers by value and below words."""
    return (0, int(part), "") if part.isdigit() else (1, 0, part)
