"""Answers a browser on loopback: a page for each dashboard, at the addresses that Grafana's links have.

Only reads. A request that names another host than this machine is refused: a page of somebody else's could otherwise
read the answers under a name of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

from plotly.offline import get_plotlyjs

from dashboards.preview import page
from dashboards.preview.asking import ask
from dashboards.preview.model import Board
from dashboards.preview.times import read_range
from telemetry.bounded_http import BoundedHandler, BoundedServer
from telemetry.clock import Clock
from telemetry.prometheus_api import Prometheus

CONNECTIONS_MAX = 50
_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing is fetched from anywhere else; styles are inline as plotly writes them into its drawings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What is served: dashboards, the Prometheus they ask, and the range of a page whose address says none."""

    boards: Sequence[Board]
    prometheus: Prometheus
    clock: Clock
    start: str = ""
    """As `read_range` takes it; "" for the dashboard's own."""
    end: str = ""
    scrape_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a type and a body."""

    status: HTTPStatus
    kind: str
    body: bytes


class PreviewServer(BoundedServer):
    """Serves *preview* on a port of 127.0.0.1. Raises OSError where the port is taken."""

    def __init__(self, port: int, preview: Preview) -> None:
        # Read once: it is 5 MB.
        self.plotly = get_plotlyjs().encode()
        self.preview = preview
        super().__init__(("127.0.0.1", port), _Handler, connections_max=CONNECTIONS_MAX)


def answered(preview: Preview, path: str, query: Mapping[str, Sequence[str]]) -> Answer:
    """Return the answer to a request for *path* with the parameters *query*."""
    if path == "/" and len(preview.boards) > 1:
        return _html(HTTPStatus.OK, page.index(preview.boards))
    # Grafana's addresses may have the title behind the uid.
    uid = preview.boards[0].uid if path == "/" else path.removeprefix("/d/").partition("/")[0]
    board = next((each for each in preview.boards if each.uid == uid), None)
    if board is None or not (path == "/" or path.startswith("/d/")):
        known = ", ".join(each.uid for each in preview.boards)
        return _html(
            HTTPStatus.NOT_FOUND, page.failure("Not found", f"There is no dashboard at {path}; there are: {known}")
        )
    start = _one(query, "from") or preview.start or board.time_from
    end = _one(query, "to") or preview.end or board.time_to
    try:
        shown = read_range(start, end, preview.clock.wall())
    except (ValueError, OverflowError) as error:
        return _html(HTTPStatus.BAD_REQUEST, page.failure("No such time", str(error)))
    wanted = {name.removeprefix("var-"): values for name, values in query.items() if name.startswith("var-")}
    asked = ask(preview.prometheus, board, shown, wanted, preview.scrape_seconds)
    text = page.page(asked, preview.boards, _one(query, "refresh"), preview.prometheus.shown)
    return _html(HTTPStatus.OK, text)


def _one(query: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(query.get(name, ())), "")


def _html(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, "text/html; charset=utf-8", text.encode())


_STATIC = {"page.css": "text/css", "page.js": "text/javascript", "theme.js": "text/javascript"}


class _Handler(BoundedHandler):
    server: PreviewServer
    timeout = 30

    def do_GET(self) -> None:
        """Answer with a page, or with what pages need."""
        host = self.headers.get("Host", "")
        if urlsplit(f"//{host}").hostname not in _HOSTS:
            self._send(Answer(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", b"ask for 127.0.0.1\n"))
            return
        parts = urlsplit(self.path)
        name = parts.path.removeprefix("/static/")
        if name == "plotly.min.js":
            self._send(Answer(HTTPStatus.OK, "text/javascript", self.server.plotly), keeps=True)
        elif name in _STATIC:
            self._send(
                Answer(HTTPStatus.OK, _STATIC[name], (files("dashboards.preview") / "static" / name).read_bytes())
            )
        else:
            self._send(answered(self.server.preview, parts.path, parse_qs(parts.query, keep_blank_values=True)))

    def _send(self, answer: Answer, *, keeps: bool = False) -> None:
        self.send_response_only(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "max-age=86400" if keeps else "no-store")
        self.send_header("Content-Security-Policy", _CONTENT_SECURITY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing: who looks at the page sees what it says."""
