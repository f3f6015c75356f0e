import random
import re
from pathlib import Path

import pytest

from alert_rules.rules import rule_set
from alert_rules.settings import NOTIFYING, ExpectedRegion, RuleSettings
from compose.drill.command import listing
from compose.drill.fault import (
    ALL_SERVERS,
    LEADER,
    MAJORITY,
    MAJORITY_WITH_LEADER,
    MINORITY,
    SIZES,
    Clients,
    Later,
    Share,
    Who,
)
from compose.drill.matrix import FAULTS, LATER, WITHOUT_FAULT, expected_alerts, find

NAMES = frozenset(
    [
        "NomadQuorumLost",
        "NomadNoLeader",
        "NomadTwoLeaders",
        "NomadManyClientsDown",
        "NomadQuorumAtRisk",
        "NomadClusterShrunk",
        "NomadServerDown",
        "NomadServerUnhealthy",
        "NomadLeaderFlapping",
        "NomadLeaseLost",
        "NomadFollowersSlow",
        "NomadCommitSlow",
        "NomadRaftLogGrowing",
        "NomadFollowerLagging",
        "NomadRaftSaturated",
        "NomadExpectedServersOutdated",
        "NomadClientDown",
        "NomadHeartbeatsMissed",
        "NomadHeartbeatsStretched",
        "NomadClientIneligible",
        "NomadDrainStuck",
        "NomadEvaluationBacklog",
        "NomadEvaluationsStuck",
        "NomadEvaluationsBlocked",
        "NomadPlanQueueBacklog",
        "NomadPlanRejections",
        "NomadSchedulingSlow",
        "NomadEvaluationsFailing",
        "NomadMemberFailed",
        "NomadMemberFlapping",
        "NomadMembersDisagree",
        "NomadMetricsMissing",
        "NomadMetricsFrozen",
        "NomadScrapeSlow",
        "NomadCertificateExpiring",
        "NomadCertificateAlmostExpired",
        "NomadFileDescriptorsLow",
        "NomadVersionSkew",
        "OutriderRulesFailing",
        "OutriderConfigRejected",
        "OutriderNotificationsFailing",
        "OutriderAlertmanagerDown",
        "OutriderPrometheusDown",
        "OutriderExporterDown",
        "NomadServerCountUnwise",
    ]
)
"""Every alert there is or that is being written."""


@pytest.mark.parametrize("size", SIZES)
def test_every_alert_that_notifies_has_its_place(size):
    """
    Each critical or warning alert of the build is brought about by a fault, or has a reason why none does.
    """
    regions = (ExpectedRegion(name="global", expected_servers=size),)
    alerts = rule_set(RuleSettings(cluster="c", regions=regions)).alerts

    placed = expected_alerts() | WITHOUT_FAULT.keys()

    assert set() == {rule.alert for rule in alerts if rule.severity in NOTIFYING} - placed


def test_no_alert_has_both_a_fault_and_an_excuse():
    """
    A reason why no fault brings an alert about goes when one does.
    """
    assert set() == expected_alerts() & WITHOUT_FAULT.keys()


def test_every_name_is_that_of_an_alert():
    """
    Faults expect, and reasons excuse, only alerts that there are or that are being written.
    """
    assert set() == (expected_alerts() | WITHOUT_FAULT.keys()) - NAMES


def test_names_are_unique_and_short():
    """
    No two faults share a name, and each fits its column of the scoreboard.
    """
    names = [fault.name for fault in FAULTS]

    assert len(names) == len(set(names))
    assert [] == [name for name in names if not re.fullmatch(r"[a-z-]{4,25}", name)]
    assert all(find(name).name == name for name in names)


def test_every_fault_says_what_it_does_for_a_known_size():
    """
    A sentence, and at least one of the two sizes.
    """
    for fault in FAULTS:
        assert fault.what.endswith("."), fault.name
        assert set() < set(fault.sizes) <= set(SIZES), fault.name


def test_a_silent_fault_is_left_alone_for_a_while():
    """
    What must bring nothing lasts long enough for several scrapes and evaluations to see it.
    """
    silent = [fault for fault in FAULTS if not any(fault.arrives.values())]

    assert len(silent) >= 10
    assert all(fault.lasts_seconds >= 20 for fault in silent)


