"""The work of a cluster under drill: jobs registered, changed and stopped through any server's HTTP API."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from telemetry.nomad_api import ApiError, ApiFailure, ApiSettings, NomadApi

SLEEP = ("/bin/sleep", "86400")
FAIL = ("/bin/false",)
TIMEOUT_SECONDS = 10.0
"""For one answer of a server."""
_MILLION_MHZ = 1_000_000
"""More than any node has."""

T = TypeVar("T")


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


def endless_batch_job(name: str) -> dict[str, Any]:
    """Return the body of a batch job of one task that does not end by itself."""
    body = job(name)
    (group,) = body["Job"]["TaskGroups"]
    # A batch job has no unlimited restarts; its task is not to need any.
    return {"Job": {**body["Job"], "Type": "batch", "TaskGroups": [{**group, "RestartPolicy": None}]}}


class Jobs:
    """Registers and stops jobs at *servers*, asking one after the other; remembers what it registered."""

    def __init__(self, servers: Sequence[ApiSettings]) -> None:
        self._servers = tuple(servers)
        self._names: set[str] = set()

    def register(self, body: dict[str, Any]) -> None:
        """Register a job or change it; raises ApiFailure when no server takes it."""
        self._names.add(body["Job"]["ID"])
        anywhere(self._servers, lambda api: api.put("/v1/jobs", body))

    def stop(self, name: str) -> None:
        """Stop a job; raises ApiFailure when no server takes it."""
        self._names.discard(name)
        anywhere(self._servers, lambda api: api.delete(f"/v1/job/{name}"))

    def stop_all(self, *, but: str) -> None:
        """Stop every job that was registered here and not stopped, apart from *but*; raises ApiFailure as `stop`."""
        for name in sorted(self._names - {but}):
            self.stop(name)

    def clients_of(self, name: str) -> tuple[str, ...]:
        """Return the clients on which a job's wanted allocations run; raises ApiFailure when no server answers."""
        allocs = anywhere(self._servers, lambda api: api.get(f"/v1/job/{name}/allocations")).value
        return tuple(
            alloc["NodeName"]
            for alloc in allocs
            if (alloc["DesiredStatus"], alloc["ClientStatus"]) == ("run", "running")
        )


def anywhere(servers: Sequence[ApiSettings], ask: Callable[[NomadApi], T]) -> T:
    """Return what *ask* gets from the first of *servers* that answers; raises ApiFailure when none does or one refuses."""
    failure: ApiFailure | None = None
    for server in servers:
        with NomadApi(server) as api:
            try:
                return ask(api)
            except ApiError:
                raise
            except ApiFailure as error:
                failure = error
    if failure is None:
        raise ValueError("there is no server to ask")
    raise failure
