"""The whole drill: faults handed out to lanes, each with a cluster of its own, and the scoreboard they make together.

A lane is a thread that runs one fault after the other. Its cluster is replaced when a fault wants another size or
setup, and when it did not come to rest.
"""

import os
import platform
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as distribution_version

import requests

from alert_rules.settings import Times
from compose.drill.fault import Fault, Unable
from compose.drill.judge import Judgement, Verdict
from compose.drill.pause import Pause, Stopped
from compose.drill.runner import FaultRunner, Unquiet, Watched
from compose.drill.scoreboard import FORMAT, Intervals, Run, Scoreboard, Versions, Waiting, overall
from compose.local import LocalError
from telemetry.clock import Clock

_ASK_TIMEOUT_SECONDS = 5.0
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One fault to run on one size of cluster, the *number*-th time."""

    fault: Fault
    servers: int
    number: int

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it from every other job."""
        return self.fault.name, self.servers, self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillSettings:
    """How a drill is run. *make* gives a stage that is not open yet; *via* says what its processes run in."""

    make: Callable[[Job], Watched]
    via: str
    times: Times
    clients: int
    seed: int
    lanes: int


def jobs_of(faults: Sequence[Fault], sizes: Sequence[int], repeat: int) -> tuple[Job, ...]:
    """Return what is to be run, in the order of the scoreboard."""
    return tuple(
        Job(fault=fault, servers=size, number=number)
        for fault in faults
        for size in fault.sizes
        if size in sizes
        for number in range(1, repeat + 1)
    )


