"""Wrong rules are noticed by the cases: the check itself on rules of its own, and a part of the shipped rules."""

import os
import random
from dataclasses import dataclass, field

import pytest

from tests.alert_rules.asking import Question
from tests.alert_rules.mutation import mutants_of
from tests.alert_rules.mutation_graph import RuleGraph
from tests.alert_rules.mutation_running import CaseFails, Check
from tests.alert_rules.prove import NOTICED_PERCENT_MIN, SURVIVORS, all_trials, known_survivors, sample, survivors_text
from tests.alert_rules.timeline import settings
from tests.alert_rules.trial import rule_graph
from tests.figures import record
from tests.tools import find_or_explain

SEED_VARIABLE = "OUTRIDER_MUTATION_SEED"
SHARE = 0.05
PROMTOOLS, ABSENT = find_or_explain("promtool")
RULES = (
    {"record": "high", "expr": "count by (cluster) (x > 5)"},
    {"alert": "Hot", "expr": "high > 0", "for": "10s", "labels": {"severity": "critical"}},
    {"alert": "Cold", "expr": 'x < 1 unless on (cluster) ALERTS{alertname="Hot",alertstate="firing"}'},
)
pytestmark = [pytest.mark.integration, pytest.mark.skipif(not PROMTOOLS, reason=ABSENT)]


@dataclass
class Fixed:
    """A trial that wants certain alerts at certain times."""

    wanted: dict
    series: dict
    rules: tuple = RULES
    name: str = "fixed"
    step: float = 5.0
    subjects: frozenset = frozenset({"Hot"})
    values: frozenset = frozenset()
    asked: list = field(default_factory=list)

    @property
    def graph(self):
        return RuleGraph(self.rules)

    @property
    def until(self):
        return max(self.wanted)

    def questions(self, names, wrong=None):
        self.asked.append(dict(names))
        alerts = "|".join(names.get(alert, alert) for alert in self.subjects)
        return [Question(f'ALERTS{{alertname=~"{alerts}",alertstate="firing"}}', moment) for moment in self.wanted]

    def failure(self, answers, names):
        for (moment, wanted), samples in zip(self.wanted.items(), answers, strict=True):
            if wanted != len(samples):
                return f"at {moment:g}: {len(samples)}, not {wanted}"
        return None


def noticed_by(trial):
    """Return the texts of the mutants of RULES that a trial notices, and of those it does not."""
    mutants, _ = mutants_of(RuleGraph(RULES))
    check = Check(PROMTOOLS[0], mutants)
    check.run([trial])
    survivors = {str(mutant) for mutant in check.survivors}
    return {str(mutant) for mutant in mutants} - survivors, survivors


def test_a_wrong_rule_is_noticed_by_what_rests_on_it():
    """
    A threshold and a hold that a case tells apart are noticed, those that it does not are not, others are not reached.
    """
    trial = Fixed({5.0: 0, 15.0: 0, 25.0: 1}, {'x{cluster="demo"}': "0x2 7x10"})

    noticed, survivors = noticed_by(trial)

    assert {"high: x > 5: not compared", "high: x > 5: → <", "high: x > 5: 5 → 6"} & noticed == {
        "high: x > 5: not compared",
        "high: x > 5: → <",
    }
    assert {"Hot: for: 10s → none", "Hot: for: 10s → 20s"} <= noticed
    assert {"high: x > 5: → >=", "Hot: for: 10s → 5s", 'Hot: label severity: "critical" → "warning"'} <= survivors
    assert not any(text.startswith("Cold") for text in noticed)


def test_only_rules_that_write_something_else_are_copied_further():
    """
    A change that makes no difference to what its rule writes over the whole of a case is not judged.
    """
    trial = Fixed({10.0: 0}, {'x{cluster="demo"}': "3x10"})

    noticed_by(trial)

    judged = {name for names in trial.asked for name in names}
    assert {"high", "Hot"} == judged
    assert len([names for names in trial.asked if "high" in names]) < 6


def test_a_wrong_rule_that_reads_more_than_the_right_one_finds_it():
    """
    A rule that reads every alert instead of one is evaluated beside all of them.
    """
    rules = (
        {"alert": "Other", "expr": "vector(1)"},
        {"alert": "Cause", "expr": "x > 5"},
        {"alert": "Hot", "expr": 'x > 1 unless on () ALERTS{alertname="Cause",alertstate="firing"}'},
    )
    mutants, _ = mutants_of(RuleGraph(rules))
    [mutant] = [mutant for mutant in mutants if mutant.text.endswith('without alertname="Cause"')]
    check = Check(PROMTOOLS[0], [mutant])

    check.run([Fixed({10.0: 1}, {'x{cluster="demo"}': "3x10"}, rules)])

    assert [] == check.survivors


def test_a_rule_that_cannot_be_evaluated_is_noticed():
    """
    A change after which Prometheus refuses the rule over the series of a case is noticed by it.
    """
    rules = ({"alert": "Hot", "expr": "x * on (cluster, instance) y > 5"},)
    series = {f'{name}{{cluster="demo",instance="{instance}"}}': "3x10" for name in "xy" for instance in "ab"}
    mutants, _ = mutants_of(RuleGraph(rules))
    check = Check(PROMTOOLS[0], mutants)

    check.run([Fixed({10.0: 2}, series, rules)])

    [how] = [how for (_, _, key), (_, how) in check.noticed.items() if "label instance" in key]
    assert "cannot be evaluated" in how


def test_a_right_rule_that_cannot_be_evaluated_is_an_error():
    """
    A case on which the shipped rules fail notices nothing, and says so.
    """
    rules = ({"record": "bad", "expr": "x * on (cluster) y"}, {"alert": "Hot", "expr": "bad > 5"})
    series = {f'{name}{{cluster="demo",instance="{instance}"}}': "3x10" for name in "xy" for instance in "ab"}
    mutants, _ = mutants_of(RuleGraph(rules))

    with pytest.raises(CaseFails, match="many-to-many"):
        Check(PROMTOOLS[0], [mutant for mutant in mutants if mutant.rule == "Hot"]).run(
            [Fixed({10.0: 0}, series, rules)]
        )


@pytest.mark.timeout(600)
def test_a_part_of_the_wrong_rules_is_noticed():
    """
    Of some rules, chosen anew each time, every wrong form is noticed that is not listed among the survivors.
    """
    seed = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().getrandbits(32))
    print(f"replay: {SEED_VARIABLE}={seed}")
    mutants, _ = mutants_of(rule_graph(settings()))
    known = known_survivors()
    chosen = [mutant for mutant in sample(mutants, SHARE, seed) if str(mutant) not in known]
    check = Check(PROMTOOLS[0], chosen)

    check.run(all_trials(PROMTOOLS[0]))

    record("mutants_tried", len(chosen), "mutants")
    assert [] == [str(mutant) for mutant in check.survivors]


def test_the_list_of_survivors_is_current_and_short():
    """
    Each line is a wrong form of a rule as it is now, and they are few enough.
    """
    mutants, _ = mutants_of(rule_graph(settings()))
    known = known_survivors()

    gone = known - {str(mutant) for mutant in mutants}
    assert set() == gone, "stale: run make rules-test"
    assert survivors_text(mutant for mutant in mutants if str(mutant) in known) == SURVIVORS.read_text(encoding="utf-8")
    assert len(known) <= (1 - NOTICED_PERCENT_MIN / 100) * len(mutants)
