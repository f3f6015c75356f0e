"""Recording rules: what the alerts and dashboards ask of the series, computed once, in the order it is needed.

They stand in one group with the alerts that use them, so that an alert sees values of its own evaluation.
Every region that is expected has a value even when nothing is scraped at all: a comparison with an empty set is never
true, and an alert that rests on one is silent when everything is gone.
"""

from alert_rules import recorded
from alert_rules.rule import RecordingRule
from alert_rules.settings import RuleSettings
from alert_rules.spec import filled, standard
from telemetry.catalogue.metric import Metric


def recording_rules(settings: RuleSettings) -> list[RecordingRule]:
    """Return the rules in the order in which they must be evaluated."""
    words = standard(settings)
    return [
        *_sizes(settings),
        *(RecordingRule(record=record, expr=filled(expr, words, record.name)) for record, expr in _RULES),
    ]


def _sizes(settings: RuleSettings) -> list[RecordingRule]:
    return [
        RecordingRule(
            record=recorded.SERVERS_EXPECTED,
            expr=f"vector({region.expected_servers})",
            labels=(("cluster", region.cluster or settings.cluster), ("region", region.name)),
        )
        for region in settings.regions
    ]


def events(
    series: str,
    over: str,
    labels: str = "cluster, region",
    aggregate: str = "sum",
    step: str = "$scrape",
    *,
    as_moments: bool = False,
) -> str:
    """Return PromQL that counts the events of a counter that lives for 60 s over a range, by *labels*.

    `increase()` cannot: the series is born at 1 by the event, and gone 60 s later. Each step of the subquery looks
    back exactly one step, so that each birth and each growth is counted once; what was there before a scrape that failed
    is not born again after it. What was gone for longer is: a server that started again may soon lead again. Servers
    count for themselves; *aggregate* says how their counts become one. The newest step is up to *step* old.
    *as_moments* counts the steps that had any, so that events at one time are one.
    """
    bounds, clamp = ("0, 1", "clamp") if as_moments else ("0", "clamp_min")
    return f"""
    {aggregate} by ({labels}) (
      sum_over_time(
        {clamp}(
          {series} - (last_over_time({series}[$bridge] offset {step}) or 0 * {series}),
          {bounds}
        )[{over}:{step}]
      )
    )
    """


def own(series: str) -> str:
    """Return PromQL that gives what our agent and our exporter say of a server, once for each, by instance.

    The exporter speaks for several servers from one target, so the server's name becomes the instance. An exporter
    that cannot reach a server says nothing of it, as an agent that is gone does. Where both speak the greater value
    wins: the exporter's is up to a poll older.
    """
    return f"""
    max by (cluster, region, instance) (
      label_replace(
        max by (cluster, region, server) ({series}),
        "instance", "$1", "server", "(.+)"
      )
    )
    """


_SIZES: list[tuple[Metric, str]] = [
    (recorded.SERVERS_QUORUM, "floor(outrider:servers_expected / 2) + 1"),
    # A target that was removed together with its whole job leaves no marker of staleness: its last `up` would stand for
    # five minutes.
    (
        recorded.SERVER_UP,
        """
        max by (cluster, region, instance) (
          up{role="server"} and present_over_time(up{role="server"}[$window])
        )
        """,
    ),
    (
        recorded.SERVERS_UP,
        """
          count by (cluster, region) (outrider:server_up == 1)
        or
          0 * outrider:servers_expected
        """,
    ),
    # appliedIndex is on every server of a real Nomad, with and without a leader.
    (
        recorded.SERVERS_BLIND,
        """
          count by (cluster, region) (
            (outrider:server_up == 1)
            unless on (cluster, region, instance) nomad_raft_appliedIndex
            unless on (cluster, region, instance) outrider_server_has_leader
          )
        or
          0 * outrider:servers_expected
        """,
    ),
]

_OWN: list[tuple[Metric, str]] = [
    (recorded.OWN_HAS_LEADER, own("outrider_server_has_leader")),
    (recorded.OWN_IS_LEADER, own("outrider_server_is_leader")),
    (recorded.OWN_CONTACT, own("outrider_raft_last_contact_seconds")),
    (recorded.OWN_VOTERS, own("outrider_raft_voters")),
    (recorded.OWN_VOTERS_HEALTHY, own("outrider_raft_voters_healthy")),
]

