"""What every struct of the model shares: Nomad's JSON names, immutability, and the types of ids.

Field names are snake case here and Nomad's on the wire (`create_index` is `CreateIndex`, `node_id` is `NodeID`);
the few that Nomad spells otherwise name themselves with `msgspec.field(name=...)`.
"""

from typing import NewType

import msgspec

NodeID = NewType("NodeID", str)
JobID = NewType("JobID", str)
AllocID = NewType("AllocID", str)
EvalID = NewType("EvalID", str)

JobKey = tuple[str, str]
"""(namespace, job id): what a job is known by."""

DEFAULT_NAMESPACE = "default"

_UPPER = {
    "id": "ID", "cpu": "CPU", "http": "HTTP", "mb": "MB", "iops": "IOPS", "tls": "TLS", "csi": "CSI", "gc": "GC",
    "ui": "UI", "numa": "NUMA", "ttl": "TTL", "ip": "IP", "cidr": "CIDR", "dns": "DNS", "tg": "TG", "rpc": "RPC",
}  # fmt: skip


def nomad_name(field: str) -> str:
    """Return Nomad's JSON name of a snake-case *field*."""
    return "".join(_UPPER.get(word, word.capitalize()) for word in field.split("_"))


class Model(msgspec.Struct, frozen=True, kw_only=True, rename=nomad_name):
    """The base of every value in the state: immutable, decoded and encoded under Nomad's names.

    An unknown field in a body is ignored, as Nomad ignores it.
    """
