"""Follows the members and nodes of live clusters, and keeps the last good list of each when nobody answers.

One thread calls `Discovery.round`; any thread may read, as what is known is replaced whole. Servers are asked in turn,
the listed ones first, and answer without a leader (`stale`).
Source: Nomad, HTTP API /v1/agent/members (policy agent:read), /v1/nodes and /v1/node/:id (policy node:read).
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from telemetry.catalogue import discovery as catalogue
from telemetry.catalogue.metric import Metric
from telemetry.clock import Clock
from telemetry.exposition import Family, encode, header, prefix
from telemetry.nomad_api import ApiError, ApiFailure, ApiUnreachable, NomadApi
from telemetry.scrape.configuration import Job, target_group
from telemetry.scrape.description import AgentRole, ClusterDescription, Region, Target
from telemetry.scrape.members import ABSENT_ANSWERS, Known, beside_listed, clients_in, node_in, servers_in

ROUND_SECONDS = 15.0
TIMEOUT_SECONDS = 3.0
"""For one answer: a server that hangs must not cost more than its share of a round."""
FOLLOWED = (AgentRole.SERVER, AgentRole.CLIENT)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """One role in one region of one cluster."""

    cluster: str
    region: str
    role: AgentRole


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one place; *answered_at* is monotonic, None before the first answer."""

    known: Known = field(default_factory=Known)
    answered_at: float | None = None
    rounds_failed: int = 0
    problem: str = ""


class Discovery:
    """Knows the agents of every region of *description*.

    *connect* opens a session, given a region and the address of an agent of it. Without *asks_found* only the listed
    servers are asked: a token in clear text goes to nobody whom gossip alone vouches for.
    """

    def __init__(
        self,
        description: ClusterDescription,
        connect: Callable[[str, str], NomadApi],
        clock: Clock,
        *,
        earlier: Mapping[Place, Known] | None = None,
        absent_answers: int = ABSENT_ANSWERS,
        asks_found: bool = True,
    ) -> None:
        self._description = description
        self._connect = connect
        self._clock = clock
        self._absent_answers = absent_answers
        self._asks_found = asks_found
        self._regions = {
            Place(region.cluster or description.cluster, region.name, role): region
            for region in description.regions
            for role in FOLLOWED
        }
        self._states = {place: State((earlier or {}).get(place, Known())) for place in self._regions}
        self._addresses: dict[Place, dict[str, tuple[int, str]]] = {}
        """HTTP address of each node by its id, with the index that the node had when it was asked for."""

    def round(self) -> bool:
        """Ask every region once, and tell whether all answered in full; never raises for what a cluster does."""
        states = dict(self._states)
        for region in self._description.regions:
            cluster = region.cluster or self._description.cluster
            servers, clients = (Place(cluster, region.name, role) for role in FOLLOWED)
            self._ask_region(region, servers, clients, states)
        self._states = states
        return all(not state.problem for state in states.values())

    def is_known(self, place: Place) -> bool:
        """Tell whether the cluster ever answered, in this run or an earlier one."""
        state = self._states[place]
        return state.answered_at is not None or bool(state.known.targets)

    def places(self, **wanted: str) -> list[Place]:
        """Return the places that *wanted* (cluster, region, role) leaves."""
        return [
            place
            for place in self._states
            if all(wanted.get(name, text) == text for name, text in _texts(place).items())
        ]

    def found(self, place: Place) -> list[dict[str, Any]]:
        """Return the targets that are not listed in outrider.yaml, as Prometheus reads them."""
        targets = beside_listed(self._states[place].known.targets.values(), self._regions[place], place.role)
        return [target_group(place.cluster, place.region, place.role, target) for target in targets]

    def groups(self, place: Place) -> list[dict[str, Any]]:
        """Return every target: those of outrider.yaml first, then what was found."""
        listed = self._regions[place].targets(place.role)
        return [target_group(place.cluster, place.region, place.role, target) for target in listed] + self.found(place)

    def found_of(self, job: Job) -> list[dict[str, Any]] | None:
        """Return what was found for a scrape job; None as long as one of its regions never answered."""
        places = [Place(region.cluster or self._description.cluster, region.name, job.role) for region in job.regions]
        if not all(self.is_known(place) for place in places):
            return None
        return [group for place in places for group in self.found(place)]

    def metrics(self) -> bytes:
        """Return what this process says of itself, in Prometheus' text format."""
        now = self._clock.monotonic()
        rows: dict[Metric, Callable[[Place, State], float]] = {
            catalogue.TARGETS: lambda place, _: len(self.groups(place)),
            catalogue.LIST_AGE_SECONDS: lambda _, state: (
                math.inf if state.answered_at is None else now - state.answered_at
            ),
            catalogue.ROUNDS_FAILED_TOTAL: lambda _, state: state.rounds_failed,
        }
        states = self._states
        return encode(
            Family(
                header(metric, metric.name),
                [
                    (prefix(metric.name, _texts(place).items()), float(value(place, state)))
                    for place, state in states.items()
                ],
            )
            for metric, value in rows.items()
        )

    def _ask_region(self, region: Region, servers: Place, clients: Place, states: dict[Place, State]) -> None:
        """Update *states* from the first server that answers; a further one is asked for what it would not say."""
        missing = {servers: self._servers, clients: self._clients}
        problems = dict.fromkeys(missing, "no server is known; list one in outrider.yaml")
        for address in self._servers_to_ask(region, states[servers].known):
            with self._connect(region.name, address) as api:
                for place, ask in list(missing.items()):
                    try:
                        found, left = ask(api, place)
                        knows_leader = _knows_leader(api, region.name)
                    except (ApiFailure, LookupError, TypeError, ValueError) as failure:
                        problems[place] = f"{address}: {failure or type(failure).__name__}"
                        if isinstance(failure, ApiUnreachable):
                            problems |= dict.fromkeys(missing, problems[place])
                            break
                    else:
                        states[place] = self._answered(states[place], found, left, knows_leader=knows_leader)
                        _tell(place, self._states[place].problem, "")
                        del missing[place]
            if not missing:
                return
        for place in missing:
            states[place] = replace(
                states[place], problem=problems[place], rounds_failed=states[place].rounds_failed + 1
            )
            _tell(place, self._states[place].problem, problems[place])

    def _answered(self, state: State, found: Iterable[Target], left: frozenset[str], *, knows_leader: bool) -> State:
        known = state.known.after(found, left=left, knows_leader=knows_leader, absent_answers=self._absent_answers)
        return replace(state, known=known, answered_at=self._clock.monotonic(), problem="")

    def _servers_to_ask(self, region: Region, known: Known) -> Iterator[str]:
        yield from (target.address for target in region.servers)
        if not self._asks_found:
            return
        for target in beside_listed(known.targets.values(), region, AgentRole.SERVER):
            yield target.address

    def _servers(self, api: NomadApi, place: Place) -> tuple[list[Target], frozenset[str]]:
        return servers_in(api.get("/v1/agent/members").value["Members"], self._regions[place])

    def _clients(self, api: NomadApi, place: Place) -> tuple[list[Target], frozenset[str]]:
        stubs = api.get("/v1/nodes", {"region": place.region}, stale=True).value or []
        before = self._addresses.get(place, {})
        now = {str(stub["ID"]): _address_of(api, place, stub, before) for stub in stubs}
        self._addresses[place] = now
        return clients_in(node_in(stub, now[str(stub["ID"])][1]) for stub in stubs), frozenset()


