"""What Prometheus says of its alerts, asked several times a second, and what the receiver got, as traces of one fault.

Only alerts that notify count: Watchdog and what is merely informing are left out.
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec
import requests

from alert_rules.alertmanager import WATCHDOG
from alert_rules.settings import Severity
from compose.drill.judge import Trace
from compose.receiver import Record
from telemetry.clock import Clock

POLL_SECONDS = 0.3
"""Between two questions; what is seen is late by as much."""
_ASK_TIMEOUT_SECONDS = 2.0
_QUIET_SEVERITIES = frozenset({Severity.INFO.value, Severity.NONE.value})

Key = tuple[str, str]
"""Alert and region."""


class ActiveAlert(msgspec.Struct, frozen=True, rename="camel"):
    """An alert as Prometheus lists it: `state` is pending or firing, `active_at` the evaluation that first saw it."""

    labels: dict[str, str]
    state: str
    active_at: datetime


class _Alerts(msgspec.Struct, frozen=True):
    alerts: list[ActiveAlert]


class _Answer(msgspec.Struct, frozen=True):
    data: _Alerts


def active_alerts(url: str, session: requests.Session) -> list[ActiveAlert] | None:
    """Return what is pending and firing at the Prometheus of *url*; None when it does not answer."""
    try:
        answer = session.get(f"{url}/api/v1/alerts", timeout=_ASK_TIMEOUT_SECONDS)
        return msgspec.json.decode(answer.content, type=_Answer).data.alerts if answer.ok else None
    except (requests.RequestException, msgspec.MsgspecError):
        return None


class RecordTail:
    """The new lines of a receiver's record at each call; an unfinished last line waits for its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def __call__(self) -> list[Record]:
        """Return what was recorded since the last call."""
        with suppress(FileNotFoundError), self._path.open("rb") as record:
            record.seek(self._offset)
            whole, _, _ = record.read().rpartition(b"\n")
            if whole:
                self._offset += len(whole) + 1
                return [msgspec.json.decode(line, type=Record) for line in whole.split(b"\n")]
        return []


@dataclass(slots=True)
class _Seen:
    """One alert of one region since the fault began; times are Unix seconds."""

    severity: str = ""
    pending_at: float | None = None
    firing_at: float | None = None
    received_at: list[float] = field(default_factory=list)
    open: set[str] = field(default_factory=set)
    resolved_at: float | None = None


class Traces:
    """Puts together what is polled and what is received; pure but for the order it is told in.

    `begin` forgets what was seen, not what the receiver was told: a notification that repeats an alert is no news.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self._seen: dict[Key, _Seen] = {}
        self._told: set[tuple[str, str]] = set()

    def begin(self, at: float) -> None:
        """Start over for a fault that begins *at*."""
        self._began = at
        self._seen = {}

    def polled(self, at: float, alerts: Iterable[ActiveAlert]) -> None:
        """Take what Prometheus said *at*."""
        for alert in alerts:
            if not counts(alert.labels):
                continue
            seen = self._of(alert.labels)
            since = alert.active_at.timestamp()
            seen.pending_at = since if seen.pending_at is None else min(seen.pending_at, since)
            if alert.state == "firing" and seen.firing_at is None:
                seen.firing_at = at

    def received(self, record: Record) -> None:
        """Take one notification."""
        news = set()
        for alert in record.notification.alerts:
            if not counts(alert.labels):
                continue
            seen = self._of(alert.labels)
            subject = alert.fingerprint or repr(sorted(alert.labels.items()))
            if alert.status == "firing" and (subject, alert.starts_at) not in self._told:
                self._told.add((subject, alert.starts_at))
                seen.open.add(subject)
                seen.resolved_at = None
                news.add(key_of(alert.labels))
            elif alert.status == "resolved" and subject in seen.open:
                seen.open.remove(subject)
                if not seen.open:
                    seen.resolved_at = record.received_at
        for key in news:
            self._seen[key].received_at.append(record.received_at)

    def traces(self) -> tuple[Trace, ...]:
        """Return everything since the fault began, in the order of pending, in seconds since then."""

        def since(moment: float | None) -> float | None:
            return None if moment is None else round(moment - self._began, 3)

        found = [
            Trace(
                alert=alert,
                region=region,
                severity=seen.severity,
                pending_at=since(seen.pending_at),
                firing_at=since(seen.firing_at),
                received_at=tuple(round(moment - self._began, 3) for moment in seen.received_at),
                resolved_at=since(seen.resolved_at),
            )
            for (alert, region), seen in self._seen.items()
            if seen.pending_at is not None or seen.received_at
        ]
        return tuple(sorted(found, key=lambda trace: (trace.pending_at or 0.0, trace.alert, trace.region)))

    def unresolved(self) -> bool:
        """Tell whether the receiver still waits for the end of something it was told of since the fault began."""
        return any(seen.open for seen in self._seen.values())

    def _of(self, labels: dict[str, str]) -> _Seen:
        seen = self._seen.setdefault(key_of(labels), _Seen())
        seen.severity = labels.get("severity", "")
        return seen


def key_of(labels: dict[str, str]) -> Key:
    """Return the alert and the region of *labels*; the region is empty for an alert about no region."""
    return labels.get("alertname", ""), labels.get("region", "")


def counts(labels: dict[str, str]) -> bool:
    """Tell whether an alert of these labels notifies anybody."""
    return labels.get("alertname") != WATCHDOG and labels.get("severity") not in _QUIET_SEVERITIES


class Observer:
    """Asks and reads in a thread of its own, from `start` to `stop`."""

    def __init__(self, prometheus: str, records: Callable[[], list[Record]], clock: Clock) -> None:
        self._url = prometheus
        self._records = records
        self._clock = clock
        self._traces = Traces()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        self._active_at = self._pending_at = 0.0
        self.notifications = 0
        """Alerts that were told to the receiver so far, Watchdog and informing ones left out."""
        self.watchdogs = 0
        """Notifications about Watchdog so far."""

    def start(self) -> None:
        """Begin to look; nothing is quiet that was not looked at."""
        self._active_at = self._pending_at = self._clock.wall()
        self._thread = threading.Thread(target=self._run, name="drill-observer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more; idempotent."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._session.close()

    def begin(self, at: float) -> None:
        """Start over for a fault that begins *at*, Unix seconds."""
        with self._lock:
            self._traces.begin(at)

    def traces(self) -> tuple[Trace, ...]:
        """Return everything since the fault began."""
        with self._lock:
            return self._traces.traces()

    def unresolved(self) -> bool:
        """Tell whether the receiver still waits for an end."""
        with self._lock:
            return self._traces.unresolved()

    def quiet_seconds(self) -> float:
        """Return for how long nothing has been pending or firing; a Prometheus that does not answer is not quiet."""
        return self._clock.wall() - self._active_at

    def decided_seconds(self) -> float:
        """Return for how long nothing has been pending, whatever fires."""
        return self._clock.wall() - self._pending_at

    def _run(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            self._look()
        self._look()

    def _look(self) -> None:
        alerts = active_alerts(self._url, self._session)
        now = self._clock.wall()
        records = self._records()
        with self._lock:
            states = {alert.state for alert in alerts or () if counts(alert.labels)}
            if alerts is None or states:
                self._active_at = now
            if alerts is None or "pending" in states:
                self._pending_at = now
            self._traces.polled(now, alerts or ())
            for record in records:
                self._traces.received(record)
                told = record.notification.alerts
                self.notifications += sum(counts(alert.labels) for alert in told)
                self.watchdogs += any(alert.labels.get("alertname") == WATCHDOG for alert in told)
