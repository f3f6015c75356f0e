"""Which client a command is about, and the list that shows clients."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.cli.formats import boolean, short
from agent.cli.session import even_prefix, fail, one_of, told
from agent.cli.tables import columns
from telemetry.nomad_api import NomadApi


def chosen(api: NomadApi, node_id: str | None, *, itself: bool, help_line: str) -> str:
    """Return what was asked for: an id or the beginning of one, or the id of the client that is asked; else end."""
    if itself == (node_id is not None):
        fail(f"Node ID must be specified if -self isn't being used\n{help_line}")
    wanted = _own_id(api) if node_id is None else node_id
    if len(wanted) == 1:
        fail("Identifier must contain at least two characters.")
    return wanted


def found(api: NomadApi, wanted: str) -> Mapping[str, Any]:
    """Return the client in the list whose id is or begins with *wanted*; ends when there is none, or several."""
    nodes = api.get("/v1/nodes", {"prefix": even_prefix(wanted)}).value
    return one_of(nodes, wanted, "node", lambda: table(nodes, verbose=True))


def table(nodes: Sequence[Mapping[str, Any]], *, verbose: bool) -> str:
    """Return the list of clients, by name."""
    header = ("ID", "Node Pool", "DC", "Name", "Class", "Drain", "Eligibility", "Status")
    rows = [
        (
            each["ID"] if verbose else short(each["ID"]), each.get("NodePool", ""), each["Datacenter"],
            each["Name"], each["NodeClass"], boolean(each["Drain"]), each["SchedulingEligibility"],
            each["Status"],
        )
        for each in sorted(nodes, key=lambda each: (each["Name"], each["ID"]))
    ]  # fmt: skip
    return columns([header, *rows])


def _own_id(api: NomadApi) -> str:
    """Return the id of the client that is asked; ends when it is none."""
    with told("Error querying agent info"):
        stats = api.get("/v1/agent/self").value["stats"]
    if "client" not in stats:
        fail("Nomad not running in client mode")
    own = stats["client"].get("node_id", "")
    if not own:
        fail("Failed to determine node ID")
    return str(own)
