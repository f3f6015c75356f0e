"""What a metric should say, by the API, the operating system or the script: the oracles of `values`."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from telemetry.catalogue import Metric, metrics_of, outrider, raft, rpc
from tests.telemetry.life.checks import Count, Lived, Range, Wanted
from tests.telemetry.life.moment import Moment, Process
from tests.telemetry.life.record import STEADY, StepRecord
from tests.telemetry.life.steps import CPU_MHZ, MEMORY_MB

INFINITE = float("inf")
MB = 1 << 20
DISK_MB = 300
"""What a group is given when its job does not say."""
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
        return moment.wall - written[1], moment.wall - written[1]
    return moment.wall - moment.answering[place], moment.wall - moment.processes[place].started


def is_healthy(moment: Moment) -> float:
    """Whether every server of the group runs."""
    return float(moment.configuration.keys() <= set(moment.servers))


def failure_tolerance(moment: Moment) -> float:
    """How many voters that run there are beyond a majority."""
    return max(0.0, float(moment.voters_alive - moment.voters // 2 - 1))


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


# What the script did.


def _is_quiet(record: StepRecord) -> bool:
    return record.is_steady and record.name == "quiet"


def _is_of(record: StepRecord, steps: tuple[str, ...]) -> bool:
    """Say whether the step is one of *steps*, and undisturbed where they are the steady ones."""
    return record.is_steady if steps is STEADY else record.name in steps


def asked(*calls: str, steps: tuple[str, ...] = STEADY) -> Count:
    """As often as the script asked that in a step, the other agents never."""

    def count(lived: Lived, record: StepRecord) -> Range | None:
        if not _is_of(record, steps):
            return None
        done = float(sum(record.asked[call] for call in calls))
        return done, done + sum(record.unsure[call] for call in calls)

    return count


def asked_over_rpc(*calls: str, others: bool = False) -> Count:
    """Calls between agents: one for each question to a follower or a client, and one more where a client asked one.

    Where *others* ask too, the least is known alone.
    """

    def count(lived: Lived, record: StepRecord) -> Range | None:
        if not record.is_steady:
            return None
        followers = sum(record.asked[f"{call}@follower"] for call in calls)
        clients = sum(record.asked[f"{call}@client"] for call in calls)
        direct = sum(record.asked[f"{call}@rpc"] for call in calls)
        least = followers + clients + direct
        return float(least), INFINITE if others else float(least + clients)

    return count


def grown_with(*series: str, less: str = "", steps: tuple[str, ...] = STEADY) -> Count:
    """As often as another process counted it, *less* what the script did itself under that name."""
    return lambda lived, record: (
        sum(record.grew(name) for name in series) - record.asked[less] if _is_of(record, steps) else None
    )


def entries(lived: Lived, record: StepRecord) -> float | None:
    """As many as the leader's log grew by."""
    return float(record.indexes[1] - record.indexes[0]) if record.is_steady else None


def per_second(least: float, most: float) -> Count:
    """So many times a second, in the step that is lived until nothing disturbs it."""
    return lambda lived, record: (least * record.seconds, most * record.seconds) if _is_quiet(record) else None


def in_step(name: str, wanted: Wanted) -> Count:
    """In the step *name* so often."""
    return lambda lived, record: wanted if record.name == name else None


def finished_evals(lived: Lived, record: StepRecord) -> list[Mapping[str, Any]]:
    """Return the evaluations that workers finished in the step, by the API."""
    first, last = record.indexes
    return [each for each in record.evals if each["Status"] == "complete" and first < each["ModifyIndex"] <= last]


def evals_by_job(lived: Lived, record: StepRecord) -> Mapping[str, Wanted] | None:
    """How many evaluations of each job were finished; what is blocked is tried again and again, so nothing is said of it."""
    if not record.is_steady:
        return None
    jobs = Counter(each["JobID"] for each in finished_evals(lived, record))
    return {job: float(many) for job, many in jobs.items() if job not in BLOCKED}


def deliveries_by_job(lived: Lived, record: StepRecord) -> Mapping[str, Wanted] | None:
    """As often, and once more for each time that the script took one and gave it back."""
    finished = evals_by_job(lived, record)
    if finished is None:
        return None
    back = record.asked["Eval.Nack"]
    return {job: many + (back if job.startswith("held") else 0) for job, many in finished.items()}


