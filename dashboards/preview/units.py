"""Numbers as Grafana writes them in each unit, and the round values of an axis. Pure.

Source: Grafana, "Standard options" (unit, decimals) and its value formats.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

_TIMES = ((1.0, "s"), (60.0, "min"), (3_600.0, "hour"), (86_400.0, "day"), (604_800.0, "week"), (31_536_000.0, "year"))
_SMALL_TIMES = ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"))
_TO_SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_SI = ("", " K", " Mil", " Bil", " Tri")
_IEC = (" B", " KiB", " MiB", " GiB", " TiB", " PiB")
_DECIMAL = (" B", " kB", " MB", " GB", " TB", " PB")
_BITS = (" b", " kb", " Mb", " Gb", " Tb")
_SCALED: dict[str, tuple[float, float, tuple[str, ...]]] = {
    # Unit: (how many of the first step one is, how many a step is, steps)
    "short": (1, 1_000, _SI),
    "bytes": (1, 1_024, _IEC),
    "kbytes": (1_024, 1_024, _IEC),
    "mbytes": (1_024**2, 1_024, _IEC),
    "decbytes": (1, 1_000, _DECIMAL),
    "deckbytes": (1e3, 1_000, _DECIMAL),
    "decmbytes": (1e6, 1_000, _DECIMAL),
    "bits": (1, 1_024, _BITS),
    "Bps": (1, 1_000, tuple(f"{each}/s" for each in _DECIMAL)),
    "binBps": (1, 1_024, tuple(f"{each}/s" for each in _IEC)),
    "bps": (1, 1_000, tuple(f"{each}/s" for each in _BITS)),
    "Mbits": (1e6, 1_000, tuple(f"{each}/s" for each in _BITS)),
}
_SUFFIXED = {
    "percent": "%",
    "ops": " ops/s",
    "reqps": " req/s",
    "rps": " rd/s",
    "wps": " wr/s",
    "cps": " c/s",
    "iops": " io/s",
    "eps": " evt/s",
    "mps": " msg/s",
    "cpm": " c/m",
    "opm": " ops/m",
    "rpm": " rd/m",
    "celsius": " °C",
    "hertz": " Hz",
    "rotmhz": " MHz",
    "pps": " p/s",
}
_DATES = {
    "dateTimeAsIso",
    "dateTimeAsIsoNoDateIfToday",
    "dateTimeAsSystem",
    "dateTimeAsLocal",
    "dateTimeAsUS",
    "dateTimeFromNow",
}


def formatted(value: float | None, unit: str, decimals: int | None = None) -> str:
    """Return *value* in *unit*, one of Grafana's words; an unknown unit is written behind the number, as Grafana does."""
    if value is None or math.isnan(value):
        return "NaN" if value is not None else "-"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if unit in _SCALED:
        return _scaled(value, decimals, *_SCALED[unit])
    if unit in _TO_SECONDS:
        return _time(value * _TO_SECONDS[unit], decimals)
    return _UNSCALED.get(unit, _written)(value, unit, decimals)


def _written(value: float, unit: str, decimals: int | None) -> str:
    if unit in _DATES:
        # Grafana's dates are milliseconds.
        return datetime.fromtimestamp(value / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    kind, has_kind, rest = unit.partition(":")
    if has_kind and kind == "suffix":
        return f"{_number(value, decimals)} {rest.strip()}"
    if has_kind and kind == "prefix":
        return f"{rest.strip()} {_number(value, decimals)}"
    suffix = _SUFFIXED.get(unit, "" if unit in {"", "none", "string", "locale"} else f" {unit}")
    return _number(value, decimals) + suffix


def _percent_unit(value: float, _unit: str, decimals: int | None) -> str:
    return f"{_number(value * 100, decimals)}%"


def _boolean(words: tuple[str, str]) -> Callable[[float, str, int | None], str]:
    return lambda value, _unit, _decimals: words[value == 0]


_UNSCALED: dict[str, Callable[[float, str, int | None], str]] = {
    "percentunit": _percent_unit,
    "bool": _boolean(("True", "False")),
    "bool_yes_no": _boolean(("Yes", "No")),
    "bool_on_off": _boolean(("On", "Off")),
    "dtdurations": lambda value, _unit, _decimals: _long_time(value),
    "dtdurationms": lambda value, _unit, _decimals: _long_time(value / 1_000),
    "clocks": lambda value, _unit, _decimals: _long_time(value),
}


def _scaled(value: float, decimals: int | None, factor: float, size: float, steps: tuple[str, ...]) -> str:
    scaled, place = value * factor, 0
    while abs(scaled) >= size and place < len(steps) - 1:
        scaled, place = scaled / size, place + 1
    return _number(scaled, decimals) + steps[place]


def _time(seconds: float, decimals: int | None) -> str:
    """Return a duration in the largest unit that it is one of at least; 0 in seconds."""
    steps = _SMALL_TIMES if 0 < abs(seconds) < 1 else _TIMES
    size, name = next(((size, name) for size, name in reversed(steps) if abs(seconds) >= size), steps[0])
    number = _number(seconds / size, decimals)
    many = "s" if name in {"hour", "day", "week", "year"} and number != "1" else ""
    return f"{number} {name}{many}"


def _long_time(seconds: float) -> str:
    """Return a duration in its two largest units."""
    left, parts = abs(seconds), []
    for size, name in (*reversed(_TIMES[1:]), (1.0, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count:g} {name}{'s' if count > 1 and len(name) > 3 else ''}")
    return ("-" if seconds < 0 else "") + (", ".join(parts[:2]) or "0 s")


def _number(value: float, decimals: int | None) -> str:
    """Return *value* with so many decimals; with as many as three digits need where it is not said."""
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if value == 0:
        return "0"
    digits = max(0, min(6, 2 - math.floor(math.log10(abs(value)))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ticks(low: float, high: float, unit: str, count: int = 5) -> list[float]:
    """Return about *count* round values from *low* or below to *high* or above; round in *unit*, 1,024 for bytes."""
    if not low < high:
        low, high = (min(low, 0.0), max(low, 1.0)) if low == high else (0.0, 1.0)
    exact = (high - low) / count
    step = _round_step(exact, unit)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _round_step(exact: float, unit: str) -> float:
    base = _SCALED[unit][1] if unit in _SCALED else 1_000.0
    scale = _SCALED[unit][0] if unit in _SCALED else 1.0
    if unit in _TO_SECONDS and exact * _TO_SECONDS[unit] >= 1:
        return _first(_ROUND_SECONDS, exact * _TO_SECONDS[unit]) / _TO_SECONDS[unit]
    power = base ** math.floor(math.log(exact * scale, base)) if base == 1_024 and exact * scale >= 1 else 1.0
    inside = exact * scale / power
    ten = float(10.0 ** math.floor(math.log10(inside)))
    return _first((1.0, 2.0, 2.5, 5.0, 10.0), inside / ten) * ten * power / scale


_ROUND_SECONDS = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 43_200.0),
    *(86_400.0 * each for each in (1, 2, 5, 10, 20, 50, 100, 365, 1_000)),
)


def _first(steps: Sequence[float], exact: float) -> float:
    """Return the first of *steps* that is not below *exact*, else *exact*."""
    return next((step for step in steps if step >= exact * (1 - 1e-9)), exact)
