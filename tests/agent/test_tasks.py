"""Tasks whose failure is never silent."""

import asyncio
import logging

from agent import tasks as module
from agent.tasks import Tasks
from telemetry.catalogue import outrider
from telemetry.recorder import NullRecorder

LOGGER = logging.getLogger("test.tasks")


class Counted(NullRecorder):
    """Keeps what was added."""

    def __init__(self):
        self.added = {}

    def add(self, metric, amount=1.0, labels=(), expansion=""):
        self.added[(metric.name, *labels)] = self.added.get((metric.name, *labels), 0.0) + amount


def test_a_failed_task_is_logged_counted_and_begun_again(caplog, monkeypatch):
    """
    With restart a bug costs a pause, not the part.
    """
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    recorder = Counted()
    runs = []

    async def work():
        runs.append(len(runs))
        if len(runs) < 3:
            raise ValueError("broken")

    async def scenario():
        await Tasks(LOGGER, recorder).spawn("part: 7", work, restart=True)

    asyncio.run(scenario())

    assert [0, 1, 2] == runs
    assert {(outrider.TASK_FAILURES_TOTAL.name, "part"): 2.0} == recorder.added
    assert 2 == caplog.text.count("task failed: task=part: 7")


def test_a_failed_task_without_restart_ends(caplog):
    """
    It is counted once; the count is there before the first failure.
    """
    recorder = Counted()

    async def work():
        assert {(outrider.TASK_FAILURES_TOTAL.name, "part"): 0.0} == recorder.added
        raise ValueError("broken")

    async def scenario():
        tasks = Tasks(LOGGER, recorder)
        await tasks.spawn("part", work)
        return tasks.failures

    assert 1 == asyncio.run(scenario())
    assert {(outrider.TASK_FAILURES_TOTAL.name, "part"): 1.0} == recorder.added


def test_cancelling_ends_all_but_the_caller():
    """
    One of the tasks may cancel the others, and itself goes on.
    """

    async def scenario():
        tasks, ended = Tasks(LOGGER, NullRecorder()), []

        async def waits():
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("waits")

        async def cancels():
            await asyncio.sleep(0)
            await tasks.cancel()
            ended.append("cancels")

        tasks.spawn("waits", waits)
        await tasks.spawn("cancels", cancels)
        await tasks.cancel()
        return ended

    assert ["waits", "cancels"] == asyncio.run(scenario())
