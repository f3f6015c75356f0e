"""What a metric should say, by the API, the operating system or the script: the oracles of `values`."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from telemetry.catalogue import Metric, raft
from tests.telemetry.life.checks import Range, Wanted
from tests.telemetry.life.moment import Moment, Process
from tests.telemetry.life.steps import CPU_MHZ, MEMORY_MB

INFINITE = float("inf")
MB = 1 << 20
DISK_MB = 300
"""What a group is given when its job does not say."""
CPU, MEMORY = float(CPU_MHZ), float(MEMORY_MB)
ANYTHING = (0.0, INFINITE)
LIVE = frozenset({"pending", "running"})
BLOCKED = frozenset({"huge", "fast"})
"""The jobs that fit nowhere."""
LABELLED = Mapping[tuple[str, ...], Wanted]
Oracle = Callable[[Moment, str], Any]

# Who says it.


def on_leader(said: Callable[[Moment], Wanted | LABELLED]) -> Oracle:
    """The leader says *said*; of others nothing is known, as what they said as leaders stays for a minute."""
    return lambda moment, place: said(moment) if place == moment.leader else None


def leader_else(said: Callable[[Moment], Wanted | LABELLED], otherwise: Any = 0.0) -> Oracle:
    """The leader says *said*, the other servers *otherwise*."""

    def oracle(moment: Moment, place: str) -> Any:
        if moment.roles[place] != "server":
            return None
        return said(moment) if place == moment.leader else otherwise

    return oracle


def on_servers(said: Callable[[Moment, str], Wanted | LABELLED | None]) -> Oracle:
    """Each server says *said*."""
    return lambda moment, place: said(moment, place) if moment.roles[place] == "server" else None


def on_clients(said: Callable[[Moment, str], Wanted | LABELLED]) -> Oracle:
    """Each client says *said*."""
    return lambda moment, place: said(moment, place) if moment.roles[place] == "client" else None


def of_process(said: Callable[[Process], Wanted]) -> Oracle:
    """Each agent says *said* of its process."""
    return lambda moment, place: said(moment.processes[place])


# What the API says.


def stats(name: str) -> Oracle:
    """A statistic of Raft, which may have grown while the agents were scraped."""
    return on_servers(lambda moment, place: (float(moment.low[place][name]), float(moment.high[place][name])))


def evals(moment: Moment, *, status: str, delayed: bool = False) -> list[Mapping[str, Any]]:
    """Return the evaluations of *status* that are, or are not, to be worked on later."""
    return [each for each in moment.evals if each["Status"] == status and _is_delayed(each) == delayed]


def _is_delayed(evaluation: Mapping[str, Any]) -> bool:
    return not str(evaluation.get("WaitUntil") or "0001").startswith("0001")


def live_allocs(moment: Moment, place: str) -> int:
    """Return how many allocations of the client may still use what they were promised."""
    return sum(alloc["ClientStatus"] in LIVE for alloc in moment.allocs_of(place))


def alloc_count(*statuses: str) -> Oracle:
    """A client's allocations by status."""
    return on_clients(lambda moment, place: sum(each["ClientStatus"] in statuses for each in moment.allocs_of(place)))


def task_count(state: str) -> Oracle:
    """A client's tasks by state."""
    return on_clients(
        lambda moment, place: sum(
            task["State"] == state for each in moment.allocs_of(place) for task in (each["TaskStates"] or {}).values()
        )
    )


def left_over(kind: str, field: str, each: int) -> Oracle:
    """What a client has, less what it keeps and what its allocations were promised, *each* so much."""

    def said(moment: Moment, place: str) -> float:
        body = moment.node_bodies[place]
        has, kept = body["NodeResources"][kind][field], body["ReservedResources"][kind][field]
        return float(has - kept - each * live_allocs(moment, place))

    return on_clients(said)


def bandwidth(moment: Moment, place: str) -> LABELLED:
    """What a client's network devices have; nothing here asks for any."""
    networks = moment.node_bodies[place]["NodeResources"]["Networks"] or ()
    return {(network["Device"],): float(network["MBits"]) for network in networks}


