"""`outrider check`: what would keep alerts from working, on a cluster and its Prometheus."""

import sys
import threading
from collections.abc import Callable, Sequence

import click

from compose.check import report
from compose.check.facts import AgentFacts
from compose.check.gather import ask_agent, ask_agents
from compose.check.options import asks_agents
from telemetry.catalogue.comparison import Difference, Problem, compare, required
from telemetry.nomad_api import ApiSettings

SECOND_LOOK_SECONDS = 5.0
"""What a leader does once a minute is forgotten after a minute, so it may be gone for a moment."""


@click.group("check")
def check_group() -> None:
    """Look at a cluster and its Prometheus, and say what would keep alerts from working."""


@check_group.command("catalogue")
@asks_agents
def catalogue_command(*, api: ApiSettings, addresses: tuple[str, ...], as_json: bool) -> None:
    """Compare what agents export with the catalogue, both ways.

    Says which series are not in the catalogue, or are there with another kind or other labels, and which are missing
    although an agent like this must have them. Works on any agent with Nomad's API. Exit code 0: nothing, 1: findings,
    2: an agent could not be looked at.
    """
    agents = ask_agents(addresses or (api.address,), api)
    for agent in agents:
        for error in (agent.self_error, agent.scrape_error):
            if error:
                click.echo(f"error: {agent.place}: {error}", err=True)
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
