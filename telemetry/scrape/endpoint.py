"""The HTTP endpoint of `outrider discovery serve`, and the writer of `outrider discovery write`.

    GET /targets?cluster=C&region=R&role=server   the list in Prometheus' JSON; any of the three may be left out
    GET /metrics                                  what the process says of itself
    GET /healthz                                  ok

The list is whole, with status 200, also while the cluster is silent. Before the first answer ever it is 503: Prometheus
keeps what it had, so a restart in the middle of an outage takes no target away.
Source: Prometheus, "Writing HTTP service discovery", and file_sd_config: files are to be replaced by a rename.
"""

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from telemetry.bounded_http import BoundedHandler, BoundedServer
from telemetry.scrape.configuration import jobs
from telemetry.scrape.description import AgentRole, ClusterDescription, Target
from telemetry.scrape.discovery import FOLLOWED, Discovery, Place
from telemetry.scrape.members import Known

CONNECTIONS_MAX = 32
REQUEST_TIMEOUT_SECONDS = 10.0
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_QUERY = ("cluster", "region", "role")

_log = logging.getLogger(__name__)


class DiscoveryServer(BoundedServer):
    """Serves what *discovery* knows, to at most `CONNECTIONS_MAX` connections at once; further ones are closed."""

    def __init__(self, address: tuple[str, int], discovery: Discovery) -> None:
        self.discovery = discovery
        super().__init__(address, _Handler, connections_max=CONNECTIONS_MAX)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002, the base class calls it so
        """Say in one line that a connection broke off."""
        _log.info("event=connection_lost peer=%s", client_address[0])


class _Handler(BoundedHandler):
    timeout = REQUEST_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        discovery = cast("DiscoveryServer", self.server).discovery
        parts = urlsplit(self.path)
        match parts.path:
            case "/targets":
                self._targets(discovery, {name: values[-1] for name, values in parse_qs(parts.query).items()})
            case "/metrics":
                self._answer(HTTPStatus.OK, discovery.metrics(), _METRICS_TYPE)
            case "/healthz":
                self._answer(HTTPStatus.OK, b"ok\n")
            case _:
                self._answer(HTTPStatus.NOT_FOUND, b"see /targets and /metrics\n")

    def _targets(self, discovery: Discovery, query: Mapping[str, str]) -> None:
        places = discovery.places(**{name: query[name] for name in _QUERY if name in query})
        if not places:
            # Not an empty list: Prometheus would take away every target for a name that is misspelt.
            self._answer(HTTPStatus.NOT_FOUND, b"outrider.yaml has no such cluster, region or role\n")
        elif not all(discovery.is_known(place) for place in places):
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"the cluster has not answered yet\n")
        else:
            groups = [group for place in places for group in discovery.groups(place)]
            self._answer(HTTPStatus.OK, _json(groups).encode(), "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, the name is the base class's
        """Write no access log: Prometheus asks several times a minute."""


def read_found(description: ClusterDescription, folder: Path) -> dict[Place, Known]:
    """Return what an earlier run wrote below *folder*; a file that is missing or damaged holds nothing.

    A damaged file is written anew after the first answer, and until then Prometheus keeps what it read before.
    """
    found: dict[Place, list[Target]] = {}
    for job in jobs(description):
        if job.role not in FOLLOWED:
            continue
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            for group in json.loads((folder / job.discovered_file).read_text(encoding="utf-8")):
                labels = group["labels"]
                place = Place(labels["cluster"], labels["region"], AgentRole(labels["role"]))
                target = Target(
                    name=labels["instance"], address=group["targets"][0], datacenter=labels.get("datacenter", "")
                )
                found.setdefault(place, []).append(target)
    return {place: Known.of(targets) for place, targets in found.items()}


def write_found(description: ClusterDescription, discovery: Discovery, folder: Path) -> list[Path]:
    """Write what was found below *folder*, and return the files that changed; raises OSError.

    A file is replaced whole, so that nobody reads a half of it, and left alone while a region of its never answered.
    """
    written = []
    for job in jobs(description):
        groups = discovery.found_of(job) if job.role in FOLLOWED else None
        if groups is not None and write_groups(folder / job.discovered_file, groups):
            written.append(folder / job.discovered_file)
    return written


def write_groups(path: Path, groups: list[dict[str, Any]]) -> bool:
    """Replace a file of targets whole unless it says the same already, and tell whether it changed; raises OSError."""
    text = _json(groups)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _json(groups: list[dict[str, Any]]) -> str:
    return json.dumps(groups, indent=2) + "\n"
