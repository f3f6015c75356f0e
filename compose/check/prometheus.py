"""Checks of Prometheus against the cluster: is everything scraped, often enough, and are the rules there."""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from alert_rules.budget import WINDOW_SCRAPES
from compose.check.check import Check, Seen
from compose.check.facts import AgentFacts, Facts, PrometheusFacts, ScrapeTarget
from telemetry.catalogue.metric import Role
from telemetry.finding import Weight
from telemetry.scrape.configuration import JOB_ALERTMANAGER, JOB_PROMETHEUS
from telemetry.scrape.duration import format_duration
from telemetry.stanza import PROMETHEUS_EXPIRY_SECONDS

SCRAPES_OF_AN_EVENT = 2
"""A counter is born at its first event and gone 60 s later: two scrapes in that time tell it from a gap."""
AGENT_SAMPLES_MAX = 25_000
"""Samples of one agent, about 2.5 MB a scrape; a real Nomad's leader takes 0.1 s for it, and 8 MB made `up` flap."""
HEAD_SERIES_MAX = 2_000_000
"""Series that a Prometheus with some 8 GB of memory holds; about 4 kB each."""
_CLOCK_SECONDS_MAX = 1.0
_SIGNS_OF_RULES = ("outrider:servers_expected", "Watchdog")
"""What every build of the rules has."""


def _asked(facts: Facts) -> Sequence[PrometheusFacts]:
    return facts.prometheus


def _answering(facts: Facts) -> Sequence[PrometheusFacts]:
    return [prometheus for prometheus in facts.prometheus if not prometheus.error]


def _answers(prometheus: PrometheusFacts, _: Facts) -> Iterator[Seen]:
    if prometheus.error:
        yield Seen(Weight.ERROR, prometheus.url, f"it does not answer: {prometheus.error}")


def target_of(agent: AgentFacts, prometheus: PrometheusFacts, facts: Facts) -> ScrapeTarget | None:
    """Return the target that is *agent*, known by its address, else by its name."""
    where = urlsplit(agent.address).netloc
    targets = _agents_among(prometheus, facts)
    by_address = [target for target in targets if urlsplit(target.url).netloc == where]
    names = {agent.name, where}
    by_name = [target for target in targets if target.labels.get("instance") in names]
    return next(iter(by_address + by_name), None)


def _targets(prometheus: PrometheusFacts, facts: Facts) -> Iterator[Seen]:
    found: list[ScrapeTarget] = []
    lacking = Role(0)
    for agent in facts.agents:
        if not agent.answered:
            continue
        target = target_of(agent, prometheus, facts)
        if target is None:
            lacking |= agent.roles
            yield Seen(Weight.ERROR, prometheus.url, f"{agent.place} is not among its targets")
        else:
            found.append(target)
            yield from _target(target, agent, prometheus)
    yield from _not_asked(prometheus, facts, found)
    yield from _numbers(prometheus, facts, lacking)


def _numbers(prometheus: PrometheusFacts, facts: Facts, said: Role) -> Iterator[Seen]:
    """Yield that fewer servers or clients are scraped than the cluster has, of roles of which none was *said* to lack."""
    roles = [target.labels.get("role") for target in _agents_among(prometheus, facts)]
    if not any(roles):
        # Targets of an operator's own may lack the label, and then nobody can tell.
        return
    alive = sum(member.get("Status") == "alive" for region in facts.regions for member in region.members)
    ready = sum(node.get("Status") == "ready" for region in facts.regions for node in region.nodes)
    for role, many, what in ((Role.SERVER, alive, "live servers"), (Role.CLIENT, ready, "ready clients")):
        scraped = roles.count(str(role.name).lower())
        if scraped < many and not role & said:
            yield Seen(Weight.WARNING, prometheus.url, f"the cluster has {many} {what}, and {scraped} are scraped")


def _agents_among(prometheus: PrometheusFacts, facts: Facts) -> list[ScrapeTarget]:
    """Return the targets that are agents, but for those that say they belong to a cluster that is not ours."""
    return [
        target
        for target in prometheus.targets
        if urlsplit(target.url).path == "/v1/metrics"
        and (not facts.clusters or target.labels.get("cluster", "") in {"", *facts.clusters})
    ]


def _target(target: ScrapeTarget, agent: AgentFacts, prometheus: PrometheusFacts) -> Iterator[Seen]:
    place = f"{prometheus.url}, target {target.url}"
    if target.health == "down":
        yield Seen(
            Weight.ERROR,
            place,
            f"{agent.place} answers here, and Prometheus cannot scrape it: {target.error}",
            remedy="open the way from Prometheus to the agent: address, firewall, TLS settings",
        )
    role = target.labels.get("role")
    if role and agent.roles and role not in {word.name.lower() for word in agent.roles if word.name}:
        yield Seen(
            Weight.ERROR,
            place,
            f"its label role is {role}, and it is none",
            why="rules count servers and clients by that label",
            remedy="move it to the other list in outrider.yaml, then `outrider build` and reload Prometheus",
        )


def _not_asked(prometheus: PrometheusFacts, facts: Facts, asked: Sequence[ScrapeTarget]) -> Iterator[Seen]:
    """Yield what is down among the targets that were not asked directly: agents, Prometheus and Alertmanager."""
    watchers = [target for target in prometheus.targets if target.labels.get("job") in _WATCHERS]
    for target in (*_agents_among(prometheus, facts), *watchers):
        if target not in asked and target.health == "down":
            yield Seen(
                Weight.ERROR,
                f"{prometheus.url}, target {target.url}",
                f"it is down: {target.error}",
                remedy="start it, or remove it from what is scraped",
            )


