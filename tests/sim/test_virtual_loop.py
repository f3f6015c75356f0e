"""The loop under the simulated agents."""

import asyncio

import pytest

from telemetry.clock import ManualClock
from tests.sim.virtual_loop import VirtualLoop


@pytest.fixture
def clock():
    return ManualClock(0.0)


@pytest.fixture
def loop(clock):
    return VirtualLoop(clock)


def run(loop, clock, until):
    """Turn the loop at each of its deadlines."""
    while (due := loop.next_deadline()) <= until:
        clock.advance(max(0.0, due - clock.monotonic()))
        loop.turn()


def test_timers_run_at_their_time_and_in_order(loop, clock):
    """
    What sleeps wakes at its time by the clock, the first to sleep first among equals.
    """
    seen = []

    async def sleep(name, seconds):
        await asyncio.sleep(seconds)
        seen.append((clock.monotonic(), name))

    for name, seconds in (("late", 3.0), ("first", 1.0), ("second", 1.0)):
        loop.create_task(sleep(name, seconds))
    run(loop, clock, 10.0)

    assert [(1.0, "first"), (1.0, "second"), (3.0, "late")] == seen
    assert float("inf") == loop.next_deadline()


def test_a_loop_that_nobody_turned_finds_its_timers_overdue(loop, clock):
    """
    After a pause everything that came due meanwhile runs at once, and a wait that ended says so.
    """
    seen = []

    async def wait():
        try:
            async with asyncio.timeout(2.0):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append(clock.monotonic())

    loop.create_task(wait())
    loop.turn()
    clock.advance(15.0)
    loop.turn()

    assert [15.0] == seen


def test_functions_for_a_pool_run_at_once(loop, clock):
    """
    What is meant for a thread is done when its task goes on, and its error is raised there.
    """
    seen = []

    async def work():
        seen.append(await asyncio.to_thread(sum, [1, 2]))
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        seen.append("refused")

    loop.create_task(work())
    loop.turn()

    assert [3, "refused"] == seen


def test_an_ended_loop_has_cancelled_its_tasks(loop, clock):
    """
    Each task sees its end, so that none is left for the collector of garbage.
    """
    ended = []

    async def wait():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(asyncio.current_task().get_name())

    loop.create_task(wait(), name="one")
    loop.turn()
    loop.end()

    assert ["one"] == ended
    assert loop.is_closed()


def test_a_task_that_never_waits_is_found(loop, clock):
    """
    A busy task fails the turn instead of hanging the simulation.
    """

    async def spin():
        while True:  # noqa: ASYNC110 - that is the point
            await asyncio.sleep(0)

    loop.create_task(spin())

    with pytest.raises(AssertionError, match="does not wait"):
        loop.turn()
    loop.end()
