"""Allocations in step with the servers: a client's two loops against a scripted leader, with tasks that run nothing."""

import asyncio
import contextlib
import logging
import random
from collections import Counter

import msgspec

from agent.client.alloc_dir import Hook
from agent.client.allocs import AllocSync
from agent.client.drivers.mock import MockDriver
from agent.client.runner import RunnerContext
from agent.client.state import StateStore
from agent.errors import NoClusterLeader, UnknownOutcome
from agent.model.node import Node
from agent.rpc.methods import ALLOC_GET_ALLOCS, NODE_GET_CLIENT_ALLOCS, NODE_UPDATE_ALLOC, NodeClientAllocsResponse
from agent.tasks import Tasks
from telemetry.clock import SystemClock
from telemetry.recorder import NullRecorder
from tests.agent.client.leader import Leader, allocation, eventually, settings_for

LOGGER = logging.getLogger("test.allocs")
FOR_EVER = {"run_for": "1h"}


class Direct(Leader):
    """A leader that is called without a wire, and can be told to fail."""

    def __init__(self):
        super().__init__()
        self.errors = {}
        self.requests = []

    async def call(self, method, request, timeout_seconds):
        self.requests.append((method, request))
        if self.errors.get(method):
            raise self.errors[method].pop(0)
        return await self.dispatch(method, request, "test")

    def asked(self, method):
        return [request for one, request in self.requests if one is method]


@contextlib.asynccontextmanager
async def syncing(tmp_path, leader, hooks=None):
    background = Tasks(LOGGER, NullRecorder())
    context = RunnerContext(
        settings=settings_for(tmp_path),
        drivers={"mock_driver": MockDriver()},
        store=StateStore(tmp_path / "client", LOGGER),
        node=lambda: Node(id="n1"),
        clock=SystemClock(),
        rng=random.Random(5),
        logger=LOGGER,
        background=background,
        on_change=lambda alloc: sync.queue(alloc),  # noqa: PLW0108 - sync is made below, of this
        on_tally=lambda alloc, name, tally: None,
        on_hook=lambda alloc, hook, seconds: None if hooks is None else hooks.append((hook, seconds)),
    )
    sync = AllocSync("n1", leader, context, random.Random(5))
    background.spawn("watch", sync.watch)
    background.spawn("push", sync.push)
    try:
        yield sync
        assert 0 == background.failures
    finally:
        await background.cancel()


def test_the_first_question_goes_to_the_leader_and_later_ones_to_anybody(tmp_path):
    """
    Until the leader has said what is wanted, no server that lags behind may decide; afterwards any may answer.
    """

    async def run():
        leader = Direct()
        async with syncing(tmp_path, leader):
            await leader.put(allocation("n1", FOR_EVER, driver="mock_driver"))
            await leader.until(lambda: len(leader.asked(NODE_GET_CLIENT_ALLOCS)) > 1)
            return leader

    leader = asyncio.run(run())

    first, second = leader.asked(NODE_GET_CLIENT_ALLOCS)[:2]
    assert (0, False) == (first.min_query_index, first.allow_stale)
    assert (leader.index, True) == (second.min_query_index, second.allow_stale)


def test_a_server_that_lags_behind_does_not_end_tasks(tmp_path):
    """
    An answer from before what is known already is not taken for the removal of everything since.
    """

    async def run():
        leader = Direct()
        alloc = allocation("n1", FOR_EVER, driver="mock_driver")
        async with syncing(tmp_path, leader) as sync:
            await leader.put(alloc)
            await leader.until_status(alloc.id, "running")
            honest = leader.node_getclientallocs

            async def behind(request):
                leader.node_getclientallocs = honest
                return NodeClientAllocsResponse(index=1, allocs={})

            leader.node_getclientallocs = behind
            before = len(leader.asked(NODE_GET_CLIENT_ALLOCS))
            leader.index += 1
            async with leader.news:
                leader.news.notify_all()
            await eventually(lambda: len(leader.asked(NODE_GET_CLIENT_ALLOCS)) > before + 1)
            return next(iter(sync.runners.values())).states["main"].state

    assert "running" == asyncio.run(run())


def test_directories_are_made_once_for_an_allocation_and_once_for_each_task(tmp_path):
    """
    Each is a hook that took some time; a task that needs what is not there begins none.
    """

    async def run(**task):
        leader, hooks = Direct(), []
        alloc = allocation("n1", FOR_EVER, driver="mock_driver", **task)
        (group,) = alloc.job.task_groups
        second = msgspec.structs.replace(group.tasks[0], name="beside")
        group = msgspec.structs.replace(group, tasks=[*group.tasks, second])
        alloc = msgspec.structs.replace(alloc, job=msgspec.structs.replace(alloc.job, task_groups=[group]))
        async with syncing(tmp_path, leader, hooks):
            await leader.put(alloc)
            await leader.until_status(alloc.id, "failed" if task else "running")
        return hooks

    hooks = asyncio.run(run())

    assert {Hook.ALLOC_DIR: 1, Hook.TASK_DIR: 2} == Counter(hook for hook, _ in hooks)
    assert Hook.ALLOC_DIR is hooks[0][0]
    assert all(0 < seconds < 5 for _, seconds in hooks)
    assert [] == asyncio.run(run(alloc_id="22222222-0000-4000-8000-000000000001", vault={"Policies": ["x"]}))


