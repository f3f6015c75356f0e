"""A moment at which nothing happens: what each agent exported, and what the API and the machine said beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from telemetry.scraped import Scrape


@dataclass(frozen=True, slots=True)
class Process:
    """What the operating system says of an agent's process. `ports` counts connections by (local port, remote port)."""

    started: float
    cpu_seconds: float
    open_files: int
    files_max: int
    resident: int
    virtual: int
    anonymous: int
    data: int
    threads: int
    connections: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Host:
    """What the operating system says of the machine, in bytes, percent and seconds."""

    booted: float
    memory: Mapping[str, int]
    disks: Mapping[str, tuple[int, int, int, float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One look at everything. `low` and `high` are each server's Raft statistics just before and after the scrapes."""

    step: str
    wall: tuple[float, float]
    """When the agents were asked and had answered, Unix seconds: on a busy machine seconds lie between."""
    leader: str
    expected_servers: int
    scrapes: Mapping[str, Scrape]
    roles: Mapping[str, str]
    low: Mapping[str, Mapping[str, str]]
    high: Mapping[str, Mapping[str, str]]
    configs: Mapping[str, Mapping[str, Any]]
    ports: Mapping[str, Mapping[str, int]]
    processes: Mapping[str, Process]
    hosts: tuple[Host, Host]
    """As it was before and after the scrapes."""
    nodes: tuple[Mapping[str, Any], ...]
    jobs: tuple[Mapping[str, Any], ...]
    allocs: tuple[Mapping[str, Any], ...]
    evals: tuple[Mapping[str, Any], ...]
    node_bodies: Mapping[str, Mapping[str, Any]]
    configuration: Mapping[str, bool]
    """The servers of the Raft group by name, and whether each votes."""
    healths: tuple[Mapping[str, Any], Mapping[str, Any]]
    """What autopilot said before and after the scrapes."""
    answering: Mapping[str, float]
    """Since when each agent's process answers, Unix seconds."""
    held: Mapping[str, int]
    """Evaluations in the hands of the script, by type."""
    files: Mapping[str, Mapping[str, tuple[int, float]]]
    """The files of each server's log and snapshots: bytes, and when they were written."""
    usage: Mapping[str, tuple[float, float, int, int]]
    """By allocation: seconds in user mode and in the kernel, resident and swapped bytes of its processes."""
    neighbours: Mapping[str, Scrape] = field(default_factory=dict)
    """What the exporter and the discovery said, where they ran."""

    @property
    def voters(self) -> int:
        """How many servers vote."""
        return sum(self.configuration.values())

    @property
    def voters_alive(self) -> int:
        """How many of them run."""
        return sum(votes and name in self.scrapes for name, votes in self.configuration.items())

    @property
    def servers(self) -> list[str]:
        """The servers that answered."""
        return [name for name, role in self.roles.items() if role == "server" and name in self.scrapes]

    def allocs_of(self, node: str) -> list[Mapping[str, Any]]:
        """Return the allocations of the client *node*."""
        return [alloc for alloc in self.allocs if alloc["NodeName"] == node]

    def node(self, name: str) -> Mapping[str, Any]:
        """Return the stub of the client *name*."""
        return next(node for node in self.nodes if node["Name"] == name)


def look_at_process(pid: int) -> Process:
    """Return what the operating system says of the process *pid*."""
    process = psutil.Process(pid)
    with process.oneshot():
        memory, cpu = process.memory_info(), process.cpu_times()
        return Process(
            started=process.create_time(),
            cpu_seconds=cpu.user + cpu.system,
            open_files=process.num_fds(),
            files_max=process.rlimit(psutil.RLIMIT_NOFILE)[0],
            resident=memory.rss,
            virtual=memory.vms,
            anonymous=_status_kb(pid, "RssAnon"),
            data=_status_kb(pid, "VmData"),
            threads=process.num_threads(),
            connections=tuple(
                (found.laddr.port, found.raddr.port)
                for found in process.net_connections(kind="tcp")
                if found.status == psutil.CONN_ESTABLISHED and found.raddr
            ),
        )


def _status_kb(pid: int, field: str) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:  # noqa: PTH123 - one line of a file of the kernel
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def look_at_host() -> Host:
    """Return what the operating system says of the machine."""
    memory = psutil.virtual_memory()
    disks = {}
    for partition in psutil.disk_partitions(all=False):
        usage, room = psutil.disk_usage(partition.mountpoint), psutil.os.statvfs(partition.mountpoint)
        inodes = 100 * (room.f_files - room.f_ffree) / room.f_files if room.f_files else 0.0
        disks.setdefault(partition.device, (usage.total, usage.used, usage.free, usage.percent, inodes))
    return Host(booted=psutil.boot_time(), memory=memory._asdict(), disks=disks)


def usage_by_alloc(folder: str) -> dict[str, tuple[float, float, int, int]]:
    """Return what the processes of each allocation below *folder* used; found by their environment."""
    found: dict[str, tuple[float, float, int, int]] = {}
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if not environment.get("NOMAD_ALLOC_DIR", "").startswith(folder):
                continue
            cpu, memory = process.cpu_times(), process.memory_full_info()
        except psutil.Error:
            continue
        user, system, resident, swapped = found.get(environment["NOMAD_ALLOC_ID"], (0.0, 0.0, 0, 0))
        found[environment["NOMAD_ALLOC_ID"]] = (
            user + cpu.user,
            system + cpu.system,
            resident + memory.rss,
            swapped + memory.swap,
        )
    return found
