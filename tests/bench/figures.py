"""How a figure is printed: `name value unit [baseline ratio]`, one a line."""

import statistics


def figure(name: str, value: float, unit: str, baseline: float | None = None) -> str:
    """Return one line; *baseline* is what it is held against, and the ratio below 1 is better for times and sizes."""
    line = f"{name} {value:.4g} {unit}"
    return line if baseline is None else f"{line} {baseline:.4g} {value / baseline:.3g}"


def spread(name: str, values: list[float], unit: str, baseline: float | None = None) -> list[str]:
    """Return minimum, median and maximum; the baseline belongs to the median."""
    return [
        figure(f"{name}.min", min(values), unit),
        figure(f"{name}.median", statistics.median(values), unit, baseline),
        figure(f"{name}.max", max(values), unit),
    ]
