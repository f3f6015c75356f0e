"""Servers as `GET /v1/agent/members` shows them. Pure.

Until gossip tells, the members are the servers of the Raft configuration; one that cannot be reached is "failed".
"""

from dataclasses import dataclass
from typing import Any

from agent.consensus.replicator import Peer


@dataclass(frozen=True, slots=True)
class Member:
    """One server; `serf_address` is host:port of gossip."""

    peer: Peer
    serf_address: str
    alive: bool
    region: str
    datacenter: str
    version: str
    expect: int


def member_body(member: Member) -> dict[str, Any]:
    """Return *member* in Nomad's shape."""
    host, _, port = member.serf_address.rpartition(":")
    rpc_host, _, rpc_port = member.peer.rpc_address.rpartition(":")
    return {
        "Name": f"{member.peer.name}.{member.region}",
        "Addr": host,
        "Port": int(port or 0),
        "Tags": {
            "role": "nomad",
            "region": member.region,
            "dc": member.datacenter,
            "id": member.peer.server_id,
            "rpc_addr": rpc_host,
            "port": rpc_port,
            "expect": str(member.expect),
            "raft_vsn": "3",
            "vsn": "1",
            "build": member.version,
        },
        "Status": "alive" if member.alive else "failed",
        "ProtocolMin": 1,
        "ProtocolMax": 5,
        "ProtocolCur": 2,
        "DelegateMin": 2,
        "DelegateMax": 5,
        "DelegateCur": 4,
    }
