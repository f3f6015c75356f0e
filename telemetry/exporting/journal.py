"""What the readers say in the log: each trouble once when it begins, and once when it is over."""

import logging
import threading

from telemetry.exporting.bodies import BodyError
from telemetry.exporting.source import Source
from telemetry.nomad_api import ApiError, ApiFailure, ApiUnreachable

log = logging.getLogger(__name__)

DENIED = 403
NOT_OFFERED = frozenset({404, 405, 501})

Trouble = ApiFailure | BodyError
"""What a read can end with."""


def is_denied(error: Trouble) -> bool:
    """Whether the token does not allow what was read."""
    return isinstance(error, ApiError) and error.status == DENIED


def is_final(error: Trouble) -> bool:
    """Whether every other server would answer the same."""
    return isinstance(error, ApiError) and (error.status == DENIED or error.status in NOT_OFFERED)


class Journal:
    """Remembers which troubles were told; used from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[tuple[str, Source | None], str] = {}
        self._denied: set[Source] = set()
        self._leaders: set[str] = set()

    def led(self, server: str, term: int, *, leads: bool) -> None:
        """Tell of a server that begins or ceases to lead."""
        with self._lock:
            if leads == (server in self._leaders):
                return
            (self._leaders.add if leads else self._leaders.discard)(server)
        log.info("server %s server=%s term=%d", "leads" if leads else "leads no longer", server, term)

    def failed(self, server: str, source: Source, error: Trouble) -> None:
        """Tell of *error*, unless it was told of this server and source already."""
        if isinstance(error, ApiUnreachable):
            # The server as a whole does not answer, whatever it was asked.
            self._tell(server, None, "unreachable", f"server does not answer server={server} error={str(error)!r}")
        elif is_denied(error):
            with self._lock:
                if source in self._denied:
                    return
                self._denied.add(source)
            log.warning(
                "the token does not allow a source, its series are missing source=%s path=%s needs=%r",
                source.value,
                source.path,
                source.policy,
            )
        elif is_final(error):
            self._tell(
                server,
                source,
                "not offered",
                f"this server does not offer a source, its series are missing server={server} "
                f"source={source.value} path={source.path}",
            )
        else:
            kind = f"{type(error).__name__} {getattr(error, 'status', '')}"
            self._tell(
                server,
                source,
                kind,
                f"read failed server={server} source={source.value} path={source.path} error={str(error)!r}",
            )

    def succeeded(self, server: str, source: Source) -> None:
        """Tell that what was told before is over."""
        with self._lock:
            unreachable = self._told.pop((server, None), None)
            failed = self._told.pop((server, source), None)
            denied = source in self._denied
            self._denied.discard(source)
        if unreachable:
            log.info("server answers again server=%s", server)
        if failed:
            log.info("read again server=%s source=%s", server, source.value)
        if denied:
            log.info("the token allows a source again source=%s", source.value)

    def _tell(self, server: str, source: Source | None, kind: str, message: str) -> None:
        with self._lock:
            if self._told.get((server, source)) == kind:
                return
            self._told[server, source] = kind
        log.warning("%s", message)