def test_the_table_of_what_arrives_is_kept():
    """
    The lines of the design: back soon is nothing, one of three a risk, one of five a server down, a majority one page.

    A minority of five is removed by autopilot before its risk is told: the cluster has shrunk.
    """
    arrives = {
        (fault.name, size): [arrival.alerts[0] for arrival in arrivals]
        for fault in FAULTS
        for size, arrivals in fault.arrives.items()
    }

    for size in SIZES:
        for name in ("kill-leader-returns", "kill-follower-returns", "rolling-restart", "transfer"):
            assert [] == arrives[name, size]
        for name in ("kill-majority", "kill-majority-with-leader", "kill-all"):
            assert ["NomadQuorumLost"] == arrives[name, size]
        assert ["NomadMetricsMissing"] == arrives["scrapes-cut", size]
    for name in ("kill-leader", "kill-follower", "pause-leader", "leave-follower", "leave-leader", "cut-leader"):
        assert ["NomadQuorumAtRisk"] == arrives[name, 3]
    for name in ("kill-leader", "kill-follower", "pause-leader"):
        assert ["NomadServerDown"] == arrives[name, 5]
    for name in ("kill-minority", "pause-minority", "cut-minority"):
        assert ["NomadClusterShrunk"] == arrives[name, 5]
    for name in ("leave-follower", "leave-leader"):
        assert [] == arrives[name, 5]
    assert ["NomadQuorumAtRisk", "NomadClusterShrunk"] == arrives["pruned-to-three", 5]


def test_what_cannot_be_made_yet_says_what_it_needs(monkeypatch):
    """
    It stands at the end of the list with its reason, under a name that no fault has.
    """
    monkeypatch.setattr("compose.drill.command.LATER", (Later(name="two-versions", needs="an older agent"),))

    assert re.search(r"^two-versions +not yet: needs an older agent$", listing(FAULTS)[-1])
    assert set() == {later.name for later in LATER} & {fault.name for fault in FAULTS}


def test_the_list_shows_every_fault_and_what_it_brings():
    """
    One line a size, and the sentence below.
    """
    shown = "\n".join(listing(FAULTS))

    assert re.search(r"^kill-leader +3  NomadQuorumAtRisk within \d+m?\d*s?$", shown, re.MULTILINE)
    assert re.search(r"^kill-leader +5  NomadServerDown within ", shown, re.MULTILINE)
    assert re.search(r"^transfer +5  nothing$", shown, re.MULTILINE)
    assert re.search(
        r"^pruned-to-three +5  NomadQuorumAtRisk within .*; NomadClusterShrunk within ", shown, re.MULTILINE
    )
    assert max(len(line) for line in shown.splitlines()) <= 140


@pytest.mark.parametrize(
    ("who", "counts"),
    [(LEADER, (1, 1)), (MINORITY, (1, 2)), (MAJORITY, (2, 3)), (MAJORITY_WITH_LEADER, (2, 3)), (ALL_SERVERS, (3, 5))],
)
def test_servers_are_chosen_by_what_they_are(who, counts):
    """
    As many as the share says, the leader among them exactly when it should be.
    """
    for size, count in zip(SIZES, counts, strict=True):
        servers = [f"server-{number}" for number in range(1, size + 1)]

        names = who.choose(servers, "server-2", random.Random(3))

        assert count == len(set(names)) == len(names)
        assert who.leader == ("server-2" in names)


def test_all_servers_without_the_leader_cannot_be_had():
    """
    A share that would need the leader and must not have it is an error.
    """
    with pytest.raises(ValueError, match="cannot do without the leader"):
        Who(Share.ALL, leader=False).choose(["a", "b", "c"], "a", random.Random(1))


@pytest.mark.parametrize(("clients", "counts"), [(3, (1, 1, 3)), (6, (1, 2, 6)), (7, (1, 3, 7))])
def test_clients_are_chosen_by_their_number(clients, counts):
    """
    One, a third rounded up, or all.
    """
    names = [f"client-{number}" for number in range(1, clients + 1)]

    assert counts == tuple(len(set(each.choose(names, random.Random(5)))) for each in Clients)


def test_the_same_seed_makes_the_same_choice():
    """
    A drill can be replayed.
    """
    servers = ["server-1", "server-2", "server-3", "server-4", "server-5"]

    first, second = (MINORITY.choose(servers, "server-1", random.Random("7/kill-minority/5/1")) for _ in range(2))

    assert first == second


def test_the_page_of_the_drill_names_its_commands():
    """
    What DRILL.md shows are options of the command.
    """
    from compose.drill.command import drill_command

    page = Path("compose/drill/DRILL.md").read_text(encoding="utf-8")
    options = {name for parameter in drill_command.params for name in parameter.opts + parameter.secondary_opts}

    assert set(re.findall(r"`?(--[a-z]+)", page)) <= options
