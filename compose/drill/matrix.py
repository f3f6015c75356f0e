"""The table of faults: everything the drill can do, what it cannot do yet, and alerts that no fault brings about. Pure."""

from collections.abc import Mapping

from compose.drill.fault import Fault, Later
from compose.drill.faults_of_certificates import CERTIFICATE_FAULTS
from compose.drill.faults_of_others import CLIENT_FAULTS, WATCHING_FAULTS, WORK_FAULTS
from compose.drill.faults_of_servers import SERVER_FAULTS

FAULTS: tuple[Fault, ...] = (*SERVER_FAULTS, *CLIENT_FAULTS, *WORK_FAULTS, *CERTIFICATE_FAULTS, *WATCHING_FAULTS)
"""In the order of the scoreboard."""

LATER: tuple[Later, ...] = ()

WITHOUT_FAULT: Mapping[str, str] = {
    "NomadTwoLeaders": "a leader of ours steps down within its lease, so two of them cannot be made",
    "NomadServerCountUnwise": "never notifies",
    "NomadFollowersSlow": "loopback has no latency to add without privileges",
    "NomadRaftLogGrowing": "takes 40,000 entries without a snapshot",
    "NomadFollowerLagging": "a follower of ours that lags is behind by less than a scrape, or down",
    "NomadHeartbeatsStretched": "takes thousands of clients",
    "NomadClientIneligible": "is told after hours",
    "NomadSchedulingSlow": "takes ten thousand placements at once",
    "NomadEvaluationsStuck": "takes a scheduler that hangs",
    "NomadPlanQueueBacklog": "takes more writers than a machine with two cores can feed",
    "NomadPlanRejections": "takes schedulers that disagree for long",
    "NomadEvaluationsFailing": "takes a scheduler that fails each time",
    "NomadMembersDisagree": "every cut that relays can make has a member called failed, which silences it",
    "NomadMetricsFrozen": "takes an agent whose collection hangs while it answers",
    "NomadScrapeSlow": "takes an agent that answers late",
    "NomadVersionSkew": "takes two versions of the agent",
    "OutriderRulesFailing": "takes a rule that fails when it is evaluated; those that ship are tried on both versions",
    "OutriderNotificationsFailing": "the receiver that fails is the one that would be told",
    "OutriderAlertmanagerDown": "takes a second Alertmanager to tell of the first",
    "OutriderPrometheusDown": "takes a second Prometheus to tell of the first",
}
"""Alerts that notify and that no fault here brings about, each with what stands in the way."""


def find(name: str) -> Fault:
    """Return the fault called *name*; raise KeyError when there is none."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    raise KeyError(name)


def expected_alerts() -> frozenset[str]:
    """Return every alert that some fault must bring about."""
    return frozenset(
        alert
        for fault in FAULTS
        for arrivals in fault.arrives.values()
        for arrival in arrivals
        for alert in arrival.alerts
    )
