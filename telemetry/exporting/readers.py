"""Readers of an API: one for each server, and two for what any server can say. Each belongs to one thread.

A reader's `step()` reads what is due, puts it on the board and returns for how many seconds there is nothing to do.
All reads but autopilot's are stale: a server without a leader answers them at once and from its own state, where any
other read would hang for 5 s. Source: measured on Nomad 2.0.5.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from telemetry.clock import Clock
from telemetry.exporting import bodies
from telemetry.exporting.board import Board
from telemetry.exporting.bodies import BodyError, NotAServer
from telemetry.exporting.journal import Journal, Trouble, is_denied, is_final
from telemetry.exporting.series import Found, ServerView
from telemetry.exporting.settings import LEADERLESS_POLL_SECONDS, LIST_TIMEOUT_SECONDS, ExporterSettings
from telemetry.exporting.source import LISTS, Source
from telemetry.nomad_api import ApiError, ApiFailure, ApiUnreachable, NomadApi
from telemetry.scrape.description import Target

T = TypeVar("T")

PAGE_ITEMS = 200
"""A page of 200 nodes is 0.3 MB of JSON and a few MB once decoded: the exporter stays small beside a large cluster."""

TRIES = 2
"""Servers that are asked for one thing before it is left for the next time."""

AVOIDED_SECONDS = 30.0
"""For how long a server that failed at a read of the cluster is asked last."""

UNHEALTHY = 429
"""How autopilot answers when not all is well; the body is the usual one."""

_ALL_NAMESPACES = {"namespace": "*"}


class Reading:
    """Reads: timed, counted, told of when they go wrong. Once *stop* is set, nothing is taken down any more.

    So a reader that hung while others were told to watch in its place does not write over what they found.
    """

    def __init__(self, board: Board, journal: Journal, clock: Clock, stop: threading.Event | None = None) -> None:
        self.board = board
        self.journal = journal
        self.clock = clock
        self._stop = stop or threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether nobody wants to know any more."""
        return self._stop.is_set()

    def read(self, server: str, source: Source, ask: Callable[[], T]) -> T | Trouble:
        """Return what *ask* returns, or the trouble it raised."""
        began = self.clock.monotonic()
        try:
            value = ask()
        except (ApiFailure, BodyError) as error:
            if not self.is_over:
                now = self.clock.monotonic()
                self.board.ended(server, source, now, now - began, failed=True, denied=is_denied(error))
                self.journal.failed(server, source, error)
            return error
        if not self.is_over:
            now = self.clock.monotonic()
            self.board.ended(server, source, now, now - began, failed=False, denied=False)
            self.journal.succeeded(server, source)
        return value


class ServerReader:
    """Reads what one server says of the leader and of itself."""

    task = "server"

    def __init__(self, target: Target, settings: ExporterSettings, reading: Reading) -> None:
        self._name = target.name
        self._settings = settings
        self._reading = reading
        self._api = NomadApi(settings.api_of(target, settings.timeout_seconds), clock=reading.clock)

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def step(self) -> float:
        """Poll the server once."""
        clock, board = self._reading.clock, self._reading.board
        began = clock.monotonic()
        view, reachable = self._view()
        now = clock.monotonic()
        if not self._reading.is_over:
            board.polled(self._name, view, now, reachable=reachable)
            if view.own is not None:
                self._reading.journal.led(self._name, view.own.term, leads=view.leads)
        interval = self._settings.poll_seconds
        if view.has_leader is False:
            interval = min(interval, LEADERLESS_POLL_SECONDS)
        return max(0.0, began + interval - now)

    def _view(self) -> tuple[ServerView, bool]:
        """Return what the server said, and whether it said anything at all."""
        leader = self._read(Source.LEADER, bodies.leader_address, stale=True)
        if isinstance(leader, ApiUnreachable):
            return ServerView(), False
        own = self._read(Source.SELF, bodies.own_view)
        if isinstance(own, NotAServer):
            return ServerView(), True
        return ServerView(
            None if isinstance(leader, Exception) else leader, None if isinstance(own, Exception) else own
        ), True

    def _read(self, source: Source, understand: Callable[[Any], T], *, stale: bool = False) -> T | Trouble:
        return self._reading.read(self._name, source, lambda: understand(self._api.get(source.path, stale=stale).value))


