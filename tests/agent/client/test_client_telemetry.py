"""What a client exports."""

import asyncio

import pytest

from agent.client.alloc_dir import Hook
from agent.client.drivers.base import TaskHandle, TaskUsage
from agent.client.task_runner import Tally
from agent.client.telemetry import ClientTelemetry, Sample, core_shares, promised_to, task_shares
from agent.model.alloc import TaskStateInfo
from agent.model.node import (
    Node,
    NodeCpu,
    NodeDisk,
    NodeMemory,
    NodeNetwork,
    NodeResources,
    ReservedCpu,
    ReservedResources,
)
from telemetry.catalogue import client as catalogue
from telemetry.clock import ManualClock
from telemetry.registry import Registry
from telemetry.scraped import read_exposition
from tests.agent.client.leader import allocation, settings_for

RESOURCES = NodeResources(
    cpu=NodeCpu(cpu_shares=4600, total_cpu_cores=2),
    memory=NodeMemory(memory_mb=1000),
    disk=NodeDisk(disk_mb=2000),
    networks=[NodeNetwork(device="lo", mbits=1000)],
)
NODE = Node(
    id="n1", status="ready", node_resources=RESOURCES, reserved_resources=ReservedResources(cpu=ReservedCpu(cpu_shares=100))
)  # fmt: skip
LABELS = ("dc1", "none", "n1", "default", "eligible", "ready")


class Kept:
    """A recorder that keeps the last value or observation and the sum of each series."""

    def __init__(self):
        self.values = {}

    def add(self, metric, amount=1.0, labels=(), expansion=""):
        assert len(labels) == len(metric.labels)
        self.values[metric, labels] = self.values.get((metric, labels), 0) + amount

    def set(self, metric, value, labels=(), expansion=""):
        assert len(labels) == len(metric.labels)
        self.values[metric, labels] = value

    def observe(self, metric, value, labels=(), expansion=""):
        self.set(metric, value, labels)


class Idle:
    """A runner stands still with one allocation."""

    def __init__(self, alloc, state="running", done=False):
        self.alloc = alloc
        self.done = done
        self.states = {"main": TaskStateInfo(state=state)}

    def handles(self):
        return {}


def collected(tmp_path, runners, **settings):
    recorder = Kept()
    telemetry = ClientTelemetry(settings_for(tmp_path, **settings), {}, recorder, ManualClock())
    asyncio.run(telemetry.collect(NODE, runners))
    return recorder.values


@pytest.mark.parametrize("disabled", [False, True], ids=["measured", "switched off"])
def test_a_hook_is_measured_in_milliseconds_unless_that_is_switched_off(tmp_path, disabled):
    """
    Time and success carry the node and the hook.
    """
    registry = Registry(ManualClock())
    telemetry = ClientTelemetry(settings_for(tmp_path, disable_hook_metrics=disabled), {}, registry, ManualClock())

    for hook, seconds in ((Hook.ALLOC_DIR, 0.5), (Hook.TASK_DIR, 0.25), (Hook.TASK_DIR, 0.25)):
        telemetry.hook(NODE, allocation("n1", {}), hook, seconds)

    scrape = read_exposition(registry.exposition().decode())
    found = {
        (name, sample.labels["hook_name"]): sample.value
        for name in scrape.names
        if name.startswith("nomad_client_")
        for sample in scrape.of(name)
        if "quantile" not in sample.labels
    }
    wanted = {
        ("nomad_client_alloc_hook_prerun_elapsed_sum", "alloc_dir"): 500.0,
        ("nomad_client_alloc_hook_prerun_elapsed_count", "alloc_dir"): 1.0,
        ("nomad_client_alloc_hook_prerun_success", "alloc_dir"): 1.0,
        ("nomad_client_task_hook_prestart_elapsed_sum", "task_dir"): 500.0,
        ("nomad_client_task_hook_prestart_elapsed_count", "task_dir"): 2.0,
        ("nomad_client_task_hook_prestart_success", "task_dir"): 2.0,
    }
    assert ({} if disabled else wanted) == found


def test_promises_and_what_is_left_are_told(tmp_path):
    """
    What live allocations were promised is taken off what the node has beyond its reserve.
    """
    alloc = allocation("n1", {})

    values = collected(tmp_path, {"a": Idle(alloc), "b": Idle(alloc, "dead", done=True)})

    assert (100, 4600 - 100 - 100) == (
        values[catalogue.ALLOCATED_CPU, LABELS],
        values[catalogue.UNALLOCATED_CPU, LABELS],
    )
    assert (64, 936) == (values[catalogue.ALLOCATED_MEMORY, LABELS], values[catalogue.UNALLOCATED_MEMORY, LABELS])
    assert (300, 1700) == (values[catalogue.ALLOCATED_DISK, LABELS], values[catalogue.UNALLOCATED_DISK, LABELS])
    assert 1000 == values[catalogue.UNALLOCATED_NETWORK, (*LABELS, "lo")]
    assert (100, 64, 64, 300) == promised_to(alloc)


