import pytest

from alert_rules.rules import rule_set
from alert_rules.settings import ExpectedRegion, RuleSettings, Times
from compose.drill.judge import (
    MACHINE_SECONDS,
    Arrival,
    Expected,
    Observed,
    Trace,
    Verdict,
    judge,
    promised,
    worst,
)


def expected(*alerts, within=95.0, at_most=1, region="global", absent=()):
    return Expected(alerts=alerts, absent=absent, region=region, within_seconds=within, at_most=at_most)


def trace(alert, *received, firing=80.0, resolved=200.0, region="global"):
    return Trace(
        alert=alert,
        region=region,
        pending_at=5.0,
        firing_at=firing,
        received_at=received,
        resolved_at=resolved if received else None,
    )


def observed(*traces, quiet=260.0):
    return Observed(traces=traces, healed_at=100.0, quiet_at=quiet)


@pytest.mark.parametrize(
    ("wanted", "seen", "verdict"),
    [
        ([], observed(), Verdict.OK),
        ([expected("A")], observed(trace("A", 90.0)), Verdict.OK),
        ([expected("A")], observed(trace("A", 95.0 + MACHINE_SECONDS)), Verdict.OK),
        ([expected("A")], observed(trace("A", 95.1 + MACHINE_SECONDS)), Verdict.LATE),
        ([expected("A")], observed(), Verdict.MISSING),
        ([expected("A")], observed(trace("A")), Verdict.MISSING),
        ([expected("A")], observed(trace("A", 90.0, resolved=None)), Verdict.UNRESOLVED),
        ([expected("A")], observed(trace("A", 90.0), quiet=None), Verdict.UNRESOLVED),
        ([], observed(trace("B", 30.0)), Verdict.UNEXPECTED),
        ([expected("A")], observed(trace("A", 90.0), trace("B", 30.0)), Verdict.UNEXPECTED),
        ([expected("A")], observed(trace("A", 90.0, 150.0)), Verdict.UNEXPECTED),
        ([expected("A", at_most=2)], observed(trace("A", 90.0, 150.0)), Verdict.OK),
        ([expected("A")], observed(trace("B", 30.0)), Verdict.MISSING),
        ([expected("A"), expected("B")], observed(trace("A", 90.0), trace("B", 91.0)), Verdict.OK),
        ([expected("A"), expected("B")], observed(trace("A", 90.0)), Verdict.MISSING),
    ],
)
def test_the_verdict_follows_from_what_arrived(wanted, seen, verdict):
    """
    Everything in time, once and with its end, and nothing else, is ok; anything less has its word.
    """
    assert verdict is judge(wanted, seen).verdict


def test_one_of_several_alerts_is_enough():
    """
    Of alternatives the one that arrived counts, and a second one is one notification too many.
    """
    either = [expected("A", "B")]

    one = judge(either, observed(trace("B", 20.0), trace("A")))
    both = judge(either, observed(trace("B", 20.0), trace("A", 30.0)))

    assert (Verdict.OK, "B") == (one.verdict, one.lines[0].trace.alert)
    assert ("A",) == tuple(each.alert for each in one.silent)
    assert Verdict.UNEXPECTED is both.verdict
    assert ["B", "A"] == [each.trace.alert for each in both.lines]


def test_the_region_counts():
    """
    An alert of the wrong region is both missing and unexpected; one about no region is taken for any.
    """
    wanted = [expected("A", region="far")]

    wrong = judge(wanted, observed(trace("A", 20.0, region="global")))
    without = judge(wanted, observed(trace("A", 20.0, region="")))

    assert [Verdict.MISSING, Verdict.UNEXPECTED] == [each.verdict for each in wrong.lines]
    assert Verdict.OK is without.verdict


def test_what_fires_without_a_notification_is_listed_apart():
    """
    Consequences that their cause silenced change no verdict; what was only pending is no news at all.
    """
    judged = judge([expected("A")], observed(trace("A", 90.0), trace("B"), trace("C", firing=None)))

    assert Verdict.OK is judged.verdict
    assert ["B"] == [each.alert for each in judged.silent]


def test_an_alert_that_the_build_lacks_is_not_missing():
    """
    With none of its alerts in the build an expectation is void, and says which it was.
    """
    judged = judge([expected(absent=("NomadHeartbeatsMissed",))], observed())

    assert Verdict.OK is judged.verdict
    assert ("NomadHeartbeatsMissed",) == judged.lines[0].absent


def test_a_promise_is_that_of_the_rule_and_what_the_fault_needs():
    """
    The slowest of the alternatives the build has decides; others are told apart.
    """
    times = Times()
    rules = rule_set(RuleSettings(cluster="c", regions=(ExpectedRegion(name="r", expected_servers=3),), times=times))
    names = ("NomadQuorumLost", "NomadNoLeader", "NoSuchAlert")

    found = promised(Arrival(alerts=names, needs_seconds=7.0), rules, times, "r")

    slowest = max(rules.alert(name).promised_seconds(times) for name in names[:2])
    assert (names[:2], ("NoSuchAlert",)) == (found.alerts, found.absent)
    assert slowest + 7.0 == found.within_seconds
    assert "r" == found.region


def test_the_worst_verdict_is_what_did_not_arrive():
    """
    Missing is worse than unexpected, that than unresolved, that than late, and nothing at all is ok.
    """
    order = [Verdict.OK, Verdict.LATE, Verdict.UNRESOLVED, Verdict.UNEXPECTED, Verdict.MISSING]

    assert order == [worst(order[: number + 1]) for number in range(len(order))]
    assert Verdict.OK is worst([])
