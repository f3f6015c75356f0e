"""A headless Chromium for tests: found on PATH or unpacked from Debian's packages, and driven by its own protocol.

Source: Chrome DevTools Protocol, domains Page, Emulation and Runtime.
"""

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import aiohttp

from compose.tools import ToolError, _Apt, _unpack

FOLDER = Path(__file__).parents[2] / ".outrider/chromium"
PACKAGE = "chromium-headless-shell"
START_SECONDS, LOAD_SECONDS = 120.0, 600.0
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_UNPACKED = Path("usr/lib/chromium/chromium-headless-shell")
_LISTENING = re.compile(r"DevTools listening on (ws://\S+)")


class NoChromium(Exception):
    """There is no Chromium, and none can be had; the message says why."""


def find():
    """Return the program and the environment it runs in. Raises NoChromium."""
    for name in _NAMES:
        program = shutil.which(name)
        if program is not None:
            return Path(program), dict(os.environ)
    unpacked = FOLDER / _UNPACKED
    if not unpacked.exists():
        raise NoChromium(
            f"no Chromium on PATH or in .outrider/chromium: `make dashboards-shots` unpacks Debian's {PACKAGE}"
        )
    libraries = {path.parent for path in (FOLDER / "usr/lib").rglob("*.so*")} - {unpacked.parent}
    return unpacked, {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(map(str, libraries)))}


def fetch():
    """Unpack Debian's package and what it needs and this machine lacks, unless one is found. Raises NoChromium."""
    with contextlib.suppress(NoChromium):
        find()
        return
    if shutil.which("apt-get") is None:
        raise NoChromium("no Chromium on PATH, and no apt-get to fetch one")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="download-") as scratch:
        apt = _Apt(Path(scratch))
        wanted = ("--simulate", "install", "--no-install-recommends", PACKAGE)
        planned = apt._run(Path(scratch), *wanted)
        if planned.returncode != 0:
            apt._fetch_own_lists()
            planned = apt._run(Path(scratch), *wanted)
        names = re.findall(r"^Inst (\S+)", planned.stdout, re.MULTILINE)
        if planned.returncode != 0 or PACKAGE not in names:
            raise NoChromium(f"apt-get has no {PACKAGE}: {' / '.join(planned.stderr.strip().splitlines()[-2:])}")
        try:
            for package in apt.download(*names):
                _unpack(package, FOLDER)
        except ToolError as error:
            raise NoChromium(str(error)) from error
    find()


class Browser:
    """A running Chromium with one page."""

    def __init__(self, send):
        self._send = send

    async def open(self, url, *, width, is_dark, height=900):
        """Show *url* in a window so wide, in the theme that the system would prefer, and wait until all plots are drawn."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        await self._send("Emulation.setDeviceMetricsOverride", size)
        theme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self._send("Emulation.setEmulatedMedia", {"features": [theme]})
        # To the same address with a # there is no way but through another page.
        for address in ("about:blank", url):
            await self._send("Page.navigate", {"url": address})
        is_drawn = f"location.href === {json.dumps(url)} && document.documentElement?.dataset.drawn"
        async with asyncio.timeout(LOAD_SECONDS):
            while await self.value(is_drawn) != "yes":  # noqa: ASYNC110 - the page has no event for us
                await asyncio.sleep(0.1)

    async def value(self, expression):
        """Return the value of JavaScript in the page; raises AssertionError for an exception there."""
        found = await self._send(
            "Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True}
        )
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"])
        return found["result"].get("value")

    async def shot(self, file, *, width=None, height=None):
        """Write a picture of the whole page to *file*, or of its first pixels, *width* by *height*."""
        wanted = {"format": "png", "captureBeyondViewport": True}
        if width and height:
            wanted["clip"] = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        found = await self._send("Page.captureScreenshot", wanted)
        file.write_bytes(base64.b64decode(found["data"]))


@contextlib.asynccontextmanager
async def browser():
    """Yield a Browser; its process ends with the block. Raises NoChromium."""
    program, environment = find()
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                "--remote-debugging-port=0", f"--user-data-dir={home}", "about:blank",
            ],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment, text=True,
        )  # fmt: skip
        try:
            address = await asyncio.wait_for(asyncio.to_thread(_address, process), START_SECONDS)
            async with aiohttp.ClientSession() as session:
                base = address.replace("ws://", "http://").partition("/devtools")[0]
                async with session.get(f"{base}/json/list") as answer:
                    [target] = [each for each in await answer.json() if each["type"] == "page"]
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Browser(_sender(socket))
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def _address(process):
    said = []
    for line in process.stderr:
        said.append(line)
        if found := _LISTENING.search(line):
            return found[1]
    raise NoChromium(f"Chromium ended before it listened: {''.join(said)[-500:]}")


def _sender(socket):
    """Return a function that sends a command and returns its result."""
    numbers = iter(range(1, 1_000_000))

    async def send(method, parameters):
        number = next(numbers)
        await socket.send_json({"id": number, "method": method, "params": parameters})
        async for message in socket:
            body = message.json()
            if body.get("id") == number:
                if "error" in body:
                    raise AssertionError(f"{method}: {body['error']}")
                return body["result"]
        raise AssertionError(f"Chromium ended during {method}")

    return send