def evals_by_type(lived: Lived, record: StepRecord) -> Mapping[str, Wanted] | None:
    """How many evaluations of each type were finished: exactly, but for the type of `huge`."""
    if not record.is_steady:
        return None
    types = Counter(each["Type"] for each in finished_evals(lived, record))
    return {name: (float(many), INFINITE if name == "service" else float(many)) for name, many in types.items()}


def eval_updates(lived: Lived, record: StepRecord) -> float | None:
    """One for each evaluation that was finished."""
    return float(len(finished_evals(lived, record))) if record.is_steady else None


def task_events(*kinds: str) -> Count:
    """What the API lists of events of tasks, over the step in which tasks run, end and fail."""

    def count(lived: Lived, record: StepRecord) -> float | None:
        if record.name != "jobs":
            return None
        tasks = [task for each in record.allocs for task in (each["TaskStates"] or {}).values()]
        return float(sum(event["Type"] in kinds for task in tasks for event in task["Events"]))

    return count


def allocs_ended(status: str, times: int = 1) -> Count:
    """The allocations that the API lists as ended so, each counted *times* times."""
    return lambda lived, record: (
        float(times * sum(each["ClientStatus"] == status for each in record.allocs)) if record.name == "jobs" else None
    )


# What the system says of processor time over a step.


def core_percent(part: int | None) -> Callable[[Lived, StepRecord, str], LABELLED | None]:
    """The share of each core's time spent for users (0), in the kernel (1), idle (2), or busy (None), in percent."""

    def said(lived: Lived, record: StepRecord, place: str) -> LABELLED | None:
        if not place.startswith("client"):
            return None
        shares = {}
        for number, (before, after) in enumerate(zip(*record.cores, strict=True)):
            spent = [late - early for early, late in zip(before, after, strict=True)]
            whole = sum(spent) or 1.0
            shares[f"cpu{number}",] = 100 * (spent[part] if part is not None else spent[0] + spent[1]) / whole
        return shares

    return said


def core_mhz(lived: Lived) -> float:
    """Return the clock rate of a core, as the API gives it."""
    cpu = lived.moments[0].node_bodies["client-1"]["NodeResources"]["Cpu"]
    return float(cpu["CpuShares"] / cpu["TotalCpuCores"])


def core_ticks(lived: Lived, record: StepRecord, place: str) -> LABELLED | None:
    """The busy share of each core times its clock rate."""
    shares = core_percent(None)(lived, record, place)
    return None if shares is None else {core: each * core_mhz(lived) / 100 for core, each in shares.items()}


def ticks_added_up(lived: Lived, record: StepRecord) -> Range | None:
    """The busy ticks of both clients' cores, added up once a second, or somewhat less often on a busy machine."""
    if not _is_quiet(record):
        return None
    ticks = sum((core_ticks(lived, record, "client-1") or {}).values()) * record.seconds * 2
    return 0.4 * ticks, 1.3 * ticks


def busy_percent(part: int | None, factor: float = 1.0) -> Callable[[Lived, StepRecord, str], LABELLED | None]:
    """What the task that is busy used of a core, for users (0), in the kernel (1) or both (None), in percent."""

    def said(lived: Lived, record: StepRecord, place: str) -> LABELLED | None:
        before, after = record.usage
        found = {}
        for each in record.allocs:
            if (each["JobID"], each["NodeName"]) != ("busy", place) or not {each["ID"]} <= before.keys() & after.keys():
                continue
            user, system = (after[each["ID"]][which] - before[each["ID"]][which] for which in (0, 1))
            used = (user, system)[part] if part is not None else user + system
            found[each["ID"],] = 100 * used / record.seconds * factor
        return found

    return said


def busy_ticks(lived: Lived, record: StepRecord, place: str) -> LABELLED | None:
    """What the task that is busy used, times the clock rate."""
    return busy_percent(None, core_mhz(lived) / 100)(lived, record, place)


