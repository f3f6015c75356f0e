"""Checks of single agents: do they answer, and does their telemetry say what rules and panels need."""

from collections.abc import Iterator, Sequence

from compose.check.check import Check, Seen
from compose.check.facts import AgentFacts, Facts, go_seconds
from telemetry.catalogue import CATALOGUE, Metric, Presence, Role
from telemetry.catalogue.comparison import required, seen_names
from telemetry.filters import Filters
from telemetry.finding import Weight
from telemetry.stanza import PROMETHEUS_EXPIRY_SECONDS

_COLLECTION_SECONDS_MAX = 10.0
"""What Nomad's own refreshing gauges take; slower, and rules see each value only in part of their scrapes."""
_CLOCK_SECONDS_MAX = 2.0
"""A Date header says whole seconds, and an answer takes part of one."""

_METRICS_OFF = "415"


def _asked(facts: Facts) -> Sequence[AgentFacts]:
    return facts.agents


def _configured(facts: Facts) -> Sequence[AgentFacts]:
    return [agent for agent in facts.agents if agent.telemetry]


def _scraped(facts: Facts) -> Sequence[AgentFacts]:
    return [agent for agent in facts.agents if agent.scrape is not None and agent.body]


def _timed(facts: Facts) -> Sequence[AgentFacts]:
    return [agent for agent in facts.agents if agent.clock_seconds is not None]


def _answers(agent: AgentFacts, _: Facts) -> Iterator[Seen]:
    if not agent.answered:
        yield Seen(Weight.ERROR, agent.place, f"it does not answer: {agent.self_error or agent.scrape_error}")
    elif agent.self_error:
        yield Seen(
            Weight.WARNING,
            agent.place,
            f"/v1/agent/self was refused: {agent.self_error}",
            why="its settings and its role cannot be checked",
            remedy="give a token that may read agents with --token",
        )


def _prometheus_metrics(agent: AgentFacts, _: Facts) -> Iterator[Seen]:
    if agent.scrape is not None or not agent.answered:
        return
    field = "telemetry.prometheus_metrics"
    if agent.telemetry.get("PrometheusMetrics") is False or _METRICS_OFF in agent.scrape_error:
        yield Seen(Weight.ERROR, f"{agent.place}, {field}", "prometheus_metrics is false")
    else:
        yield Seen(
            Weight.ERROR,
            f"{agent.place}, /v1/metrics",
            f"it cannot be scraped: {agent.scrape_error}",
            remedy="make /v1/metrics?format=prometheus reachable from Prometheus",
        )


def _collection_interval(agent: AgentFacts, _: Facts) -> Iterator[Seen]:
    seconds = go_seconds(agent.telemetry.get("CollectionInterval"))
    if seconds is None or seconds <= _COLLECTION_SECONDS_MAX:
        return
    place = f"{agent.place}, telemetry.collection_interval"
    if seconds >= PROMETHEUS_EXPIRY_SECONDS:
        seen = f"it is {seconds:g} s, and series are forgotten {PROMETHEUS_EXPIRY_SECONDS:g} s after their last update"
        yield Seen(Weight.ERROR, place, seen, why="gauges come and go, and rules on them with them")
    else:
        yield Seen(Weight.WARNING, place, f"it is {seconds:g} s")


def _publish(agent: AgentFacts, facts: Facts) -> Iterator[Seen]:
    if Role.CLIENT not in agent.roles:
        return
    for key, field, prefixes in _PUBLISHED:
        lost = sorted(
            metric.name
            for metric in needed_metrics(facts)
            if metric.present is Presence.WHEN_CONFIGURED and metric.name.startswith(prefixes)
        )
        if agent.telemetry.get(key) is False and lost:
            yield Seen(
                Weight.WARNING,
                f"{agent.place}, telemetry.{field}",
                f"{field} is false, and {_some(lost)} stand on it",
                remedy=f"set {field} = true in the client's telemetry block",
            )


_PUBLISHED = (
    ("PublishNodeMetrics", "publish_node_metrics", ("nomad_client_host_", "nomad_client_uptime")),
    ("PublishAllocationMetrics", "publish_allocation_metrics", ("nomad_client_allocs_",)),
)


def _hostname(agent: AgentFacts, _: Facts) -> Iterator[Seen]:
    if agent.telemetry.get("DisableHostname") is False:
        yield Seen(Weight.WARNING, f"{agent.place}, telemetry.disable_hostname", "disable_hostname is false")


def _filters(agent: AgentFacts, facts: Facts) -> Iterator[Seen]:
    rules = agent.telemetry.get("PrefixFilter") or ()
    default = agent.telemetry.get("FilterDefault")
    try:
        filters = Filters.from_rules(rules, filter_default=default is not False)
    except ValueError as error:
        yield Seen(Weight.ERROR, f"{agent.place}, telemetry.prefix_filter", str(error))
        return
    lost = sorted(
        name
        for metric in needed_metrics(facts)
        if metric.exporter & agent.roles
        for name, word in zip(metric.names, metric.expansions or ("",), strict=True)
        if not filters.allows(metric, word)
    )
    if lost:
        field = "prefix_filter" if rules else "filter_default"
        seen = f"{field} drops {_some(lost)}, which rules or panels use"
        yield Seen(Weight.ERROR, f"{agent.place}, telemetry.{field}", seen)