def _address_of(
    api: NomadApi, place: Place, stub: Mapping[str, Any], before: Mapping[str, tuple[int, str]]
) -> tuple[int, str]:
    """Return the HTTP address of a node, asked for anew only when the node changed; the list has no port."""
    node_id, index = str(stub["ID"]), int(stub.get("ModifyIndex", 0))
    known = before.get(node_id)
    if known is not None and known[0] == index:
        return known
    try:
        address = api.get(f"/v1/node/{node_id}", {"region": place.region}, stale=True).value["HTTPAddr"]
    except ApiError:
        # Collected between the two questions, or not yet known to a server that is behind: asked again next time.
        return -1, known[1] if known else ""
    return index, str(address)


def _knows_leader(api: NomadApi, region: str) -> bool:
    """Tell whether the server knows a leader; stale, or a server without one keeps the question for five seconds."""
    try:
        return bool(api.get("/v1/status/leader", {"region": region}, stale=True).value)
    except ApiError:
        return False


def _texts(place: Place) -> dict[str, str]:
    return {"cluster": place.cluster, "region": place.region, "role": place.role.value}


def _tell(place: Place, before: str, now: str) -> None:
    """Log a change once, where it happens."""
    where = " ".join(f"{name}={text}" for name, text in _texts(place).items())
    if now and not before:
        _log.warning("event=cluster_silent %s kept=last_list reason=%r", where, now)
    elif before and not now:
        _log.warning("event=cluster_answers %s", where)
