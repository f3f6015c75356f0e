"""Takes pictures of every dashboard in the preview: `python -m tests.dashboards.shots [--prometheus URL] [--dir FOLDER]`.

Light, dark, and 390 pixels wide. Without a Prometheus a cluster is started that loses its leader on the way. Each page is
looked at as well: a query that failed, or a page wider than its window, makes the exit code 1. Without Chromium the
reason is printed and the exit code is 0.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import threading
from pathlib import Path

from compose.local import LocalCluster
from compose.local_settings import LocalSettings
from compose.tools import TOOLS_FOLDER
from dashboards.preview.model import read_folder
from dashboards.preview.server import Preview, PreviewServer
from telemetry.clock import SystemClock
from telemetry.prometheus_api import Prometheus
from tests.compose.free_ports import free_base
from tests.conftest import ROOT
from tests.dashboards.chromium import NoChromium, browser, fetch

OUT = ROOT / ".outrider/shots"
LOOKS = (("light", 1_500, False), ("dark", 1_500, True), ("phone", 390, True))
"""Name, width in pixels, and whether the system prefers dark."""

HEALTHY_SECONDS, WITHOUT_SECONDS = 90.0, 60.0
"""How long the cluster is watched whole, and then without the server that led."""

FAILED = "[...document.querySelectorAll('.failed')].map((each) => each.textContent)"
THEME = "document.documentElement.dataset.theme"
WIDTH = "document.documentElement.scrollWidth"


def main(arguments=None):
    """Take the pictures and return the exit code."""
    parser = argparse.ArgumentParser(prog="make dashboards-shots", description=__doc__.splitlines()[0])
    parser.add_argument("--prometheus", help="one that watches a cluster of yours")
    parser.add_argument("--dir", type=Path, default=ROOT / "compose/generated/dashboards", help="folder of dashboards")
    parser.add_argument("--out", type=Path, default=OUT, help="where pictures are put")
    parser.add_argument("--last", default="15m", help="how much is shown of a Prometheus of yours")
    chosen = parser.parse_args(arguments)
    try:
        fetch()
    except NoChromium as error:
        print(f"no pictures: {error}")
        return 0
    boards = read_folder(chosen.dir)
    chosen.out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        url, start = (chosen.prometheus, f"now-{chosen.last}") if chosen.prometheus else stack.enter_context(_cluster())
        served = stack.enter_context(serving(boards, url, start))
        problems = asyncio.run(take(served, [board.uid for board in boards], chosen.out))
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(boards) * len(LOOKS)} pictures in {chosen.out}, {len(problems)} problems")
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
    """Yield the Prometheus of a cluster that lost its leader a while ago, and from when on it is worth looking at."""
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
            pause(HEALTHY_SECONDS)
            leader = cluster.leader()
            if leader is not None:
                cluster.kill(leader)
            print(f"{leader or 'nobody'} led and is killed", flush=True)
            pause(WITHOUT_SECONDS)
            yield f"http://127.0.0.1:{cluster.settings.prometheus_port}", "now-5m"
        finally:
            cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
