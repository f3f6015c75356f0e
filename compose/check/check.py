"""What a check is: what it looks at, why, and the remedy that its findings have unless they know a better one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from compose.check.facts import Facts
from telemetry.finding import Finding, Weight


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check saw wrong of one subject; empty *why* and *remedy* stand for the check's own."""

    weight: Weight
    place: str
    seen: str
    why: str = ""
    remedy: str = ""
    metric: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check, a pure function over facts.

    *subjects* are what is looked at one by one, *look* says what is wrong of one. *what*, *why* and *remedy* are
    sentences of the page of checks. Raises ValueError when the name is no word or a sentence lacks its full stop.
    """

    name: str
    what: str
    why: str
    remedy: str
    subjects: Callable[[Facts], Sequence[Any]]
    look: Callable[[Any, Facts], Iterable[Seen]]

    def __post_init__(self) -> None:
        if not self.name.replace("-", "").isalpha() or not self.name.islower():
            raise ValueError(f"check {self.name!r}: its name is one of words in lower case with hyphens between")
        for text in (self.what, self.why, self.remedy):
            if not text.endswith("."):
                raise ValueError(f"check {self.name!r}: {text!r} is no sentence")

    def findings(self, facts: Facts) -> Iterator[Finding]:
        """Yield what is wrong of each subject."""
        for subject in self.subjects(facts):
            for seen in self.look(subject, facts):
                yield Finding(
                    check=self.name,
                    weight=seen.weight,
                    place=seen.place,
                    seen=seen.seen,
                    why=seen.why or self.why,
                    remedy=seen.remedy or self.remedy,
                    metric=seen.metric,
                )


def looked_at(checks: Iterable[Check], facts: Facts) -> tuple[list[Finding], int]:
    """Return all findings of *checks*, and how many subjects were looked at."""
    findings: list[Finding] = []
    things = 0
    for check in checks:
        findings += check.findings(facts)
        things += len(check.subjects(facts))
    return findings, things
