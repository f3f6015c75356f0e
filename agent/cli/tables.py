"""Columns and lists of values as Nomad's command line sets them. Pure.

Source: github.com/ryanuber/columnize as Nomad configures it: columns two spaces apart, the last one not filled up.
"""

from collections.abc import Iterable, Sequence

NONE = "<none>"


def columns(rows: Iterable[Sequence[object]], glue: str = "  ", empty: str = NONE) -> str:
    """Return *rows* under each other, an empty cell as *empty*; rows of different lengths are fine."""
    cells = [[str(cell).strip() or empty for cell in row] for row in rows]
    width: dict[int, int] = {}
    for row in cells:
        for at, cell in enumerate(row):
            width[at] = max(width.get(at, 0), len(cell))
    return "\n".join(
        glue.join([*(cell.ljust(width[at]) for at, cell in enumerate(row[:-1])), *row[-1:]]) for row in cells
    )


def key_values(pairs: Iterable[tuple[str, object]]) -> str:
    """Return names and values, the equal signs under each other."""
    return columns(pairs, glue=" = ")