class _ClusterReader:
    """Reads from one server what any of them can say: the leader first, another one after a failure."""

    def __init__(self, settings: ExporterSettings, reading: Reading, timeout_seconds: float) -> None:
        self._targets = {server.name: server for server in settings.servers}
        self._settings = settings
        self._reading = reading
        self._timeout = timeout_seconds
        self._apis: dict[str, NomadApi] = {}
        self._failed_at: dict[str, float] = {}

    def close(self) -> None:
        """Close the connections."""
        for api in self._apis.values():
            api.close()

    def read(self, source: Source, ask: Callable[[str, NomadApi], Found]) -> bool:
        """Put what *ask* finds on the board; return False when another try soon may find more."""
        now = self._reading.clock.monotonic()
        avoided = {name for name, at in self._failed_at.items() if now - at < AVOIDED_SECONDS}
        names = [name for name in self._reading.board.candidates() if name in self._targets]
        for name in sorted(names, key=avoided.__contains__)[:TRIES]:
            found = self._reading.read(name, source, lambda name=name: ask(name, self._api(name)))  # type: ignore[misc]
            if self._reading.is_over:
                return True
            if not isinstance(found, Exception):
                self._reading.board.found(name, source, found, self._reading.clock.monotonic())
                return True
            if is_final(found):
                self._reading.board.forget(source)
                return True
            self._failed_at[name] = now
        return False

    def _api(self, name: str) -> NomadApi:
        if name not in self._apis:
            settings = self._settings.api_of(self._targets[name], self._timeout)
            self._apis[name] = NomadApi(settings, clock=self._reading.clock)
        return self._apis[name]


class AutopilotReader:
    """Reads what the leader's autopilot thinks, while any server knows of a leader: else it would hang for 5 s."""

    task = "autopilot"

    def __init__(self, settings: ExporterSettings, reading: Reading) -> None:
        self._interval = settings.poll_seconds
        self._reading = reading
        self._cluster = _ClusterReader(settings, reading, settings.timeout_seconds)

    def close(self) -> None:
        """Close the connections."""
        self._cluster.close()

    def step(self) -> float:
        """Read it once."""
        began = self._reading.clock.monotonic()
        if not self._reading.board.knows_leader():
            self._reading.board.forget(Source.AUTOPILOT)
            return LEADERLESS_POLL_SECONDS
        if not self._cluster.read(Source.AUTOPILOT, _autopilot):
            self._reading.board.forget(Source.AUTOPILOT)
        return max(0.0, began + self._interval - self._reading.clock.monotonic())


class ListsReader:
    """Reads nodes, jobs, deployments and evaluations, each at most once in `list_seconds`.

    A list is read whole only when its index has changed, which one item of it tells.
    """

    task = "lists"

    def __init__(self, settings: ExporterSettings, reading: Reading) -> None:
        self._settings = settings
        self._reading = reading
        self._cluster = _ClusterReader(settings, reading, LIST_TIMEOUT_SECONDS)
        self._due = dict.fromkeys(LISTS, 0.0)
        self._known: dict[Source, tuple[str, int, Found]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._cluster.close()

    def step(self) -> float:
        """Read what is due."""
        clock = self._reading.clock
        if not self._reading.board.candidates():
            return LEADERLESS_POLL_SECONDS
        for source in LISTS:
            now = clock.monotonic()
            if self._due[source] > now:
                continue
            done = self._cluster.read(source, lambda name, api, source=source: self._ask(source, name, api))  # type: ignore[misc]
            self._due[source] = now + (self._settings.list_seconds if done else self._settings.poll_seconds)
        return max(0.0, min(self._due.values()) - clock.monotonic())

    def _ask(self, source: Source, name: str, api: NomadApi) -> Found:
        if source is Source.EVALUATIONS:
            counts = _evaluations_counted(api)
            if counts is not None:
                return counts
        params = {} if source is Source.NODES else _ALL_NAMESPACES
        index = api.get(source.path, {**params, "per_page": 1}, stale=True).index
        known = self._known.get(source)
        if known is not None and index and known[:2] == (name, index):
            return known[2]
        found = _understand(source, api.pages(source.path, {**params, "stale": ""}, per_page=PAGE_ITEMS))
        self._known[source] = (name, index, found)
        return found


def _autopilot(_name: str, api: NomadApi) -> Found:
    return bodies.autopilot(api.get(Source.AUTOPILOT.path, accept={UNHEALTHY}).value)


def _understand(source: Source, items: Any) -> Found:
    match source:
        case Source.NODES:
            return bodies.node_counts(items)
        case Source.JOBS:
            return bodies.statuses(items, bodies.JOB_STATUSES)
        case Source.DEPLOYMENTS:
            return bodies.statuses(items, bodies.DEPLOYMENT_STATUSES)
        case _:
            return bodies.statuses(items, bodies.EVALUATION_STATUSES)


def _evaluations_counted(api: NomadApi) -> dict[str, int] | None:
    """Let the server count, as it keeps far more evaluations than anything else; None where it cannot."""
    counts: dict[str, int] = {}
    for status in bodies.EVALUATION_STATUSES:
        query = {**_ALL_NAMESPACES, "filter": f'Status == "{status}"'}
        try:
            counts[status] = bodies.counted(api.get(f"{Source.EVALUATIONS.path}/count", query, stale=True).value)
        except ApiError as error:
            if is_denied(error):
                raise
            return None
    return counts
