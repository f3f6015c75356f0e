"""The life of a task as a table: phase and event → next phase and effects. No clock, no I/O.

    NEW ──Begin──▶ STARTING ──Started──▶ RUNNING ──Exited──▶ WAITING ──DelayOver──▶ STARTING
                      │  StartFailed ─────────────────────────▲│                      │
                      │                      └─ policy spent ──┼▶ DEAD ◀─ Exited ─ STOPPING ◀─ Kill (any)
                      └─ SetupFailed ──────────────────────────┴▶ DEAD

The shell (`runner`) saves the life after each step and before it carries out the effects, so that an agent that is
killed between the two finds out, when it is back, how far it got.
Source: Nomad, client/allocrunner/taskrunner/task_runner.go; the words of the events are Nomad's.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import msgspec

from agent.client.drivers.base import ExitResult, TaskHandle
from agent.client.restarts import Decision, Outcome, RestartTracker, decide
from agent.config.units import format_duration
from agent.model.alloc import TASK_EVENTS_MAX, TaskEvent, TaskState, TaskStateInfo
from agent.model.job import RestartPolicy
from agent.model.times import rfc3339

NS = 1_000_000_000

KILL_SIGNAL_DEFAULT = "SIGINT"
FORCE_SIGNAL = "SIGKILL"


class Phase(Enum):
    """Where a task is; finer than what the servers are told (`TaskState`)."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPING = "stopping"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class TaskRules:
    """What of a job rules the life of one task."""

    policy: RestartPolicy
    restart_on_success: bool
    kill_signal: str
    kill_timeout_seconds: float


class TaskLife(msgspec.Struct, frozen=True):
    """Everything that must survive a restart of the agent. `wake_at` is wall seconds, for WAITING."""

    phase: Phase = Phase.NEW
    info: TaskStateInfo = TaskStateInfo()
    restarts: RestartTracker = RestartTracker()
    handle: TaskHandle | None = None
    killed: bool = False
    wake_at: float = 0.0


# --- Events -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """Start the task for the first time."""


@dataclass(frozen=True, slots=True)
class Started:
    """The driver runs it."""

    handle: TaskHandle


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The driver could not run it."""

    message: str
    recoverable: bool


@dataclass(frozen=True, slots=True)
class SetupFailed:
    """What the task needs beside its driver could not be made; another try would fail likewise."""

    message: str


@dataclass(frozen=True, slots=True)
class Exited:
    """It ended."""

    result: ExitResult


@dataclass(frozen=True, slots=True)
class DelayOver:
    """The delay before a restart, or the time to end by itself, is over."""


@dataclass(frozen=True, slots=True)
class Kill:
    """It is no longer wanted. `why` and `message` become an event before the killing, unless empty."""

    why: str = ""
    message: str = ""


Event = Begin | Started | StartFailed | SetupFailed | Exited | DelayOver | Kill

# --- Effects ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartTask:
    """Make the directories and start the driver; answer with Started, StartFailed or SetupFailed."""


@dataclass(frozen=True, slots=True)
class AwaitExit:
    """Wait for the task's end; answer with Exited."""

    handle: TaskHandle


@dataclass(frozen=True, slots=True)
class Wake:
    """Answer with DelayOver after a while; a later Wake, or the task's death, replaces this one."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a signal, by its name, to all processes of the task."""

    handle: TaskHandle
    name: str


