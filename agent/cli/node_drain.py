"""`outrider node drain`: moves the work of a client elsewhere before maintenance, and follows it.

Source: Nomad, command/node_drain.go; api/nodes.go, MonitorDrain.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from agent.cli.dashes import DashedCommand
from agent.cli.formats import NANOSECONDS, stamp, unix_seconds, wall_time
from agent.cli.node_choice import chosen, found
from agent.cli.session import World, fail, told, uses_api
from agent.config.units import parse_duration_nanoseconds
from telemetry.nomad_api import NomadApi

DEADLINE_NS = 3_600 * NANOSECONDS
"""Where none is given: an hour, as Nomad's."""

FORCE_NS = -1 * NANOSECONDS
"""A deadline that has always passed."""

POLL_SECONDS = 0.5
"""Between two looks while a drain is followed; clients tell what ended every 0.2 s."""

_HELP = "For additional help try 'outrider node drain -h'"
_GOING = frozenset({"pending", "running"})


@click.command("drain", cls=DashedCommand)
@click.argument("node_id", metavar="NODE", required=False)
@click.option("--enable", is_flag=True, help="Drain the client.")
@click.option("--disable", is_flag=True, help="End its drain.")
@click.option("--self", "itself", is_flag=True, help="Mean the client that is asked.")
@click.option("--deadline", metavar="DURATION", help="When whatever is left is stopped. [default: 1h]")
@click.option("--no-deadline", is_flag=True, help="Let the drain take as long as it takes.")
@click.option("--force", is_flag=True, help="Stop everything at once.")
@click.option("--ignore-system", is_flag=True, help="Leave system jobs where they are; else they are stopped last.")
@click.option("--keep-ineligible", is_flag=True, help="Keep new work off the client although its drain ends.")
@click.option("--detach", is_flag=True, help="Return at once instead of following the drain.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@uses_api
def node_drain(
    api: NomadApi,
    world: World,
    *,
    node_id: str | None,
    enable: bool,
    disable: bool,
    itself: bool,
    deadline: str | None,
    no_deadline: bool,
    force: bool,
    ignore_system: bool,
    keep_ineligible: bool,
    detach: bool,
    yes: bool,
) -> None:
    """Drain a client, or end its drain. NODE may be the beginning of an id."""
    if enable == disable:
        fail(f"Either the '-enable' or '-disable' flag must be set\n{_HELP}")
    if disable and (deadline is not None or force or no_deadline or ignore_system):
        fail(f"-disable can't be combined with flags configuring drain strategy\n{_HELP}")
    deadline_ns = _deadline_ns(deadline, force=force, no_deadline=no_deadline)
    wanted = chosen(api, node_id, itself=itself, help_line=_HELP)
    with told("Error toggling drain mode"):
        node = found(api, wanted)
    if wanted != node["ID"] and not yes:
        _confirm("enable" if enable else "disable", node["ID"])
    spec = {"Deadline": deadline_ns, "IgnoreSystemJobs": ignore_system} if enable else None
    with told("Error updating drain specification"):
        api.put(f"/v1/node/{node['ID']}/drain", {"DrainSpec": spec, "MarkEligible": not keep_ineligible, "Meta": {}})
    if disable or detach:
        click.echo(f'Node "{node["ID"]}" drain strategy {"set" if enable else "unset"}')
        return
    _Follow(api, world, node["ID"], ignore_system=ignore_system).run()


def drain_text(node: Mapping[str, Any]) -> str:
    """Return whether a client drains, and how, as `node status` shows it."""
    strategy = node.get("DrainStrategy")
    if strategy is None:
        return "true" if node["Drain"] else "false"
    if strategy["Deadline"] < 0:
        text = "true; force drain"
    elif unix_seconds(strategy["ForceDeadline"]) is None:
        text = "true; no deadline"
    else:
        text = f"true; {stamp(strategy['ForceDeadline'])} deadline"
    return text + ("; ignoring system jobs" if strategy["IgnoreSystemJobs"] else "")


def _deadline_ns(deadline: str | None, *, force: bool, no_deadline: bool) -> int:
    """Return the deadline that the flags mean, in ns; ends when they contradict each other."""
    if deadline is not None and (force or no_deadline):
        fail(f"-deadline can't be combined with -force or -no-deadline\n{_HELP}")
    if force and no_deadline:
        fail(f"-force and -no-deadline are mutually exclusive\n{_HELP}")
    if force:
        return FORCE_NS
    if no_deadline:
        return 0
    if deadline is None:
        return DEADLINE_NS
    try:
        given_ns = parse_duration_nanoseconds(deadline)
    except ValueError as error:
        fail(f'Failed to parse deadline "{deadline}": {error}')
    if given_ns <= 0:
        fail("A positive drain duration must be given")
    return given_ns


def _confirm(verb: str, node_id: str) -> None:
    """Ask whether the client that was found is the one that was meant; ends unless the answer is y."""
    question = f'Are you sure you want to {verb} drain mode for node "{node_id}"? [y/N]'
    answer = click.prompt(question, default="", show_default=False, prompt_suffix=" ")
    if answer == "y":
        return
    if not answer or answer[0].lower() == "n":
        click.echo("Canceling drain toggle")
        raise SystemExit(0)
    click.echo("No confirmation detected. For confirmation, an exact 'y' is required.")
    raise SystemExit(0 if answer[0].lower() == "y" else 1)


class _Follow:
    """A drain being followed until it is over and what it stopped has ended."""

    def __init__(self, api: NomadApi, world: World, node_id: str, *, ignore_system: bool) -> None:
        self._api = api
        self._world = world
        self._node_id = node_id
        self._ignore_system = ignore_system
        self._seen: dict[str, Mapping[str, Any]] = {}
        self._strategy: Mapping[str, Any] | None = None
        self._was_down = False

    def run(self) -> None:
        """Say what happens until there is nothing more to say."""
        self._say("Ctrl-C to stop monitoring: will not cancel the node drain")
        self._say(f'Node "{self._node_id}" drain strategy set')
        is_over = is_empty = False
        while not (is_over and is_empty):
            if not is_over:
                is_over = self._look_at_node()
            if not is_empty:
                is_empty = self._look_at_allocs()
            if not (is_over and is_empty):
                self._world.pause(POLL_SECONDS)

    def _look_at_node(self) -> bool:
        """Say what is new about the client; returns whether its drain is over."""
        with told("Error monitoring node"):
            node = self._api.get(f"/v1/node/{self._node_id}").value
        strategy = node["DrainStrategy"]
        if strategy is None:
            self._say(f"Drain complete for node {self._node_id}")
            return True
        is_down = node["Status"] == "down"
        if is_down and not self._was_down:
            self._say(f'Node "{self._node_id}" down')
        if self._strategy is not None and strategy != self._strategy:
            self._say(f'Node "{self._node_id}" drain updated: {drain_text(node)}')
        self._strategy, self._was_down = strategy, is_down
        return False

    def _look_at_allocs(self) -> bool:
        """Say what is new about the client's allocations; returns whether none goes on that has to stop."""
        with told("Error monitoring allocations"):
            allocs: Sequence[Mapping[str, Any]] = self._api.get(f"/v1/node/{self._node_id}/allocations").value
        going = 0
        for alloc in allocs:
            before = self._seen.get(alloc["ID"])
            news = _news(before, alloc) if before is not None else ""
            if news:
                self._say(f'Alloc "{alloc["ID"]}" {news}')
            self._seen[alloc["ID"]] = alloc
            ignored = self._ignore_system and (alloc.get("Job") or {}).get("Type") == "system"
            going += not ignored and alloc["ClientStatus"] in _GOING
        if not going:
            self._say(f'All allocations on node "{self._node_id}" have stopped')
        return not going

    def _say(self, text: str) -> None:
        click.echo(f"{wall_time(int(self._world.now()) * NANOSECONDS)}: {text}")


def _news(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return what is new about an allocation, "" for nothing."""
    if before["ClientStatus"] != now["ClientStatus"]:
        return f"status {before['ClientStatus']} -> {now['ClientStatus']}"
    if not _migrates(now):
        return ""
    if not _migrates(before):
        return "marked for migration"
    return "draining" if before["DesiredStatus"] != now["DesiredStatus"] == "stop" else ""


def _migrates(alloc: Mapping[str, Any]) -> bool:
    return bool((alloc.get("DesiredTransition") or {}).get("Migrate"))