def busy_ticks_added_up(lived: Lived, record: StepRecord) -> Range | None:
    """The ticks of all tasks, of which the busy one has nearly all, added up as `ticks_added_up`."""
    if not _is_quiet(record):
        return None
    ticks = sum(
        sum((busy_ticks(lived, record, place) or {}).values()) * record.seconds for place in ("client-1", "client-2")
    )
    return 0.4 * ticks, 1.3 * ticks + 200


def collections(least: float) -> Callable[[StepRecord, str], Range]:
    """As many collections as pauses were measured; those before the first scrape of the step count for *least*."""

    def by(record: StepRecord, place: str) -> Range:
        pauses = record.grew("nomad_runtime_gc_pause_ns_count", place)
        return least * pauses - 5, pauses + 1

    return by


def pauses(record: StepRecord, place: str) -> Range:
    """As long as the pauses that were measured."""
    return 0.0, record.grew("nomad_runtime_gc_pause_ns_sum", place) * 1.001 + 1e6


ANYTHING = (0.0, INFINITE)


# What happened over the whole life.


def barriers(lived: Lived) -> Range:
    """One barrier at the start of each leadership, and one a minute."""
    began = lived.logged("leadership acquired")
    return float(began - lived.logged("leadership not established") - 1), began + lived.seconds / 60 + 1


def campaigns(lived: Lived) -> Range:
    """Each campaign is for a term of its own, unless servers stand at once."""
    terms = max((scrape.value(outrider.RAFT_TERM.name) or 0.0 for _, scrape in lived.scrapes), default=0.0)
    return terms - 2, 2 * terms


def votes_asked(lived: Lived) -> Range:
    """Each campaign asks two others, of which one may be dead or slow; at the start the script does not look yet."""
    stood = lived.grew(raft.CANDIDATE_ELECT_SELF.name + "_count")
    return 0.5 * stood, 2.0 * stood


def rounds(lived: Lived) -> Range:
    """A server asks whether it may stand whenever it is a candidate, but for the one that the leader names."""
    stood = lived.grew(raft.STATE_CANDIDATE.name)
    return stood - lived.logged("from=leader"), stood


def oldest_entry_ms(moment: Moment, place: str) -> Range | None:
    """Since the servers made the log's first entries as they started; nothing is known once the log was cut."""
    if place != moment.leader or int(moment.high[place]["last_snapshot_index"]):
        return None
    answering = min(moment.answering[name] for name in moment.servers)
    started = min(moment.processes[name].started for name in moment.servers)
    return 1_000 * (moment.wall - answering), 1_000 * (moment.wall - started)


def entries_to_followers(lived: Lived, record: StepRecord) -> float | None:
    """Each entry goes to each of two followers."""
    grown = entries(lived, record)
    return None if grown is None else 2 * grown


def evals_acknowledged(lived: Lived, record: StepRecord) -> float | None:
    """One acknowledgement for each evaluation that was finished, and for each that was blocked again."""
    finished = eval_updates(lived, record)
    return None if finished is None else finished + record.grew("nomad_nomad_worker_reblock_eval_count")


def by_followers(*names: str, script: tuple[str, ...] = ()) -> Count:
    """As often as the workers of the servers that do not lead counted it, and the script did: theirs go over the network."""

    def count(lived: Lived, record: StepRecord) -> float | None:
        if not record.is_steady:
            return None
        workers = (name for name in record.servers if name != record.leader)
        theirs = sum(record.grew(f"nomad_nomad_worker_{name}_count", place) for place in workers for name in names)
        return theirs + sum(record.asked[call] for call in script)

    return count


def sum_of_rates(lived: Lived, record: StepRecord) -> float | None:
    """As many as the calls of all endpoints together."""
    if not record.is_steady:
        return None
    return sum(record.grew(name) for name in _RATES)


def sum_of_reads(lived: Lived, record: StepRecord) -> float | None:
    """As many as the calls that only read."""
    if not record.is_steady:
        return None
    return sum(record.grew(name) for name in _RATES if not name.endswith("_write"))


_RATES = tuple(
    metric.name
    for metric in metrics_of("rpc").values()
    if metric.exported and metric.name.startswith("nomad_nomad_rpc_") and metric not in {rpc.RPC_REQUEST, rpc.RPC_QUERY}
)
CPU, MEMORY = float(CPU_MHZ), float(MEMORY_MB)
