"""Panels about elections, for each dashboard that tells of them: how many were won, leases lost, and who stands."""

from alert_rules import recorded
from alert_rules.raft import FLAPPING, LEASE_LOST
from alert_rules.settings import RuleSettings
from dashboards.panel import Limit, Panel, Series
from dashboards.selecting import WHERE
from telemetry.catalogue import raft

_WIDTH = 8


def more_than_servers(elections: float, settings: RuleSettings) -> float:
    """Return from how many elections on a flapping leader is told: more than the number, and than there are servers."""
    return max(elections, settings.smallest_region) + 1


def elections_won(height: int) -> Panel:
    """Return the panel of the elections of the last minutes."""
    return Panel(
        title="How many elections were won lately?",
        about=recorded.ELECTIONS,
        series=(Series(f"outrider:elections{{{WHERE}}}", "elections"),),
        limits=(Limit(FLAPPING, "elections", at=more_than_servers),),
        when_empty="none",
        good="None, or one for each server that was restarted.",
        bad="From the line on the leader flaps: slow disks, a busy host or a lossy network between the servers.",
        width=_WIDTH,
        height=height,
    )


def leases_lost(height: int) -> Panel:
    """Return the panel of the leases that leaders lost in the last minutes."""
    return Panel(
        title="How often was a lease lost?",
        about=recorded.LEASE_LOSSES,
        series=(Series(f"outrider:lease_losses{{{WHERE}}}", "leases lost"),),
        limits=(Limit(LEASE_LOST, "losses"),),
        when_empty="none",
        good="None; one pause of a host or one cut costs one.",
        bad="From the line on it is no accident: the leader's host stands still, or its network does.",
        width=_WIDTH,
        height=height,
    )


def candidates(servers: str, height: int) -> Panel:
    """Return the panel of the candidacies of those that the matchers *servers* pick."""
    return Panel(
        title="Who stands for election?",
        about=raft.STATE_CANDIDATE,
        series=(Series(f"nomad_raft_state_candidate{{{servers}}}", "{{instance}}"),),
        when_empty="nobody",
        good="Nobody; a step of one at a fail-over, gone after a minute.",
        bad="Steady growth: servers campaign in vain, for they do not reach a majority.",
        width=_WIDTH,
        height=height,
    )
