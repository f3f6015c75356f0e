"""Asks one agent, and Prometheus where one is named, for the facts of a region; waits for nothing that a missing leader holds up.

A real Nomad holds every question to a leader for five seconds while there is none, autopilot's even with `?stale`. So
first a server is asked for the leader that it knows itself, which is answered at once, and autopilot only if it has one.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from compose.top.facts import (
    Alert,
    Bodies,
    Facts,
    count_of,
    expected_of,
    leads_since,
    needed_of,
    nodes_of,
    servers_of,
)
from telemetry.clock import Clock
from telemetry.nomad_api import ApiError, ApiFailure, ApiSettings, NomadApi, with_overrides
from telemetry.prometheus_api import Prometheus, PrometheusFailure, Result

TIMEOUT_SECONDS = 3.0
"""For one answer of an agent: a glance that takes longer is none."""

SINCE_SECONDS, SINCE_STEP_SECONDS = 86_400.0, 60.0
"""How far back, and how closely, Prometheus is asked who led."""

_UNHEALTHY = 429
_BLOCKED, _PENDING = "blocked", "pending"


class NobodyAnswered(Exception):
    """None of the agents answered; the message names each and its reason."""


def look(
    api: ApiSettings, addresses: Sequence[str], prometheus: Prometheus | None, cluster: str, clock: Clock
) -> Facts:
    """Return the facts of the region that the first answering agent of *addresses* is in. Raises NobodyAnswered.

    *cluster*, "" for any, chooses among several that one Prometheus watches.
    """
    failures: list[str] = []
    for address in addresses:
        settings = with_overrides(api, {"address": address})
        try:
            with NomadApi(settings) as session:
                leader, note = _leader(session)
        except ApiFailure as error:
            failures.append(f"{address}: {error}")
            continue
        facts = _facts(settings, leader, clock.wall())
        facts = replace(facts, notes=(*((note,) if note else ()), *facts.notes))
        return facts if prometheus is None else _with_prometheus(facts, prometheus, cluster)
    raise NobodyAnswered("no agent answered: " + "; ".join(failures))


def _leader(session: NomadApi) -> tuple[str, str]:
    """Return the leader's RPC address, "" for none, and a note. Raises ApiFailure where no agent answers.

    A client that reaches no server answers with an error: then there is none that it could be told of.
    """
    try:
        return str(session.get("/v1/status/leader", stale=True).value or ""), ""
    except ApiError as error:
        if error.status < 500:
            raise
        return "", f"who leads was refused: {error}"


def _facts(settings: ApiSettings, leader: str, at: float) -> Facts:
    bodies = Bodies()

    def ask(path: str, params: Mapping[str, str] | None = None, *, stale: bool = True) -> Any:
        # A session of its own for each question: they are asked at once, and sessions are not shared between threads.
        with NomadApi(settings) as session:
            return session.get(path, params, stale=stale, accept=(_UNHEALTHY,)).value

    everywhere = {"namespace": "*"}
    with ThreadPoolExecutor(max_workers=6, thread_name_prefix="top") as threads:
        members = threads.submit(ask, "/v1/agent/members", stale=False)
        raft = threads.submit(ask, "/v1/operator/raft/configuration")
        nodes = threads.submit(ask, "/v1/nodes")
        states = [
            threads.submit(ask, "/v1/evaluations", everywhere | {"status": each}) for each in (_PENDING, _BLOCKED)
        ]
        # Only a leader knows; without one this hangs.
        autopilot = threads.submit(ask, "/v1/operator/autopilot/health", stale=False) if leader else None
        bodies.members = _said("members", members, bodies)
        bodies.raft = _said("voters", raft, bodies)
        bodies.nodes = _said("nodes", nodes, bodies)
        found = [_said("evaluations", each, bodies) for each in states]
        bodies.evaluations = None if None in found else [each for part in found for each in part or ()]
        bodies.autopilot = _said("health of servers", autopilot, bodies) if autopilot is not None else None
    region = settings.region or str((bodies.members or {}).get("ServerRegion") or "global")
    servers = servers_of(bodies, region, leader)
    return Facts(
        region=region,
        asked=settings.address,
        at=at,
        leader=next((server.name for server in servers if server.is_leader), leader),
        servers=servers,
        needed=needed_of(bodies),
        expected=expected_of(bodies, region),
        tolerance=(bodies.autopilot or {}).get("FailureTolerance"),
        nodes=nodes_of(bodies),
        waiting=count_of(bodies, _PENDING),
        blocked=count_of(bodies, _BLOCKED),
        notes=tuple(bodies.notes),
    )


def _said(what: str, answer: "Future[Any]", bodies: Bodies) -> Any:
    """Return what was answered, [] or {} for nothing; None, with a note, where it was refused."""
    try:
        value = answer.result()
    except ApiFailure as error:
        note = f"{what}: {error}"
        if note not in bodies.notes:
            bodies.notes.append(note)
        return None
    return value if value is not None else []


def _with_prometheus(facts: Facts, prometheus: Prometheus, cluster: str) -> Facts:
    """Return *facts* with what only Prometheus knows: alerts that fire, the expected size, since when the leader leads."""
    notes = list(facts.notes)
    where = f'region="{_quoted(facts.region)}"' + (f', cluster="{_quoted(cluster)}"' if cluster else "")

    def ask(query: Callable[[], list[Result]]) -> list[Result] | None:
        try:
            return query()
        except PrometheusFailure as error:
            if str(error) not in notes:
                notes.append(str(error))
            return None

    about = f'region=~"|{_quoted(_literal(facts.region))}"' + (
        f', cluster=~"|{_quoted(_literal(cluster))}"' if cluster else ""
    )
    firing = ask(
        lambda: prometheus.query(f'ALERTS{{alertstate="firing", severity=~"critical|warning", {about}}}', facts.at)
    )
    expected = (
        ask(lambda: prometheus.query(f"max(outrider:servers_expected{{{where}}})", facts.at))
        if firing is not None
        else None
    )
    since, is_sure = _since(facts, where, prometheus, ask) if firing is not None else (None, True)
    return replace(
        facts,
        alerts=None if firing is None else tuple(sorted((_alert(each) for each in firing), key=_worst_first)),
        expected=round(expected[0].last) if expected else facts.expected,
        leader_since=since,
        is_since_sure=is_sure,
        has_prometheus=True,
        notes=tuple(notes),
    )


def _since(
    facts: Facts, where: str, prometheus: Prometheus, ask: Callable[[Callable[[], list[Result]]], list[Result] | None]
) -> tuple[float | None, bool]:
    """Return since when the leader leads, to a second, and whether that is sure; None where Prometheus does not know it."""
    start = facts.at - SINCE_SECONDS
    leads = f"outrider:leader{{{where}}} == 1"
    led = ask(lambda: prometheus.query_range(leads, start, facts.at, SINCE_STEP_SECONDS))
    began = _run(led, facts, SINCE_STEP_SECONDS)
    if began is None:
        return None, True
    if began - start < SINCE_STEP_SECONDS:
        return began, False
    # Somewhere in the step before the first point that has it.
    close = ask(lambda: prometheus.query_range(leads, began - SINCE_STEP_SECONDS, began, 1.0))
    return _run(close, facts, 1.0, until=began) or began, True


def _run(led: Sequence[Result] | None, facts: Facts, step_seconds: float, until: float | None = None) -> float | None:
    """Return since when the leader of *facts* is in *led* without a gap up to *until*, None when it is not there."""
    # Targets are named as their operator likes; a server of Nomad is called NAME.REGION.
    names = {facts.leader, facts.leader.removesuffix(f".{facts.region}")}
    for each in led or ():
        is_current = (facts.at if until is None else until) - each.points[-1][0] < 2 * step_seconds
        if is_current and each.labels.get("instance", "").partition(":")[0] in names:
            return leads_since(each.points, step_seconds)
    return None


def _alert(found: Result) -> Alert:
    labels = found.labels
    about = labels.get("instance") or labels.get("server") or labels.get("node") or labels.get("region", "")
    return Alert(name=labels.get("alertname", ""), severity=labels.get("severity", ""), about=about)


def _worst_first(alert: Alert) -> tuple[bool, str, str]:
    return (alert.severity != "critical", alert.name, alert.about)


def _quoted(text: str) -> str:
    """Return *text* as it stands between the quotes of PromQL."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _literal(text: str) -> str:
    """Return a regular expression of PromQL for *text* itself."""
    return "".join(f"\\{letter}" if letter in r"\.+*?()|[]{}^$" else letter for letter in text)