def job_status(status: str) -> Oracle:
    """How many jobs have that status."""
    return on_leader(lambda moment: sum(each["Status"] == status for each in moment.jobs))


def summary(*statuses: str) -> Oracle:
    """The allocations of each task group by status."""

    def said(moment: Moment) -> LABELLED:
        counts = Counter(each["JobID"] for each in moment.allocs if each["ClientStatus"] in statuses)
        return {(each["ID"], "g"): float(counts[each["ID"]]) for each in moment.jobs}

    return on_leader(said)


def queued(moment: Moment) -> LABELLED:
    """What waits to be placed: the script knows of `huge`, which fits nowhere."""
    waiting = {each["JobID"] for each in evals(moment, status="blocked")}
    return {(each["ID"], "g"): float(each["ID"] in waiting) for each in moment.jobs}


def waits_seconds(moment: Moment) -> LABELLED:
    """How long the evaluations wait that are to be worked on at a time."""
    waiting = evals(moment, status="pending", delayed=True)
    return {(each["JobID"],): _until(moment, unix_seconds(each["WaitUntil"])) for each in waiting}


def _until(moment: Moment, time: float) -> Range:
    """The seconds that were left until *time*, some time between the question and the answer."""
    asked, answered = moment.wall
    return time - answered, time - asked


def since(moment: Moment, *times: float) -> Range:
    """The seconds that had passed since one of *times*, some time between the question and the answer."""
    asked, answered = moment.wall
    return asked - max(times), answered - min(times)


def unix_seconds(text: str) -> float:
    """Return the Unix time of a time as the API writes it."""
    return datetime.fromisoformat(text).timestamp()


def lacks(name: str, amount: float) -> Oracle:
    """What the blocked evaluation of the job *name* lacks, on the leader; the other blocked one lacks something else."""
    return on_leader(lambda moment: amount * any(each["JobID"] == name for each in evals(moment, status="blocked")))


def lacks_by_job(name: str, amount: float) -> Oracle:
    """The same by job."""

    def said(moment: Moment) -> LABELLED:
        blocked = {each["JobID"] for each in evals(moment, status="blocked")}
        return {(each,): amount if each == name else 0.0 for each in blocked}

    return on_leader(said)


def nodes(moment: Moment, place: str) -> LABELLED:
    """The clients by status and eligibility."""
    return {
        key: float(many)
        for key, many in Counter((n["Status"], n["SchedulingEligibility"]) for n in moment.nodes).items()
    }


def newest_index(moment: Moment, place: str) -> Range:
    """The state's index: not older than the newest thing the API shows, not newer than what was applied."""
    newest = max(
        each["ModifyIndex"] for group in (moment.nodes, moment.jobs, moment.allocs, moment.evals) for each in group
    )
    return float(newest), float(moment.high[place]["applied_index"])


def log_entries(moment: Moment, place: str) -> Range:
    """What no snapshot covers."""
    low, high = moment.low[place], moment.high[place]
    snapshots = {int(each["last_snapshot_index"]) for each in (low, high)}
    return float(int(low["last_log_index"]) - max(snapshots)), float(int(high["last_log_index"]) - min(snapshots))


def log_bytes(moment: Moment, place: str) -> float:
    """The files of the log, as they lie on disk."""
    return float(sum(size for name, (size, _) in moment.files[place].items() if name.endswith(".wal")))


def snapshot_age(moment: Moment, place: str) -> Range:
    """Since the file of the snapshot was written; without one since the server's start."""
    written = moment.files[place].get("snapshot")
    if written is not None:
        return since(moment, written[1])
    return since(moment, moment.answering[place], moment.processes[place].started)


def is_healthy(moment: Moment) -> Range:
    """Whether every server of the group runs; on a slow machine one may answer too late to be called healthy."""
    runs = float(moment.configuration.keys() <= set(moment.servers))
    return min(runs, *(float(health["Healthy"]) for health in moment.healths)), runs


