"""`outrider exporter`: beside a Nomad, says in `outrider_*` series what Nomad's own telemetry lacks.

Reads the API of a region's servers and never writes. What it cannot read it does not say: an old value would look like
a fresh one, and 0 like a lost leader; rules then stand on Nomad's own series, as without an exporter.
"""

import threading
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, cast

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from telemetry import catalogue
from telemetry.bounded_http import BoundedHandler, BoundedServer
from telemetry.catalogue import Kind, exporter
from telemetry.clock import Clock, SystemClock
from telemetry.exporting.board import Board
from telemetry.exporting.poller import Poller
from telemetry.exporting.settings import ExporterSettings
from telemetry.process import Process
from telemetry.registry import Sampled

CONNECTIONS_MAX = 16
REQUEST_TIMEOUT_SECONDS = 10.0

_Family = CounterMetricFamily | GaugeMetricFamily

_PAGE = "Outrider exporter: the series are at /metrics.\n"


class Exporter:
    """Watches the servers of *settings* and serves what it saw on *address*, host and port; port 0 takes a free one.

    Raises OSError when it cannot listen.
    """

    def __init__(
        self, settings: ExporterSettings, address: tuple[str, int], *, version: str = "", clock: Clock | None = None
    ) -> None:
        clock = clock or SystemClock()
        self._board = Board(settings, clock.monotonic())
        self._poller = Poller(self._board, clock)
        registry = CollectorRegistry()
        registry.register(_Collector(self._board, clock, version))
        self._server = _Server(address, registry, self._poller)
        self._changing = threading.Lock()
        self._settings = settings

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return str(host), port

    def run(self) -> None:
        """Watch and serve until `stop`."""
        self.watch(self._settings)
        try:
            self._server.serve_forever(poll_interval=0.1)
        finally:
            self._poller.stop()
            self._server.server_close()

    def watch(self, settings: ExporterSettings) -> None:
        """Watch other servers from now on; from any thread."""
        with self._changing:
            self._poller.watch(settings)

    def stop(self) -> None:
        """End `run`; from any thread, also from a signal handler."""
        # shutdown() waits for the loop, which may run in the thread that a signal's handler interrupts.
        threading.Thread(target=self._server.shutdown, name="stop", daemon=True).start()


class _Collector:
    """The board and the process as prometheus_client's families, kind and help from the catalogue."""

    def __init__(self, board: Board, clock: Clock, version: str) -> None:
        self._board = board
        self._clock = clock
        self._version = version
        self._process = Process(clock)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names need not be collected to be registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every family that has a series now."""
        families: dict[str, _Family] = {}
        for metric, value, labels in self._samples():
            family = families.get(metric.name)
            if family is None:
                family = families[metric.name] = _family(metric)
            family.add_metric(labels, value)
        yield from families.values()

    def _samples(self) -> Iterator[Sampled]:
        yield Sampled(exporter.INFO, 1.0, (self._version,))
        yield from self._board.sample(self._clock.monotonic())
        yield from self._process.sample()


def _family(metric: catalogue.Metric) -> _Family:
    if metric.kind is Kind.COUNTER:
        return CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    return GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)


class _Server(BoundedServer):
    """HTTP around a registry, with at most `CONNECTIONS_MAX` connections at once; further ones are closed."""

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, poller: Poller) -> None:
        self.registry = registry
        self.poller = poller
        super().__init__(address, _Handler, connections_max=CONNECTIONS_MAX)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that broke off: the one who asked knows."""


class _Handler(BoundedHandler):
    timeout = REQUEST_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        server = cast("_Server", self.server)
        match self.path.partition("?")[0]:
            case "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, encode(server.registry), content_type)
            case "/healthz":
                well = server.poller.is_alive
                status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
                self._answer(status, b"ok\n" if well else b"a reader has ended\n")
            case "/":
                self._answer(HTTPStatus.OK, _PAGE.encode())
            case _:
                self._answer(HTTPStatus.NOT_FOUND, b"see /metrics\n")

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, the name is the base class's
        """Write no access log: one line every scrape says nothing."""