def _needed(agent: AgentFacts, facts: Facts) -> Iterator[Seen]:
    assert agent.scrape is not None, "only agents that were scraped are looked at"
    needed = {metric.name for metric in needed_metrics(facts)}
    seen = seen_names(agent.scrape)
    for metric in required(agent.state()):
        for name in sorted(set(metric.names) - seen) if metric.name in needed else ():
            yield Seen(
                Weight.ERROR,
                agent.place,
                f"{name} is not there: {metric.present.value}, says the catalogue",
                metric=name,
            )


def needed_metrics(facts: Facts) -> list[Metric]:
    """Return the metrics of agents that rules and panels select."""
    found = {entry.metric.name: entry.metric for name in facts.needed if (entry := CATALOGUE.find(name)) is not None}
    return [metric for _, metric in sorted(found.items()) if metric.exporter & Role.AGENT]


def _clock(agent: AgentFacts, _: Facts) -> Iterator[Seen]:
    seconds = agent.clock_seconds
    if seconds is not None and abs(seconds) > _CLOCK_SECONDS_MAX + agent.took_seconds:
        direction = "ahead of" if seconds > 0 else "behind"
        yield Seen(Weight.WARNING, agent.place, f"its clock is {abs(seconds):.0f} s {direction} this machine's")


def _answering_regions(facts: Facts) -> Sequence[str]:
    return sorted({agent.region for agent in facts.servers if agent.version})


def _versions(region: str, facts: Facts) -> Iterator[Seen]:
    by_version: dict[str, list[str]] = {}
    for agent in facts.servers_of(region):
        if agent.version:
            by_version.setdefault(agent.version, []).append(agent.name)
    if len(by_version) > 1:
        said = "; ".join(f"{version} on {', '.join(names)}" for version, names in sorted(by_version.items()))
        yield Seen(Weight.WARNING, f"region {region}", f"its servers run {len(by_version)} versions: {said}")
    oldest = min((_numbers(version) for version in by_version), default=())
    for agent in facts.clients:
        if agent.region == region and Role.SERVER not in agent.roles and oldest and _numbers(agent.version) > oldest:
            yield Seen(
                Weight.WARNING,
                agent.place,
                f"it runs {agent.version}, newer than a server",
                why="a client may only be as new as the servers it talks to",
                remedy="upgrade the servers first",
            )


def _numbers(version: str) -> tuple[int, ...]:
    """Return the parts of a version that order it; what is behind a - or + does not."""
    released = version.partition("-")[0].partition("+")[0]
    return tuple(int(part) for part in released.split(".") if part.isdecimal())


_SHOWN = 3


def _some(names: Sequence[str]) -> str:
    """Return the first few of *names*, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


AGENT_CHECKS = (
    Check(
        name="answers",
        what="Each agent that is named answers.",
        why="What does not answer cannot be scraped either.",
        remedy="Start it, or correct its address in outrider.yaml or after --address.",
        subjects=_asked,
        look=_answers,
    ),
    Check(
        name="prometheus-metrics",
        what="Each agent has prometheus_metrics on and can be scraped.",
        why="Without it the agent is a target that is always down.",
        remedy="Set telemetry { prometheus_metrics = true } in the agent's configuration and restart it.",
        subjects=_asked,
        look=_prometheus_metrics,
    ),
    Check(
        name="collection-interval",
        what="The collection_interval of each agent is 10 s or less.",
        why="Gauges are as old as that, and rules detect as much later.",
        remedy='Set telemetry { collection_interval = "1s" }, which is the default.',
        subjects=_configured,
        look=_collection_interval,
    ),
    Check(
        name="publish-metrics",
        what="Clients publish node and allocation metrics where rules or panels use them.",
        why="Those rules never fire and those panels stay empty.",
        remedy="Set publish_node_metrics and publish_allocation_metrics to true.",
        subjects=_configured,
        look=_publish,
    ),
    Check(
        name="hostname",
        what="Each agent has disable_hostname on.",
        why="Else each series carries the label host, and is another one after a host is renamed.",
        remedy="Set telemetry { disable_hostname = true }.",
        subjects=_configured,
        look=_hostname,
    ),
    Check(
        name="filters",
        what="prefix_filter and filter_default let through what rules and panels use.",
        why="What is filtered out cannot fire.",
        remedy="Remove the entry that drops it, or add a longer one that allows it.",
        subjects=_configured,
        look=_filters,
    ),
    Check(
        name="needed-metrics",
        what="Every metric of a rule or panel that must be there, by role and state of the agent, is there.",
        why="Rules and panels that use it stay silent and empty.",
        remedy="Look at the agent's telemetry block, and compare all of it with `outrider check catalogue`.",
        subjects=_scraped,
        look=_needed,
    ),
    Check(
        name="clocks",
        what="The clock of each agent is within 2 s of this machine's.",
        why="Certificates, leases of tokens and the times in alerts go wrong with the clock.",
        remedy="Let NTP or chrony set the host's clock; where all agents differ alike, look at this machine's.",
        subjects=_timed,
        look=_clock,
    ),
    Check(
        name="versions",
        what="All servers of a region run one version, and no client a newer one.",
        why="A new server's writes may be unknown to an old one.",
        remedy="Finish the upgrade: servers first, the leader last, then clients.",
        subjects=_answering_regions,
        look=_versions,
    ),
)
