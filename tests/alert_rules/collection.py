"""Every case there is, and the Prometheus servers in which cases stand side by side.

Cases of one alert share a grid: each row is a cluster, each column a region. Cases that fire and cases that do not are
in a row and in a column with each other, so that a rule which forgets the cluster or the region mixes them up.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cache
from importlib import import_module
from itertools import count, cycle, islice, product
from pathlib import Path
from typing import TypeVar

from tests.alert_rules.case import Case, Place
from tests.alert_rules.trial import CaseTrial, Part

FOLDER = Path(__file__).parent / "cases"
FOREIGN = "elsewhere"
"""A cluster that the settings do not name."""
_SMALL = 2
"""In a cluster of so few servers a lost quorum takes longer to be notified, and so do its consequences."""

_Key = TypeVar("_Key", bound=Hashable)


@cache
def cases() -> tuple[Case, ...]:
    """Return the cases of `cases/`, file by file in the order of the alphabet."""
    modules = [import_module(f"tests.alert_rules.cases.{path.stem}") for path in sorted(FOLDER.glob("*.py"))]
    return tuple(case for module in modules for case in module.CASES)


@cache
def shared_trials() -> tuple[CaseTrial, ...]:
    """Return trials that between them have every case, in as few Prometheus servers as the cases can share.

    A firing case of each alert is repeated in a cluster that the settings do not name.
    """
    trials: list[CaseTrial] = []
    for (interval, given, _), alike in _grouped(_sociable(), _kind).items():
        of_alerts = _grouped(alike, lambda case: case.alert).values()
        grids = [_grid(some, f"r{number}") for number, some in enumerate(of_alerts)]
        foreign = [
            Part(case, Place(FOREIGN, f"r{number}")) for number, case in enumerate(_one_firing_of_each(of_alerts))
        ]
        name = f"{len(alike)} cases at {interval:g} s, given {', '.join(sorted(given)) or 'nothing'}"
        trials.append(CaseTrial(name, tuple(part for grid in grids for part in grid), tuple(foreign)))
    return (*trials, *_alone())


@cache
def single_trials() -> tuple[CaseTrial, ...]:
    """Return trials that between them have every case, each about one alert or about recorded series alone."""
    trials: list[CaseTrial] = []
    for (alert, _), alike in _grouped(_sociable(), lambda case: (case.alert, _kind(case))).items():
        name = f"{alert or 'recorded'}: {alike[0].name} and {len(alike) - 1} more"
        trials.append(CaseTrial(name, tuple(_grid(alike, "r"))))
    return (*trials, *_alone())


def _sociable() -> list[Case]:
    return [case for case in cases() if not case.stands_alone]


def _alone() -> Iterator[CaseTrial]:
    return (CaseTrial(str(case), (Part(case),)) for case in cases() if case.stands_alone)


def _kind(case: Case) -> tuple[float, frozenset[str], bool]:
    """Return what cases must have in common to share a Prometheus."""
    return case.interval, case.given, case.expected_servers <= _SMALL


def _grouped(some: Sequence[Case], key: Callable[[Case], _Key]) -> dict[_Key, list[Case]]:
    groups: dict[_Key, list[Case]] = {}
    for case in some:
        groups.setdefault(key(case), []).append(case)
    return groups


def _one_firing_of_each(groups: Iterator[Sequence[Case]]) -> Iterator[Case]:
    for alike in groups:
        yield from islice((case for case in alike if case.is_firing and not case.is_of_watchers), 1)


def _grid(alike: Sequence[Case], name: str) -> list[Part]:
    """Return cases of one alert in their places; the fewer, firing or silent ones, stand on the diagonal, repeated."""
    if alike[0].is_of_watchers:
        return [Part(case, Place(suffix=f"-{name}-{number}")) for number, case in enumerate(alike)]
    loud = [case for case in alike if case.is_firing] or list(alike[::2])
    fewer, more = sorted((loud, [case for case in alike if case not in loud]), key=len)
    if not fewer:
        fewer = more
    side = next(side for side in count(2) if side * side - side >= len(more) + max(0, len(fewer) - side))
    rest = iter([*fewer[side:], *more])
    diagonal = islice(cycle(fewer), side)
    places = ((row, column) for row, column in product(range(side), repeat=2))
    parts: list[Part] = []
    for row, column in places:
        case = next(diagonal) if row == column else next(rest, None)
        if case is not None:
            parts.append(Part(case, Place(f"c{row}", f"{name}-{column}")))
    return parts
