"""Alerts are held and kept, and consequences give way to their causes: every row of the table of inhibitions, on every promtool."""

from collections import defaultdict
from functools import cache

import pytest

from alert_rules.inhibitions import INHIBITIONS
from alert_rules.rules import SPECS
from tests.alert_rules.asking import ask
from tests.alert_rules.timeline import settings
from tests.alert_rules.trial import rules_of
from tests.alert_rules.yields import held_trial, yield_trials
from tests.tools import find_or_explain

PROMTOOLS, ABSENT = find_or_explain("promtool")
TRIALS = (held_trial(), *yield_trials())
ROWS = [(row.cause, consequence) for row in INHIBITIONS for consequence in row.consequences]
NAMES = sorted({(stand.alert, stand.name) for trial in TRIALS for stand in trial.stands if stand.firing})


@cache
def problems(promtool):
    """Return what is wrong at each stand, by alert and name."""
    found = defaultdict(list)
    for trial in TRIALS:
        files = [{"groups": [{"name": "rules", "rules": list(trial.graph.documents)}]}]
        answers = ask(promtool, files, trial.series, trial.step, trial.questions({}))
        for stand, problem in trial.problems(answers):
            found[stand.alert, stand.name].append(problem)
    return found


@pytest.mark.integration
@pytest.mark.skipif(not PROMTOOLS, reason=ABSENT)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
@pytest.mark.parametrize("name", NAMES, ids=" ".join)
def test_an_alert_is_held_and_kept_and_gives_way_to_its_causes(promtool, name):
    """
    To the evaluation. A consequence begins neither under a cause nor, if it counts events, within their window; what fired before stays, and ends soon.
    """
    assert [] == problems(promtool)[name]


@pytest.mark.parametrize(("cause", "alert"), ROWS, ids=lambda name: name)
def test_every_row_of_the_table_is_tried(cause, alert):
    """
    A new row has its stands: the cause before, while and after the alert begins.
    """
    names = {f"under {cause}", f"pending when {cause} begins", f"before {cause}", f"through {cause}"}

    assert names <= {name for known, name in NAMES if known == alert}


def test_a_consequence_is_kept_so_that_its_end_is_told():
    """
    What ends with its cause is kept for longer than an evaluation, or Alertmanager would still drop its end.
    """
    rules = rules_of(settings())
    evaluation = settings().times.evaluation_interval_seconds

    short = {alert for _, alert in ROWS if rules.alert(alert).keep_firing_seconds < 2 * evaluation}

    assert set() == short


def test_what_counts_events_is_about_a_region():
    """
    Only so can what fires already be told apart from what begins: by cluster and region.
    """
    counting = [spec.alert for spec in SPECS if spec.counts_events]

    assert counting
    for alert in counting:
        assert {"cluster", "region"} == rules_of(settings()).alert(alert).surely_labelled - {"alertname", "severity"}