class Queue:
    """The jobs that nobody has taken; safe to use from several threads.

    The longest come first, so that no lane is left with one at the end; a lane that has a cluster goes on with what
    that cluster can take.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        # Sorting is stable: beyond length and kind of cluster the order stays.
        self._left = sorted(jobs, key=lambda job: (-job.fault.long_seconds, job.servers, job.fault.setup.value))
        self._lock = threading.Lock()

    def take(self, suits: Callable[[Job], bool]) -> Job | None:
        """Return the first job that *suits*, else the first one; None when all are taken."""
        with self._lock:
            job = next((job for job in self._left if suits(job)), self._left[0] if self._left else None)
            if job is not None:
                self._left.remove(job)
            return job


class Drill:
    """Runs jobs on lanes. *finished* is told of each run as it ends, by one thread at a time."""

    def __init__(self, settings: DrillSettings, finished: Callable[[Run], None], pause: Pause, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self._finished = finished
        self._pause = pause
        self._lock = threading.Lock()
        self._runs: dict[tuple[str, int, int], Run] = {}
        self._versions: Versions | None = None
        self.failure: BaseException | None = None
        """What ended the drill before its time."""

    def run(self, jobs: Sequence[Job], waiting: Sequence[Waiting]) -> Scoreboard:
        """Return the scoreboard once every job was run, or of what was run until something ended the drill.

        That is a stop, or an error that `failure` tells: LocalError, ToolError, SettingsError, NoPorts, OSError or
        Unquiet when no cluster can be had. Nothing is left running.
        """
        began = self.clock.wall()
        queue = Queue(jobs)
        with ThreadPoolExecutor(self.settings.lanes, thread_name_prefix="drill-lane") as pool:
            lanes = [pool.submit(_Lane(self).run, queue) for _ in range(min(self.settings.lanes, len(jobs)))]
            try:
                wait(lanes, return_when=FIRST_EXCEPTION)
            finally:
                # An interrupt, or the failure of one lane, ends the others; a drill that is through has none.
                if not all(lane.done() for lane in lanes):
                    self._pause.stop()
        self.failure = next((lane.exception() for lane in lanes if lane.exception() is not None), None)
        return self._board(jobs, waiting, began)

    def keep(self, job: Job, run: Run) -> None:
        """Take the run of *job*."""
        with self._lock:
            self._runs[job.key] = run
            self._finished(run)

    def look_at(self, stage: Watched) -> None:
        """Take the versions of what runs on *stage*, the first time."""
        if self._versions is None:
            self._versions = versions_of(stage.prometheus_url, stage.alertmanager_url)

    def _board(self, jobs: Sequence[Job], waiting: Sequence[Waiting], began: float) -> Scoreboard:
        times = self.settings.times
        runs = tuple(self._runs[job.key] for job in jobs if job.key in self._runs)
        return Scoreboard(
            format=FORMAT,
            began=began,
            took_seconds=round(self.clock.wall() - began, 1),
            via=self.settings.via,
            seed=self.settings.seed,
            lanes=self.settings.lanes,
            processors=os.cpu_count() or 1,
            versions=self._versions or versions_of("", ""),
            intervals=Intervals(
                scrape=times.scrape_interval_seconds,
                evaluation=times.evaluation_interval_seconds,
                group_wait=times.group_wait_seconds,
                group_interval=times.group_interval_seconds,
            ),
            verdict=overall(runs),
            runs=runs,
            waiting=tuple(waiting),
        )


class _Lane:
    """One thread's stage, and what it can still take."""

    def __init__(self, drill: Drill) -> None:
        self._drill = drill
        self._stage: Watched | None = None
        self._runner: FaultRunner | None = None

    def run(self, queue: Queue) -> None:
        """Run jobs until none is left or the drill is told to stop."""
        try:
            while (job := queue.take(self._suits)) is not None:
                self._run(job)
        except Stopped:
            return
        finally:
            self._close()

    def _run(self, job: Job) -> None:
        drill = self._drill
        rng = random.Random(f"{drill.settings.seed}/{job.fault.name}/{job.servers}/{job.number}")
        try:
            run = self._run_somewhere(job, rng)
        except Unable as error:
            run = skipped(job, drill.settings.clients, drill.clock.wall(), str(error))
        drill.keep(job, run)
        if run.quiet_at is None:
            self._close()

    def _run_somewhere(self, job: Job, rng: random.Random) -> Run:
        """Run *job* on what there is or on a new stage; on another one when that was of no use."""
        try:
            return self._fit(job).run(job.fault, job.number, rng)
        except (LocalError, Unquiet):
            # A busy machine, or an echo of what was done before; if it comes again it is neither.
            self._close()
            return self._fit(job).run(job.fault, job.number, rng)

    def _suits(self, job: Job) -> bool:
        stage = self._stage
        return stage is not None and len(stage.servers) == job.servers and stage.setup is job.fault.setup

    def _fit(self, job: Job) -> FaultRunner:
        """Return the runner of a stage that suits *job*: the one there is, or a new one."""
        if self._runner is None or not self._suits(job):
            self._close()
            self._stage = self._drill.settings.make(job)
            self._stage.open()
            self._drill.look_at(self._stage)
            self._runner = FaultRunner(self._stage, self._drill.clock)
        return self._runner

    def _close(self) -> None:
        if self._stage is not None:
            self._stage.close()
        self._stage = self._runner = None


def skipped(job: Job, clients: int, now: float, why: str) -> Run:
    """Return the run of a fault that cannot be made here."""
    return Run(
        fault=job.fault.name,
        what=job.fault.what,
        servers=job.servers,
        clients=clients,
        number=job.number,
        began=now,
        healed_at=0.0,
        quiet_at=None,
        judgement=Judgement(verdict=Verdict.SKIPPED, lines=(), silent=()),
        note=why,
    )


def versions_of(prometheus: str, alertmanager: str) -> Versions:
    """Return the versions of all that takes part, asking at the two URLs; what does not answer is unknown."""
    return Versions(
        outrider=distribution_version("outrider"),
        python=platform.python_version(),
        prometheus=_asked(f"{prometheus}/api/v1/status/buildinfo", ("data", "version")),
        alertmanager=_asked(f"{alertmanager}/api/v2/status", ("versionInfo", "version")),
    )


def _asked(url: str, path: Sequence[str]) -> str:
    with suppress(requests.RequestException, ValueError, KeyError, TypeError), requests.Session() as session:
        session.trust_env = False
        value = session.get(url, timeout=_ASK_TIMEOUT_SECONDS).json()
        for name in path:
            value = value[name]
        return str(value)
    return _UNKNOWN