class Tally(Enum):
    """What is counted in a task's life."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Count:
    """Count one of these."""

    tally: Tally


Effect = StartTask | AwaitExit | Wake | Signal | Count
Step = tuple[TaskLife, tuple[Effect, ...]]


@dataclass(frozen=True, slots=True)
class _At:
    """The surroundings of one step."""

    rules: TaskRules
    now: float
    rng: random.Random


def step(rules: TaskRules, life: TaskLife, event: Event, now: float, rng: random.Random) -> Step:
    """Return the life after *event* at *now*, wall seconds, and what is to be done.

    An event that means nothing in this phase, such as the timer of a task that is dead by now, changes nothing.
    """
    handler = _TABLE.get((life.phase, type(event)))
    return handler(_At(rules, now, rng), life, event) if handler is not None else (life, ())


def resume(rules: TaskRules, life: TaskLife, found: TaskHandle | None, now: float, rng: random.Random) -> Step:
    """Return how a life goes on in a new agent, for which the driver has *found* the task again, or not.

    A task that is not found although it ran ended unseen: that is taken for a failure, never for a success.
    """
    match life.phase:
        case Phase.NEW | Phase.DEAD:
            return life, ()
        case Phase.WAITING:
            return life, (Wake(max(0.0, life.wake_at - now)),)
        case Phase.STARTING:
            return (life, (StartTask(),)) if found is None else step(rules, life, Started(found), now, rng)
        case Phase.RUNNING | Phase.STOPPING if found is None:
            return life, (AwaitExit(life.handle or TaskHandle(driver="", task_id="")),)
        case Phase.STOPPING:
            # Whether the signal was sent is not known; the time to end by itself begins anew.
            life, effects = _stop(_At(rules, now, rng), _with(life, handle=found))
            return life, (AwaitExit(found), *effects)
        case Phase.RUNNING:
            return _with(life, handle=found), (AwaitExit(found),)


# --- The table --------------------------------------------------------------------------------------------------


def _begin(at: _At, life: TaskLife, _event: Event) -> Step:
    info = _note(life.info, at.now, "Received", display="Task received by client")
    setup = "Building Task Directory"
    info = _note(info, at.now, "Task Setup", message=setup, display=setup, details={"message": setup})
    return _with(life, phase=Phase.STARTING, info=info), (StartTask(),)


def _started(at: _At, life: TaskLife, event: Event) -> Step:
    assert isinstance(event, Started)
    info = _note(life.info, at.now, "Started", display="Task started by client")
    info = msgspec.structs.replace(info, state=TaskState.RUNNING, started_at=rfc3339(at.now))
    life = _with(life, phase=Phase.RUNNING, info=info, handle=event.handle)
    effects: tuple[Effect, ...] = (AwaitExit(event.handle), Count(Tally.RUNNING))
    if not life.killed:
        return life, effects
    life, more = _stop(at, life)
    return life, effects + more


def _start_failed(at: _At, life: TaskLife, event: Event) -> Step:
    assert isinstance(event, StartFailed)
    info = _note(life.info, at.now, "Driver Failure", display=event.message, driver_error=event.message)
    life = _with(life, info=info)
    if life.killed:
        return _die(at, life, failed=False)
    return _after_end(at, life, Outcome.START_FAILED if event.recoverable else Outcome.START_FAILED_FOR_GOOD)


def _setup_failed(at: _At, life: TaskLife, event: Event) -> Step:
    assert isinstance(event, SetupFailed)
    info = _note(life.info, at.now, "Setup Failure", message=event.message, display=event.message, fails_task=True)
    return _die(at, _with(life, info=info), failed=True)


def _exited(at: _At, life: TaskLife, event: Event) -> Step:
    assert isinstance(event, Exited)
    life = _with(life, info=_terminated(life.info, at.now, event.result), handle=None)
    return _after_end(at, life, Outcome.SUCCESS if event.result.successful else Outcome.FAILURE)


def _exited_while_stopping(at: _At, life: TaskLife, event: Event) -> Step:
    assert isinstance(event, Exited)
    info = _terminated(life.info, at.now, event.result)
    info = _note(info, at.now, "Killed", display="Task successfully killed")
    return _die(at, _with(life, info=info, handle=None), failed=False)


def _delay_over(_at: _At, life: TaskLife, _event: Event) -> Step:
    return _with(life, phase=Phase.STARTING, wake_at=0.0), (StartTask(),)


def _kill_not_running(at: _At, life: TaskLife, event: Event) -> Step:
    info = _note(_announced(at, life, event), at.now, "Killed", display="Task successfully killed")
    return _die(at, _with(life, info=info, killed=True), failed=False)


def _kill_starting(at: _At, life: TaskLife, event: Event) -> Step:
    # The driver is at it and cannot be called back; what it starts is stopped as soon as it says so.
    return _with(life, info=_announced(at, life, event), killed=True), ()


def _kill_running(at: _At, life: TaskLife, event: Event) -> Step:
    return _stop(at, _with(life, info=_announced(at, life, event), killed=True))


def _force(_at: _At, life: TaskLife, _event: Event) -> Step:
    return life, () if life.handle is None else (Signal(life.handle, FORCE_SIGNAL),)


_TABLE: Mapping[tuple[Phase, type], Callable[[_At, TaskLife, Event], Step]] = MappingProxyType(
    {
        (Phase.NEW, Begin): _begin,
        (Phase.NEW, Kill): _kill_not_running,
        (Phase.STARTING, Started): _started,
        (Phase.STARTING, StartFailed): _start_failed,
        (Phase.STARTING, SetupFailed): _setup_failed,
        (Phase.STARTING, Kill): _kill_starting,
        (Phase.RUNNING, Exited): _exited,
        (Phase.RUNNING, Kill): _kill_running,
        (Phase.WAITING, DelayOver): _delay_over,
        (Phase.WAITING, Kill): _kill_not_running,
        (Phase.STOPPING, Exited): _exited_while_stopping,
        (Phase.STOPPING, DelayOver): _force,
    }
)


# --- Parts of steps ---------------------------------------------------------------------------------------------


def _after_end(at: _At, life: TaskLife, outcome: Outcome) -> Step:
    """Restart, complete or fail, as the restart policy says."""
    rules = at.rules
    verdict = decide(
        rules.policy, life.restarts, outcome, restart_on_success=rules.restart_on_success, now=at.now, rng=at.rng
    )
    life = _with(life, restarts=verdict.tracker)
    match verdict.decision:
        case Decision.COMPLETE:
            return _die(at, life, failed=False)
        case Decision.FAIL:
            info = _note(
                life.info,
                at.now,
                "Not Restarting",
                display=verdict.reason,
                restart_reason=verdict.reason,
                fails_task=True,
                details={"restart_reason": verdict.reason, "fails_task": "true"},
            )
            return _die(at, _with(life, info=info), failed=True)
        case Decision.RESTART:
            return _restart(at, life, verdict.reason, verdict.delay_seconds)


def _restart(at: _At, life: TaskLife, reason: str, delay_seconds: float) -> Step:
    delay = round(delay_seconds * NS)
    info = _note(
        life.info,
        at.now,
        "Restarting",
        display=f"Task restarting in {format_duration(delay_seconds)}",
        restart_reason=reason,
        start_delay=delay,
        details={"restart_reason": reason, "start_delay": str(delay)},
    )
    info = msgspec.structs.replace(
        info, state=TaskState.PENDING, restarts=info.restarts + 1, last_restart=rfc3339(at.now)
    )
    life = _with(life, phase=Phase.WAITING, info=info, wake_at=at.now + delay_seconds)
    return life, (Count(Tally.RESTART), Wake(delay_seconds))


def _stop(at: _At, life: TaskLife) -> Step:
    """Ask a running task to end, and set the time after which it is made to."""
    rules = at.rules
    timeout = round(rules.kill_timeout_seconds * NS)
    info = _note(
        life.info,
        at.now,
        "Killing",
        display=f"Sent interrupt. Waiting {format_duration(rules.kill_timeout_seconds)} before force killing",
        kill_timeout=timeout,
        details={"kill_timeout": format_duration(rules.kill_timeout_seconds)},
    )
    life = _with(life, phase=Phase.STOPPING, info=info)
    if life.handle is None:
        return life, ()
    return life, (Signal(life.handle, rules.kill_signal or KILL_SIGNAL_DEFAULT), Wake(rules.kill_timeout_seconds))


def _die(at: _At, life: TaskLife, *, failed: bool) -> Step:
    info = msgspec.structs.replace(life.info, state=TaskState.DEAD, failed=failed, finished_at=rfc3339(at.now))
    life = _with(life, phase=Phase.DEAD, info=info, handle=None, wake_at=0.0)
    # A failure counts twice, as in Nomad: once with "Not Restarting", once more when the runner ends (measured: a task
    # that failed for good has nomad_client_allocs_failed 2).
    return life, (Count(Tally.FAILED), Count(Tally.FAILED)) if failed else (Count(Tally.COMPLETE),)


def _announced(at: _At, life: TaskLife, event: Event) -> TaskStateInfo:
    assert isinstance(event, Kill)
    if not event.why:
        return life.info
    return _note(life.info, at.now, event.why, message=event.message, display=event.message)


def _terminated(info: TaskStateInfo, now: float, result: ExitResult) -> TaskStateInfo:
    details = {
        "exit_code": str(result.exit_code),
        "signal": str(result.signal),
        "oom_killed": str(result.oom_killed).lower(),
    }
    text = f"Exit Code: {result.exit_code}"
    if result.signal:
        text += f", Signal: {result.signal}"
    if not result.known:
        text = "Exit status unknown: the task ended while no agent watched"
    return _note(
        info, now, "Terminated", display=text, exit_code=result.exit_code, signal=result.signal, details=details
    )


def _note(info: TaskStateInfo, now: float, kind: str, *, display: str = "", **fields: object) -> TaskStateInfo:
    """Append an event; the oldest give way."""
    body = {"type": kind, "time": round(now * NS), "display_message": display, **fields}
    event = TaskEvent(**body)  # type: ignore[arg-type] # the fields are named at the few calls above
    return msgspec.structs.replace(info, events=[*info.events, event][-TASK_EVENTS_MAX:])


def _with(life: TaskLife, **changes: object) -> TaskLife:
    return msgspec.structs.replace(life, **changes)
