"""Clients as an operator takes them out of service: drained and given back through any server's HTTP API."""

from collections.abc import Sequence
from typing import Any

from compose.drill.jobs import anywhere
from compose.local import LocalError
from telemetry.nomad_api import ApiSettings

_NANOSECONDS = 1_000_000_000


class Nodes:
    """Drains clients at *servers*, asking one after the other; remembers which, so that giving back needs no names.

    Clients are known by their agents' names. Everything raises ApiFailure when no server takes it, and LocalError for
    a client that is not ready.
    """

    def __init__(self, servers: Sequence[ApiSettings]) -> None:
        self._servers = tuple(servers)
        self._drained: set[str] = set()

    def drain(self, name: str, deadline_seconds: float = 0.0) -> None:
        """Begin to drain a client; a deadline of 0 is none."""
        spec = {"Deadline": int(deadline_seconds * _NANOSECONDS), "IgnoreSystemJobs": False}
        self._put(name, {"DrainSpec": spec, "MarkEligible": False})
        self._drained.add(name)

    def drains(self, name: str) -> bool:
        """Tell whether a client still drains."""
        return bool(self._stub(name)["Drain"])

    def give_back(self) -> None:
        """End the drain of every client that was drained here, over or not, and let new work onto it."""
        for name in sorted(self._drained):
            self._put(name, {"DrainSpec": None, "MarkEligible": True})
            self._drained.discard(name)

    def _put(self, name: str, body: dict[str, Any]) -> None:
        path = f"/v1/node/{self._stub(name)['ID']}/drain"
        anywhere(self._servers, lambda api: api.put(path, body))

    def _stub(self, name: str) -> dict[str, Any]:
        """Return a client as the list shows it: the newest of its name, as one that lost its data has another id."""
        nodes = anywhere(self._servers, lambda api: api.get("/v1/nodes")).value
        found = [node for node in nodes if node["Name"] == name and node["Status"] == "ready"]
        if not found:
            raise LocalError(f"the servers know no ready client called {name}")
        newest: dict[str, Any] = max(found, key=lambda node: node["CreateIndex"])
        return newest
