"""What a scrape brought: text 0.0.4 read into samples, as they were printed.

The names are those of the text: prometheus_client's parser, which the tests hold against this one, calls Nomad's
counters by names that they do not have.
Source: Prometheus, exposition formats, text-based format.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t]*\Z")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|\Z)')
_TYPE = re.compile(r"#[ \t]+TYPE[ \t]+(\S+)[ \t]+(\S+)[ \t]*\Z")
_ESCAPE = re.compile(r"\\(.)")
_MEANT = {"n": "\n"}


class NotAnExposition(ValueError):
    """A text that is no exposition; the message names the line."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: a name, labels and a value."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Scrape:
    """All samples of one exposition, in the order of the text, and the kind that was declared for each name."""

    samples: tuple[Sample, ...]
    kinds: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """The names of the samples, suffixes included."""
        return frozenset(sample.name for sample in self.samples)

    def of(self, name: str) -> Iterator[Sample]:
        """Yield the samples called *name*."""
        return (sample for sample in self.samples if sample.name == name)

    def value(self, name: str) -> float | None:
        """Return the value of the first sample called *name*, or None."""
        return next((sample.value for sample in self.of(name)), None)


def read_exposition(text: str) -> Scrape:
    """Return what *text* says; raise NotAnExposition at the first line that is none of the format's."""
    samples: list[Sample] = []
    kinds: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if line.startswith("#"):
            declared = _TYPE.match(line)
            if declared:
                kinds[declared[1]] = declared[2]
            continue
        samples.append(_sample(line, number))
    return Scrape(tuple(samples), kinds)


def _sample(line: str, number: int) -> Sample:
    found = _SAMPLE.match(line)
    if found is None:
        raise NotAnExposition(f"line {number} is {line[:80]!r}, which is no sample; is this the address of an agent?")
    name, labels, value = found.groups()
    try:
        return Sample(name, dict(_labels(labels or "")), float(value))
    except ValueError as error:
        raise NotAnExposition(f"line {number} is {line[:80]!r}: {error}") from None


def _labels(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _LABEL.match(text, at)
        if found is None:
            raise ValueError(f"{text[at : at + 40]!r} is no label")
        yield found[1], _ESCAPE.sub(lambda escape: _MEANT.get(escape[1], escape[1]), found[2])
        at = found.end()
