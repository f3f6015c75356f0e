"""Takes pictures of every dashboard in the preview: `python -m tests.dashboards.shots [--prometheus URL] [--dir FOLDER]`.

Light, dark, and 390 pixels wide; of all dashboards, or of those that `--only` names. Without a Prometheus a cluster is
started that has jobs, one of which finds no place, and loses its leader and a client on the way.
Each page is looked at as well: a query that failed, or a page wider than its window, makes the exit code 1. Without
Chromium the reason is printed and the exit code is 0.

With `--readme` two pictures are made instead, those of the README in `dashboards/pictures`: of a drill in which a real
Nomad lost its quorum, replayed to a Prometheus and an Alertmanager in five minutes.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from compose.drill.jobs import FAIL, Jobs, job, unplaceable_job
from compose.local import LocalCluster
from compose.local_settings import LocalSettings
from compose.tools import TOOLS_FOLDER
from dashboards.preview.model import read_folder
from dashboards.preview.server import Preview, PreviewServer
from telemetry.clock import SystemClock
from telemetry.nomad_api import ApiSettings
from telemetry.prometheus_api import Prometheus
from tests.alert_rules.timeline import SHIPPED
from tests.compose.free_ports import free_base
from tests.conftest import ROOT
from tests.dashboards.chromium import NoChromium, browser, fetch
from tests.detection.recordings import load
from tests.detection.replay_stage import Stage, replay
from tests.tools import find_or_explain

OUT = ROOT / ".outrider/shots"
LOOKS = (("light", 1_500, False), ("dark", 1_500, True), ("phone", 390, True))
"""Name, width in pixels, and whether the system prefers dark."""

HEALTHY_SECONDS, WITHOUT_SECONDS = 90.0, 60.0
"""How long the cluster is watched whole, and then without the server that led."""

README_OUT = ROOT / "dashboards/pictures"
README_RECORDING = "iib-quorum-lost-kill-leader-and-follower"
README_HEALTHY_SECONDS, README_SHOWN_BEFORE_SECONDS = 160, 120.0
"""How much health is put before the recording, and how much of it is shown."""


@dataclass(frozen=True)
class Picture:
    """One of the README: the first *height* pixels of a page, which end below a panel; until *after* seconds of the fault."""

    uid: str
    height: int
    is_dark: bool
    after: float
    width: int = 1_200


README_PICTURES = (
    # The quorum is gone, its page has fired; the servers are started again 68 s after they were killed.
    Picture("outrider-cluster", 994, is_dark=False, after=60.0),
    Picture("outrider-review", 800, is_dark=True, after=125.0),
)

FAILED = "[...document.querySelectorAll('.failed')].map((each) => each.textContent)"
THEME = "document.documentElement.dataset.theme"
WIDTH = "document.documentElement.scrollWidth"


def main(arguments=None):
    """Take the pictures and return the exit code."""
    parser = argparse.ArgumentParser(prog="make dashboards-shots", description=__doc__.splitlines()[0])
    parser.add_argument("--prometheus", help="one that watches a cluster of yours")
    parser.add_argument("--dir", type=Path, default=ROOT / "compose/generated/dashboards", help="folder of dashboards")
    parser.add_argument("--out", type=Path, help="where pictures are put")
    parser.add_argument("--readme", action="store_true", help="only the two of the README, where it has them")
    parser.add_argument("--only", nargs="+", metavar="UID", help="only these dashboards")
    parser.add_argument("--last", default="15m", help="how much is shown of a Prometheus of yours")
    chosen = parser.parse_args(arguments)
    try:
        fetch()
    except NoChromium as error:
        print(f"no pictures: {error}")
        return 0
    boards = read_folder(chosen.dir)
    uids = [board.uid for board in boards]
    unknown = sorted(set(chosen.only or ()) - set(uids))
    if unknown:
        parser.error(f"--only {' '.join(unknown)}: {chosen.dir} has {', '.join(uids)}")
    wanted = chosen.only or uids
    out = chosen.out or (README_OUT if chosen.readme else OUT)
    out.mkdir(parents=True, exist_ok=True)
    if chosen.readme:
        return _ended(len(README_PICTURES), out, take_for_readme(boards, out))
    with contextlib.ExitStack() as stack:
        url, start = (chosen.prometheus, f"now-{chosen.last}") if chosen.prometheus else stack.enter_context(_cluster())
        served = stack.enter_context(serving(boards, url, start))
        problems = asyncio.run(take(served, wanted, out))
    return _ended(len(wanted) * len(LOOKS), out, problems)


def _ended(pictures, folder, problems):
    """Print what came of the pictures, and return the exit code."""
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{pictures} pictures in {folder}, {len(problems)} problems")
    return int(bool(problems))


async def take(url, uids, folder):
    """Put a picture of each dashboard in each look into *folder*, and return what is wrong with them."""
    problems = []
    async with browser() as page:
        for uid in uids:
            for look, width, is_dark in LOOKS:
                await page.open(f"{url}/d/{uid}#all", width=width, is_dark=is_dark)
                await page.shot(folder / f"{uid}-{look}.png")
                problems += [f"{uid}, {look}: {text}" for text in await page.value(FAILED)]
                theme = await page.value(THEME)
                if theme != ("dark" if is_dark else "light"):
                    problems.append(f"{uid}, {look}: the page is {theme}")
                seen = await page.value(WIDTH)
                if seen > width:
                    problems.append(f"{uid}, {look}: {seen} pixels wide in a window of {width}")
                print(f"{uid}-{look}.png", flush=True)
    return problems


def take_for_readme(boards, folder):
    """Replay the drill of the README, put its pictures into *folder*, and return what is wrong with them."""
    (prometheuses, absent), (alertmanagers, also_absent) = map(find_or_explain, ("prometheus", "alertmanager"))
    if not prometheuses or not alertmanagers:
        return [also_absent if prometheuses else absent]
    recording = replace(load(README_RECORDING), name="global").with_health(README_HEALTHY_SECONDS)
    moment = recording.fault + max(picture.after for picture in README_PICTURES)
    problems = []

    def look(address):
        fault = time.time() - moment + recording.fault
        with serving(boards, f"http://{address}", "now-1h") as url:
            problems.extend(asyncio.run(_shoot(url, folder, fault)))

    with tempfile.TemporaryDirectory(prefix="readme-") as scratch:
        stage = Stage(prometheuses[-1], alertmanagers[-1], SHIPPED)
        replay([recording], [stage], Path(scratch), moment, {moment: look})
    return problems


async def _shoot(url, folder, fault):
    """Take the pictures of the README of a fault at so many Unix seconds; return what is wrong with them."""
    problems = []
    async with browser() as page:
        for picture in README_PICTURES:
            ends = (fault - README_SHOWN_BEFORE_SECONDS, fault + picture.after)
            start, end = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in ends)
            address = f"{url}/d/{picture.uid}?from={start}&to={end}"
            await page.open(address, width=picture.width, is_dark=picture.is_dark)
            await page.shot(folder / f"{picture.uid}.png", width=picture.width, height=picture.height)
            problems += [f"{picture.uid}: {text}" for text in await page.value(FAILED)]
    return problems


@contextlib.contextmanager
def serving(boards, prometheus, start):
    """Serve the preview of *boards* and yield its address."""
    preview = Preview(
        boards=boards, prometheus=Prometheus(prometheus, timeout_seconds=60), clock=SystemClock(), start=start, end="now",
        scrape_seconds=5.0,
    )  # fmt: skip
    server = PreviewServer(0, preview)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def _cluster():
    """Yield the Prometheus of a cluster that lost its leader and a client a while ago, and from when on to look at it."""
    base = free_base(27_100)
    with tempfile.TemporaryDirectory(prefix="shots-") as folder:
        cluster = LocalCluster(
            LocalSettings(
                directory=Path(folder) / "cluster",
                tools=ROOT / TOOLS_FOLDER,
                port_base=base,
                prometheus_port=base + 90,
                alertmanager_port=base + 93,
                receiver_port=base + 95,
            )
        )
        cluster.start()
        try:
            cluster.wait_ready()
            pause = threading.Event().wait
            jobs = Jobs(
                [ApiSettings(address=f"http://127.0.0.1:{each.http}") for each in cluster.settings.server_agents]
            )
            for body in (job("web", count=2), job("batch", command=FAIL), unplaceable_job("huge"), job("web", count=3)):
                jobs.register(body)
            pause(HEALTHY_SECONDS)
            leader = cluster.leader()
            for name in filter(None, (leader, "client-2")):
                cluster.kill(name)
            print(f"{leader or 'nobody'} led and is killed, and client-2", flush=True)
            pause(WITHOUT_SECONDS)
            yield f"http://127.0.0.1:{cluster.settings.prometheus_port}", "now-5m"
        finally:
            cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
