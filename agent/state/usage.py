"""How much of a node its allocations take, and how much there is to take."""

from typing import NamedTuple

from agent.model.alloc import Allocation
from agent.model.node import Node


class Usage(NamedTuple):
    """Resources taken or there to take: MHz, MB, MB."""

    cpu: int = 0
    memory_mb: int = 0
    disk_mb: int = 0

    def plus(self, other: "Usage") -> "Usage":
        """Return the sum, dimension by dimension."""
        return Usage(self.cpu + other.cpu, self.memory_mb + other.memory_mb, self.disk_mb + other.disk_mb)

    def minus(self, other: "Usage") -> "Usage":
        """Return the difference, dimension by dimension."""
        return Usage(self.cpu - other.cpu, self.memory_mb - other.memory_mb, self.disk_mb - other.disk_mb)

    def exceeded(self, capacity: "Usage") -> str:
        """Return Nomad's word for the first dimension that does not fit in *capacity*, empty when all fit."""
        if self.cpu > capacity.cpu:
            return "cpu"
        if self.memory_mb > capacity.memory_mb:
            return "memory"
        if self.disk_mb > capacity.disk_mb:
            return "disk"
        return ""


NOTHING = Usage()


def alloc_usage(alloc: Allocation) -> Usage:
    """Return what *alloc* takes of its node while it is not terminal: its totals, or the sum of its parts."""
    total = alloc.resources
    if total is not None:
        return Usage(total.cpu, total.memory_mb, total.disk_mb)
    cpu = memory = disk = 0
    for part in alloc.task_resources.values():
        cpu += part.cpu
        memory += part.memory_mb
    if alloc.shared_resources is not None:
        disk = alloc.shared_resources.disk_mb
    return Usage(cpu, memory, disk)


def node_capacity(node: Node) -> Usage:
    """Return what allocations may take of *node* together: what it has, less what is kept for the host."""
    has, kept = node.node_resources, node.reserved_resources
    return Usage(
        has.cpu.cpu_shares - kept.cpu.cpu_shares,
        has.memory.memory_mb - kept.memory.memory_mb,
        has.disk.disk_mb - kept.disk.disk_mb,
    )
