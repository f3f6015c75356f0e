"""`outrider check`: what would keep alerts from working, on a cluster and its Prometheus."""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from alert_rules.settings import ExpectedRegion, RuleSettings
from compose.api_access import named, with_access
from compose.build_command import DEFAULT_FILE
from compose.check import report
from compose.check.check import looked_at
from compose.check.checks import CHECKS
from compose.check.facts import AgentFacts, Configured, Facts, RegionFacts
from compose.check.gather import Wanted, ask_agent, ask_agents, ask_prometheus, ask_region
from compose.check.needed import needed_series, rule_names, shortest_window_seconds
from compose.check.options import asks_agents, url_of
from compose.settings import Settings, load_settings
from compose.yaml_reader import SettingsError
from telemetry.catalogue.comparison import Difference, Problem, compare, required
from telemetry.catalogue.metric import Role
from telemetry.nomad_api import ApiSettings
from telemetry.scrape.access import Access
from telemetry.scrape.description import AgentRole

SECOND_LOOK_SECONDS = 5.0
"""What a leader does once a minute is forgotten after a minute, so it may be gone for a moment."""

_ROLES = {AgentRole.SERVER: Role.SERVER, AgentRole.CLIENT: Role.CLIENT}


@click.group("check", invoke_without_command=True)
@click.pass_context
@click.option("-f", "--file", "file", type=click.Path(path_type=Path), help=f"Settings. [default: {DEFAULT_FILE}]")
@click.option("--prometheus", metavar="URL", multiple=True, help="A Prometheus, instead of those in the settings.")
@asks_agents
def check_group(
    ctx: click.Context,
    *,
    file: Path | None,
    prometheus: tuple[str, ...],
    api: ApiSettings,
    addresses: tuple[str, ...],
    as_json: bool,
) -> None:
    """Look at a cluster and its Prometheus, and say what would keep alerts from working.

    Agents and Prometheus are those of outrider.yaml, or those given. Only reads. Exit code 0: nothing to say,
    1: findings, 2: nothing could be looked at.
    """
    if ctx.invoked_subcommand is not None:
        return
    try:
        settings = _settings(file, has_addresses=bool(addresses))
    except SettingsError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(report.COULD_NOT_LOOK)
    facts = gathered(settings, file or DEFAULT_FILE, api, addresses, prometheus)
    findings, things = looked_at(CHECKS, facts)
    answering = sum(agent.answered for agent in facts.agents)
    unasked = [error for region in facts.regions for error in region.errors]
    if as_json:
        click.echo(report.as_json(findings, things, answering, unasked=unasked))
    else:
        for line in report.lines(findings, things, answering):
            click.echo(line)
        for reason in unasked:
            click.echo(f"note: not looked at: {reason}", err=True)
        if not facts.prometheus:
            click.echo("note: no Prometheus was looked at; name it with --prometheus", err=True)
    if not answering:
        sys.exit(report.COULD_NOT_LOOK)
    sys.exit(report.FOUND if findings else report.FOUND_NOTHING)


def _settings(file: Path | None, *, has_addresses: bool) -> Settings | None:
    """Return the settings: those of *file*, else the default file's where it is there and no address was given."""
    if file is None and (has_addresses or not DEFAULT_FILE.exists()):
        return None
    return load_settings(file or DEFAULT_FILE)


def gathered(
    settings: Settings | None, file: Path, api: ApiSettings, addresses: Sequence[str], prometheus: Sequence[str]
) -> Facts:
    """Ask everything that is named, and return what was said."""
    configured = () if settings is None else _configured(settings, file)
    access = Access() if settings is None else settings.description.access
    api = with_access(api, access)
    if addresses or not configured:
        wanted = [Wanted(address) for address in addresses or (api.address,)]
    else:
        wanted = [
            Wanted(url_of(each.address, api, is_https=access.is_https), _place(each), each.region, each.server_name)
            for each in configured
        ]
    agents = ask_agents(wanted, api)
    watchers = prometheus or (
        [f"http://{address}" for address in settings.description.prometheus_servers] if settings is not None else []
    )
    rules = settings.rules if settings is not None else _shipped(agents)
    return Facts(
        agents=agents,
        regions=_regions(agents, api, {each.address: each.server_name for each in wanted}),
        prometheus=tuple(ask_prometheus(url) for url in watchers),
        configured=configured,
        needed=needed_series(rules),
        rules=rule_names(rules),
        has_settings=settings is not None,
        clusters=frozenset(settings.description.clusters if settings is not None else ()),
        shortest_window_seconds=shortest_window_seconds(rules),
        longest_scrape_interval_seconds=rules.times.scrape_interval_seconds if settings else _LONGEST_SECONDS,
    )


