"""Servers as `GET /v1/agent/members` shows them. Pure.

Gossip tells who they are and how. Where a server runs without it, as in a simulation, the servers of the Raft
configuration stand for them, and one that cannot be reached is "failed".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.consensus.replicator import Peer
from agent.gossip.bootstrap import RAFT_TAG
from agent.gossip.members import MemberView, Status


@dataclass(frozen=True, slots=True)
class Member:
    """One server of the Raft configuration; `serf_address` is host:port of gossip."""

    peer: Peer
    serf_address: str
    alive: bool
    region: str
    datacenter: str
    version: str
    expect: int


def server_tags(peer: Peer, region: str, datacenter: str, version: str, expect: int) -> dict[str, str]:
    """Return what a server says of itself in gossip, under Nomad's names."""
    host, _, port = peer.rpc_address.rpartition(":")
    tags = {
        "role": "nomad",
        "region": region,
        "dc": datacenter,
        "id": peer.server_id,
        "rpc_addr": host.strip("[]"),
        "port": port,
        "raft_vsn": "3",
        "vsn": "1",
        "build": version,
        # Not a Nomad's: there Raft is on the port of the RPC.
        RAFT_TAG: peer.raft_address,
    }
    if expect:
        tags["expect"] = str(expect)
    return tags


def member_body(member: Member) -> dict[str, Any]:
    """Return *member* in Nomad's shape."""
    host, _, port = member.serf_address.rpartition(":")
    tags = server_tags(member.peer, member.region, member.datacenter, member.version, member.expect)
    return _body(
        f"{member.peer.name}.{member.region}", host, int(port or 0), tags, "alive" if member.alive else "failed"
    )


def regions_of(bodies: Iterable[Mapping[str, Any]], own: str) -> list[str]:
    """Return *own* and the regions of the members in Nomad's shape, sorted; of one whose servers left, none is."""
    known = {str(body["Tags"].get("region", "")) for body in bodies if body["Status"] != Status.LEFT.value}
    return sorted({own, *known} - {""})


def gossip_body(view: MemberView) -> dict[str, Any]:
    """Return a member that gossip knows in Nomad's shape."""
    return _body(view.name, view.address.host, view.address.port, view.tags, view.status.value)


def _body(name: str, host: str, port: int, tags: Mapping[str, str], status: str) -> dict[str, Any]:
    return {
        "Name": name,
        "Addr": host,
        "Port": port,
        "Tags": dict(tags),
        "Status": status,
        "ProtocolMin": 1,
        "ProtocolMax": 5,
        "ProtocolCur": 2,
        "DelegateMin": 2,
        "DelegateMax": 5,
        "DelegateCur": 4,
    }