def failure_tolerance(moment: Moment) -> Range:
    """How many voters that run there are beyond a majority, less those that answer too late."""
    most = max(0.0, float(moment.voters_alive - moment.voters // 2 - 1))
    return min(most, *(float(health["FailureTolerance"]) for health in moment.healths)), most


def voters_healthy(moment: Moment, place: str) -> float:
    """A leader knows all that run and vote, another server itself and its leader."""
    if place == moment.leader:
        return float(moment.voters_alive)
    return 1.0 + moment.configuration.get(place, False)


def own(metric: Metric) -> Callable[[Moment], LABELLED]:
    """What each server says of itself, for an exporter to say the same."""

    def said(moment: Moment) -> LABELLED:
        values = {(name,): moment.scrapes[name].value(metric.name) for name in moment.servers}
        return {labels: value for labels, value in values.items() if value is not None}

    return said


def connected_servers(moment: Moment, place: str) -> float:
    """The servers to whose RPC ports the client's process has a connection."""
    ports = {ports["rpc"] for ports in moment.ports.values() if "rpc" in ports}
    return float(len({remote for _, remote in moment.processes[place].connections} & ports))


def http_connections(moment: Moment, place: str) -> float:
    """The connections to the agent's HTTP port, as the system lists them."""
    return float(sum(local == moment.ports[place]["http"] for local, _ in moment.processes[place].connections))


def cores(moment: Moment, place: str) -> float:
    """The cores of this machine."""
    return float(os.cpu_count() or 1)


def series_shown(moment: Moment, place: str) -> Range:
    """The series of the scrape, a summary or histogram with all its lines as one: some of ours are not kept, but made."""
    scrape = moment.scrapes[place]
    shown = {
        (
            _base(sample.name, scrape.kinds),
            tuple(sorted(each for each in sample.labels.items() if each[0] not in {"quantile", "le"})),
        )
        for sample in scrape.samples
    }
    return float(sum(name.startswith("nomad_") for name, _ in shown)), float(len(shown))


def _base(name: str, kinds: Mapping[str, str]) -> str:
    for suffix in ("_sum", "_count", "_bucket"):
        if name.removesuffix(suffix) in kinds:
            return name.removesuffix(suffix)
    return name


def disk(field: int) -> Oracle:
    """A figure of each file system, which others may fill and empty while the agents are scraped."""

    def said(moment: Moment, place: str) -> LABELLED:
        before, after = (host.disks for host in moment.hosts)
        return {(name,): _between(before[name][field], after[name][field]) for name in before.keys() & after.keys()}

    return on_clients(said)


def _between(before: float, after: float) -> Range:
    return float(min(before, after)), float(max(before, after))


def memory(field: str) -> Oracle:
    """A figure of the machine's memory, of which others may take and give back while the agents are scraped."""
    return on_clients(lambda moment, place: _between(*(host.memory[field] for host in moment.hosts)))


def of_allocs(said: Callable[[Moment, str], Wanted]) -> Oracle:
    """What *said* says of each allocation that runs."""

    def oracle(moment: Moment, place: str) -> LABELLED:
        running = [each["ID"] for each in moment.allocs_of(place) if each["ClientStatus"] == "running"]
        return {(each,): said(moment, each) for each in running}

    return on_clients(oracle)


def restored_ms(moment: Moment, place: str) -> float | None:
    """What the summary of loads says, of a process that loaded one snapshot."""
    scrape = moment.scrapes[place]
    if scrape.value(raft.FSM_RESTORE.name + "_count") != 1.0:
        return None
    return scrape.value(raft.FSM_RESTORE.name + "_sum")


def oldest_entry_ms(moment: Moment, place: str) -> Range | None:
    """Since the servers made the log's first entries as they started; nothing is known once the log was cut."""
    if place != moment.leader or int(moment.high[place]["last_snapshot_index"]):
        return None
    answering = min(moment.answering[name] for name in moment.servers)
    started = min(moment.processes[name].started for name in moment.servers)
    least, most = since(moment, answering, started)
    return 1_000 * least, 1_000 * most
