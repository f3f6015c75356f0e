"""What a person or a program reads of findings: lines of text, or JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from telemetry.finding import Finding, Weight

FOUND_NOTHING, FOUND, COULD_NOT_LOOK = 0, 1, 2
"""Exit codes."""

_ORDER = (Weight.ERROR, Weight.WARNING)


def lines(findings: Sequence[Finding], checked: int, agents: int) -> Iterator[str]:
    """Yield the report: errors first, then a line that counts."""
    for finding in _sorted(findings):
        yield f"{finding.weight.value.upper():<8} {finding.place}: {finding.seen}"
        yield f"{'':<8} why: {finding.why}"
        yield f"{'':<8} do:  {finding.remedy}"
    said = _counted(findings) if findings else "nothing to say" if checked else "nothing could be looked at"
    yield f"checked {_many(checked, 'thing')} on {_many(agents, 'agent')}: {said}"


def as_json(findings: Sequence[Finding], checked: int, agents: int, **further: Any) -> str:
    """Return the same as JSON."""
    body = {"findings": [each.as_json() for each in _sorted(findings)], "checked": checked, "agents": agents, **further}
    return json.dumps(body, indent=2)


def _sorted(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda each: _ORDER.index(each.weight))


def _counted(findings: Sequence[Finding]) -> str:
    counts = [(sum(each.weight is weight for each in findings), weight.value) for weight in _ORDER]
    return ", ".join(_many(many, word) for many, word in counts if many)


def _many(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
