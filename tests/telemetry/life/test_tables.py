"""The tables of a life are complete: every exported name has its step, every exported metric its check or a reason."""

import re
from pathlib import Path

import pytest

from telemetry.catalogue import CATALOGUE, MODULES, metrics_of
from tests.telemetry.life.elsewhere import PROVEN, UNCHECKED
from tests.telemetry.life.seen import ELSEWHERE, SEEN_BY, STEP_OF
from tests.telemetry.life.steps import STEPS
from tests.telemetry.life.values import CHECKS

ROOT = Path(__file__).parents[3]
EXPORTED = [name for metric in CATALOGUE for name in metric.exported_names]
CONSTANTS = {metric: f"{module}.{constant}" for module in MODULES for constant, metric in metrics_of(module).items()}


def test_every_exported_name_has_one_step_or_one_test_elsewhere():
    """
    None is missing, none is too much, none stands twice.
    """
    named = [*(name for names in SEEN_BY.values() for name in names), *ELSEWHERE]

    assert sorted(EXPORTED) == sorted(named)


def test_steps_have_names_of_their_own_and_words():
    """
    The table of what is seen names the steps that there are.
    """
    assert len({step.name for step in STEPS}) == len(STEPS)
    assert {step.name for step in STEPS} >= SEEN_BY.keys()
    assert all(step.does for step in STEPS)
    assert set(STEP_OF.values()) == SEEN_BY.keys()


def test_every_exported_metric_is_checked_proven_or_excused_once():
    """
    A new metric of ours needs a check of its value, a test that has one, or a reason.
    """
    exported = [metric.name for metric in CATALOGUE if metric.exported]
    listed = [metric.name for table in (CHECKS, PROVEN, UNCHECKED) for metric in table]

    assert sorted(exported) == sorted(listed)


def _referred():
    for name, elsewhere in ELSEWHERE.items():
        yield pytest.param(name, elsewhere.test, id=name)
    for metric, proven in PROVEN.items():
        yield pytest.param(metric.name, proven.test, id=metric.name)


@pytest.mark.parametrize(("name", "test"), list(_referred()))
def test_a_test_that_is_referred_to_is_there_and_speaks_of_the_metric(name, test):
    """
    The file has the test, and names the metric or its constant.
    """
    metric = next(each for each in CATALOGUE if name in (each.name, *each.names))
    path, _, function = test.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    constant = CONSTANTS[metric].partition(".")[2]

    assert re.search(rf"^(async )?def {function}\(", text, re.MULTILINE), f"{path} has no {function}"
    assert re.search(rf"\b({re.escape(name)}|\w+\.{constant})\b", text), f"{path} does not speak of {name}"


@pytest.mark.parametrize(
    "reason", [each.why for each in (*ELSEWHERE.values(), *PROVEN.values())] + [*UNCHECKED.values()]
)
def test_reasons_are_sentences(reason):
    """
    Whoever reads why something is not seen or checked here can follow it.
    """
    assert len(reason.split()) >= 4
