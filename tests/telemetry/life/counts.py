"""How often something should have happened, by the script, the logs, the system or another process. For `values`."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from telemetry.catalogue import metrics_of, outrider, raft, rpc
from tests.telemetry.life.checks import Count, Lived, Range, Wanted
from tests.telemetry.life.oracles import BLOCKED, INFINITE, LABELLED
from tests.telemetry.life.record import STEADY, StepRecord

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


def heartbeats(lived: Lived, record: StepRecord) -> float | None:
    """As often as the clients' own age of the last heartbeat fell from one scrape to the next."""
    if not _is_quiet(record):
        return None
    fell, last = 0, dict[str, float]()
    for place, scrape in record.scrapes:
        age = scrape.value(outrider.CLIENT_LAST_HEARTBEAT_SECONDS.name)
        if age is not None:
            fell += age < last.get(place, 0.0)
            last[place] = age
    return float(fell)


def applied(command: str) -> Count:
    """As often as each server applied the command that the call wrote."""

    def count(lived: Lived, record: StepRecord) -> float | None:
        if not record.is_steady:
            return None
        return record.grew(f"nomad_nomad_fsm_{command}_count") / max(1, len(record.servers))

    return count


def passed_on(*series: str, script: tuple[str, ...] = ()) -> Count:
    """Once over the network for each call of a client that was carried out, twice where it asked a follower.

    What the *script* asks comes from a follower or a client, as in `asked_over_rpc`.
    """
    of_script = asked_over_rpc(*script)

    def count(lived: Lived, record: StepRecord) -> Range | None:
        asked_too = of_script(lived, record)
        if not isinstance(asked_too, tuple):
            return None
        calls = sum(record.grew(name) for name in series) - sum(record.asked[call] for call in script)
        return calls + asked_too[0], 2 * calls + asked_too[1]

    return count


def batches(servers: int) -> Count:
    """At most as often as there were entries, on each of so many servers; some come together on a busy machine."""

    def count(lived: Lived, record: StepRecord) -> Range | None:
        grown = entries(lived, record)
        return None if grown is None else (servers * grown / 3, servers * grown)

    return count


def appends_with_entries(lived: Lived, record: StepRecord) -> float | None:
    """As many as the followers got that were no heartbeats."""
    if not record.is_steady:
        return None
    return record.grew("nomad_raft_rpc_appendEntries_count") - record.grew("nomad_raft_rpc_processHeartbeat_count")


def per_second(least: float, most: float) -> Count:
    """So many times a second, in the step that is lived until nothing disturbs it."""
    return lambda lived, record: (least * record.seconds, most * record.seconds) if _is_quiet(record) else None


def exchanges(lived: Lived, record: StepRecord) -> Range | None:
    """One each half a minute by each server, give or take one; not more than the connections that were opened.

    A probe whose answer is late opens one, too, as happens on a busy machine.
    """
    if not record.is_steady:
        return None
    each = record.seconds / EXCHANGE_SECONDS
    servers = len(record.servers)
    most = min(servers * (each / 0.9 + 1), record.grew("nomad_memberlist_tcp_connect"))
    return min(servers * max(0.0, each / 1.1 - 1.5), most), most


EXCHANGE_SECONDS = 30.0


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
    """As often, and once more for each time that the script took one, be it that it gave it back or was too slow."""
    finished = evals_by_job(lived, record)
    if finished is None:
        return None
    return {job: many + record.asked[f"taken: {job}"] for job, many in finished.items()}


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


def allocs_begun(lived: Lived, record: StepRecord) -> float | None:
    """The allocations that the API lists, of which each begins once."""
    return float(len(record.allocs)) if record.name == "jobs" else None


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


# What happened over the whole life.


def barriers(lived: Lived) -> Range:
    """One barrier at the start of each leadership, and one a minute."""
    began = lived.logged("leadership acquired")
    return float(began - lived.logged("leadership not established") - 1), began + lived.seconds / 60 + 1


def candidacies(lived: Lived) -> Range:
    """At least one for each time that a server became a candidate; without an answer it stands again."""
    became = lived.logged("entering candidate state")
    return float(became - 2), 2.0 * became + 8


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


def entries_to_followers(lived: Lived, record: StepRecord) -> float | None:
    """Each entry goes to each of two followers."""
    grown = entries(lived, record)
    return None if grown is None else 2 * grown


def evals_acknowledged(lived: Lived, record: StepRecord) -> float | None:
    """One acknowledgement for each evaluation that was finished, and for each that was blocked again."""
    finished = eval_updates(lived, record)
    return None if finished is None else finished + record.grew("nomad_nomad_worker_reblock_eval_count")


def by_workers(name: str, script: str) -> Count:
    """As often as the workers of all servers counted it, and the script did."""
    return lambda lived, record: (
        record.grew(f"nomad_nomad_worker_{name}_count") + record.asked[script] if record.is_steady else None
    )


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
    """As many as the calls that only read; a ping, which has the rate of a read, reads nothing."""
    if not record.is_steady:
        return None
    return sum(record.grew(name) for name in _RATES if not name.endswith("_write")) - record.asked["Status.Ping"]


_RATES = tuple(
    metric.name
    for metric in metrics_of("rpc").values()
    if metric.exported and metric.name.startswith("nomad_nomad_rpc_") and metric not in {rpc.RPC_REQUEST, rpc.RPC_QUERY}
)
