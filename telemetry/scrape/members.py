"""From what a cluster says of its members and nodes to targets; pure.

Who is a target:

    server  alive, leaving, failed    a server that died must keep `up == 0`, or no rule sees that it is missing
            left                      not: it said goodbye, or autopilot or an operator said it for the dead
            not in the list           still, until three answers in a row lack it
    client  initializing, ready, down, disconnected
                                      for the same reason; one that went for good is purged by an operator, or by
                                      Nomad's garbage collection a day later
            not in the list           still, until three answers in a row lack it
            down, its name or address taken by a newer one
                                      not: the machine was installed anew

An answer without a known leader may add and never remove: a server that has just started sees only itself, and an
empty state. What outrider.yaml lists is a target whatever the cluster says, and is left out here.
Source: Serf's member states; Nomad, node status and `node_gc_threshold`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from telemetry.scrape.description import AgentRole, Region, Target

ABSENT_ANSWERS = 3
"""Answers in a row that must lack a target until it is one no more."""
DEFAULT_PORT = 4646
_GONE = "left"
_ALIVE = "alive"
_IS_BACK = "ready"


@dataclass(frozen=True, slots=True)
class Node:
    """A client as /v1/nodes has it; *address* is host:port of its HTTP API."""

    id: str
    name: str
    address: str
    datacenter: str
    status: str
    create_index: int


def servers_in(members: Sequence[Mapping[str, Any]], region: Region) -> tuple[list[Target], frozenset[str]]:
    """Return the servers of *region* in a body of /v1/agent/members, and the names of those that left.

    A member says no HTTP port: it is the one that most of the listed servers have.
    """
    port = usual_port(region)
    left = set()
    by_address: dict[str, tuple[bool, Target]] = {}
    for member in members:
        tags = member.get("Tags") or {}
        if tags.get("role") != "nomad" or tags.get("region") != region.name:
            continue
        name = str(member["Name"]).removesuffix(f".{region.name}")
        status, address = member.get("Status"), _joined(str(member["Addr"]), port)
        if status == _GONE:
            left.add(name)
        elif address not in by_address or (status == _ALIVE and not by_address[address][0]):
            # Several of one machine differ in a port that members do not say; those have to be listed.
            by_address[address] = status == _ALIVE, Target(name=name, address=address, datacenter=tags.get("dc", ""))
    return [target for _, target in by_address.values()], frozenset(left)


def node_in(stub: Mapping[str, Any], address: str) -> Node:
    """Return one entry of a body of /v1/nodes; *address* is its HTTP address, which the list does not say whole."""
    return Node(
        id=str(stub["ID"]),
        name=str(stub["Name"]),
        address=address or _joined(str(stub["Address"]), DEFAULT_PORT),
        datacenter=str(stub.get("Datacenter", "")),
        status=str(stub.get("Status", "")),
        create_index=int(stub.get("CreateIndex", 0)),
    )


def clients_in(nodes: Iterable[Node]) -> list[Target]:
    """Return a target for each client, none of its name or address a second time.

    Two series of the same labels would spoil each other: of several by one name the dead give way to the living, and
    where several live, each is called by its id too.
    """
    # One that never said where it is cannot be scraped, and is no reason to lose the others.
    by_address = {node.address: node for node in sorted(nodes, key=_standing) if not node.address.startswith(":")}
    by_name: dict[str, list[Node]] = {}
    for node in sorted(by_address.values(), key=_standing):
        by_name.setdefault(node.name, []).append(node)
    targets = []
    for name, known in sorted(by_name.items()):
        kept = [node for node in known if node.status == _IS_BACK] or known[-1:]
        for node in sorted(kept, key=lambda each: each.id):
            instance = name if len(kept) == 1 else f"{name}-{node.id[:8]}"
            targets.append(Target(name=instance, address=node.address, datacenter=node.datacenter))
    return targets


def usual_port(region: Region) -> int:
    """Return the HTTP port of most of the listed servers, 4646 where none is listed."""
    ports = sorted(int(target.address.rpartition(":")[2]) for target in region.servers)
    return max(ports, key=ports.count) if ports else DEFAULT_PORT


@dataclass(frozen=True, slots=True)
class Known:
    """The targets of one role in one region, and in how many answers in a row each was missing."""

    targets: Mapping[str, Target] = field(default_factory=dict)
    """By name."""
    absences: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, targets: Iterable[Target]) -> "Known":
        """Return what an earlier run knew."""
        return cls({target.name: target for target in targets})

    def after(
        self,
        found: Iterable[Target],
        *,
        left: frozenset[str] = frozenset(),
        knows_leader: bool,
        absent_answers: int = ABSENT_ANSWERS,
    ) -> "Known":
        """Return what is known after an answer that named *found*; those who *left* are gone at once."""
        now = {target.name: target for target in found}
        addresses = {target.address for target in now.values()}
        absences: dict[str, int] = {}
        for name, target in self.targets.items():
            if name in now or name in left or target.address in addresses:
                continue
            missed = self.absences.get(name, 0) + knows_leader
            if missed < absent_answers:
                now[name] = target
                absences[name] = missed
        return Known(dict(sorted(now.items())), absences)


def beside_listed(targets: Iterable[Target], region: Region, role: AgentRole) -> list[Target]:
    """Return *targets* without those whose name or address is listed in *region*, in the order of their names."""
    listed = region.targets(role)
    names, addresses = {target.name for target in listed}, {target.address for target in listed}
    left_over = (target for target in targets if target.name not in names and target.address not in addresses)
    return sorted(left_over, key=lambda target: target.name)


def _standing(node: Node) -> tuple[bool, int, str]:
    """Order nodes by how surely they are the one that is there now, the surest last."""
    return node.status == _IS_BACK, node.create_index, node.id


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