# Signs of a live leader, taken from servers that answer now. A follower counts heartbeats, a leader counts contacts and
# evaluations handed out, all of them several times a second; all three freeze within a second of the loss, and freeze
# without vanishing. So two scrapes tell: irate() looks at the last two in its window. What our own agent says of
# itself goes before. Who leads, and was not seen to before, needs one scrape: the count is born with the lead.
_LEADERSHIP: list[tuple[Metric, str]] = [
    (
        recorded.LEADER_HEARD,
        """
        group by (cluster, region, instance) (
          (
              irate(nomad_raft_rpc_processHeartbeat_count[$window]) > 0
            or on (cluster, region, instance)
              irate(nomad_raft_leader_lastContact_count[$window]) > 0
            or on (cluster, region, instance)
              irate(nomad_nomad_eval_dequeue_count[$window]) > 0
            or on (cluster, region, instance)
              outrider:own_has_leader == 1
          )
          unless on (cluster, region, instance)
            outrider:own_has_leader == 0
          and on (cluster, region, instance)
            outrider:server_up == 1
        )
        """,
    ),
    (
        recorded.LEADER,
        """
        group by (cluster, region, instance) (
          (
              irate(nomad_raft_leader_lastContact_count[$window]) > 0
            or on (cluster, region, instance)
              irate(nomad_nomad_eval_dequeue_count[$window]) > 0
            or on (cluster, region, instance)
              (
                nomad_raft_leader_lastContact_count
                unless last_over_time(nomad_raft_leader_lastContact_count[$window] offset $scrape)
              )
            or on (cluster, region, instance)
              outrider:own_is_leader == 1
          )
          unless on (cluster, region, instance)
            outrider:own_is_leader == 0
          and on (cluster, region, instance)
            outrider:server_up == 1
        )
        """,
    ),
    (
        recorded.LEADER_SIGNALS,
        """
          count by (cluster, region) (outrider:leader_heard)
        or
          0 * outrider:servers_expected
        """,
    ),
    (
        recorded.LEADERLESS_SECONDS,
        """
        min by (cluster, region) (
          outrider:own_contact_seconds
          and on (cluster, region, instance) outrider:own_has_leader == 0
          and on (cluster, region, instance) outrider:server_up == 1
        )
        """,
    ),
    (recorded.ELECTIONS, events("nomad_raft_state_leader", "$events")),
    (recorded.LEASE_LOSSES, events("nomad_raft_transition_leader_lease_timeout", "$events")),
]

# The live leader's own count; a deposed leader's gauges freeze for 60 s at what they said when all was well.
_VOTERS: list[tuple[Metric, str]] = [
    (
        recorded.VOTERS_HEALTHY,
        """
        max by (cluster, region) (
          outrider:own_voters_healthy and on (cluster, region, instance) outrider:leader
        )
        """,
    ),
    (
        recorded.FAILURE_TOLERANCE,
        """
          clamp_min(
            outrider:voters_healthy
            - floor(
              max by (cluster, region) (
                outrider:own_voters and on (cluster, region, instance) outrider:leader
              ) / 2
            )
            - 1,
            0
          )
        or
          max by (cluster, region) (
            nomad_nomad_autopilot_failure_tolerance and on (cluster, region, instance) outrider:leader
          )
        """,
    ),
    # A real Nomad does not say how many voters it has. Those it tolerates to lose are the healthy ones beyond its
    # majority, and no more are healthy than answer: what answers less what it tolerates is at least the majority.
    (
        recorded.VOTERS_QUORUM,
        """
          floor(
            max by (cluster, region) (
              outrider:own_voters and on (cluster, region, instance) outrider:leader
            ) / 2
          ) + 1
        or
          outrider:servers_up - outrider:failure_tolerance
        """,
    ),
    (
        recorded.AUTOPILOT_HEALTHY,
        """
        max by (cluster, region) (
          nomad_nomad_autopilot_healthy and on (cluster, region, instance) outrider:leader
        )
        """,
    ),
    # Nomad says for 60 s that a member left, and not which. The rule remembers it for as long as the server is gone:
    # it reads its own last value. A server that dies in the minute in which another leaves is taken for one that left.
    (
        recorded.SERVER_LEFT,
        """
        group by (cluster, region, instance) (
          (
            (outrider:server_up == 0)
            and on (cluster, region, instance) (max_over_time(outrider:server_up[1m]) == 1)
            and on (cluster, region) (nomad_serf_member_left > 0)
          )
          or on (cluster, region, instance) (
            (outrider:server_up == 0) and on (cluster, region, instance) outrider:server_left
          )
        )
        """,
    ),
]

