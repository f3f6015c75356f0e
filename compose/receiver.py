"""A receiver of Alertmanager's webhook: prints every notification readably and records it for tests.

Not a product to page people with: it shows, in a terminal, in a log and on a page, what a receiver would get.
Source: Alertmanager's documentation of `webhook_config`, version "4" of the body.
"""

import html
import os
import signal
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any, TextIO, cast

import click
import msgspec

from telemetry.bounded_http import BoundedHandler, BoundedServer
from telemetry.clock import Clock, SystemClock

KEPT_NOTIFICATIONS = 100
"""How many the page shows; older ones are forgotten."""
SHOWN_ALERTS = 50
"""Alerts shown of one notification, so that a storm neither fills the memory nor hides the screen."""
SHOWN_CHARACTERS = 2_000
"""Of one annotation or label."""
BODY_LIMIT_BYTES = 4 * 1024 * 1024
CONNECTIONS_MAX = 32
REQUEST_TIMEOUT_SECONDS = 10.0
_NEVER = "0001-01-01T00:00:00Z"  # Alertmanager's time for "has not ended"


class Alert(msgspec.Struct, frozen=True, rename="camel"):
    """One alert of a notification; times are RFC 3339 as sent."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: str = _NEVER
    ends_at: str = _NEVER
    generator_url: str = msgspec.field(default="", name="generatorURL")
    fingerprint: str = ""


class Notification(msgspec.Struct, frozen=True, rename="camel"):
    """One delivery: the alerts of one group, firing and resolved together."""

    status: str
    alerts: list[Alert]
    receiver: str = ""
    group_key: str = ""
    group_labels: dict[str, str] = {}
    truncated_alerts: int = 0


class Record(msgspec.Struct, frozen=True):
    """A line of the record file: when the notification arrived, in Unix seconds, and what it was."""

    received_at: float
    notification: Notification


def read_records(path: Path) -> list[Record]:
    """Return what a receiver recorded, oldest first; an unfinished last line is left out, a missing file is empty."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return [msgspec.json.decode(line, type=Record) for line in lines[:-1] if line]


