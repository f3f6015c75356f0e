"""Carries out what the tables decide for one allocation: directories, drivers, timers, signals, records."""

import asyncio
import logging
import os
import random
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import assert_never

import msgspec

from agent.client import alloc_runner, task_runner
from agent.client.alloc_dir import AllocDir, Hook
from agent.client.drivers.base import Driver, DriverError, TaskHandle, TaskSpec
from agent.client.environment import TaskPaths, Words, task_env
from agent.client.settings import ClientSettings
from agent.client.state import StateStore
from agent.client.task_logs import TaskLog
from agent.client.task_runner import (
    AwaitExit,
    Begin,
    Count,
    DelayOver,
    Effect,
    Event,
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
)
from agent.model.alloc import Allocation, ClientStatus, TaskState, TaskStateInfo
from agent.model.job import LogConfig, Task, TaskGroup
from agent.model.node import Node
from agent.tasks import Tasks
from telemetry.clock import Clock


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """What all runners of a client share; *on_change*, *on_tally* and *on_hook* are called on the event loop.

    *on_hook* is told how many seconds each hook took that succeeded.
    """

    settings: ClientSettings
    drivers: Mapping[str, Driver]
    store: StateStore
    node: Callable[[], Node]
    clock: Clock
    rng: random.Random
    logger: logging.Logger
    background: Tasks
    on_change: Callable[[Allocation], None]
    on_tally: Callable[[Allocation, str, Tally], None]
    on_hook: Callable[[Allocation, Hook, float], None]


