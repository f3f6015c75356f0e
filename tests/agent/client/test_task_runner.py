"""The life of a task: the table, step by step, and what holds for every order of events."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.client.drivers.base import ExitResult, TaskHandle
from agent.client.task_runner import (
    AwaitExit,
    Begin,
    Count,
    DelayOver,
    Exited,
    Kill,
    Phase,
    SetupFailed,
    Signal,
    Started,
    StartFailed,
    StartTask,
    Tally,
    TaskLife,
    TaskRules,
    Wake,
    resume,
    step,
)
from agent.model.alloc import TASK_EVENTS_MAX
from agent.model.job import SECOND_NS, RestartPolicy
from telemetry.clock import ManualClock

HANDLE = TaskHandle(driver="raw_exec", task_id="a/main/0", pid=7, started_ticks=1)
POLICY = RestartPolicy(attempts=1, interval=30 * SECOND_NS, delay=2 * SECOND_NS, mode="fail")
SERVICE = TaskRules(policy=POLICY, restart_on_success=True, kill_signal="", kill_timeout_seconds=5.0)
BATCH = TaskRules(policy=POLICY, restart_on_success=False, kill_signal="SIGTERM", kill_timeout_seconds=5.0)


class Stage:
    """A life and the effects of its last step."""

    def __init__(self, rules=SERVICE, life=None):
        self.rules = rules
        self.life = life or TaskLife()
        self.clock = ManualClock(1_700_000_000.0)
        self.rng = random.Random(3)
        self.effects = ()

    def post(self, *events):
        for event in events:
            self.life, self.effects = step(self.rules, self.life, event, self.clock.wall(), self.rng)
        return self

    def resume(self, found):
        self.life, self.effects = resume(self.rules, self.life, found, self.clock.wall(), self.rng)
        return self

    @property
    def types(self):
        return [event.type for event in self.life.info.events]


def test_a_batch_task_runs_once_and_completes():
    """
    Begin, start, a good end: the task is dead and has not failed.
    """
    stage = Stage(BATCH).post(Begin())
    assert (StartTask(),) == stage.effects

    stage.post(Started(HANDLE))
    assert (AwaitExit(HANDLE), Count(Tally.RUNNING)) == stage.effects
    assert ("running", "2023-11-14T22:13:20.000000Z") == (stage.life.info.state, stage.life.info.started_at)

    stage.post(Exited(ExitResult()))

    assert (Count(Tally.COMPLETE),) == stage.effects
    assert ("dead", False) == (stage.life.info.state, stage.life.info.failed)
    assert ["Received", "Task Setup", "Started", "Terminated"] == stage.types
    assert "Exit Code: 0" == stage.life.info.events[-1].display_message


def test_a_failing_task_waits_restarts_and_then_fails():
    """
    Within its policy a task waits and starts again; beyond it, it has failed, which Nomad counts twice.
    """
    stage = Stage().post(Begin(), Started(HANDLE), Exited(ExitResult(3)))
    counted, wake = stage.effects
    assert Count(Tally.RESTART) == counted
    assert 2.0 <= wake.delay_seconds <= 2.5
    assert ("pending", 1) == (stage.life.info.state, stage.life.info.restarts)
    assert stage.life.info.events[-1].display_message.startswith("Task restarting in 2.")

    assert (StartTask(),) == stage.post(DelayOver()).effects

    stage.post(Started(HANDLE), Exited(ExitResult(3)))

    assert (Count(Tally.FAILED), Count(Tally.FAILED)) == stage.effects
    assert ("dead", True) == (stage.life.info.state, stage.life.info.failed)
    assert ["Restarting", "Started", "Terminated", "Not Restarting"] == stage.types[-4:]
    assert "2023-11-14T22:13:20.000000Z" == stage.life.info.finished_at


def test_a_running_task_is_asked_then_made_to_end():
    """
    A kill sends the task's signal, after the timeout SIGKILL, and the end is no failure.
    """
    stage = Stage().post(Begin(), Started(HANDLE), Kill())
    assert (Signal(HANDLE, "SIGINT"), Wake(5.0)) == stage.effects

    assert (Signal(HANDLE, "SIGKILL"),) == stage.post(DelayOver()).effects

    stage.post(Exited(ExitResult(137, 9)))

    assert (Count(Tally.COMPLETE),) == stage.effects
    assert (Phase.DEAD, False) == (stage.life.phase, stage.life.info.failed)
    assert ["Killing", "Terminated", "Killed"] == stage.types[-3:]
    assert "Exit Code: 137, Signal: 9" == stage.life.info.events[-2].display_message
    assert "Sent interrupt. Waiting 5s before force killing" == stage.life.info.events[-3].display_message


def test_a_kill_while_the_driver_starts_stops_what_it_has_started():
    """
    A task whose start cannot be called back is stopped as soon as it runs.
    """
    stage = Stage(BATCH).post(Begin(), Kill())
    assert (Phase.STARTING, ()) == (stage.life.phase, stage.effects)

    stage.post(Started(HANDLE))

    assert Phase.STOPPING is stage.life.phase
    assert (Signal(HANDLE, "SIGTERM"), Wake(5.0)) == stage.effects[-2:]
    assert AwaitExit(HANDLE) in stage.effects


def test_a_kill_while_the_start_fails_ends_without_a_failure():
    """
    A start that fails after the kill is not tried again and is no failure.
    """
    stage = Stage().post(Begin(), Kill(), StartFailed("no such command", recoverable=True))

    assert (Phase.DEAD, False) == (stage.life.phase, stage.life.info.failed)


@pytest.mark.parametrize("before", [[], [Begin(), Started(HANDLE), Exited(ExitResult(1))]])
def test_a_task_that_does_not_run_dies_at_once(before):
    """
    A kill before the first start, or while a restart is waited for, needs no signal.
    """
    stage = Stage().post(*before, Kill("Sibling Task Failed", 'Task\'s sibling "web" failed'))

    assert (Phase.DEAD, (Count(Tally.COMPLETE),)) == (stage.life.phase, stage.effects)
    assert ["Sibling Task Failed", "Killed"] == stage.types[-2:]


def test_a_start_that_fails_is_tried_again_within_the_policy():
    """
    A recoverable driver failure restarts, one that cannot be mended fails.
    """
    again = Stage().post(Begin(), StartFailed("busy", recoverable=True))
    never = Stage().post(Begin(), StartFailed("no such option", recoverable=False))

    assert Phase.WAITING is again.life.phase
    assert ["Driver Failure", "Restarting"] == again.types[-2:]
    assert (Phase.DEAD, True) == (never.life.phase, never.life.info.failed)
    assert "Error was unrecoverable" == never.life.info.events[-1].restart_reason


def test_a_setup_that_fails_fails_the_task():
    """
    Without its directories, or with parts this client lacks, a task fails and says why.
    """
    stage = Stage().post(Begin(), SetupFailed("no support for: templates"))

    assert (Phase.DEAD, True) == (stage.life.phase, stage.life.info.failed)
    assert ("Setup Failure", "no support for: templates") == (stage.types[-1], stage.life.info.events[-1].message)


def test_an_end_that_nobody_saw_is_a_failure():
    """
    A task whose exit is unknown is never taken for one that succeeded.
    """
    stage = Stage(BATCH).post(Begin(), Started(HANDLE), Exited(ExitResult(known=False)))

    assert Phase.WAITING is stage.life.phase
    assert "Exit status unknown" in stage.life.info.events[-2].display_message


def test_only_the_newest_events_are_kept():
    """
    A task that restarts for ever keeps as many events as Nomad does.
    """
    policy = RestartPolicy(attempts=100, interval=SECOND_NS * 3600, delay=0)
    stage = Stage(TaskRules(policy=policy, restart_on_success=True, kill_signal="", kill_timeout_seconds=5.0))
    stage.post(Begin())

    for _ in range(10):
        stage.post(Started(HANDLE), Exited(ExitResult(1)), DelayOver())

    assert TASK_EVENTS_MAX == len(stage.life.info.events)
    assert "Restarting" == stage.types[-1]


def test_a_running_task_that_is_found_again_is_awaited():
    """
    A new agent waits for the process that it found; for one it did not find the driver says how it ended.
    """
    running = Stage().post(Begin(), Started(HANDLE)).life

    found = Stage(life=running).resume(HANDLE)
    lost = Stage(life=running).resume(None)

    assert (Phase.RUNNING, (AwaitExit(HANDLE),)) == (found.life.phase, found.effects)
    assert (AwaitExit(HANDLE),) == lost.effects


def test_a_start_that_was_interrupted_is_taken_up_or_begun_again():
    """
    If the agent died between starting a task and noting it, the task is found by its driver and not started twice.
    """
    starting = Stage().post(Begin()).life

    found = Stage(life=starting).resume(HANDLE)
    lost = Stage(life=starting).resume(None)

    assert (Phase.RUNNING, "running") == (found.life.phase, found.life.info.state)
    assert (AwaitExit(HANDLE), Count(Tally.RUNNING)) == found.effects
    assert (StartTask(),) == lost.effects


def test_a_stop_that_was_interrupted_is_begun_again():
    """
    A task that was being stopped is signalled again by the next agent, with its whole time to end.
    """
    stopping = Stage().post(Begin(), Started(HANDLE), Kill()).life

    stage = Stage(life=stopping).resume(HANDLE)

    assert (AwaitExit(HANDLE), Signal(HANDLE, "SIGINT"), Wake(5.0)) == stage.effects


def test_a_restart_that_was_waited_for_keeps_its_time():
    """
    The rest of a delay, not the whole, is waited for by the next agent.
    """
    waiting = Stage().post(Begin(), Started(HANDLE), Exited(ExitResult(1))).life
    stage = Stage(life=waiting)
    stage.clock.advance(1.5)

    stage.resume(None)

    assert waiting.wake_at - stage.clock.wall() == stage.effects[0].delay_seconds
    assert 0.5 <= stage.effects[0].delay_seconds <= 1.0


EVENTS = st.sampled_from(
    [
        Begin(),
        Started(HANDLE),
        StartFailed("x", recoverable=True),
        StartFailed("x", recoverable=False),
        SetupFailed("x"),
        Exited(ExitResult()),
        Exited(ExitResult(1)),
        Exited(ExitResult(known=False)),
        DelayOver(),
        Kill(),
        Kill("Sibling Task Failed", "x"),
    ]
)


@given(st.lists(EVENTS, max_size=30), st.sampled_from([SERVICE, BATCH]), st.integers(0, 1000))
def test_what_holds_for_every_order_of_events(events, rules, seed):
    """
    In every order: the dead stay dead, a killed task is not started again, who runs has a handle and is awaited.
    """
    life, rng, awaited = TaskLife(), random.Random(seed), 0
    for number, event in enumerate(events):
        before = life
        life, effects = step(rules, life, event, 1_000.0 + number, rng)
        awaited += sum(isinstance(effect, AwaitExit) for effect in effects) - (
            isinstance(event, Exited) and life != before
        )
        assert before.phase is not Phase.DEAD or (life == before and effects == ())
        assert not (before.killed and any(isinstance(effect, StartTask) for effect in effects))
        assert (life.phase in {Phase.RUNNING, Phase.STOPPING}) == (life.handle is not None) == (awaited == 1)
        assert (life.phase is Phase.DEAD) == (life.info.state == "dead") == (life.info.finished_at is not None)
        assert (life.phase is Phase.WAITING) == (life.wake_at > 0)
        assert len(life.info.events) <= TASK_EVENTS_MAX