_WATCHERS = (JOB_PROMETHEUS, JOB_ALERTMANAGER)


def _intervals(prometheus: PrometheusFacts, facts: Facts) -> Iterator[Seen]:
    expected = facts.longest_scrape_interval_seconds
    hard = PROMETHEUS_EXPIRY_SECONDS / SCRAPES_OF_AN_EVENT
    for target in _agents_among(prometheus, facts):
        seconds = target.interval_seconds
        place = f"{prometheus.url}, scrape_interval of {target.pool} ({target.url})"
        if seconds >= hard:
            seen = f"it is {format_duration(seconds)}, and an event shows for {PROMETHEUS_EXPIRY_SECONDS:g} s"
            yield Seen(Weight.ERROR, place, seen, why="an event can pass between two scrapes, and is never told")
        elif seconds > expected:
            window = format_duration(facts.shortest_window_seconds)
            yield Seen(
                Weight.ERROR,
                place,
                f"it is {format_duration(seconds)}, and the rules were built for {format_duration(expected)}: their "
                f"shortest window is {window} and has to hold {WINDOW_SCRAPES:g} scrapes",
            )


def _rules(prometheus: PrometheusFacts, facts: Facts) -> Iterator[Seen]:
    # Without the settings nobody knows which alerts are switched off.
    wanted = facts.rules if facts.has_settings else frozenset(_SIGNS_OF_RULES)
    lacking = sorted(wanted - set(prometheus.rules))
    if lacking:
        seen = f"{len(lacking)} of {len(wanted)} rules are not loaded, {lacking[0]} among them"
        yield Seen(Weight.ERROR, prometheus.url, seen)
    for name, error in prometheus.unhealthy_rules:
        if name not in facts.rules:
            continue
        yield Seen(
            Weight.ERROR,
            f"{prometheus.url}, rule {name}",
            f"its last evaluation failed: {error}",
            why="a rule that fails cannot fire",
            remedy="most often two targets have the same labels: give each target its own `instance`",
        )


def _clock(prometheus: PrometheusFacts, _: Facts) -> Iterator[Seen]:
    seconds = prometheus.clock_seconds
    if seconds is not None and abs(seconds) > _CLOCK_SECONDS_MAX:
        direction = "ahead of" if seconds > 0 else "behind"
        yield Seen(Weight.WARNING, prometheus.url, f"its clock is {abs(seconds):.1f} s {direction} this machine's")


def _scraped(facts: Facts) -> Sequence[AgentFacts]:
    return [agent for agent in facts.agents if agent.scrape is not None]


def _samples(agent: AgentFacts, _: Facts) -> Iterator[Seen]:
    many = len(agent.scrape.samples) if agent.scrape is not None else 0
    if many > AGENT_SAMPLES_MAX:
        yield Seen(
            Weight.WARNING,
            agent.place,
            f"a scrape of it has {many} samples, and should have at most {AGENT_SAMPLES_MAX}",
        )


def _head(prometheus: PrometheusFacts, _: Facts) -> Iterator[Seen]:
    if prometheus.head_series is not None and prometheus.head_series > HEAD_SERIES_MAX:
        seen = f"it holds {prometheus.head_series} series, and should hold at most {HEAD_SERIES_MAX}"
        yield Seen(Weight.WARNING, prometheus.url, seen)


PROMETHEUS_CHECKS = (
    Check(
        name="prometheus",
        what="Each Prometheus that is named answers.",
        why="Without it there is no alert at all.",
        remedy="Start it, or correct its address in outrider.yaml or after --prometheus.",
        subjects=_asked,
        look=_answers,
    ),
    Check(
        name="targets",
        what="Every agent is a target that is up, under its own role, and as many servers and clients are scraped as live.",
        why="What is not scraped is not watched.",
        remedy="Name it in outrider.yaml, then `outrider build` and reload Prometheus.",
        subjects=_answering,
        look=_targets,
    ),
    Check(
        name="scrape-intervals",
        what="Agents are scraped as often as the rules were built for, and at least twice while an event shows.",
        why="With fewer samples in their windows, rates are wrong or absent.",
        remedy="Set scrape_interval to what outrider.yaml says, or say there what it is and `outrider build`.",
        subjects=_answering,
        look=_intervals,
    ),
    Check(
        name="rules",
        what="The rules are loaded, and each evaluates.",
        why="Without rules there are no alerts.",
        remedy="Run `outrider build`, name generated/rules/nomad.yml under rule_files, and reload Prometheus.",
        subjects=_answering,
        look=_rules,
    ),
    Check(
        name="prometheus-clock",
        what="The clock of each Prometheus is within 1 s of this machine's.",
        why="Certificates and heartbeats are judged by its clock.",
        remedy="Let NTP or chrony set the host's clock.",
        subjects=_answering,
        look=_clock,
    ),
    Check(
        name="samples",
        what="A scrape of an agent has 25,000 samples or fewer.",
        why="A leader has 37 for each job, and scrapes that take long come too late.",
        remedy="Purge jobs that are dead (`nomad system gc`), set disable_dispatched_job_summary_metrics, or block "
        "nomad.nomad.broker with prefix_filter.",
        subjects=_scraped,
        look=_samples,
    ),
    Check(
        name="head-series",
        what="Prometheus holds 2,000,000 series or fewer.",
        why="Its memory grows with them, and what ends for want of memory alerts nobody.",
        remedy="Look at what is scraped most: topk(10, scrape_samples_scraped).",
        subjects=_answering,
        look=_head,
    ),
)
