"""What was read last, of whom and when: written by the readers' threads, read by a scrape.

Holds no clock: every moment is handed in, in seconds of one monotonic clock.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from telemetry.catalogue import exporter, outrider
from telemetry.exporting.bodies import Autopilot
from telemetry.exporting.series import Found, ServerView, cluster_series, server_series
from telemetry.exporting.settings import ExporterSettings
from telemetry.exporting.source import OF_EACH_SERVER, OF_THE_CLUSTER, Source
from telemetry.registry import Sampled

TASKS = ("server", "autopilot", "lists")
"""The kinds of readers; each server has one of the first."""


@dataclass(slots=True)
class _Server:
    """What is known of a server."""

    since: float
    polled: bool = False
    reachable: bool = False
    view: ServerView = field(default_factory=ServerView)
    viewed_at: float = 0.0


@dataclass(slots=True)
class _Reads:
    """The reads of one source from one server."""

    ended: int = 0
    failed: int = 0
    seconds: float = 0.0
    succeeded_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a source of the cluster gave, by which server, and when."""

    server: str
    found: Found
    at: float


class Board:
    """The one value that readers and scrapes share."""

    def __init__(self, settings: ExporterSettings, now: float) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._started = now
        self._servers: dict[str, _Server] = {}
        self._reads: dict[tuple[str, Source], _Reads] = {}
        self._cluster: dict[Source, _Reading] = {}
        self._read_at: dict[Source, float] = {}
        self._denied: set[Source] = set()
        self._failures = dict.fromkeys(TASKS, 0)
        self.watch(settings, now)

    def watch(self, settings: ExporterSettings, now: float) -> None:
        """Watch the servers of *settings* from now on; what is known of those that were watched before stays."""
        names = [server.name for server in settings.servers]
        with self._lock:
            self._settings = settings
            self._servers = {name: self._servers.get(name) or _Server(now) for name in names}
            self._reads = {
                (name, source): self._reads.get((name, source)) or _Reads() for name in names for source in Source
            }
            self._cluster = {source: seen for source, seen in self._cluster.items() if seen.server in self._servers}

    def ended(self, server: str, source: Source, now: float, seconds: float, *, failed: bool, denied: bool) -> None:
        """Take down that a read ended."""
        with self._lock:
            (self._denied.add if denied else self._denied.discard)(source)
            reads = self._reads.get((server, source))
            if reads is None:
                return
            reads.ended += 1
            reads.failed += failed
            reads.seconds = seconds
            if not failed:
                reads.succeeded_at = self._read_at[source] = now

    def polled(self, server: str, view: ServerView, now: float, *, reachable: bool) -> None:
        """Take down what a poll of *server* brought."""
        with self._lock:
            known = self._servers.get(server)
            if known is not None:
                known.polled, known.reachable, known.view, known.viewed_at = True, reachable, view, now

    def found(self, server: str, source: Source, found: Found, now: float) -> None:
        """Take down what *source* of the cluster gave, by *server*."""
        with self._lock:
            if server in self._servers:
                self._cluster[source] = _Reading(server, found, now)

    def forget(self, source: Source) -> None:
        """Let go of what *source* gave: it is known to be so no longer."""
        with self._lock:
            self._cluster.pop(source, None)

    def task_failed(self, task: str) -> None:
        """Count an error that nobody expected."""
        with self._lock:
            self._failures[task] += 1

    def knows_leader(self) -> bool:
        """Whether any server that answers knows of a leader."""
        with self._lock:
            return any(server.view.has_leader for server in self._servers.values())

    def candidates(self) -> list[str]:
        """Return the servers that answer, the leader first, then those that know one; empty before the first poll."""
        with self._lock:
            standing = [
                (not server.view.leads, not server.view.has_leader, place, name)
                for place, (name, server) in enumerate(self._servers.items())
                if server.reachable
            ]
        return [name for *_, name in sorted(standing)]

    def sample(self, now: float) -> list[Sampled]:
        """Return the present value of every series but the process's."""
        with self._lock:
            return [*self._cluster_samples(now), *self._own_samples(now)]

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        with self._lock:
            assert set(self._reads) == {(name, source) for name in self._servers for source in Source}
            assert all(seen.server in self._servers for seen in self._cluster.values())
            assert all(0 <= reads.failed <= reads.ended for reads in self._reads.values())

    def _cluster_samples(self, now: float) -> Iterator[Sampled]:
        settings = self._settings
        fresh = {
            source: seen
            for source, seen in self._cluster.items()
            if now - seen.at
            <= (settings.view_kept_seconds if source is Source.AUTOPILOT else settings.list_kept_seconds)
        }
        views = {
            name: server.view
            for name, server in self._servers.items()
            if now - server.viewed_at <= settings.view_kept_seconds
        }
        pilot = fresh[Source.AUTOPILOT].found if Source.AUTOPILOT in fresh else None
        known = pilot if isinstance(pilot, Autopilot) else None
        for name, view in views.items():
            yield from server_series(name, view, known)
        for source, seen in fresh.items():
            yield from cluster_series(_speaker(seen, views), source, seen.found)

    def _own_samples(self, now: float) -> Iterator[Sampled]:
        yield Sampled(exporter.SERVERS_WATCHED, float(len(self._servers)))
        for name, server in self._servers.items():
            fresh = now - server.viewed_at <= self._settings.view_kept_seconds
            yield Sampled(exporter.SERVER_REACHABLE, float(server.reachable and fresh), (name,))
            for source in OF_EACH_SERVER:
                succeeded = self._reads[name, source].succeeded_at
                since = server.since if succeeded is None else succeeded
                yield Sampled(exporter.AGE_SECONDS, max(0.0, now - since), (name, source.value))
        for source in OF_THE_CLUSTER:
            since = self._read_at.get(source, self._started)
            yield Sampled(exporter.SOURCE_AGE_SECONDS, max(0.0, now - since), (source.value,))
        for source in Source:
            yield Sampled(exporter.SOURCE_DENIED, float(source in self._denied), (source.value,))
        for (name, source), reads in self._reads.items():
            labels = (name, source.value)
            yield Sampled(exporter.READS_TOTAL, float(reads.ended), labels)
            yield Sampled(exporter.READ_FAILURES_TOTAL, float(reads.failed), labels)
            yield Sampled(exporter.READ_SECONDS, reads.seconds, labels)
        for task, count in self._failures.items():
            yield Sampled(outrider.TASK_FAILURES_TOTAL, float(count), (task,))


def _speaker(seen: _Reading, views: dict[str, ServerView]) -> str:
    """Return whose word it is: autopilot's is the leader's, whoever passed it on."""
    if isinstance(seen.found, Autopilot):
        for name, view in views.items():
            if view.own is not None and view.own.member == seen.found.leader:
                return name
    return seen.server
