"""What an exporter is told: whom to watch, how often, and as whom."""

from dataclasses import dataclass, field, replace

from telemetry.nomad_api import ApiSettings
from telemetry.scrape.description import Target

LIST_TIMEOUT_SECONDS = 10.0
"""For one page of a list: a large cluster's takes a second or two on a busy server."""

LEADERLESS_POLL_SECONDS = 1.0
"""While a server has no leader: rules page after 9 s without one, and must not be told of a fail-over that is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterSettings:
    """Whom to watch and how. *api* holds token and TLS; its address and region are not used, the scheme is *scheme*.

    Raises ValueError when there is no server, a name or an address stands twice, or a time cannot be.
    """

    servers: tuple[Target, ...]
    poll_seconds: float = 5.0
    list_seconds: float = 30.0
    timeout_seconds: float = 2.0
    scheme: str = "http"
    api: ApiSettings = field(default_factory=ApiSettings)

    def __post_init__(self) -> None:
        if not self.servers:
            raise ValueError("no server to watch: name at least one")
        for what, words in (
            ("name", [server.name for server in self.servers]),
            ("address", [server.address for server in self.servers]),
        ):
            twice = next((word for word in words if words.count(word) > 1), None)
            if twice is not None:
                raise ValueError(f"the {what} {twice!r} stands twice; give each server its own")
        for option, seconds, least in (
            ("poll", self.poll_seconds, 1.0),
            ("lists", self.list_seconds, 5.0),
            ("timeout", self.timeout_seconds, 0.1),
        ):
            if not least <= seconds <= 600:
                raise ValueError(f"{option} is {seconds:g}s; write {least:g}s to 600s")

    def api_of(self, server: Target, timeout_seconds: float) -> ApiSettings:
        """Return how to speak to *server*."""
        return replace(
            self.api,
            address=f"{self.scheme}://{server.address}",
            region="",
            namespace="",
            timeout_seconds=timeout_seconds,
            retry_seconds=0.0,
        )

    @property
    def view_kept_seconds(self) -> float:
        """How old a server's view may be: two polls in which it did not answer. Only a stuck reader lets one age."""
        return 2 * (self.poll_seconds + self.timeout_seconds)

    @property
    def list_kept_seconds(self) -> float:
        """How old what was read of a list may be."""
        return 2 * (self.list_seconds + LIST_TIMEOUT_SECONDS)
