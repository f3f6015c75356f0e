"""What a client exports: its host, what it has promised, its allocations and tasks. Under Nomad's names and units."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from agent.client.alloc_dir import Hook
from agent.client.drivers.base import Driver, TaskHandle, TaskUsage
from agent.client.metadata import metadata_labels
from agent.client.runner import AllocRunner, counts
from agent.client.settings import ClientSettings
from agent.client.task_runner import Tally
from agent.model.alloc import Allocation, ClientStatus, TaskState
from agent.model.base import AllocID
from agent.model.node import Node
from telemetry.catalogue import client as catalogue
from telemetry.clock import Clock
from telemetry.recorder import Recorder

MB = 1 << 20

_TALLIES = {
    Tally.RUNNING: catalogue.ALLOCS_RUNNING,
    Tally.COMPLETE: catalogue.ALLOCS_COMPLETE,
    Tally.FAILED: catalogue.ALLOCS_FAILED,
    Tally.RESTART: catalogue.ALLOCS_RESTART,
}

_HOOKS = {
    Hook.ALLOC_DIR: (catalogue.ALLOC_HOOK_PRERUN_ELAPSED, catalogue.ALLOC_HOOK_PRERUN_SUCCESS),
    Hook.TASK_DIR: (catalogue.TASK_HOOK_PRESTART_ELAPSED, catalogue.TASK_HOOK_PRESTART_SUCCESS),
}

TaskKey = tuple[AllocID, str]


@dataclass(frozen=True, slots=True)
class Disk:
    """One file system of the host, in bytes and percent."""

    device: str
    size: int
    used: int
    available: int
    used_percent: float
    inodes_percent: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look at host and tasks found; CPU times are seconds since the start of each core."""

    at: float
    cores: tuple[tuple[float, float, float], ...] = ()
    """(user, system, idle) by core."""
    memory: tuple[int, int, int, int] | None = None
    """(total, available, used, free) in bytes."""
    disks: tuple[Disk, ...] = ()
    uptime_seconds: float = 0.0
    tasks: Mapping[TaskKey, TaskUsage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CoreShare:
    """How one core spent the time between two samples, in percent."""

    user: float
    system: float
    idle: float

    @property
    def total(self) -> float:
        """The busy part."""
        return max(0.0, 100.0 - self.idle)


def core_shares(before: Sample, after: Sample) -> list[CoreShare]:
    """Return how each core spent its time; a core that shows no time at all counts as idle."""
    shares = []
    for old, new in zip(before.cores, after.cores, strict=False):
        user, system, idle = (max(0.0, new[part] - old[part]) for part in range(3))
        whole = user + system + idle
        if whole > 0:
            shares.append(CoreShare(100 * user / whole, 100 * system / whole, 100 * idle / whole))
        else:
            shares.append(CoreShare(0.0, 0.0, 100.0))
    return shares


def task_shares(before: TaskUsage, after: TaskUsage, seconds: float) -> tuple[float, float]:
    """Return (user, system) in percent of one core over *seconds*; never negative, although ended processes leave."""
    if seconds <= 0:
        return 0.0, 0.0
    user = max(0.0, after.user_seconds - before.user_seconds)
    system = max(0.0, after.system_seconds - before.system_seconds)
    return 100 * user / seconds, 100 * system / seconds


class ClientTelemetry:
    """Emits everything of a client once a collection interval; belongs to the event loop."""

    def __init__(
        self, settings: ClientSettings, drivers: Mapping[str, Driver], recorder: Recorder, clock: Clock
    ) -> None:
        self._settings = settings
        self._drivers = drivers
        self._recorder = recorder
        self._clock = clock
        self._last = Sample(at=clock.monotonic())

    def tally(self, alloc: Allocation, task: str, tally: Tally) -> None:
        """Count a moment in a task's life."""
        self._recorder.add(_TALLIES[tally], labels=self._task_labels(alloc, task))

    def hook(self, node: Node, alloc: Allocation, hook: Hook, seconds: float) -> None:
        """Measure a part of a start that succeeded."""
        if self._settings.disable_hook_metrics:
            return
        elapsed, succeeded = _HOOKS[hook]
        labels = (node.datacenter, hook.value, alloc.namespace, node.node_class or "none", node.id, node.node_pool)
        self._recorder.observe(elapsed, seconds * 1000, labels)
        self._recorder.add(succeeded, labels=labels)

    async def collect(self, node: Node, runners: Mapping[AllocID, AllocRunner]) -> None:
        """Look at the host and the tasks, off the event loop, and emit what is published."""
        labels = _node_labels(node)
        self._emit_allocations(node, labels, runners)
        if not (self._settings.publish_node_metrics or self._settings.publish_allocation_metrics):
            return
        handles = {
            (alloc_id, name): handle
            for alloc_id, runner in runners.items()
            for name, handle in runner.handles().items()
        }
        sample = await asyncio.to_thread(self._look, handles)
        if self._settings.publish_node_metrics:
            self._emit_host(node, labels, sample)
        if self._settings.publish_allocation_metrics:
            self._emit_tasks(node, runners, sample)
        self._last = sample

    def _look(self, handles: Mapping[TaskKey, TaskHandle]) -> Sample:
        at = self._clock.monotonic()
        tasks: dict[TaskKey, TaskUsage] = {}
        if self._settings.publish_allocation_metrics:
            for driver in self._drivers.values():
                mine = {key: handle for key, handle in handles.items() if handle.driver == driver.name}
                found = driver.usages(list(mine.values()))
                tasks |= {key: found[handle.task_id] for key, handle in mine.items() if handle.task_id in found}
        if not self._settings.publish_node_metrics:
            return Sample(at=at, tasks=tasks)
        memory = psutil.virtual_memory()
        return Sample(
            at=at,
            cores=tuple((one.user, one.system, one.idle) for one in psutil.cpu_times(percpu=True)),
            memory=(memory.total, memory.available, memory.used, memory.free),
            disks=tuple(_disks()),
            uptime_seconds=self._clock.wall() - psutil.boot_time(),
            tasks=tasks,
        )

    def _emit_allocations(self, node: Node, labels: tuple[str, ...], runners: Mapping[AllocID, AllocRunner]) -> None:
        emit = self._recorder.set
        found, tasks = counts(runners.values())
        ended = found.get(ClientStatus.COMPLETE, 0) + found.get(ClientStatus.FAILED, 0)
        emit(catalogue.ALLOCATIONS_PENDING, found.get(ClientStatus.PENDING, 0), labels)
        emit(catalogue.ALLOCATIONS_RUNNING, found.get(ClientStatus.RUNNING, 0), labels)
        emit(catalogue.ALLOCATIONS_TERMINAL, ended, labels)
        # Allocations neither wait for older ones nor move data here: always 0, as on a Nomad that does neither.
        emit(catalogue.ALLOCATIONS_BLOCKED, 0, labels)
        emit(catalogue.ALLOCATIONS_MIGRATING, 0, labels)
        emit(catalogue.TASKS_PENDING, tasks.get(TaskState.PENDING, 0), labels)
        emit(catalogue.TASKS_RUNNING, tasks.get(TaskState.RUNNING, 0), labels)
        emit(catalogue.TASKS_DEAD, tasks.get(TaskState.DEAD, 0), labels)
        self._emit_promises(node, labels, runners)

    def _emit_promises(self, node: Node, labels: tuple[str, ...], runners: Mapping[AllocID, AllocRunner]) -> None:
        emit = self._recorder.set
        cpu = memory = memory_max = disk = 0
        for runner in runners.values():
            if not runner.done:
                promised = promised_to(runner.alloc)
                cpu, memory = cpu + promised[0], memory + promised[1]
                memory_max, disk = memory_max + promised[2], disk + promised[3]
        has, kept = node.node_resources, node.reserved_resources
        emit(catalogue.ALLOCATED_CPU, cpu, labels)
        emit(catalogue.ALLOCATED_MEMORY, memory, labels)
        emit(catalogue.ALLOCATED_MAX_MEMORY, memory_max, labels)
        emit(catalogue.ALLOCATED_DISK, disk, labels)
        emit(catalogue.UNALLOCATED_CPU, has.cpu.cpu_shares - kept.cpu.cpu_shares - cpu, labels)
        emit(catalogue.UNALLOCATED_MEMORY, has.memory.memory_mb - kept.memory.memory_mb - memory, labels)
        emit(catalogue.UNALLOCATED_DISK, has.disk.disk_mb - kept.disk.disk_mb - disk, labels)
        for device, mbits in {network.device: network.mbits for network in has.networks}.items():
            emit(catalogue.UNALLOCATED_NETWORK, mbits, (*labels, device))

    def _emit_host(self, node: Node, labels: tuple[str, ...], sample: Sample) -> None:
        emit = self._recorder.set
        emit(catalogue.UPTIME, int(sample.uptime_seconds), labels)
        mhz = _core_mhz(node)
        for number, share in enumerate(core_shares(self._last, sample)):
            core = (*labels, f"cpu{number}")
            ticks = share.total / 100 * mhz
            emit(catalogue.HOST_CPU_USER, share.user, core)
            emit(catalogue.HOST_CPU_SYSTEM, share.system, core)
            emit(catalogue.HOST_CPU_IDLE, share.idle, core)
            emit(catalogue.HOST_CPU_TOTAL, share.total, core)
            emit(catalogue.HOST_CPU_TOTAL_PERCENT, share.total, core)
            emit(catalogue.HOST_CPU_TOTAL_TICKS, ticks, core)
            self._recorder.add(catalogue.HOST_CPU_TOTAL_TICKS_COUNT, ticks, core)
        if sample.memory is not None:
            total, available, used, free = sample.memory
            emit(catalogue.HOST_MEMORY_TOTAL, total, labels)
            emit(catalogue.HOST_MEMORY_AVAILABLE, available, labels)
            emit(catalogue.HOST_MEMORY_USED, used, labels)
            emit(catalogue.HOST_MEMORY_FREE, free, labels)
        for disk in sample.disks:
            of = (*labels, disk.device)
            emit(catalogue.HOST_DISK_SIZE, disk.size, of)
            emit(catalogue.HOST_DISK_USED, disk.used, of)
            emit(catalogue.HOST_DISK_AVAILABLE, disk.available, of)
            emit(catalogue.HOST_DISK_USED_PERCENT, disk.used_percent, of)
            emit(catalogue.HOST_DISK_INODES_PERCENT, disk.inodes_percent, of)

    def _emit_tasks(self, node: Node, runners: Mapping[AllocID, AllocRunner], sample: Sample) -> None:
        emit = self._recorder.set
        mhz = _core_mhz(node)
        for (alloc_id, name), usage in sample.tasks.items():
            runner = runners.get(alloc_id)
            if runner is None:
                continue
            alloc = runner.alloc
            labels = self._task_labels(alloc, name)
            before = self._last.tasks.get((alloc_id, name), usage)
            user, system = task_shares(before, usage, sample.at - self._last.at)
            ticks = (user + system) / 100 * mhz
            asked = alloc.task_resources.get(name)
            emit(catalogue.ALLOCS_CPU_ALLOCATED, asked.cpu if asked else 0, labels)
            emit(catalogue.ALLOCS_CPU_USER, user, labels)
            emit(catalogue.ALLOCS_CPU_SYSTEM, system, labels)
            emit(catalogue.ALLOCS_CPU_TOTAL_PERCENT, user + system, labels)
            emit(catalogue.ALLOCS_CPU_TOTAL_TICKS, ticks, labels)
            self._recorder.add(catalogue.ALLOCS_CPU_TOTAL_TICKS_COUNT, ticks, labels)
            # raw_exec holds nobody back; Nomad says 0 for it, too.
            emit(catalogue.ALLOCS_CPU_THROTTLED_PERIODS, 0, labels)
            emit(catalogue.ALLOCS_CPU_THROTTLED_TIME, 0, labels)
            emit(catalogue.ALLOCS_MEMORY_ALLOCATED, (asked.memory_mb if asked else 0) * MB, labels)
            emit(catalogue.ALLOCS_MEMORY_RSS, usage.rss_bytes, labels)
            emit(catalogue.ALLOCS_MEMORY_SWAP, usage.swap_bytes, labels)

    def _task_labels(self, alloc: Allocation, task: str) -> tuple[str, ...]:
        labels = _task_labels(alloc, task)
        if not self._settings.metadata_as_labels or alloc.job is None:
            return labels
        return labels + metadata_labels(alloc.job, alloc.task_group, task, self._settings.metadata_keys)


def promised_to(alloc: Allocation) -> tuple[int, int, int, int]:
    """Return what *alloc* was promised: MHz, MB, MB it may grow to, MB of disk."""
    tasks = alloc.task_resources.values()
    disk = alloc.shared_resources.disk_mb if alloc.shared_resources else 0
    return (
        sum(one.cpu for one in tasks),
        sum(one.memory_mb for one in tasks),
        sum(one.memory_max_mb or one.memory_mb for one in tasks),
        disk,
    )


def _node_labels(node: Node) -> tuple[str, ...]:
    return (
        node.datacenter,
        node.node_class or "none",
        node.id,
        node.node_pool,
        node.scheduling_eligibility,
        node.status,
    )


def _task_labels(alloc: Allocation, task: str) -> tuple[str, ...]:
    job = alloc.job
    name = job.name if job is not None else alloc.job_id
    parent = job.parent_id if job is not None else ""
    periodic = alloc.job_id.removeprefix(f"{parent}/") if parent else ""
    return (alloc.id, name, alloc.namespace, task, alloc.task_group, parent, periodic)


def _core_mhz(node: Node) -> float:
    cpu = node.node_resources.cpu
    return cpu.cpu_shares / cpu.total_cpu_cores if cpu.total_cpu_cores else 0.0


def _disks() -> list[Disk]:
    """Return the file systems on devices, each device once; none where the host does not list its mounts."""
    found: dict[str, Disk] = {}
    try:
        partitions = psutil.disk_partitions(all=False)
    except OSError:
        return []
    for partition in partitions:
        if partition.device in found:
            continue
        try:
            usage = psutil.disk_usage(partition.mountpoint)
        except OSError:  # unmounted since, or not for this user's eyes
            continue
        found[partition.device] = Disk(
            partition.device,
            usage.total,
            usage.used,
            usage.free,
            usage.percent,
            _inodes_percent(partition.mountpoint),
        )
    return list(found.values())


def _inodes_percent(path: str) -> float:
    try:
        room = os.statvfs(path)
    except OSError:
        return 0.0
    return 100 * (room.f_files - room.f_ffree) / room.f_files if room.f_files else 0.0