def test_allocations_and_tasks_are_counted_by_state(tmp_path):
    """
    Running, pending and ended allocations stand apart; what cannot happen here is 0, not absent.
    """
    alloc = allocation("n1", {})
    runners = {"a": Idle(alloc), "b": Idle(alloc, "dead"), "c": Idle(alloc, "pending"), "d": Idle(alloc, "pending")}

    values = collected(tmp_path, runners)

    counted = (
        catalogue.ALLOCATIONS_RUNNING, catalogue.ALLOCATIONS_TERMINAL, catalogue.ALLOCATIONS_PENDING,
        catalogue.ALLOCATIONS_BLOCKED, catalogue.ALLOCATIONS_MIGRATING,
        catalogue.TASKS_RUNNING, catalogue.TASKS_DEAD, catalogue.TASKS_PENDING,
    )  # fmt: skip
    assert [1, 1, 2, 0, 0, 1, 1, 2] == [values[metric, LABELS] for metric in counted]


def test_the_host_is_published_only_on_request(tmp_path):
    """
    Host series are there with publish_node_metrics and absent without.
    """
    without = {metric for metric, _ in collected(tmp_path, {})}
    published = {metric for metric, _ in collected(tmp_path, {}, publish_node_metrics=True)}

    host = {catalogue.UPTIME, catalogue.HOST_MEMORY_TOTAL, catalogue.HOST_MEMORY_AVAILABLE, catalogue.HOST_MEMORY_FREE}
    assert not without & host
    assert host <= published


def test_a_core_is_shared_between_user_system_and_idle():
    """
    Shares are percent of the time between two samples; a core without any time counts as idle.
    """
    before = Sample(at=0.0, cores=((10.0, 5.0, 100.0), (1.0, 1.0, 1.0)))
    after = Sample(at=10.0, cores=((12.0, 6.0, 107.0), (1.0, 1.0, 1.0)))

    first, second = core_shares(before, after)

    assert (20.0, 10.0, 70.0, 30.0) == (first.user, first.system, first.idle, first.total)
    assert (100.0, 0.0) == (second.idle, second.total)


@pytest.mark.parametrize(
    ("before", "after", "seconds", "shares"),
    [
        ((1.0, 1.0), (2.0, 1.5), 2.0, (50.0, 25.0)),
        ((5.0, 5.0), (2.0, 6.0), 1.0, (0.0, 100.0)),
        ((1.0, 1.0), (2.0, 1.5), 0.0, (0.0, 0.0)),
    ],
)
def test_a_tasks_share_is_never_negative(before, after, seconds, shares):
    """
    A task's CPU is percent of one core; processes that left do not make it negative.
    """
    assert shares == task_shares(TaskUsage(*before), TaskUsage(*after), seconds)


class Measured(Idle):
    """A runner whose task is known to its driver."""

    def handles(self):
        return {"main": TaskHandle("raw_exec", "t-1")}


class Says:
    """A driver that says the same of every task."""

    name = "raw_exec"

    def usages(self, handles):
        return {handle.task_id: TaskUsage(1.0, 0.5, rss_bytes=2048, swap_bytes=1024) for handle in handles}


@pytest.mark.parametrize(("settings", "rss"), [({}, None), ({"publish_allocation_metrics": True}, 2048)])
def test_tasks_are_measured_only_on_request(tmp_path, settings, rss):
    """
    CPU and memory of a task are there with publish_allocation_metrics and absent without.
    """
    recorder = Kept()
    alloc = allocation("n1", {})
    telemetry = ClientTelemetry(settings_for(tmp_path, **settings), {"raw_exec": Says()}, recorder, ManualClock())

    asyncio.run(telemetry.collect(NODE, {alloc.id: Measured(alloc)}))

    labels = (alloc.id, "web", "default", "main", "app", "", "")
    assert rss == recorder.values.get((catalogue.ALLOCS_MEMORY_RSS, labels))
    assert (rss is None) == ((catalogue.ALLOCS_CPU_USER, labels) not in recorder.values)


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({}, ()),
        ({"metadata_keys": ("owner",)}, ()),
        ({"metadata_as_labels": True}, ("owner", "core", "tier", "2")),
        ({"metadata_as_labels": True, "metadata_keys": ("owner",)}, ("owner", "core")),
    ],
    ids=["default", "keys alone", "all", "those allowed"],
)
def test_metadata_is_a_label_on_request(tmp_path, settings, labels):
    """
    Off by default; a list of keys limits it and does not switch it on.
    """
    registry = Registry(ManualClock())
    telemetry = ClientTelemetry(settings_for(tmp_path, **settings), {}, registry, ManualClock())
    alloc = allocation("n1", {}, meta={"owner": "core", "tier": "2"})

    telemetry.tally(alloc, "main", Tally.RUNNING)

    (row,) = registry.in_memory()["Counters"]
    own = {"alloc_id": alloc.id, "job": "web", "namespace": "default", "task": "main", "task_group": "app"}
    assert own | dict(zip(labels[::2], labels[1::2], strict=True)) == row["Labels"]


def test_moments_of_a_task_carry_its_labels(tmp_path):
    """
    Counters of a task carry allocation, job, task and group, and nothing for a job without a parent.
    """
    recorder = Kept()
    telemetry = ClientTelemetry(settings_for(tmp_path), {}, recorder, ManualClock())
    alloc = allocation("n1", {})

    telemetry.tally(alloc, "main", Tally.RUNNING)
    telemetry.tally(alloc, "main", Tally.RUNNING)

    assert {(catalogue.ALLOCS_RUNNING, (alloc.id, "web", "default", "main", "app", "", "")): 2} == recorder.values