def test_only_changed_allocations_are_fetched(tmp_path):
    """
    A second allocation is fetched alone.
    """

    async def run():
        leader = Direct()
        one = allocation("n1", FOR_EVER, driver="mock_driver")
        two = msgspec.structs.replace(one, id="11111111-0000-4000-8000-000000000002")
        async with syncing(tmp_path, leader):
            await leader.put(one)
            await leader.until_status(one.id, "running")
            await leader.put(two)
            await leader.until_status(two.id, "running")
            return [request.alloc_ids for request in leader.asked(ALLOC_GET_ALLOCS)], one.id, two.id

    fetched, one, two = asyncio.run(run())

    assert [[one], [two]] == fetched


def test_changes_go_out_together_and_survive_a_lost_answer(tmp_path):
    """
    What the servers did not confirm is told again, in its newest form, without the job that they have anyway.
    """

    async def run():
        leader = Direct()
        leader.errors[NODE_UPDATE_ALLOC] = [UnknownOutcome("lost"), NoClusterLeader()]
        alloc = allocation("n1", FOR_EVER, driver="mock_driver")
        async with syncing(tmp_path, leader) as sync:
            await leader.put(alloc)
            told = await leader.until_status(alloc.id, "running")
            await eventually(lambda: sync.queue_depth == 0)
            return leader, told

    leader, told = asyncio.run(run())

    assert told.job is None
    requests = leader.asked(NODE_UPDATE_ALLOC)
    assert 3 == len(requests)
    assert ["running"] * 3 == [request.allocs[0].client_status for request in requests]


def test_an_end_that_the_servers_no_longer_know_is_told_again(tmp_path):
    """
    A restored snapshot from before a stop brings back an allocation that shall run: the client has ended it.
    """

    async def run():
        leader = Direct()
        alloc = allocation("n1", FOR_EVER, driver="mock_driver")
        async with syncing(tmp_path, leader):
            await leader.put(alloc)
            running = await leader.until_status(alloc.id, "running")
            await leader.put(msgspec.structs.replace(alloc, desired_status="stop"))
            await leader.until_status(alloc.id, "complete")
            leader.told.clear()
            await leader.put(msgspec.structs.replace(alloc, client_status=running.client_status))
            return await leader.until_status(alloc.id, "complete")

    assert "complete" == asyncio.run(run()).client_status


def test_an_allocation_that_was_stopped_before_it_began_is_told_complete(tmp_path):
    """
    The servers wait for the client's word even on what it never ran.
    """

    async def run():
        leader = Direct()
        alloc = msgspec.structs.replace(allocation("n1", FOR_EVER, driver="mock_driver"), desired_status="stop")
        async with syncing(tmp_path, leader) as sync:
            await leader.put(alloc)
            told = await leader.until_status(alloc.id, "complete")
            return told, len(sync.runners)

    told, runners = asyncio.run(run())

    assert ("Stopped before this client had begun it", 0) == (told.client_description, runners)


def test_a_failed_task_takes_its_siblings_along(tmp_path):
    """
    When one task of a group fails for good, the others are ended and the allocation has failed.
    """

    async def run():
        leader = Direct()
        alloc = allocation("n1", {"run_for": "50ms", "exit_code": 2}, driver="mock_driver")
        group = alloc.job.task_groups[0]
        sibling = msgspec.structs.replace(group.tasks[0], name="other", config=FOR_EVER)
        job = msgspec.structs.replace(
            alloc.job, task_groups=[msgspec.structs.replace(group, tasks=[*group.tasks, sibling])]
        )
        async with syncing(tmp_path, leader) as sync:
            await leader.put(msgspec.structs.replace(alloc, job=job))
            await leader.until_status(alloc.id, "failed")
            await eventually(lambda: sync.runners[alloc.id].done)
            return sync.runners[alloc.id].states

    states = asyncio.run(run())

    assert (True, False) == (states["main"].failed, states["other"].failed)
    assert "Sibling Task Failed" in [event.type for event in states["other"].events]


def test_a_task_that_cannot_be_given_what_it_asks_for_fails_and_says_so(tmp_path):
    """
    Templates, unknown drivers and bad configurations fail the task with the reason in its events.
    """

    async def reason(number, **task):
        leader = Direct()
        alloc = allocation("n1", task.pop("config", {}), **{"driver": "mock_driver", **task})
        async with syncing(tmp_path / str(number), leader):
            await leader.put(alloc)
            told = await leader.until_status(alloc.id, "failed")
            return next(event for event in told.task_states["main"].events if event.type.endswith("Failure"))

    async def run():
        return [
            await reason(1, templates=[{}]),
            await reason(2, driver="docker"),
            await reason(3, config={"run_for": "soon"}),
            await reason(4, config={"start_error": "no room"}),
        ]

    templates, driver, config, start = asyncio.run(run())

    assert ("Setup Failure", "this client has no support for: templates") == (templates.type, templates.message)
    assert ("Setup Failure", "this client has no driver 'docker'") == (driver.type, driver.message)
    assert '"soon" is no duration' in config.driver_error
    assert ("Driver Failure", "no room") == (start.type, start.driver_error)
