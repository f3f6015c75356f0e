"""Waiting for what a receiver got: the notifications of a cluster, as they arrived."""

import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from compose.receiver import read_records

POLL_SECONDS = 0.05
WATCHDOG = "Watchdog"


@dataclass(frozen=True)
class Got:
    """One alert of one notification that arrived, seconds since the epoch."""

    at: float
    alert: str
    status: str
    severity: str
    instance: str

    def __str__(self):
        return f"{self.alert}[{self.severity}] {self.status} {self.instance}".strip()


class Watch:
    """The record of a receiver, read again and again."""

    def __init__(self, record: Path):
        self._record = record
        self._sleep = threading.Event().wait

    def all(self):
        """Return every alert that arrived, Watchdog left out."""
        return [
            Got(
                entry.received_at,
                alert.labels.get("alertname", ""),
                alert.status,
                alert.labels.get("severity", ""),
                alert.labels.get("instance", ""),
            )
            for entry in read_records(self._record)
            for alert in entry.notification.alerts
            if alert.labels.get("alertname") != WATCHDOG
        ]

    def watchdogs(self):
        """Return how many notifications about Watchdog arrived."""
        return sum(
            any(alert.labels.get("alertname") == WATCHDOG for alert in entry.notification.alerts)
            for entry in read_records(self._record)
        )

    def since(self, moment):
        """Return what arrived at *moment* or later."""
        return [got for got in self.all() if got.at >= moment]

    def wait(self, names, status, moment, seconds):
        """Return the first alert called one of *names* with *status* since *moment*; fails after *seconds*."""
        deadline = moment + seconds
        while True:
            for got in self.since(moment):
                if got.alert in names and got.status == status:
                    return got
            if time.time() > deadline:
                arrived = [str(got) for got in self.since(moment)]
                raise AssertionError(f"no {status} {' or '.join(names)} within {seconds} s; arrived: {arrived}")
            self._sleep(POLL_SECONDS)

    def quiet(self, seconds):
        """Let *seconds* pass."""
        self._sleep(seconds)


def wait_until(condition, seconds, what):
    """Return how long it took until *condition* gave something true, and what; fails after *seconds*."""
    started = time.monotonic()
    pause = threading.Event().wait
    while True:
        found = condition()
        if found:
            return time.monotonic() - started, found
        if time.monotonic() - started > seconds:
            raise AssertionError(f"{what}: not within {seconds} s")
        pause(POLL_SECONDS)


def free_ports(count):
    """Return *count* ports on loopback that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