def describe(notification: Notification, received_at: float) -> str:
    """Return the notification as a person wants to read it, ending in a newline; *received_at* is Unix seconds."""
    at = datetime.fromtimestamp(received_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    lines = []
    for alert in notification.alerts[:SHOWN_ALERTS]:
        severity = alert.labels.get("severity", "none").upper()
        name = alert.labels.get("alertname", "?")
        lines.append(f"{at} UTC  {alert.status.upper():8}  {severity}  {_cut(name)}")
        lines += _details(alert)
    hidden = max(0, len(notification.alerts) - SHOWN_ALERTS) + notification.truncated_alerts
    if hidden:
        lines.append(f"{at} UTC  and {hidden} more alerts in this notification")
    return "\n".join(lines) + "\n"


def _details(alert: Alert) -> list[str]:
    """Return the indented lines below an alert's head: what a receiver needs, then whatever labels remain."""
    times = alert.starts_at.partition(".")[0].rstrip("Z").replace("T", " ") + " UTC"
    if alert.status == "resolved" and alert.ends_at != _NEVER:
        times += " until " + alert.ends_at.partition(".")[0].rstrip("Z").replace("T", " ") + " UTC"
    labels = ", ".join(
        f"{name}={value}" for name, value in sorted(alert.labels.items()) if name not in {"alertname", "severity"}
    )
    rows = {
        "summary": alert.annotations.get("summary", ""),
        "description": alert.annotations.get("description", ""),
        "since": times,
        "runbook": alert.annotations.get("runbook_url", ""),
        "dashboard": alert.annotations.get("dashboard", ""),
        "labels": labels,
    }
    return [f"    {name:12} {_cut(' '.join(value.split()))}" for name, value in rows.items() if value]


def _cut(text: str) -> str:
    """Return *text* without control characters and at most `SHOWN_CHARACTERS` long."""
    printable = "".join(char if char.isprintable() else "?" for char in text)
    return printable if len(printable) <= SHOWN_CHARACTERS else printable[:SHOWN_CHARACTERS] + "…"


class Receiver:
    """Takes notifications from any thread, one at a time: prints, records, keeps the last ones.

    *record* is opened for appending; each line is on the disk before the notification is acknowledged, so that a
    test that kills processes never reads less than Alertmanager believes delivered. The file grows without bound.
    """

    def __init__(self, out: TextIO, clock: Clock, record: Path | None = None) -> None:
        self._out = out
        self._clock = clock
        self._record = None if record is None else record.open("ab")
        self._lock = threading.Lock()
        self._last: deque[str] = deque(maxlen=KEPT_NOTIFICATIONS)
        self._count = 0

    def take(self, body: bytes) -> None:
        """Show and record one webhook body; raises msgspec.MsgspecError when it is not one."""
        notification = msgspec.json.decode(body, type=Notification)
        with self._lock:
            received_at = self._clock.wall()
            text = describe(notification, received_at)
            if self._record is not None:
                self._record.write(msgspec.json.encode(Record(received_at, notification)) + b"\n")
                self._record.flush()
                os.fsync(self._record.fileno())
            self._last.append(text)
            self._count += 1
            self._out.write(text + "\n")
            self._out.flush()

    def refuse(self, reason: str) -> None:
        """Say in one line that a body was refused."""
        at = datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y-%m-%d %H:%M:%S")
        with self._lock:
            self._out.write(f"{at} UTC  refused: {_cut(reason)}\n")
            self._out.flush()

    def page(self) -> str:
        """Return the last notifications as text, newest first."""
        with self._lock:
            shown, count = list(self._last), self._count
        head = f"Received: {count}. Below: the last {len(shown)}, newest first.\n\n"
        return head + "\n".join(reversed(shown))

    def close(self) -> None:
        """Close the record file; idempotent."""
        with self._lock:
            if self._record is not None:
                self._record.close()
                self._record = None


class ReceiverServer(BoundedServer):
    """HTTP around a `Receiver`, with at most `CONNECTIONS_MAX` connections at once; further ones are closed."""

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        self.receiver = receiver
        super().__init__(address, _Handler, connections_max=CONNECTIONS_MAX)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002, the base class calls it so
        """Report a connection that broke off, in one line; nothing of it was taken."""
        self.receiver.refuse(f"connection from {client_address[0]} broke off: {sys.exc_info()[1]}")


class _Handler(BoundedHandler):
    timeout = REQUEST_TIMEOUT_SECONDS

    def do_POST(self) -> None:
        receiver = cast("ReceiverServer", self.server).receiver
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if length < 0:
            receiver.refuse("a body without Content-Length")
            self._answer(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing\n")
        elif length > BODY_LIMIT_BYTES:
            receiver.refuse(f"a body of {length} bytes, more than {BODY_LIMIT_BYTES}")
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {BODY_LIMIT_BYTES} bytes\n")
        else:
            self._take(receiver, self.rfile.read(length))

    def do_GET(self) -> None:
        receiver = cast("ReceiverServer", self.server).receiver
        if self.path == "/healthz":
            self._answer(HTTPStatus.OK, "ok\n")
        elif self.path != "/":
            self._answer(HTTPStatus.NOT_FOUND, "see /\n")
        elif "text/html" in self.headers.get("Accept", ""):
            page = _PAGE.format(text=html.escape(receiver.page()))
            self._answer(HTTPStatus.OK, page, "text/html")
        else:
            self._answer(HTTPStatus.OK, receiver.page())

    def _take(self, receiver: Receiver, body: bytes) -> None:
        try:
            receiver.take(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            receiver.refuse(f"not an Alertmanager notification: {error}")
            self._answer(HTTPStatus.BAD_REQUEST, f"not an Alertmanager notification: {error}\n")
        else:
            self._answer(HTTPStatus.OK, "")

    def _answer(self, status: HTTPStatus, text: str, content_type: str = "text/plain") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, the name is the base class's
        """Write no access log: the notifications are the log."""


_PAGE = """<!doctype html>
<meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Outrider notifications</title>
<style>body {{ font: 14px/1.5 monospace; margin: 2em }}</style>
<h1>Notifications</h1><pre>{text}</pre>
"""


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`; raises ValueError that says what is wrong."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is not an address: write host:port, such as 127.0.0.1:9095")
    return host.strip("[]"), int(port)


@click.command("receiver")
@click.option("--listen", default="127.0.0.1:9095", show_default=True, help="Address to take notifications on.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append each notification to this file, one JSON object a line.",
)
def receiver_command(listen: str, record: Path | None) -> None:
    """Print every notification that Alertmanager sends to its webhook.

    GET / shows the last notifications, GET /healthz answers ok.
    """
    try:
        address = split_address(listen)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from error
    try:
        receiver = Receiver(sys.stdout, SystemClock(), record)
    except OSError as error:
        raise click.ClickException(f"cannot write to {record}: {error.strerror}") from error
    try:
        server = ReceiverServer(address, receiver)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {listen}: {error.strerror}; choose another with --listen"
        ) from error

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # shutdown() waits for the loop, which runs in the thread that this handler interrupts.
        threading.Thread(target=server.shutdown, name="receiver-stop", daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    click.echo(f"waiting for notifications on http://{listen}/")
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    receiver.close()
