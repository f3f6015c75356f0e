"""A cluster of ours that lives through what the dashboards tell of, scraped every 5 s by a real Prometheus.

The steps are those of the catalogue's life (`tests/telemetry/life/steps.py`) without the waits in which its values are
held against others, in an order in which no new leader delays the loss of a client: one that was elected gives every
client five minutes. What a step cannot bring about in its time is said, and the life goes on: the queries that needed it
tell. No step begins after `LIFE_SECONDS_MAX`.
"""

import contextlib
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import OutriderError
from compose.drill.jobs import FAIL
from compose.drill.jobs import job as failing_job
from compose.local import LocalCluster
from compose.local_settings import LocalSettings
from compose.tools import TOOLS_FOLDER
from telemetry.clock import SystemClock
from telemetry.nomad_api import ApiFailure
from telemetry.prometheus_api import Prometheus, PrometheusFailure
from tests.compose.free_ports import free_base
from tests.conftest import ROOT
from tests.telemetry.life.life import Life, Step
from tests.telemetry.life.steps import STEPS, job

SCRAPE_SECONDS = 5.0
LIFE_SECONDS_MAX = 1_500.0
ATTEMPTS = 2
"""How often a step is tried that a busy machine may disturb."""
WATCH_SECONDS_MAX = 4 * SCRAPE_SECONDS
"""For which a step is watched that only waits: so many scrapes make a rate."""
MANY = 6
"""Of so many allocations some are on each client."""
PAGE_SECONDS_MAX = 120.0
TLS_SECONDS = 6 * SCRAPE_SECONDS

_FIRST = ("start", "jobs", "changes", "client-lost", "worker")
_THEN = ("lease", "member-lost", "leader-lost", "leave")


_DISTURBED = (SystemExit, ApiFailure, PrometheusFailure, OutriderError, AssertionError, StopIteration)
"""What a step ends with that a busy machine disturbs."""
_PAGES = 'ALERTS{alertstate="firing", severity="critical"}'


class Watched(Life):
    """A life that Prometheus watches: nothing is held against anything, and what does not come ends its step alone."""

    def __init__(self, cluster: LocalCluster) -> None:
        super().__init__(cluster)
        self.missed: list[str] = []
        """What did not come about, by step."""

    def run(self, steps) -> None:
        """Live *steps* until all are lived or the time is over."""
        deadline = self.clock.monotonic() + LIFE_SECONDS_MAX
        for step in steps:
            for left in reversed(range(ATTEMPTS)):
                if self.clock.monotonic() > deadline:
                    self.missed.append(f"{step.name}: the {LIFE_SECONDS_MAX:.0f} s are over")
                    break
                try:
                    self._live(step)
                    break
                except _DISTURBED as error:
                    said = str(error) or f"{step.name}: what it looked for is not there"
                    print(f"  {step.name}: {said}{', once more' if left else ''}", flush=True)
                    if not left:
                        self.missed.append(said)
        for each in self.missed:
            print(f"  not lived: {each}", flush=True)

    def watch(self, seconds: float) -> None:
        """Look for a while, but for no longer than Prometheus needs."""
        super().watch(min(seconds, WATCH_SECONDS_MAX))

    def moment(self, seconds: float = 0.0) -> None:
        """Go on: values are not compared here."""

    def settled(self) -> None:
        """Go on: what is missing is not looked for here."""


def steps() -> tuple[Step, ...]:
    """Return what is lived, in its order."""
    by_name = {step.name: step for step in STEPS}
    return (
        *(by_name[name] for name in _FIRST),
        Step("many", "a job runs six times, and the task of another one fails again and again", _many),
        by_name["drain"],
        Step(
            "receiver-lost",
            "the receiver of notifications is killed, before there is something to tell",
            _receiver_lost,
        ),
        *(by_name[name] for name in _THEN),
        Step("quorum-lost", "the followers are paused until a page fires", _quorum_lost),
        Step("receiver-back", "the receiver comes back", _receiver_back),
    )


def _receiver_lost(life: Life) -> None:
    if life.cluster.pid("receiver") is not None:
        life.cluster.kill("receiver")


def _many(life: Life) -> None:
    """Allocations leave a client one after the other, so that its drain lasts; one that restarts is pending meanwhile."""
    life.register(job("many", MANY, "service", "/bin/sleep", "3600"))
    life.register(failing_job("restless", command=FAIL)["Job"])
    life.until(lambda: _running(life, "many") == MANY, 60, "many of a job")


def _running(life: Life, name: str) -> int:
    allocs = life.ask("Job.Allocations", f"/v1/job/{name}/allocations")
    return sum(each["ClientStatus"] == "running" for each in allocs)


def _quorum_lost(life: Life) -> None:
    prometheus = Prometheus(f"http://127.0.0.1:{life.cluster.settings.prometheus_port}")
    paused = life.followers
    life.stopped |= set(paused)
    for name in paused:
        life.cluster.kill(name, signal.SIGSTOP)
    try:
        life.until(lambda: prometheus.query(_PAGES, life.clock.wall()), PAGE_SECONDS_MAX, "a page")
    finally:
        for name in paused:
            life.cluster.kill(name, signal.SIGCONT)
        life.stopped.clear()
    life.find_leader()
    life.watch(SCRAPE_SECONDS)


def _receiver_back(life: Life) -> None:
    life.cluster.restart("receiver")
    life.watch(WATCH_SECONDS_MAX)


@contextmanager
def lived() -> Iterator[tuple[str, float, float]]:
    """Yield the address of the Prometheus that watched a whole life, and when that began and ended, in Unix seconds."""
    with _cluster(clients=2, has_exporter=True, tls=False) as (cluster, address):
        began = SystemClock().wall()
        Watched(cluster).run(steps())
        yield address, began, SystemClock().wall()


@contextmanager
def lived_with_tls(wait: Callable[[float], object]) -> Iterator[tuple[str, float, float]]:
    """Yield the same of one server whose certificates are measured, watched for half a minute."""
    with _cluster(clients=0, has_exporter=False, tls=True) as (_, address):
        began = SystemClock().wall()
        wait(TLS_SECONDS)
        yield address, began, SystemClock().wall()


@contextmanager
def _cluster(*, clients: int, has_exporter: bool, tls: bool) -> Iterator[tuple[LocalCluster, str]]:
    base = free_base(25_100)
    with tempfile.TemporaryDirectory(prefix="dashboards-") as folder:
        settings = LocalSettings(
            directory=Path(folder) / "cluster",
            tools=ROOT / TOOLS_FOLDER,
            servers=3 if clients else 1,
            clients=clients,
            port_base=base,
            prometheus_port=base + 90,
            alertmanager_port=base + 93,
            receiver_port=base + 95,
            exporter_port=base + 97 if has_exporter else None,
            scrape_interval_seconds=SCRAPE_SECONDS,
            evaluation_interval_seconds=SCRAPE_SECONDS,
            leave_on_interrupt=True,
            tls=tls,
            # As in the catalogue's life: elections that nobody asked for take from the script what it holds.
            raft_multiplier=5,
        )
        cluster = LocalCluster(settings)
        with contextlib.ExitStack() as stack:
            stack.callback(cluster.stop)
            cluster.start()
            cluster.wait_ready(120)
            yield cluster, f"http://127.0.0.1:{settings.prometheus_port}"