def _regions(agents: Sequence[AgentFacts], api: ApiSettings, names: Mapping[str, str]) -> tuple[RegionFacts, ...]:
    """Ask one agent of each region, a server where one answers; *names* has for a URL the name in its certificate."""
    asked: dict[str, AgentFacts] = {}
    for agent in sorted(agents, key=lambda each: Role.SERVER not in each.roles):
        if agent.answered:
            asked.setdefault(agent.region, agent)
    return tuple(ask_region(name, agent.address, named(api, names[agent.address])) for name, agent in asked.items())


_LONGEST_SECONDS = 15.0
"""The longest scrape interval that rules are shipped for, where no settings say another."""


def _place(agent: Configured) -> str:
    return f"{agent.name} ({agent.place})"


def _configured(settings: Settings, file: Path) -> tuple[Configured, ...]:
    text = file.read_text(encoding="utf-8").splitlines()

    def line_of(address: str) -> int:
        return next((number for number, line in enumerate(text, start=1) if address in line), 1)

    return tuple(
        Configured(
            name=target.name,
            address=target.address,
            role=_ROLES[role],
            place=f"{file}:{line_of(target.address)}",
            region=f"{region.cluster}/{region.name}",
            server_name=settings.description.access.server_name_of(role.value, region.name),
        )
        for region in settings.description.regions
        # An exporter is no agent: it is not asked.
        for role in _ROLES
        for target in region.targets(role)
    )


def _shipped(agents: Sequence[AgentFacts]) -> RuleSettings:
    """Return the settings of rules as they are shipped, for as many servers as there are."""
    servers = max((agent.servers for agent in agents if Role.SERVER in agent.roles), default=3)
    return RuleSettings(cluster="cluster", regions=(ExpectedRegion(name="global", expected_servers=servers),))


@check_group.command("catalogue")
@asks_agents
def catalogue_command(*, api: ApiSettings, addresses: tuple[str, ...], as_json: bool) -> None:
    """Compare what agents export with the catalogue, both ways.

    Says which series are not in the catalogue, or are there with another kind or other labels, and which are missing
    although an agent like this must have them. Works on any agent with Nomad's API. Exit code 0: nothing, 1: findings,
    2: an agent could not be looked at.
    """
    agents = ask_agents([Wanted(address) for address in addresses or (api.address,)], api)
    for agent in agents:
        for error in (agent.self_error, agent.scrape_error):
            if error:
                click.echo(f"Error: {agent.place}: {error}", err=True)
    looked = [agent for agent in agents if agent.scrape is not None and agent.body]
    differences = compared(looked, lambda agent: ask_agent(agent.address, api, place=agent.place))
    findings = [each.finding for each in differences]
    counts = {problem.value: sum(each.problem is problem for each in differences) for problem in Problem}
    checked = sum(len(agent.scrape.names) for agent in looked if agent.scrape is not None)
    checked += sum(len(list(required(agent.state()))) for agent in looked)
    if as_json:
        click.echo(report.as_json(findings, checked, len(looked), counts=counts))
    else:
        for line in report.lines(findings, checked, len(looked)):
            click.echo(line)
    if len(looked) < len(agents):
        sys.exit(report.COULD_NOT_LOOK)
    sys.exit(report.FOUND if findings else report.FOUND_NOTHING)


def compared(
    agents: Sequence[AgentFacts],
    again: Callable[[AgentFacts], AgentFacts],
    pause: Callable[[float], object] | None = None,
) -> list[Difference]:
    """Return how each agent and the catalogue differ; what is missing is looked for a second time, with *again*."""
    found = {agent.place: _compare(agent) for agent in agents}
    doubtful = [agent for agent in agents if _missing(found[agent.place])]
    if doubtful:
        (pause or threading.Event().wait)(SECOND_LOOK_SECONDS)
    for agent in doubtful:
        still = _missing(_compare(again(agent)))
        found[agent.place] = [
            each for each in found[agent.place] if each.problem is not Problem.MISSING or each.finding.metric in still
        ]
    return [difference for differences in found.values() for difference in differences]


def _compare(agent: AgentFacts) -> list[Difference]:
    return compare(agent.scrape, agent.state()) if agent.scrape is not None else []


def _missing(differences: Sequence[Difference]) -> set[str]:
    return {each.finding.metric for each in differences if each.problem is Problem.MISSING}
