"""Prometheus' text format 0.0.4, byte for byte as a Nomad prints it.

Prefixes (name, labels and the space behind them) are made once a series and kept by the registry; a scrape then costs
one concatenation and one number a line. Pure.

Source: prometheus/common expfmt/text_create.go; the numbers are Go's strconv.FormatFloat(value, 'g', -1, 64).
"""

import math
import struct
from collections.abc import Iterable
from typing import NamedTuple

from telemetry.catalogue.metric import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"

Row = tuple[str, float]
"""The prefix of a line and its value."""


class Family(NamedTuple):
    """All series of one metric at one moment: the HELP and TYPE lines, then prefix and value of each line."""

    header: str
    rows: list[Row]


def header(metric: Metric, name: str) -> str:
    """Return the HELP and TYPE lines of *metric* as exported under *name*; Nomad's help is the name again."""
    text = name if name.startswith("nomad_") else metric.meaning
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {text}\n# TYPE {name} {metric.kind.value}\n"


def prefix(name: str, labels: Iterable[tuple[str, str]]) -> str:
    """Return the start of a line; *labels* are printed in the order given."""
    pairs = ",".join([f'{label}="{_escaped(value)}"' for label, value in labels])
    return f"{name}{{{pairs}}} " if pairs else f"{name} "


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def encode(families: Iterable[Family]) -> bytes:
    """Return the body of a scrape; families and rows are printed in the order given."""
    parts: list[str] = []
    append = parts.append
    known = _KNOWN.get
    for family in families:
        append(family.header)
        for start, value in family.rows:
            append(start)
            append(known(value) or format_value(value))
    return "".join(parts).encode()


_KNOWN = {float(number): f"{number}\n" for number in range(1024)}
"""The commonest values, with the line's end: one look-up instead of a conversion."""


def format_value(value: float) -> str:
    """Return *value* as Go prints it, and the line's end: an exponent below 1e-4 and from 1e6 on."""
    size = abs(value)
    if 1e-4 <= size < 1e6:
        whole = int(value)
        return f"{whole}\n" if whole == value else f"{value!r}\n"
    if 1e6 <= size < 1e16:  # Python has no exponent here, Go has
        whole_digits, _, fraction = repr(value).lstrip("-").partition(".")
        digits = (whole_digits + fraction).rstrip("0")
        mantissa = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
        return f"{'-' if value < 0 else ''}{mantissa}e+{len(whole_digits) - 1:02d}\n"
    if math.isinf(value):
        return "+Inf\n" if value > 0 else "-Inf\n"
    if math.isnan(value):
        return "NaN\n"
    return f"{value!r}\n" if value else "0\n"


_FLOAT32 = struct.Struct("f")


def float32(value: float) -> float:
    """Return *value* as a Nomad keeps its gauges: rounded to 24 bits; infinite beyond 3.4e38."""
    try:
        return float(_FLOAT32.unpack(_FLOAT32.pack(value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)
