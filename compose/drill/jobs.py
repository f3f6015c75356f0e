"""The work of a cluster under drill: jobs registered, changed and stopped through any server's HTTP API."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from compose.local_settings import LOOPBACK, LocalAgent
from telemetry.nomad_api import ApiError, ApiFailure, ApiSettings, NomadApi

SLEEP = ("/bin/sleep", "86400")
FAIL = ("/bin/false",)
_TIMEOUT_SECONDS = 10.0
_MILLION_MHZ = 1_000_000
"""More than any node has."""


def job(
    name: str, *, count: int = 1, command: Sequence[str] = SLEEP, cpu_mhz: int = 20, memory_mb: int = 16
) -> dict[str, Any]:
    """Return the body that registers a service job of one task; a task that ends is started again for ever."""
    task = {
        "Name": "task",
        "Driver": "raw_exec",
        "Config": {"command": command[0], "args": list(command[1:])},
        "Resources": {"CPU": cpu_mhz, "MemoryMB": memory_mb},
    }
    restart = {"Attempts": 1_000, "Delay": 1_000_000_000, "Interval": 3_600_000_000_000, "Mode": "delay"}
    group = {"Name": "group", "Count": count, "Tasks": [task], "RestartPolicy": restart}
    return {"Job": {"ID": name, "Type": "service", "Datacenters": ["*"], "TaskGroups": [group]}}


def unplaceable_job(name: str) -> dict[str, Any]:
    """Return the body of a job that asks for more than any client has."""
    return job(name, cpu_mhz=_MILLION_MHZ)


class Jobs:
    """Registers and stops jobs at *servers*, asking one after the other; remembers what it registered."""

    def __init__(self, servers: Sequence[LocalAgent]) -> None:
        self._servers = tuple(servers)
        self._names: set[str] = set()

    def register(self, body: dict[str, Any]) -> None:
        """Register a job or change it; raises ApiFailure when no server takes it."""
        self._names.add(body["Job"]["ID"])
        self._put_anywhere(body)

    def stop(self, name: str) -> None:
        """Stop a job; raises ApiFailure when no server takes it."""
        self._names.discard(name)
        self._anywhere(lambda api: api.delete(f"/v1/job/{name}"))

    def stop_all(self, *, but: str) -> None:
        """Stop every job that was registered here and not stopped, apart from *but*; raises ApiFailure as `stop`."""
        for name in sorted(self._names - {but}):
            self.stop(name)

    def _put_anywhere(self, body: dict[str, Any]) -> None:
        self._anywhere(lambda api: api.put("/v1/jobs", body))

    def _anywhere(self, ask: Any) -> None:
        failure: ApiFailure | None = None
        for server in self._servers:
            with _api(server) as api:
                try:
                    ask(api)
                except ApiError:
                    raise
                except ApiFailure as error:
                    failure = error
                else:
                    return
        if failure is not None:
            raise failure


@contextmanager
def _api(server: LocalAgent) -> Iterator[NomadApi]:
    settings = ApiSettings(address=f"http://{LOOPBACK}:{server.http}", timeout_seconds=_TIMEOUT_SECONDS)
    with NomadApi(settings) as api:
        yield api
