"""Recording rules: what the alerts and dashboards ask of the series, computed once, in the order it is needed.

They stand in one group with the alerts that use them, so that an alert sees values of its own evaluation.
Every region that is expected has a value even when nothing is scraped at all: a comparison with an empty set is never
true, and an alert that rests on one is silent when everything is gone.
"""

from alert_rules import recorded
from alert_rules.budget import window_seconds
from alert_rules.rule import RecordingRule
from alert_rules.settings import RuleSettings
from telemetry.scrape.duration import format_duration


def recording_rules(settings: RuleSettings) -> list[RecordingRule]:
    """Return the rules in the order in which they must be evaluated."""
    window = format_duration(window_seconds(settings.times))
    return [
        *_sizes(settings),
        *_servers(),
        *_leader(window),
        *_voters(),
        RecordingRule(record=recorded.SERVER_LEFT, expr=_SERVER_LEFT),
        RecordingRule(record=recorded.ELECTIONS_10M, expr=_elections(window)),
    ]


def _sizes(settings: RuleSettings) -> list[RecordingRule]:
    expected = [
        RecordingRule(
            record=recorded.SERVERS_EXPECTED,
            expr=f"vector({region.expected_servers})",
            labels=(("cluster", settings.cluster), ("region", region.name)),
        )
        for region in settings.regions
    ]
    quorum = RecordingRule(record=recorded.SERVERS_QUORUM, expr="floor(outrider:servers_expected / 2) + 1")
    return [*expected, quorum]


def _servers() -> list[RecordingRule]:
    return [
        RecordingRule(
            record=recorded.SERVERS_UP,
            expr="""
              count by (cluster, region) (up{role="server"} == 1)
            or
              0 * outrider:servers_expected
            """,
        ),
        # appliedIndex is on every server of a real Nomad, with and without a leader.
        RecordingRule(
            record=recorded.SERVERS_BLIND,
            expr="""
              count by (cluster, region) (
                (up{role="server"} == 1)
                unless on (cluster, region, instance) nomad_raft_appliedIndex
                unless on (cluster, region, instance) outrider_server_has_leader
              )
            or
              0 * outrider:servers_expected
            """,
        ),
    ]


def _leader(window: str) -> list[RecordingRule]:
    """Signs of a live leader, taken from servers that answer now.

    A follower counts heartbeats, a leader counts contacts and evaluations handed out; all three freeze within a second
    of the loss, and freeze without vanishing, so only growth counts. What our own agent says of itself goes before.
    """
    return [
        RecordingRule(
            record=recorded.LEADER_HEARD,
            expr=f"""
            group by (cluster, region, instance) (
              (
                  rate(nomad_raft_rpc_processHeartbeat_count[{window}]) > 0
                or on (cluster, region, instance)
                  rate(nomad_raft_leader_lastContact_count[{window}]) > 0
                or on (cluster, region, instance)
                  rate(nomad_nomad_eval_dequeue_count[{window}]) > 0
                or on (cluster, region, instance)
                  outrider_server_has_leader == 1
              )
              unless on (cluster, region, instance)
                outrider_server_has_leader == 0
              and on (cluster, region, instance)
                up{{role="server"}} == 1
            )
            """,
        ),
        RecordingRule(
            record=recorded.LEADER,
            expr=f"""
            group by (cluster, region, instance) (
              (
                  rate(nomad_raft_leader_lastContact_count[{window}]) > 0
                or on (cluster, region, instance)
                  rate(nomad_nomad_eval_dequeue_count[{window}]) > 0
                or on (cluster, region, instance)
                  outrider_server_is_leader == 1
              )
              unless on (cluster, region, instance)
                outrider_server_is_leader == 0
              and on (cluster, region, instance)
                up{{role="server"}} == 1
            )
            """,
        ),
        RecordingRule(
            record=recorded.LEADER_SIGNALS,
            expr="""
              count by (cluster, region) (outrider:leader_heard)
            or
              0 * outrider:servers_expected
            """,
        ),
    ]


def _voters() -> list[RecordingRule]:
    """The live leader's own count; a deposed leader's gauges freeze for 60 s at what they said when all was well."""
    return [
        RecordingRule(
            record=recorded.VOTERS_HEALTHY,
            expr="""
            max by (cluster, region) (
              outrider_raft_voters_healthy and on (cluster, region, instance) outrider:leader
            )
            """,
        ),
        RecordingRule(
            record=recorded.FAILURE_TOLERANCE,
            expr="""
              clamp_min(
                outrider:voters_healthy
                - floor(
                  max by (cluster, region) (
                    outrider_raft_voters and on (cluster, region, instance) outrider:leader
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
    ]


# Nomad says for 60 s that a member left, and not which. The rule remembers it for as long as the server is gone: it
# reads its own last value. A server that dies in the minute in which another leaves is taken for one that left.
_SERVER_LEFT = """
group by (cluster, region, instance) (
  (
    (up{role="server"} == 0)
    and on (cluster, region, instance) (max_over_time(up{role="server"}[1m]) == 1)
    and on (cluster, region) (nomad_serf_member_left > 0)
  )
  or on (cluster, region, instance) (
    (up{role="server"} == 0) and on (cluster, region, instance) outrider:server_left
  )
)
"""


def _elections(window: str) -> str:
    """Count elections where `increase()` cannot.

    The series is born at 1 by the event and gone 60 s later. Each step of the subquery looks back exactly one step, so
    that each birth and each growth is counted once.
    """
    return f"""
    sum by (cluster, region) (
      sum_over_time(
        clamp_min(
          nomad_raft_state_leader - ((nomad_raft_state_leader offset {window}) or 0 * nomad_raft_state_leader),
          0
        )[10m:{window}]
      )
    )
    """
