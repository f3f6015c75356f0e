"""Every case there is: those of single alerts, and the modelled worlds."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from tests.alert_rules.case import Case
from tests.alert_rules.test_rules_on_promtool import CASES as WORLDS
from tests.alert_rules.test_rules_on_promtool import CAUSED_LATER, FAULT
from tests.alert_rules.trial import CaseTrial, Trial, trial_of
from tests.alert_rules.worlds import PLACES, WorldCase, WorldTrial
from tests.tools import Program

FOLDER = Path(__file__).parent / "cases"


def cases() -> list[Case]:
    """Return the cases of `cases/`, file by file in the order of the alphabet."""
    modules = [import_module(f"tests.alert_rules.cases.{path.stem}") for path in sorted(FOLDER.glob("*.py"))]
    return [case for module in modules for case in module.CASES]


def case_trials() -> list[CaseTrial]:
    """Return the trial of each case."""
    found = cases()
    return [trial_of(case, found) for case in found]


def world_trials(promtool: Program) -> list[WorldTrial]:
    """Return trials of all worlds, up to three in one Prometheus, on a real Nomad's series and on our agent's."""
    groups = list(_grouped(WORLDS))
    return [WorldTrial(promtool, some, onsets, own) for some in groups for own in (False, True)]


def all_trials(promtool: Program) -> list[Trial]:
    """Return every trial, the cheap ones first."""
    return [*case_trials(), *world_trials(promtool)]


def onsets(case: WorldCase) -> Mapping[str, float]:
    """Return when the condition of each alert that is heard of comes about."""
    return {alert: FAULT + CAUSED_LATER.get((case.name, alert), 0.0) for alert in case.notified}


def _grouped(worlds: Sequence[WorldCase]) -> Iterator[tuple[WorldCase, ...]]:
    """Yield worlds of one size and length together; neighbours of the list, which are alike, are kept apart."""
    kinds: dict[tuple[int, float], list[WorldCase]] = {}
    for case in worlds:
        kinds.setdefault((case.expected, case.world.seconds), []).append(case)
    for alike in kinds.values():
        groups = -(-len(alike) // len(PLACES))
        for number in range(groups):
            yield tuple(alike[number::groups])
