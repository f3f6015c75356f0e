"""Figures that tests measured on the way: printed last, one a line, as `name value unit`. Never asserted as speed."""

FIGURES: list[str] = []


def record(name: str, value: float, unit: str = "s") -> None:
    """Keep a figure for the end of the run, and print it now for whoever watches."""
    text = f"{value:.2f}" if isinstance(value, float) else str(value)
    line = f"{name} {text} {unit}"
    FIGURES.append(line)
    print(line, flush=True)
