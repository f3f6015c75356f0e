"""Autopilot's settings as an operator changes them, through any server's HTTP API."""

from collections.abc import Sequence

from compose.drill.jobs import anywhere
from telemetry.nomad_api import ApiSettings

_PATH = "/v1/operator/autopilot/configuration"


class Autopilot:
    """Changes settings at *servers*, asking one after the other, and remembers whether they are those of the start.

    Everything raises ApiFailure when no server takes it.
    """

    def __init__(self, servers: Sequence[ApiSettings]) -> None:
        self._servers = tuple(servers)
        self._changed = False

    def remove_dead(self, removes: bool) -> None:
        """Let the leader remove the servers that gossip calls failed, or not."""
        settings = anywhere(self._servers, lambda api: api.get(_PATH)).value
        anywhere(self._servers, lambda api: api.put(_PATH, settings | {"CleanupDeadServers": removes}))
        self._changed = not removes

    def give_back(self) -> None:
        """Let it remove them again, if that was changed here."""
        if self._changed:
            self.remove_dead(True)
