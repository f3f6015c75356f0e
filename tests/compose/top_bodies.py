"""A region that answers with what a real Nomad did, healthy and without a leader, and a Prometheus that watches it."""

import json
import threading

from tests.compose.check.fakes import Answer, golden

LEADER = "127.0.0.12:4647"
HELD_SECONDS = 5.0
"""For which a Nomad holds what it asks a leader for while there is none."""


def healthy_paths():
    """Return the answers of a follower of three servers that are well."""
    return {
        "/v1/status/leader": Answer(json.dumps(LEADER)),
        "/v1/agent/members": Answer(json.dumps(golden("agent-members.json"))),
        "/v1/operator/raft/configuration": Answer(json.dumps(golden("operator-raft-configuration.json"))),
        "/v1/operator/autopilot/health": Answer(json.dumps(golden("operator-autopilot-health.json"))),
        "/v1/nodes": Answer(json.dumps(golden("nodes.json"))),
        "/v1/evaluations": Answer(json.dumps(golden("evaluations.json"))),
    }


def leaderless_paths(stop: threading.Event, held: list):
    """Return the answers of the last of three servers: who asks autopilot is held until *stop*, and written into *held*."""
    members = golden("agent-members.json")
    for member in members["Members"]:
        member["Status"] = "alive" if member["Name"] == "s1.global" else "failed"
    raft = golden("operator-raft-configuration.json")
    for server in raft["Servers"]:
        server["Leader"] = False

    def hold():
        held.append("/v1/operator/autopilot/health")
        stop.wait(HELD_SECONDS)
        return Answer("No cluster leader", 500)

    return healthy_paths() | {
        "/v1/status/leader": Answer('""'),
        "/v1/agent/members": Answer(json.dumps(members)),
        "/v1/operator/raft/configuration": Answer(json.dumps(raft)),
        "/v1/operator/autopilot/health": hold,
    }


def prometheus_paths(firing=(), led=(), expected=3):
    """Return the answers of a Prometheus: *firing* are labels of alerts, *led* are (instance, [[time, "1"], ...])."""

    def query(asked):
        is_alerts = asked["query"][0].startswith("ALERTS{")
        found = [{"metric": dict(labels), "value": [0, "1"]} for labels in firing]
        return _data("vector", found if is_alerts else [{"metric": {}, "value": [0, str(expected)]}])

    def query_range(asked):
        start, end = float(asked["start"][0]), float(asked["end"][0])
        found = [(name, [value for value in values if start <= value[0] <= end]) for name, values in led]
        return _data("matrix", [{"metric": {"instance": name}, "values": kept} for name, kept in found if kept])

    return {"/api/v1/query": query, "/api/v1/query_range": query_range}


def _data(kind, result):
    return Answer(json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}))
