"""Which panels of the dashboards each runbook sends a person to, first the one that shows the alert's own condition.

The dashboards are above the rules, so that titles stand here as they are shown; a test holds them against the
dashboards, and every panel of a dashboard against this table: it is named by a runbook or has another use.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from alert_rules.views import CLIENTS, CLUSTER, FLEET, RAFT, REVIEW, SCHEDULER, TELEMETRY, VIEWS, View

LINE_LETTERS_MAX = 105
"""The longest line of what is written into a page."""


@dataclass(frozen=True, slots=True)
class On:
    """A panel of another dashboard than the one that the alert opens."""

    view: View
    title: str


PANELS: Mapping[str, tuple[str | On, ...]] = {
    "NomadQuorumLost": (
        "How many servers are alive, and how many are needed?",
        "What was each server?",
    ),
    "NomadNoLeader": ("How many servers know a leader?", "Who leads?", "Who stands for election?"),
    "NomadQuorumAtRisk": ("How many servers are to spare?", "How many servers are alive?", "What was each server?"),
    "NomadClusterShrunk": (
        "How many servers are alive, and how many are needed?",
        On(RAFT, "How many voters may still be lost?"),
        On(RAFT, "How many voters does the leader hear?"),
    ),
    "NomadServerDown": ("What was each server?", On(TELEMETRY, "Which target answers?")),
    "NomadExpectedServersOutdated": ("How is each region?", "How many servers has each region to spare?"),
    "NomadServerCountUnwise": ("How is each region?", "How many servers has each region to spare?"),
    "NomadVersionSkew": ("How many versions does each region run?",),
    "NomadTwoLeaders": ("What was each server?", "In which term is each server?"),
    "NomadServerUnhealthy": (
        "Does autopilot call every server healthy?",
        "How many entries has each server not applied?",
        "How long has each server not heard its leader?",
    ),
    "NomadRaftSaturated": (
        "How busy is the busier Raft thread?",
        "How long does applying one entry take?",
        "How late is the Raft thread?",
    ),
    "NomadFollowersSlow": (
        "How old is the leader's contact with its followers?",
        "How long does a heartbeat to each follower take?",
    ),
    "NomadCommitSlow": (
        "How long does a write take until a majority has it?",
        "How long does an append to each follower take?",
        "How long does each follower take to store entries?",
    ),
    "NomadRaftLogGrowing": (
        "How far is each log?",
        "How long did snapshots take?",
        "How many entries does no snapshot cover?",
    ),
    "NomadFollowerLagging": (
        "How many entries has each server not applied?",
        "How long does an append to each follower take?",
    ),
    "NomadMemberFlapping": ("Who failed, left or came back?",),
    "NomadMemberFailed": ("Who failed, left or came back?", On(REVIEW, "Whom did gossip call failed?")),
    "NomadMembersDisagree": (
        "How many members does each server count?",
        On(REVIEW, "How many members did each server count alive?"),
    ),
    "NomadLeaderFlapping": (
        "How many elections were won lately?",
        "What was each server doing?",
        "Who stands for election?",
    ),
    "NomadLeaseLost": ("How often was a lease lost?", "How long did a write take?"),
    "NomadManyClientsDown": (
        "Which client answers?",
        On(REVIEW, "Which clients were silent?"),
        On(REVIEW, "Which clients did the leader hear?"),
    ),
    "NomadClientDown": ("Which client answers?", "How long ago was each client's heartbeat answered?"),
    "NomadDrainStuck": (
        "Which client takes no new work?",
        "How many clients drain?",
        "How many allocations run on each client?",
    ),
    "NomadClientIneligible": ("Which client takes no new work?", On(SCHEDULER, "Which status do the nodes have?")),
    "NomadHeartbeatsMissed": (
        "Which clients missed their heartbeat?",
        "How many clients answer and are not heard?",
        On(CLIENTS, "To how many servers is each client connected?"),
    ),
    "NomadHeartbeatsStretched": ("How many clients share the heartbeats?",),
    "NomadSchedulingSlow": ("How long does one scheduling take?", "How many workers are busy?"),
    "NomadEvaluationsStuck": ("Do workers finish what they take?", "How long do workers wait for fresh state?"),
    "NomadPlanQueueBacklog": ("How many plans wait to be applied?", "Where does the time of a plan go?"),
    "NomadEvaluationBacklog": (
        "How many evaluations wait for a worker?",
        "How long do evaluations wait and take, by type?",
        "How full are the queues?",
    ),
    "NomadEvaluationsBlocked": (
        "How many evaluations wait for capacity?",
        "Which jobs wait for capacity, and for how much?",
        On(CLIENTS, "How much of its CPU has each client promised?"),
        On(CLIENTS, "How much of its memory has each client promised?"),
        On(CLIENTS, "How much of its disk has each client promised?"),
    ),
    "NomadPlanRejections": ("For which clients are plans rejected?",),
    "NomadEvaluationsFailing": (
        "How many evaluations were given up?",
        On(CLIENTS, "Which groups are not as they should be?"),
    ),
    "NomadMetricsMissing": (
        "Which target answers?",
        "How many servers answer without a word about Raft?",
        "How many samples does a scrape bring?",
    ),
    "NomadScrapeSlow": ("How long does a scrape take?", "How many samples does a scrape bring?"),
    "NomadMetricsFrozen": ("Do the values of each agent move?",),
    "NomadCertificateAlmostExpired": ("How long are the certificates valid?",),
    "NomadCertificateExpiring": ("How long are the certificates valid?",),
    "NomadFileDescriptorsLow": ("How many file descriptors has each agent used?",),
    "OutriderExporterDown": ("Which target answers?", "Which servers does the exporter reach?"),
    "OutriderPrometheusDown": ("Which target answers?", "How many series does Prometheus hold?"),
    "OutriderAlertmanagerDown": (
        "Do alerts reach Alertmanager?",
        "How many alerts does Alertmanager hold, by state?",
    ),
    "OutriderConfigRejected": ("Were the last configurations accepted?",),
    "OutriderRulesFailing": (
        "Do evaluations fail?",
        "How long does evaluating the rules take, and how long may it?",
    ),
    "OutriderNotificationsFailing": ("Do notifications reach their receivers?",),
    "Watchdog": ("Do alerts reach Alertmanager?", "Which alerts fire now?"),
}
"""The panels of each alert in the order in which they are looked at; a title alone is on the dashboard of `VIEWS`."""

OTHER_USES: Mapping[View, Mapping[str, tuple[str, ...]]] = {
    FLEET: {
        "Opened without an alert: where is something wrong, and who leads where.": (
            "How many regions have no leader?",
            "How many regions cannot lose a server?",
            "How many pages fire?",
            "How many warnings fire?",
            "Who leads each region?",
            "Which alerts fire?",
            "When did each region have a leader?",
        ),
    },
    CLUSTER: {
        "Opened without an alert, or with one about the quorum: what else is wrong in the region, and since when.": (
            "How long has it led, of the last day?",
            "How many elections were there lately?",
            "How many alerts fire?",
            "Which alerts fire?",
        ),
        "Leads to the panel of a part that a runbook names, from a page on which all parts stand side by side.": (
            "How old is the leader's contact with its followers?",
            "How long does a write take?",
            "Which clients does the leader hear?",
            "Which clients missed their heartbeat?",
            "Which clients are silent?",
            "Which evaluations wait?",
            "How many plans wait?",
            "How long does one scheduling take?",
            "Which status do the nodes have?",
        ),
        "Says how the load is shared, and whether a server was ended by the kernel for its memory.": (
            "How many calls arrive from the network a second?",
            "How much memory do the servers hold?",
        ),
    },
    RAFT: {
        "Says whether elections go with what is slow below.": (
            "How many elections were won lately?",
            "How often was a lease lost?",
            "Who stands for election?",
        ),
    },
    CLIENTS: {
        "For planning capacity, and for a task that is slow because its host is busy.": (
            "How busy is each host?",
            "How much memory does each host use?",
            "How full are the disks?",
        ),
        "Says what the cluster runs, before and after maintenance.": (
            "How many clients answer?",
            "In which state are the allocations?",
            "How many jobs are there, by status?",
        ),
        "For those whose job it is: whether it runs, restarts, and has what it asked for.": (
            "How many allocations do the chosen jobs have?",
            "Which tasks restart or fail?",
            "How much CPU do the tasks use?",
            "How much memory do the tasks hold, and may they?",
        ),
    },
    TELEMETRY: {
        "Says what watching costs, and what grew when Prometheus or an agent needs more.": (
            "How many targets are there, by job?",
            "How many series are new at a scrape?",
            "How much memory does each agent hold?",
            "How many series does each agent keep?",
        ),
        "For a report about a defect of Outrider's own processes.": ("How many tasks of the processes failed?",),
    },
    REVIEW: {
        "For the report afterwards: what came first.": (
            "Which alerts were pending or firing?",
            "Which evaluations waited?",
        ),
    },
}
"""Panels that no runbook names, by dashboard, under what they are for."""


def panels_of(alert: str) -> tuple[On, ...]:
    """Return the panels of *alert*, each with its dashboard, the one to look at first in front."""
    return tuple(each if isinstance(each, On) else On(VIEWS[alert], each) for each in PANELS[alert])


def looking(alert: str) -> str:
    """Return what the page of *alert* says about its panels, in lines of at most `LINE_LETTERS_MAX` letters."""
    first, *others = panels_of(alert)
    said = f"Dashboard “{first.view.title}”: “{first.title}”"
    view = first.view
    for place, each in enumerate(others):
        said += f"{', then' if place == 0 else ','} “{each.title}”"
        if each.view != view:
            said += f" on “{each.view.title}”"
    return textwrap.fill(f"{said}.", LINE_LETTERS_MAX, break_long_words=False, break_on_hyphens=False)
