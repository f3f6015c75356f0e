"""The script of a life: named steps, in their order, that bring about everything our agent measures."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from subprocess import DEVNULL, Popen
from typing import Any

from agent.errors import RequestRefused
from compose.local_settings import default_agent_command
from telemetry.catalogue import Role, client
from telemetry.nomad_api import ApiFailure
from tests.telemetry.life.life import Life, Step
from tests.telemetry.life.worker import Worker

MINUTE_SECONDS = 65.0
"""How long an agent has to be what it is, so that a leader has done what it does once a minute."""

CPU_MHZ = 20
MEMORY_MB = 16
HUGE_MB = 10_000_000
HUGE_MHZ = 1_000_000
"""More than any client has."""
QUIET_SECONDS = 24.0
"""In which what happens so many times a second is counted."""

LOSS_SECONDS = 330.0
"""In which a dead client is missed at the latest: a leader that is elected meanwhile gives all of them five minutes."""

READS_EACH = 2
"""How often each question is asked of each kind of agent."""

ENTRIES_FOR_A_SNAPSHOT = 8_192
BUSY = "while :; do i=0; while [ $i -lt 4000 ]; do i=$((i+1)); done; sleep 0.2; done"
"""A task that uses some processor time, but leaves the most to others."""


def job(
    name: str, count: int, kind: str, command: str, *arguments: str, cpu: int = CPU_MHZ, memory: int = MEMORY_MB
) -> dict[str, Any]:
    """Return a job of one group `g` with one task `t`."""
    task = {
        "Name": "t",
        "Driver": "raw_exec",
        "Config": {"command": command, "args": list(arguments)},
        "Resources": {"CPU": cpu, "MemoryMB": memory},
    }
    restart = {"Attempts": 1, "Delay": 1_000_000_000, "Interval": 60_000_000_000, "Mode": "fail"}
    group = {"Name": "g", "Count": count, "Tasks": [task], "RestartPolicy": restart}
    return {"ID": name, "Type": kind, "Datacenters": ["dc1"], "TaskGroups": [group]}


def _start(life: Life) -> None:
    life.watch(16)


def _jobs(life: Life) -> None:
    for each in (
        job("web", 2, "service", "/bin/sleep", "3600"),
        job("busy", 1, "service", "/bin/sh", "-c", BUSY),
        job("once", 1, "batch", "/bin/true"),
        job("failing", 1, "batch", "/bin/false"),
        job("huge", 1, "service", "/bin/sleep", "3600", memory=HUGE_MB),
        job("fast", 1, "service", "/bin/sleep", "3600", cpu=HUGE_MHZ),
        job("everywhere", 1, "system", "/bin/sleep", "3600"),
        job("sweep", 1, "sysbatch", "/bin/true"),
    ):
        life.register(each)
    life.until(lambda: _is_placed(life), 60, "what the jobs are to become")
    life.watch(4)
    life.moment()


def _is_placed(life: Life) -> bool:
    status = {each["ID"]: each["Status"] for each in life.ask("Job.List", "/v1/jobs")}
    allocs = life.ask("Alloc.List", "/v1/allocations")
    running = [each for each in allocs if each["ClientStatus"] == "running"]
    failed = [each for each in allocs if each["ClientStatus"] == "failed"]
    return status["once"] == status["sweep"] == "dead" and len(running) == 5 and len(failed) >= 1


def _reads(life: Life) -> None:
    alloc = life.ask("Job.Allocations", "/v1/job/web/allocations")[0]
    for at in (life.leader, life.followers[0], "client-1"):
        for _ in range(READS_EACH):
            for call, path in _READS:
                life.ask(call, path.format(**alloc), at=at)
            body = {"Job": life.jobs["web"]}
            life.ask("Job.Validate", "/v1/validate/job", method="put", body=body, at=at)
            body = {"Prefix": "w", "Context": "jobs"}
            life.ask("Search.PrefixSearch", "/v1/search", method="put", body=body, at=at)
    life.look()


_READS = (
    ("Job.List", "/v1/jobs"),
    ("Job.GetJob", "/v1/job/web"),
    ("Job.Summary", "/v1/job/web/summary"),
    ("Job.Allocations", "/v1/job/web/allocations"),
    ("Job.Evaluations", "/v1/job/web/evaluations"),
    ("Job.GetJobVersions", "/v1/job/web/versions"),
    ("Job.ScaleStatus", "/v1/job/web/scale"),
    ("Node.List", "/v1/nodes"),
    ("Node.GetNode", "/v1/node/{NodeID}"),
    ("Node.GetAllocs", "/v1/node/{NodeID}/allocations"),
    ("Alloc.List", "/v1/allocations"),
    ("Alloc.GetAlloc", "/v1/allocation/{ID}"),
    ("Eval.List", "/v1/evaluations"),
    ("Eval.GetEval", "/v1/evaluation/{EvalID}"),
    ("Eval.Count", "/v1/evaluations/count"),
    ("Eval.Allocations", "/v1/evaluation/{EvalID}/allocations"),
    ("NodePool.List", "/v1/node/pools"),
    ("Namespace.ListNamespaces", "/v1/namespaces"),
    ("Status.Leader", "/v1/status/leader"),
    ("Status.Peers", "/v1/status/peers"),
    ("Operator.ServerHealth", "/v1/operator/autopilot/health"),
    ("Operator.RaftGetConfiguration", "/v1/operator/raft/configuration"),
)


def _changes(life: Life) -> None:
    node = life.node_id("client-1")
    for eligibility in ("ineligible", "eligible"):
        body = {"Eligibility": eligibility}
        life.ask("Node.UpdateEligibility", f"/v1/node/{node}/eligibility", method="put", body=body)
        life.watch(3)
    settings = life.ask("Operator.AutopilotGetConfiguration", _AUTOPILOT)
    for at in (life.leader, life.followers[0], "client-1"):
        life.ask("Operator.AutopilotSetConfiguration", _AUTOPILOT, method="put", body=settings, at=at)
    # An allocation that ends makes room, for which what is blocked is tried, and blocked, again.
    life.register(job("brief", 1, "service", "/bin/sleep", "3600"), at="client-1")
    life.until(lambda: _many(life, "brief") == 1, 30, "a running brief")
    life.ask("Job.Deregister", "/v1/job/brief", method="delete", at=life.followers[0])
    life.until(lambda: _many(life, "brief") == 0, 30, "the end of brief")
    life.watch(3)
    life.moment()


_AUTOPILOT = "/v1/operator/autopilot/configuration"


def _many(life: Life, name: str, status: str = "running") -> int:
    allocs = life.ask("Job.Allocations", f"/v1/job/{name}/allocations")
    return sum(each["ClientStatus"] == status for each in allocs)


def _worker(life: Life) -> None:
    for number in range(_ATTEMPTS):
        worker, term = Worker(life), life.raft(life.leader)["term"]
        held = job(f"held-{len(life.records)}-{number}", 1, "sysbatch", "/bin/true")
        try:
            # A leader that is elected meanwhile does not know how often it was given back.
            if _given_up(life, worker, held) and life.raft(life.find_leader())["term"] == term:
                break
        except RequestRefused as error:
            # On a busy machine the script may be so slow that its evaluation is taken from it.
            print(f"  worker: {error}", flush=True)
        life.held.clear()
        life.find_leader()
        life.look()
    else:
        raise SystemExit(f"worker: real workers were faster {_ATTEMPTS} times")
    left = MINUTE_SECONDS - (life.clock.monotonic() - life.records[0].began)
    life.watch(max(4.0, left))
    life.moment()
    life.settled()


_ATTEMPTS = 6
_DELAYS_SECONDS = (1.0, 20.0)
"""How long an evaluation waits that was given back for the first time, and for another."""


def _given_up(life: Life, worker: Worker, held: dict[str, Any]) -> bool:
    """Take the evaluation of *held* and give it back until the leader gives it up; False where a worker was faster."""
    found = worker.take("sysbatch", lambda: life.register(held))
    if found is None:
        return False
    alloc = life.ask("Job.Allocations", "/v1/job/web/allocations")[0]
    refused = worker.submit_too_much(*found, alloc["ID"])
    assert [alloc["NodeID"]] == refused, refused
    # A second evaluation of the job has to wait for the first.
    life.register(held)
    life.moment()
    for delay in _DELAYS_SECONDS:
        found = worker.give_back_and_take(found, delay)
        if found is None:
            return False
    worker.give_back(found)
    life.watch(_DELAYS_SECONDS[-1])
    # What waited for it is worked on now.
    life.until(lambda: _many(life, held["ID"], "complete") == 2, 30, f"the end of {held['ID']}")
    return True


def _quiet(life: Life) -> None:
    life.watch(QUIET_SECONDS)


def _drain(life: Life) -> None:
    node = life.node_id("client-1")
    spec = {"Deadline": 60_000_000_000, "IgnoreSystemJobs": False}
    path = f"/v1/node/{node}/drain"
    life.ask("Node.UpdateDrain", path, method="put", body={"DrainSpec": spec})
    life.look()
    life.until(lambda: not _node(life, "client-1")["Drain"], 60, "the end of the drain")
    # A client learns of it by the answer to a heartbeat; its labels are old until then.
    life.until(lambda: _eligibility(life) == "ineligible", 60, "a client that knows of its drain")
    life.watch(3)
    life.moment()
    life.ask("Node.UpdateDrain", path, method="put", body={"DrainSpec": None, "MarkEligible": True})
    life.until(lambda: _many(life, "everywhere") == 2, 60, "the system job on both clients")
    life.until(lambda: _eligibility(life) == "eligible", 60, "a client that knows that it may take work")
    life.watch(3)
    life.moment()


def _eligibility(life: Life) -> str:
    """Return what the first client took itself for at its last collection: series with an older label stay a minute."""
    scrape = next(scrape for place, scrape in reversed(life.record.scrapes) if place == "client-1")
    newest = max(scrape.of(client.UPTIME.name), key=lambda sample: sample.value)
    return newest.labels["node_scheduling_eligibility"]


def _node(life: Life, name: str) -> Any:
    return next(node for node in life.ask("Node.List", "/v1/nodes") if node["Name"] == name)


def _lease(life: Life) -> None:
    paused = life.followers
    life.stopped |= set(paused)
    for name in paused:
        life.cluster.kill(name, signal.SIGSTOP)
    life.watch(6)
    for name in paused:
        life.cluster.kill(name, signal.SIGCONT)
    life.stopped.clear()
    life.find_leader()
    life.watch(6)
    life.moment()


def _member_lost(life: Life) -> None:
    """Pause a follower until gossip has given it up, and for no longer: after half a minute it would lose its vote."""
    life.look()
    paused = life.followers[0]
    life.stopped.add(paused)
    life.cluster.kill(paused, signal.SIGSTOP)
    try:
        life.until(lambda: _member(life, paused) == "failed", 60, f"the failure of {paused}")
    finally:
        life.cluster.kill(paused, signal.SIGCONT)
        life.stopped.clear()
    life.until(lambda: _member(life, paused) == "alive", 60, f"the return of {paused}")
    life.find_leader()
    life.watch(6)
    life.moment()


def _member(life: Life, name: str) -> str:
    members = life.ask("Status.Members", "/v1/agent/members")["Members"]
    return next(str(each["Status"]) for each in members if each["Name"].partition(".")[0] == name)


def _client_lost(life: Life) -> None:
    life.look()
    life.cluster.kill("client-2")
    life.until(lambda: life.node_status("client-2") == "down", LOSS_SECONDS, "the loss of client-2")
    life.watch(6)
    life.moment()
    life.cluster.restart("client-2")
    life.until(lambda: life.node_status("client-2") == "ready", 60, "the return of client-2")
    life.watch(6)
    life.moment()


def _leader_lost(life: Life) -> None:
    life.look()
    lost = life.leader
    life.cluster.kill(lost)
    life.find_leader()
    began = life.clock.monotonic()
    node = life.node_id("client-1")
    enough = int(life.raft(life.leader)["last_log_index"]) + ENTRIES_FOR_A_SNAPSHOT
    while int(life.raft(life.find_leader())["last_log_index"]) < enough:
        Worker(life).register_again(node, _ENTRIES_AT_ONCE)
        life.look()
    life.cluster.restart(lost)
    life.until(lambda: _has_all(life, lost), 60, f"the return of {lost}")
    life.watch(MINUTE_SECONDS - (life.clock.monotonic() - began))
    life.moment()
    life.settled()


_ENTRIES_AT_ONCE = 1_024


def _has_all(life: Life, name: str) -> bool:
    """Say whether the server *name* answers, and has every entry that the leader had a moment before."""
    try:
        wanted = life.raft(life.leader)["last_log_index"]
        return int(life.raft(name)["applied_index"]) >= int(wanted)
    except ApiFailure:
        return False


def _leave(life: Life) -> None:
    life.cluster.kill("server-3", signal.SIGINT)
    life.until(lambda: life.cluster.pid("server-3") is None, 30, "the end of server-3")
    life.find_leader()
    life.watch(MINUTE_SECONDS)
    life.moment()
    life.settled()


def _neighbours(life: Life) -> None:
    life.find_leader()
    base = life.cluster.settings.port_base
    exporter, discovery = base + 81, base + 82
    servers = [
        word
        for agent in life.agents
        if agent.name in life.servers
        for word in ("-server", f"{agent.name}=127.0.0.1:{agent.http}")
    ]
    file = life.cluster.settings.directory / "outrider.yaml"
    commands = (
        ("exporter", *servers, "-listen", f"127.0.0.1:{exporter}", "-poll", "1s"),
        ("discovery", "serve", "-f", str(file), "--listen", f"127.0.0.1:{discovery}", "--interval", "1s"),
    )
    with ExitStack() as started:
        for command in commands:
            started.enter_context(_running(*command))
        life.neighbours = {
            "exporter": (f"http://127.0.0.1:{exporter}", Role.EXPORTER),
            "discovery": (f"http://127.0.0.1:{discovery}", Role.DISCOVERY),
        }
        life.until(
            lambda: "outrider_jobs" in life.record.seen and "outrider_discovery_targets" in life.record.seen,
            60,
            "what was found and read",
        )
        life.watch(6)
        life.moment()
        life.neighbours.clear()


@contextmanager
def _running(*arguments: str) -> Iterator[None]:
    """Let a command of `outrider` run for a while."""
    process = Popen([*default_agent_command(), *arguments], stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


STEPS = (
    Step("start", "three servers and two clients start", _start),
    Step("jobs", "jobs of each type run, end, fail, and do not fit", _jobs),
    Step("reads", "the leader, a follower and a client are asked what an operator asks", _reads, attempts=3),
    Step(
        "changes",
        "a client is kept from new work and let in; a job ends while another one waits for room",
        _changes,
        attempts=3,
    ),
    Step(
        "worker",
        "the script takes an evaluation, plans too much, and gives it back until it is given up",
        _worker,
        attempts=2,
    ),
    Step("quiet", "nothing happens for a while", _quiet, attempts=6),
    Step("drain", "a client is drained, and takes work again", _drain, attempts=3),
    Step("lease", "the followers are paused for longer than a lease", _lease),
    Step("member-lost", "a follower is paused until gossip has given it up, and comes back", _member_lost),
    Step("client-lost", "a client is killed, and comes back after it was missed", _client_lost),
    Step("leader-lost", "the leader is killed, and comes back to a log that was cut", _leader_lost),
    Step("leave", "a server leaves", _leave),
    Step("neighbours", "the exporter and the discovery of targets run beside the cluster", _neighbours),
)