class AllocRunner:
    """One allocation on this node, from its arrival until its data is removed."""

    def __init__(self, context: RunnerContext, alloc: Allocation, lives: Mapping[str, TaskLife] | None = None) -> None:
        """Take *alloc*, with *lives* as an earlier agent left them."""
        self._context = context
        self._alloc = alloc
        group = alloc.job.group(alloc.task_group) if alloc.job else None
        self._group = group or TaskGroup(name=alloc.task_group)
        self._tasks = {task.name: task for task in self._group.tasks}
        self._lives = {name: (lives or {}).get(name, TaskLife()) for name in self._tasks}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._dir = AllocDir.of(context.settings.alloc_dir, alloc.id)
        self._shared_made = False
        self._making_shared = asyncio.Lock()
        self._killed = False

    @property
    def alloc(self) -> Allocation:
        """The allocation with what this client knows of it: status and states of tasks."""
        status, description = alloc_runner.client_status(self.states)
        return msgspec.structs.replace(
            self._alloc, client_status=status, client_description=description, task_states=self.states
        )

    @property
    def alloc_modify_index(self) -> int:
        """The servers' version of the allocation that this client has."""
        return self._alloc.alloc_modify_index

    @property
    def states(self) -> dict[str, TaskStateInfo]:
        """The states of the tasks, by name."""
        return {name: life.info for name, life in self._lives.items()}

    @property
    def lives(self) -> Mapping[str, TaskLife]:
        """The lives of the tasks, by name."""
        return self._lives

    @property
    def done(self) -> bool:
        """Whether no task will run again."""
        return all(life.phase is Phase.DEAD for life in self._lives.values())

    @property
    def stopping(self) -> bool:
        """Whether the allocation was told to end."""
        return self._killed

    def handles(self) -> dict[str, TaskHandle]:
        """Return the handles of the tasks that run, by name."""
        return {name: life.handle for name, life in self._lives.items() if life.handle is not None}

    def logs(self) -> list[TaskLog]:
        """Return the log files of the tasks that run, with the sizes that the job allows."""
        found = []
        for name in self.handles():
            config = self._tasks[name].log_config or LogConfig()
            size, files = config.max_file_size_mb << 20, config.max_files
            found += [TaskLog(self._dir.log(name, stream), size, files) for stream in ("stdout", "stderr")]
        return found

    def start(self) -> None:
        """Begin all tasks."""
        if not self._tasks:
            self._publish()
        for name in list(self._tasks):
            self.post(name, Begin())

    def resume(self) -> None:
        """Go on where an earlier agent stopped: attach to what runs, begin what had not begun."""
        for name, life in list(self._lives.items()):
            found = self._find(name, life)
            if found is not None:
                self._context.logger.info("task found again: alloc=%s task=%s pid=%d", self._alloc.id, name, found.pid)
            after, effects = task_runner.resume(
                self._rules(name), life, found, self._context.clock.wall(), self._context.rng
            )
            self._lives[name] = after
            self._killed = self._killed or after.killed
            self._save()
            self._perform(name, effects)
            if after.phase is Phase.NEW:
                self.post(name, Begin())
        self._publish()

    def update(self, alloc: Allocation) -> None:
        """Take the servers' newer word on this allocation; a stop or an eviction ends its tasks."""
        self._alloc = alloc
        if alloc.terminal:
            self.kill()
        else:
            self._save()

    def kill(self) -> None:
        """End all tasks: those that run are asked first, then made to."""
        self._killed = True
        for name in list(self._lives):
            self.post(name, Kill())

    def post(self, name: str, event: Event) -> None:
        """Let *event* happen to the task *name*: decide, record, tell, do, in this order."""
        before = self._lives[name]
        now = self._context.clock.wall()
        rules = alloc_runner.rules_of(self._alloc, self._tasks[name], self._context.settings.kill_timeout_max_seconds)
        after, effects = task_runner.step(rules, before, event, now, self._context.rng)
        if after is before and not effects:
            return
        self._lives[name] = after
        if after.phase is Phase.DEAD:
            self._clear_timer(name)
        if after is not before:
            self._save()
            self._log_change(name, before, after)
        if after.info != before.info:
            self._publish()
        self._perform(name, effects)
        for other, kill in alloc_runner.consequences(self._group, name, self.states).items():
            self.post(other, kill)

    def detach(self) -> None:
        """Stop looking after the tasks, which run on: the agent ends and will be back."""
        for name in list(self._timers):
            self._clear_timer(name)

    def destroy(self) -> None:
        """Remove the record and the data of an allocation that is done; may block, so not on the event loop."""
        self._context.store.remove(self._alloc.id)
        self._dir.destroy()

    # --- effects

    def _perform(self, name: str, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case StartTask():
                    self._spawn(name, "start", partial(self._start, name))
                case AwaitExit(handle):
                    self._spawn(name, "wait", partial(self._wait, name, handle))
                case Wake(delay):
                    self._clear_timer(name)
                    loop = asyncio.get_running_loop()
                    self._timers[name] = loop.call_later(delay, self.post, name, DelayOver())
                case Signal(handle, signal_name):
                    self._signal(name, handle, signal_name)
                case Count(tally):
                    self._context.on_tally(self._alloc, name, tally)
                case _:
                    assert_never(effect)

    async def _start(self, name: str) -> None:
        task = self._tasks[name]
        try:
            driver = self._driver(task)
            await self._make_directories(task)
            spec = await asyncio.to_thread(self._spec, task)
        except (OSError, ValueError, KeyError) as error:
            self.post(name, SetupFailed(f"{error}"))
            return
        try:
            handle = await driver.start(spec)
        except DriverError as error:
            self.post(name, StartFailed(str(error), error.recoverable))
            return
        self.post(name, Started(handle))

    async def _make_directories(self, task: Task) -> None:
        """Make the task's directories, and before them, once, those that all tasks share; raises as `AllocDir.build`."""
        missing = alloc_runner.unsupported(task)
        if missing:
            raise ValueError(f"this client has no support for: {', '.join(missing)}")
        async with self._making_shared:
            if not self._shared_made:
                await self._hook(Hook.ALLOC_DIR, self._dir.build_shared)
                self._shared_made = True
        await self._hook(Hook.TASK_DIR, partial(self._dir.build, task.name, task.user))

    async def _hook(self, hook: Hook, run: Callable[[], None]) -> None:
        clock = self._context.clock

        def timed() -> float:
            began = clock.monotonic()
            run()
            return clock.monotonic() - began

        self._context.on_hook(self._alloc, hook, await asyncio.to_thread(timed))

    async def _wait(self, name: str, handle: TaskHandle) -> None:
        driver = self._context.drivers.get(handle.driver) or self._driver(self._tasks[name])
        result = await driver.wait(handle)
        self.post(name, Exited(result))
        # Only now that the end is recorded: until then the file is what the next agent would learn it from.
        self._context.store.forget_run(handle.status_file)

    def _signal(self, name: str, handle: TaskHandle, signal_name: str) -> None:
        try:
            number = signal.Signals["SIG" + signal_name.removeprefix("SIG")]
        except KeyError:
            self._context.logger.warning(
                "unknown kill_signal, using SIGTERM: alloc=%s task=%s signal=%s", self._alloc.id, name, signal_name
            )
            number = signal.SIGTERM
        self._driver(self._tasks[name]).signal(handle, number)

    def _spec(self, task: Task) -> TaskSpec:
        """Return the words of one run; raises OSError, ValueError and KeyError."""
        paths = TaskPaths(
            alloc=str(self._dir.shared),
            local=str(self._dir.local(task.name)),
            secrets=str(self._dir.secrets(task.name)),
        )
        node = self._context.node()
        region = self._context.settings.region
        env = task_env(self._alloc, task, node, region, paths, os.environ)
        run = self._lives[task.name].info.restarts
        return TaskSpec(
            task_id=self._task_id(task.name, run),
            name=task.name,
            config=Words(env, node, region).fill_all(task.config or {}),
            env=env,
            user=task.user,
            task_dir=self._dir.task(task.name),
            status_file=self._context.store.status_file(self._alloc.id, task.name, run),
            stdout=self._dir.log(task.name, "stdout"),
            stderr=self._dir.log(task.name, "stderr"),
        )

    def _find(self, name: str, life: TaskLife) -> TaskHandle | None:
        driver = self._context.drivers.get(self._tasks[name].driver)
        if driver is None or life.phase not in {Phase.STARTING, Phase.RUNNING, Phase.STOPPING}:
            return None
        run = life.info.restarts
        status_file = self._context.store.status_file(self._alloc.id, name, run)
        unknown = TaskHandle(driver.name, self._task_id(name, run), status_file=str(status_file))
        return driver.find(life.handle or unknown)

    # --- helpers

    def _rules(self, name: str) -> TaskRules:
        return alloc_runner.rules_of(self._alloc, self._tasks[name], self._context.settings.kill_timeout_max_seconds)

    def _driver(self, task: Task) -> Driver:
        driver = self._context.drivers.get(task.driver)
        if driver is None:
            raise ValueError(f"this client has no driver {task.driver!r}")
        return driver

    def _task_id(self, name: str, run: int) -> str:
        return f"{self._alloc.id}/{name}/{run}"

    def _spawn(self, name: str, what: str, run: Callable[[], Awaitable[None]]) -> None:
        self._context.background.spawn(f"client-task-{what}:{self._alloc.id[:8]}/{name}", run)

    def _clear_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _save(self) -> None:
        self._context.store.save(self._alloc, dict(self._lives))

    def _publish(self) -> None:
        self._context.on_change(self.alloc)

    def _log_change(self, name: str, before: TaskLife, after: TaskLife) -> None:
        if before.phase is after.phase or not after.info.events:
            return
        self._context.logger.info(
            "task %s: alloc=%s job=%s task=%s reason=%r",
            after.phase.value,
            self._alloc.id,
            self._alloc.job_id,
            name,
            after.info.events[-1].display_message,
        )


def counts(runners: Iterable[AllocRunner]) -> tuple[dict[ClientStatus, int], dict[TaskState, int]]:
    """Return how many allocations have each status, and how many tasks each state; what nobody has is left out."""
    allocs: dict[ClientStatus, int] = {}
    tasks: dict[TaskState, int] = {}
    for runner in runners:
        status, _ = alloc_runner.client_status(runner.states)
        allocs[status] = allocs.get(status, 0) + 1
        for info in runner.states.values():
            state = TaskState(info.state)
            tasks[state] = tasks.get(state, 0) + 1
    return allocs, tasks
