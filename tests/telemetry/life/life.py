"""A cluster of ours that is driven through the steps of `steps.STEPS`, and scraped all the while."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from compose.check.command import compared
from compose.check.gather import ask_agent
from compose.local import LocalCluster
from compose.local_settings import LocalAgent, LocalRole
from telemetry.catalogue.comparison import AgentState, Difference, Problem, compare, seen_names
from telemetry.catalogue.metric import Role
from telemetry.clock import SystemClock
from telemetry.nomad_api import ApiFailure, ApiSettings, NomadApi
from telemetry.scraped import Scrape, read_exposition
from tests.telemetry.life.growth import Growth
from tests.telemetry.life.moment import Moment, look_at_host, look_at_process, usage_by_alloc
from tests.telemetry.life.record import StepRecord

LOOK_EVERY_SECONDS = 2.0

NEW_LEADER_SECONDS = 6.0
"""After which every gauge of a new leader is as new as its duties; heartbeats are counted every 5 s."""

STILL_SECONDS = 2.5
"""After so long without a change every gauge of a collection interval of a second is as new as the API."""

Seen = list[tuple[AgentState, Scrape]]


@dataclass(frozen=True, slots=True)
class Step:
    """A named part of the script: what it does, in words, and the function that does it."""

    name: str
    does: str
    run: Callable[["Life"], None]
    attempts: int = 1
    """How often it is lived at most until nothing disturbed it: a slow machine may cost a leader its lease."""


class Life:
    """Lives through steps and keeps what came of each.

    *seen* are all scrapes, *found* how they differ from the catalogue: what is unknown or otherwise at any moment, and
    what is missing once the cluster has settled. *records* holds the steps, *moments* the looks at everything.
    """

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.clock = SystemClock()
        self.wait = threading.Event().wait
        self.seen: Seen = []
        self.found: list[Difference] = []
        self.records: list[StepRecord] = []
        self.moments: list[Moment] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        """The jobs as the script registered them, by name."""
        self.leader = ""
        self.stopped: set[str] = set()
        self.held: Counter[str] = Counter()
        """Evaluations in the hands of the script, by type."""
        self.neighbours: dict[str, tuple[str, Role]] = {}
        """What else is scraped, by name: its URL, and what it is."""
        self._answering: dict[str, tuple[float | None, float]] = {}
        self._term = "", 0.0
        """The term that was seen last, and since when."""
        self._growth = Growth()

    def run(self, steps: Iterable[Step]) -> None:
        """Live them."""
        for step in steps:
            for left in reversed(range(step.attempts)):
                self._live(step)
                if self.record.is_steady or not left:
                    break
                self.record.name = f"{step.name}, disturbed"
                print(f"  {self.record.name}: another leader was elected, once more", flush=True)

    def _live(self, step: Step) -> None:
        self.records.append(StepRecord(step.name, began=self.clock.monotonic()))
        self.record.leader = self.find_leader()
        servers, first = set(self.servers), self._last_index()
        self._note_usage()
        step.run(self)
        self._note_usage()
        self.record.evals = tuple(self.ask("Eval.List", "/v1/evaluations"))
        self.record.allocs = tuple(self.ask("Alloc.List", "/v1/allocations"))
        self.record.indexes = first, self._last_index()
        self.record.servers = tuple(sorted(servers & set(self.servers)))
        self.look()
        self.record.ended = self.clock.monotonic()
        print(f"  {step.name}: {self.record.seconds:.0f} s, {len(self.record.seen)} names", flush=True)

    @property
    def record(self) -> StepRecord:
        """The step that is being lived."""
        return self.records[-1]

    def step(self, name: str) -> StepRecord:
        """Return what the step *name* left."""
        return next(record for record in self.records if record.name == name)

    # Who is there.

    @property
    def agents(self) -> list[LocalAgent]:
        """The agents that run and are not paused."""
        every = self.cluster.settings.agents
        return [each for each in every if each.name not in self.stopped and self.cluster.pid(each.name) is not None]

    @property
    def servers(self) -> list[str]:
        """The servers among them."""
        return [agent.name for agent in self.agents if agent.role is LocalRole.SERVER]

    @property
    def followers(self) -> list[str]:
        """The servers that do not lead."""
        return [name for name in self.servers if name != self.leader]

    def find_leader(self, seconds: float = 30.0) -> str:
        """Wait for a leader, and return and keep its name."""
        self.until(lambda: self.cluster.leader() in self.servers, seconds, "a leader")
        self.leader = self.cluster.leader() or self.leader
        return self.leader

    # Looking.

    def look(self) -> None:
        """Scrape every agent that answers."""
        for agent in self.agents:
            asked_at = self.clock.monotonic()
            facts = ask_agent(f"http://127.0.0.1:{agent.http}", ApiSettings(timeout_seconds=5.0), place=agent.name)
            if facts.scrape is None or not facts.body:
                continue
            self._keep(agent.name, facts.state(), facts.scrape, asked_at)
        for name, (url, role) in self.neighbours.items():
            asked_at = self.clock.monotonic()
            with suppress(ApiFailure):
                self._keep(name, AgentState(place=name, roles=role), self._beside(url), asked_at)

    def _keep(
        self, place: str, state: AgentState, scrape: Scrape, asked_at: float, answered_at: float | None = None
    ) -> None:
        self.seen.append((state, scrape))
        started = scrape.value("process_start_time_seconds")
        if self._answering.get(place, (None, 0.0))[0] != started:
            self._answering[place] = started, self.clock.wall()
        self.record.scrapes.append((place, scrape))
        self.record.times.append((asked_at, answered_at or self.clock.monotonic()))
        self.record.seen |= seen_names(scrape)
        grown = self.record.grown.setdefault(place, Counter())
        for key, amount in self._growth.take(place, scrape):
            grown[key] += amount
        # What must be there is judged by `settled`.
        self.found += compare(scrape, replace(state, seconds=0.0))

    def watch(self, seconds: float) -> None:
        """Look again and again, for *seconds*."""
        deadline = self.clock.monotonic() + seconds
        while (left := deadline - self.clock.monotonic()) > 0:
            self.look()
            self.wait(min(LOOK_EVERY_SECONDS, left))

    def until(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Look until *condition* says something, and return that; end the life when it does not within *seconds*."""
        deadline = self.clock.monotonic() + seconds
        due = 0.0
        while not (said := _said(condition)):
            if self.clock.monotonic() > deadline:
                raise SystemExit(f"{self.record.name}: {what} did not come within {seconds:.0f} s")
            if self.clock.monotonic() >= due:
                self.look()
                due = self.clock.monotonic() + LOOK_EVERY_SECONDS
            self.wait(0.2)
        return said

    def settled(self) -> None:
        """Keep what is missing of an agent that has been what it is for long enough."""
        asked = [ask_agent(f"http://127.0.0.1:{agent.http}", ApiSettings(), place=agent.name) for agent in self.agents]
        agents = [facts for facts in asked if facts.scrape]
        found = compared(agents, lambda agent: ask_agent(agent.address, ApiSettings(), place=agent.place))
        missing = [each for each in found if each.problem is Problem.MISSING]
        print(f"  {self.record.name}: settled, {len(agents)} agents, {len(missing)} missing", flush=True)
        self.found += missing

    # Asking.

    def ask(self, call: str, path: str, *, at: str = "", method: str = "get", body: Any = None) -> Any:
        """Return what the agent *at*, by default the leader, answers; counted as the call *call* of the script."""
        at = at or self.leader
        agent = next(each for each in self.cluster.settings.agents if each.name == at)
        kind = "leader" if at == self.leader else "client" if agent.role is LocalRole.CLIENT else "follower"
        began = self.clock.monotonic()
        with NomadApi(ApiSettings(address=f"http://127.0.0.1:{agent.http}", retry_seconds=20.0)) as api:
            # An unhealthy cluster is answered with 429.
            read = method == "get"
            answer = api.get(path, accept=(429,)) if read else getattr(api, method)(path, *([body] if body else []))
        self.did(call, self.clock.monotonic() - began, kind)
        return answer.value

    def did(self, call: str, seconds: float = 0.0, kind: str = "", times: int = 1, unsure: int = 0) -> None:
        """Count something that the script did *times* times, and *unsure* times more may have done."""
        self.record.asked[call] += times
        self.record.unsure[call] += unsure
        if kind:
            self.record.asked[f"{call}@{kind}"] += times
        self.record.took[call] = self.record.took.get(call, 0.0) + seconds

    def register(self, job: dict[str, Any], at: str = "") -> None:
        """Register *job*."""
        self.jobs[job["ID"]] = job
        try:
            self.ask("Job.Register", "/v1/jobs", method="put", body={"Job": job}, at=at)
        except ApiFailure as error:
            raise SystemExit(f"{job['ID']} was not registered: {error}") from error

    def node_id(self, name: str) -> str:
        """Return the id of the client *name*."""
        return next(node["ID"] for node in self.ask("Node.List", "/v1/nodes") if node["Name"] == name)

    def node_status(self, name: str) -> str:
        """Return the status of the client *name*."""
        return next(node["Status"] for node in self.ask("Node.List", "/v1/nodes") if node["Name"] == name)

    # A moment at which nothing happens.

    def moment(self, seconds: float = 120.0) -> Moment:
        """Wait until nothing changes, look at everything, and keep it."""
        return self.until(self._moment, seconds, "a moment without change")

    def _moment(self) -> Moment | None:
        if self.cluster.leader() != self.leader:
            self.find_leader()
        term = self.raft(self.leader)["term"]
        if term != self._term[0]:
            self._term = term, self.clock.monotonic()
        if self.clock.monotonic() - self._term[1] < NEW_LEADER_SECONDS:
            return None
        before, low, host_before = self._api(), self._stats(), look_at_host()
        health = self._health()
        self.wait(STILL_SECONDS)
        asked_at, wall = self.clock.monotonic(), self.clock.wall()
        facts = {
            agent.name: ask_agent(f"http://127.0.0.1:{agent.http}", ApiSettings(), place=agent.name)
            for agent in self.agents
        }
        answered_at, answered_wall = self.clock.monotonic(), self.clock.wall()
        processes = {name: look_at_process(self.cluster.pid(name) or 0) for name in facts}
        beside = {name: self._beside(url) for name, (url, _) in self.neighbours.items()}
        host, usage = look_at_host(), usage_by_alloc(str(self.cluster.settings.directory))
        after, high = self._api(), self._stats()
        is_same = before == after and self.cluster.leader() == self.leader
        if not is_same or any(each.scrape is None for each in facts.values()):
            return None
        for name, each in facts.items():
            self._keep(name, each.state(), each.scrape, asked_at, answered_at)
        moment = Moment(
            step=self.record.name,
            wall=(wall, answered_wall),
            leader=self.leader,
            expected_servers=self.cluster.settings.servers,
            scrapes={name: each.scrape for name, each in facts.items()},
            neighbours=beside,
            roles={agent.name: agent.role.value for agent in self.cluster.settings.agents},
            low=low,
            high=high,
            configs={name: each.config for name, each in facts.items()},
            ports={agent.name: agent.ports for agent in self.cluster.settings.agents},
            processes=processes,
            hosts=(host_before, host),
            healths=(health, self._health()),
            answering={name: since for name, (_, since) in self._answering.items()},
            held=dict(self.held),
            files={
                name: _files(self.cluster.settings.directory / "data" / name / "server/raft") for name in self.servers
            },
            usage=usage,
            **after,
        )
        self.moments.append(moment)
        return moment

    def _api(self) -> dict[str, Any]:
        nodes = self.ask("Node.List", "/v1/nodes")
        configuration = self.ask("Operator.RaftGetConfiguration", "/v1/operator/raft/configuration")
        return {
            "nodes": tuple(nodes),
            "jobs": tuple(self.ask("Job.List", "/v1/jobs")),
            "allocs": tuple(self.ask("Alloc.List", "/v1/allocations")),
            "evals": tuple(self.ask("Eval.List", "/v1/evaluations")),
            "node_bodies": {node["Name"]: self.ask("Node.GetNode", f"/v1/node/{node['ID']}") for node in nodes},
            "configuration": {
                server["Node"].removesuffix(".global"): server["Voter"] for server in configuration["Servers"]
            },
        }

    def _health(self) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.ask("Operator.ServerHealth", "/v1/operator/autopilot/health")
        return answer

    @staticmethod
    def _beside(url: str) -> Scrape:
        with NomadApi(ApiSettings(address=url)) as api:
            return read_exposition(api.get_text("/metrics"))

    def _note_usage(self) -> None:
        cores = tuple((core.user, core.system, core.idle) for core in psutil.cpu_times(percpu=True))
        self.record.cores = (*self.record.cores, cores)
        self.record.usage = (*self.record.usage, usage_by_alloc(str(self.cluster.settings.directory)))

    def _last_index(self) -> int:
        return int(self.raft(self.leader)["last_log_index"])

    def raft(self, name: str) -> Mapping[str, str]:
        """Return the Raft statistics of the server *name*. Raises ApiFailure."""
        return self.ask("self", "/v1/agent/self", at=name)["stats"]["raft"]

    def _stats(self) -> Mapping[str, Mapping[str, str]]:
        return {name: self.raft(name) for name in self.servers}


def _said(condition: Callable[[], Any]) -> Any:
    """Return what *condition* says; nothing while nobody leads who could answer."""
    try:
        return condition()
    except ApiFailure:
        return None


def _files(folder: Path) -> dict[str, tuple[int, float]]:
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime) for path in folder.rglob("*")}