_RAFT: list[tuple[Metric, str]] = [
    # Sums and counts, never quantiles: those are NaN after ten idle seconds, and a comparison with NaN is never true.
    (
        recorded.COMMIT_MILLISECONDS,
        """
        max by (cluster, region) (
          rate(nomad_raft_commitTime_sum[$mean]) / (rate(nomad_raft_commitTime_count[$mean]) > 0)
          and on (cluster, region, instance) outrider:leader
        )
        """,
    ),
    (
        recorded.CONTACT_MILLISECONDS,
        """
        max by (cluster, region) (
          rate(nomad_raft_leader_lastContact_sum[$mean]) / (rate(nomad_raft_leader_lastContact_count[$mean]) > 0)
          and on (cluster, region, instance) outrider:leader
        )
        """,
    ),
    (
        recorded.RAFT_BUSY_RATIO,
        """
        max by (cluster, region, instance) (
            label_replace(
              rate(nomad_raft_thread_main_saturation_sum[$mean])
              / (rate(nomad_raft_thread_main_saturation_count[$mean]) > 0),
              "thread", "main", "", ""
            )
          or
            label_replace(
              rate(nomad_raft_thread_fsm_saturation_sum[$mean])
              / (rate(nomad_raft_thread_fsm_saturation_count[$mean]) > 0),
              "thread", "fsm", "", ""
            )
        )
        """,
    ),
    # Against the log as it was a while ago: a real Nomad refreshes both gauges every 10 s, agents are not scraped at one
    # moment, and a busy cluster appends thousands of entries between two scrapes.
    (
        recorded.RAFT_LAG_ENTRIES,
        """
        clamp_min(
          max by (cluster, region) (nomad_raft_lastIndex offset $index_age)
          - on (cluster, region) group_right ()
          max by (cluster, region, instance) (nomad_raft_appliedIndex),
          0
        )
        """,
    ),
]

_GOSSIP: list[tuple[Metric, str]] = [
    (
        recorded.SERVERS_GONE,
        """
          sum by (cluster, region) (resets(up{role="server"}[$events]))
        or
          0 * outrider:servers_expected
        """,
    ),
]

_CLIENTS: list[tuple[Metric, str]] = [
    (
        recorded.CLIENTS_TARGETED,
        """
          count by (cluster, region) (up{role="client"})
        or
          0 * outrider:servers_expected
        """,
    ),
    (
        recorded.CLIENTS_DOWN,
        """
          count by (cluster, region) (up{role="client"} == 0)
        or
          0 * outrider:servers_expected
        """,
    ),
    # For dashboards: of a thousand clients they ask only for those that do not answer.
    (recorded.CLIENT_SILENT, 'group by (cluster, region, instance) (up{role="client"} == 0)'),
    # Each time a client went, for it may miss a heartbeat each time. Further back than heartbeats are counted: it went
    # before it missed one.
    (
        recorded.CLIENTS_GONE,
        """
          sum by (cluster, region) (
            resets(up{role="client"}[$events])
            + (max_over_time(up{role="client"}[$events]) == bool 0)
          )
        or
          0 * outrider:servers_expected
        """,
    ),
    (
        recorded.HEARTBEATS_ACTIVE,
        """
        max by (cluster, region) (
          nomad_nomad_heartbeat_active and on (cluster, region, instance) outrider:leader
        )
        """,
    ),
    (
        recorded.CLIENTS_UNHEARD,
        """
        (
            count by (cluster, region) (up{role="client"} == 1)
          or
            0 * outrider:servers_expected
        )
        - outrider:heartbeats_active
        """,
    ),
    (recorded.HEARTBEATS_MISSED, events("nomad_nomad_heartbeat_invalidate_count", "$recent", step="$fine")),
    (
        recorded.CLIENTS_CONNECTED,
        """
          count by (cluster, region) (
            outrider_client_servers_connected > 0
            and on (cluster, region, instance) up{role="client"} == 1
          )
        or
          0 * outrider:servers_expected
        """,
    ),
    (recorded.NODES_DRAINING, "max by (cluster, region) (outrider_nodes_draining)"),
]


def _run_milliseconds(scheduler: str) -> str:
    series = f"nomad_nomad_worker_invoke_scheduler_{scheduler}"
    return f"""
        label_replace(
          sum by (cluster, region) (rate({series}_sum[$mean]))
          / (sum by (cluster, region) (rate({series}_count[$mean])) > 0),
          "scheduler", "{scheduler}", "", ""
        )"""


# Every server exports the gauges; all but the leader say 0. Workers run on every server.
_SCHEDULER: list[tuple[Metric, str]] = [
    (recorded.EVALUATIONS_READY, "max by (cluster, region) (nomad_nomad_broker_total_ready)"),
    (recorded.EVALUATIONS_UNACKED, "max by (cluster, region) (nomad_nomad_broker_total_unacked)"),
    (recorded.EVALUATIONS_BLOCKED, "max by (cluster, region) (nomad_nomad_blocked_evals_total_blocked)"),
    (recorded.PLAN_QUEUE, "max by (cluster, region) (nomad_nomad_plan_queue_depth)"),
    (
        recorded.SCHEDULING_MILLISECONDS,
        "\n        or".join(_run_milliseconds(scheduler) for scheduler in ("service", "batch", "system", "sysbatch")),
    ),
]

_RULES = [*_SIZES, *_OWN, *_LEADERSHIP, *_VOTERS, *_RAFT, *_GOSSIP, *_CLIENTS, *_SCHEDULER]
