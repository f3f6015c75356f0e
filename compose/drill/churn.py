"""Healthy change that must stay silent: what operators do all day, in a random order that a seed replays.

`ChurnPlan` is pure and chooses; `Churn` does it to a stage and counts what the receiver was told.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from compose.drill.actions import RollingRestart
from compose.drill.fault import LEADER
from compose.drill.jobs import job
from compose.drill.local_stage import LocalStage
from compose.drill.pause import Stopped
from compose.local import LocalError
from telemetry.clock import Clock

ELECTIONS_MAX = 3
"""As many elections in ten minutes are no news to the rules."""
MEMORY_SECONDS = 630.0
"""How far back they look, and a margin."""
AWAY_SECONDS = (8.0, 11.0)
"""How long a process is away: with its start it is back within 15 s."""
PAUSE_SECONDS = (5.0, 30.0)
"""Between two deeds."""
_RESTART_SECONDS = 8.0
_COUNT_MAX = 6
DRAIN_DEADLINE_SECONDS = 30.0
_DRAIN_SECONDS_MAX = 90.0
"""For a drain to be complete: its deadline, and the time that tasks get to end on a busy machine."""
_LAST_SECONDS = 30.0
"""After the last deed: what it set off by mistake arrives within it, at the intervals of a second."""


class Deed(Enum):
    """What is done; the value is how it reads."""

    FAIL_OVER = "kill the leader, back soon"
    TRANSFER = "let the leader hand over and return"
    ROLLING_RESTART = "restart every server in turn"
    CLIENT_RESTART = "restart a client"
    CLIENT_CRASH = "kill a client, back soon"
    DEPLOY = "deploy a new version"
    SCALE = "scale a job"
    NEW_JOB = "register a job"
    STOP_JOB = "stop a job"
    DRAIN = "drain a client, and make it eligible again"

    @property
    def elections(self) -> int:
        """How many elections it costs at most."""
        return 1 if self in {Deed.FAIL_OVER, Deed.TRANSFER, Deed.ROLLING_RESTART} else 0


@dataclass(slots=True)
class ChurnPlan:
    """Draws one deed after the other; pure, time is handed in.

    As many elections in ten minutes as restarting every server makes are healthy, more are not, and so are not drawn.
    """

    rng: random.Random
    elections: list[float] = field(default_factory=list)

    def draw(self, now: float) -> Deed:
        """Return the next deed, begun at *now* in seconds."""
        recent = sum(moment > now - MEMORY_SECONDS for moment in self.elections)
        deed = self.rng.choice([deed for deed in Deed if recent + deed.elections <= ELECTIONS_MAX])
        self.elections += [now] * deed.elections
        return deed


@dataclass(frozen=True, slots=True, kw_only=True)
class ChurnResult:
    """What was done and what the receiver was told: alerts with Watchdog left out, and notifications about Watchdog."""

    deeds: dict[Deed, int]
    alerts: int
    watchdogs: int
    took_seconds: float
    was_stopped: bool

    @property
    def is_ok(self) -> bool:
        """Whether nothing arrived but the proof that something could have."""
        return self.alerts == 0 and self.watchdogs > 0 and bool(self.deeds) and not self.was_stopped


class Churn:
    """Does deeds to *stage*, told line by line to *say*."""

    def __init__(self, stage: LocalStage, rng: random.Random, say: Callable[[str], None], clock: Clock) -> None:
        self._stage = stage
        self._rng = rng
        self._plan = ChurnPlan(rng)
        self._say = say
        self._clock = clock
        self._told = 0
        self._version = 0
        self._counts = {"web": 3}
        self._began = 0.0

    def run(self, minutes: float) -> ChurnResult:
        """Do one deed after the other for *minutes*, and return what came of it; a stop ends it early.

        Raises LocalError or ApiFailure when the cluster does not come back from a deed.
        """
        stage, clock = self._stage, self._clock
        self._began = clock.monotonic()
        # What was told while the cluster started is not of the change.
        self._told = told = stage.observer.notifications
        alive = stage.observer.watchdogs
        # The first election of the cluster is one, too.
        self._plan.elections.append(self._began)
        done: Counter[Deed] = Counter()
        was_stopped = False
        try:
            stage.wait(self._rng.uniform(*PAUSE_SECONDS))
            while clock.monotonic() < self._began + minutes * 60.0:
                deed = self._plan.draw(clock.monotonic())
                self._tell(deed.value)
                self._do(deed)
                done[deed] += 1
                self._tell_alerts()
                stage.wait(self._rng.uniform(*PAUSE_SECONDS))
            stage.wait(_LAST_SECONDS)
        except Stopped:
            was_stopped = True
        self._tell_alerts()
        return ChurnResult(
            deeds=dict(done),
            alerts=stage.observer.notifications - told,
            watchdogs=stage.observer.watchdogs - alive,
            took_seconds=clock.monotonic() - self._began,
            was_stopped=was_stopped,
        )

    def drain(self, name: str) -> None:
        """Drain a client and give it back; raises LocalError when its drain does not end."""
        nodes = self._stage.nodes
        nodes.drain(name, DRAIN_DEADLINE_SECONDS)
        if not self._stage.until(lambda: not nodes.drains(name), _DRAIN_SECONDS_MAX):
            raise LocalError(f"the drain of {name} is not complete after {_DRAIN_SECONDS_MAX:.0f} s")
        nodes.give_back()

    def _do(self, deed: Deed) -> None:
        stage = self._stage
        match deed:
            case Deed.FAIL_OVER:
                stage.kill(*LEADER.choose(stage.servers, stage.leader(), self._rng))
                self._return_after(self._rng.uniform(*AWAY_SECONDS))
            case Deed.TRANSFER:
                stage.leave(stage.leader())
                self._return_after(0.0)
            case Deed.ROLLING_RESTART:
                RollingRestart(_RESTART_SECONDS).inject(stage)
            case Deed.CLIENT_RESTART:
                stage.terminate(self._rng.choice(stage.clients))
                self._return_after(_RESTART_SECONDS)
            case Deed.CLIENT_CRASH:
                stage.kill(self._rng.choice(stage.clients))
                self._return_after(self._rng.uniform(*AWAY_SECONDS))
            case Deed.DRAIN:
                self.drain(self._rng.choice(stage.clients))
            case Deed.DEPLOY | Deed.SCALE | Deed.NEW_JOB | Deed.STOP_JOB:
                self._change_jobs(deed)

    def _return_after(self, seconds: float) -> None:
        self._stage.wait(seconds)
        self._stage.revive()
        self._stage.wait_well()

    def _change_jobs(self, deed: Deed) -> None:
        name = self._rng.choice(sorted(self._counts))
        self._version += 1
        match deed:
            case Deed.NEW_JOB:
                name = f"job-{self._version}"
                self._counts[name] = 1
            case Deed.STOP_JOB if len(self._counts) > 1:
                del self._counts[name]
                self._stage.jobs.stop(name)
                return
            case Deed.SCALE:
                self._counts[name] = self._rng.randint(0, _COUNT_MAX)
            case _:
                pass
        # What a task asks for is part of its version: another amount replaces it.
        cpu_mhz = 20 + self._version % 7 if deed is Deed.DEPLOY else 20
        self._stage.jobs.register(job(name, count=self._counts[name], cpu_mhz=cpu_mhz))

    def _tell(self, text: str) -> None:
        minutes, seconds = divmod(int(self._clock.monotonic() - self._began), 60)
        self._say(f"{minutes:3}:{seconds:02}  {text}")

    def _tell_alerts(self) -> None:
        observer = self._stage.observer
        if observer.notifications > self._told:
            names = ", ".join(trace.alert for trace in observer.traces() if trace.received_at)
            self._tell(f"!! {observer.notifications - self._told} alerts told to the receiver; so far: {names}")
            self._told = observer.notifications


def summary(result: ChurnResult, seed: int) -> list[str]:
    """Return what was done and what came of it, in a few lines."""
    deeds = ", ".join(
        f"{count} x {deed.value}" for deed, count in sorted(result.deeds.items(), key=lambda pair: -pair[1])
    )
    verdict = "ok" if result.is_ok else "stopped" if result.was_stopped else "failed"
    return [
        f"done: {deeds or 'nothing'}",
        (
            f"{verdict}: {result.alerts} alerts and {result.watchdogs} signs of life in "
            f"{result.took_seconds / 60:.1f} min; seed {seed}"
        ),
    ]
