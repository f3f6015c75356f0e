"""The value of each metric of our agent, and what it is held against: a table by metric.

Every metric that our agent exports stands in exactly one of `CHECKS` here, and `PROVEN` and `UNCHECKED` in `elsewhere`.
"""

import os
from typing import Any

from telemetry.catalogue import (
    Metric,
    autopilot,
    broker,
    client,
    exporter,
    external,
    fsm,
    heartbeat,
    http,
    job,
    leader,
    memberlist,
    outrider,
    plan,
    raft,
    rpc,
    runtime,
    serf,
    state,
    worker,
)
from tests.telemetry.life import counts as c
from tests.telemetry.life import oracles as o
from tests.telemetry.life.checks import (
    Ages,
    All,
    Always,
    Averaged,
    Beside,
    Check,
    Counted,
    Equals,
    Logged,
    Overall,
    Reached,
    Rose,
    Timed,
)
from tests.telemetry.life.steps import HUGE_MB, HUGE_MHZ

_WORKERS = 3 * (os.cpu_count() or 1)
_DEQUEUES_A_SECOND = (0.5 * _WORKERS, 3.0 * _WORKERS)
"""Each worker of the three servers asks twice a second while there is nothing to do."""

FLOAT32 = 1e-6
"""A Nomad's gauges are of single precision, and so are ours of its names."""

AT_REST = Equals(o.leader_else(lambda moment: 0.0))


def _all(*checks: Check) -> All:
    return All(checks)


def _averaged(oracle: Any) -> All:
    return All((Always(0.0, 100.0), Averaged("worker", oracle, ("cpu",), off=20.0)))


def _asked(call: str) -> All:
    """A call that only the script makes: as often as it did, and not longer than it waited for the answers."""
    return _all(Counted(c.asked(call)), Timed(call=call))


def _of_tasks(field: int) -> Equals:
    """What the processes of a task hold; tasks that ended are shown for a minute, and nothing is said of them."""
    return Equals(
        o.of_allocs(lambda moment, alloc: float(moment.usage[alloc][field])),
        by=("alloc_id",),
        off=o.MB,
        share=0.3,
        other=o.ANYTHING,
    )


def _counted(count: c.Count, *, each: bool = False, off: float = 0.0, share: float = 0.0, by: str = "") -> All:
    return _all(Counted(count, each=each, off=off, share=share, by=by), Timed())


def _of_both(metric: Metric, oracle: o.Oracle) -> All:
    """What a server says of itself, and an exporter beside it says, too."""
    return _all(Equals(oracle), Beside(o.own(metric), ("server",)))


def _batches(servers: int) -> All:
    """What is done once for all entries that are there, on so many *servers*: seldom more than three at a time."""
    return _all(Counted(c.batches(servers), off=4.0), Timed(at_once=servers))


_ONE_AT_A_TIME = All((Always(1.0, 1_000.0), Reached("changes", least=1.0), Reached("changes", most=1.0)))
"""How many entries went together last: in a step in which the script writes one after the other, one at least once."""


def _over_rpc(*calls: str, others: bool = False) -> Counted:
    return Counted(c.asked_over_rpc(*calls, others=others))


_AUTOPILOT: dict[Metric, Check] = {
    autopilot.HEALTHY: Equals(o.on_leader(o.is_healthy)),
    autopilot.FAILURE_TOLERANCE: Equals(o.on_leader(o.failure_tolerance)),
}

_BROKER: dict[Metric, Check] = {
    broker.TOTAL_READY: AT_REST,
    broker.TOTAL_UNACKED: Equals(o.leader_else(lambda moment: float(sum(moment.held.values())))),
    broker.TOTAL_PENDING: Equals(
        o.leader_else(lambda moment: float(len(o.evals(moment, status="pending")) - sum(moment.held.values())))
    ),
    broker.TOTAL_WAITING: Equals(
        o.leader_else(lambda moment: float(len(o.evals(moment, status="pending", delayed=True))))
    ),
    broker.SCHEDULER_READY: Equals(o.on_leader(lambda moment: {}), by=("word",), other=0.0),
    broker.SCHEDULER_UNACKED: Equals(
        o.on_leader(lambda moment: {(name,): float(many) for name, many in moment.held.items() if many}),
        by=("word",),
        other=0.0,
    ),
    broker.WAIT_TIME: _counted(c.deliveries_by_job, by="job"),
    broker.PROCESS_TIME: _counted(c.evals_by_job, by="job"),
    broker.RESPONSE_TIME: _counted(c.evals_by_job, by="job"),
    broker.EVAL_WAITING: Equals(o.on_leader(o.waits_seconds), by=("job",), off=3.0, other=o.ANYTHING),
    broker.BLOCKED_TOTAL_BLOCKED: Equals(o.leader_else(lambda moment: float(len(o.evals(moment, status="blocked"))))),
    broker.BLOCKED_TOTAL_ESCAPED: AT_REST,
    broker.BLOCKED_CPU: Equals(o.lacks("fast", HUGE_MHZ)),
    broker.BLOCKED_MEMORY: Equals(o.lacks("huge", HUGE_MB)),
    broker.BLOCKED_JOB_CPU: Equals(o.lacks_by_job("fast", HUGE_MHZ), by=("job",)),
    broker.BLOCKED_JOB_MEMORY: Equals(o.lacks_by_job("huge", HUGE_MB), by=("job",)),
}

_HOST: dict[Metric, Check] = {
    client.UPTIME: Equals(o.on_clients(lambda moment, place: o.since(moment, moment.hosts[1].booted)), off=20.0),
    client.HOST_CPU_USER: _averaged(c.core_percent(0)),
    client.HOST_CPU_SYSTEM: _averaged(c.core_percent(1)),
    client.HOST_CPU_IDLE: _averaged(c.core_percent(2)),
    client.HOST_CPU_TOTAL: _averaged(c.core_percent(None)),
    client.HOST_CPU_TOTAL_PERCENT: _averaged(c.core_percent(None)),
    client.HOST_CPU_TOTAL_TICKS: Averaged("worker", c.core_ticks, ("cpu",), off=400.0),
    client.HOST_CPU_TOTAL_TICKS_COUNT: Counted(c.ticks_added_up),
    client.HOST_MEMORY_TOTAL: Equals(o.memory("total"), share=FLOAT32),
    client.HOST_MEMORY_AVAILABLE: Equals(o.memory("available"), share=0.1),
    client.HOST_MEMORY_USED: Equals(o.memory("used"), share=0.2),
    client.HOST_MEMORY_FREE: Equals(o.memory("free"), share=0.2),
    client.HOST_DISK_SIZE: Equals(o.disk(0), by=("disk",), share=FLOAT32),
    client.HOST_DISK_USED: Equals(o.disk(1), by=("disk",), share=0.02),
    client.HOST_DISK_AVAILABLE: Equals(o.disk(2), by=("disk",), share=0.02),
    client.HOST_DISK_USED_PERCENT: Equals(o.disk(3), by=("disk",), off=1.0),
    client.HOST_DISK_INODES_PERCENT: Equals(o.disk(4), by=("disk",), off=1.0),
}

_CLIENT: dict[Metric, Check] = {
    client.ALLOCATED_CPU: Equals(o.on_clients(lambda moment, place: o.CPU * o.live_allocs(moment, place))),
    client.ALLOCATED_MEMORY: Equals(o.on_clients(lambda moment, place: o.MEMORY * o.live_allocs(moment, place))),
    client.ALLOCATED_MAX_MEMORY: Equals(o.on_clients(lambda moment, place: o.MEMORY * o.live_allocs(moment, place))),
    client.ALLOCATED_DISK: Equals(o.on_clients(lambda moment, place: float(o.DISK_MB * o.live_allocs(moment, place)))),
    client.UNALLOCATED_CPU: Equals(o.left_over("Cpu", "CpuShares", o.CPU_MHZ)),
    client.UNALLOCATED_MEMORY: Equals(o.left_over("Memory", "MemoryMB", o.MEMORY_MB)),
    client.UNALLOCATED_DISK: Equals(o.left_over("Disk", "DiskMB", o.DISK_MB)),
    client.UNALLOCATED_NETWORK: Equals(o.on_clients(o.bandwidth), by=("device",)),
    client.ALLOCATIONS_BLOCKED: Equals(o.on_clients(lambda moment, place: 0.0)),
    client.ALLOCATIONS_MIGRATING: Equals(o.on_clients(lambda moment, place: 0.0)),
    client.ALLOCATIONS_PENDING: Equals(o.alloc_count("pending")),
    client.ALLOCATIONS_RUNNING: Equals(o.alloc_count("running")),
    client.ALLOCATIONS_TERMINAL: Equals(o.alloc_count("complete", "failed")),
    client.TASKS_PENDING: Equals(o.task_count("pending")),
    client.TASKS_RUNNING: Equals(o.task_count("running")),
    client.TASKS_DEAD: Equals(o.task_count("dead")),
    client.ALLOCS_RUNNING: Counted(c.task_events("Started")),
    client.ALLOCS_COMPLETE: Counted(c.allocs_ended("complete")),
    client.ALLOCS_FAILED: Counted(c.allocs_ended("failed", times=2)),
    client.ALLOC_HOOK_PRERUN_ELAPSED: _counted(c.allocs_begun),
    client.ALLOC_HOOK_PRERUN_SUCCESS: Counted(c.allocs_begun),
    client.TASK_HOOK_PRESTART_ELAPSED: _counted(c.task_events("Started")),
    client.TASK_HOOK_PRESTART_SUCCESS: Counted(c.task_events("Started")),
    client.ALLOCS_RESTART: Counted(c.task_events("Restarting")),
    client.ALLOCS_CPU_ALLOCATED: Equals(o.of_allocs(lambda moment, alloc: o.CPU), by=("alloc_id",), other=o.CPU),
    client.ALLOCS_MEMORY_ALLOCATED: Equals(
        o.of_allocs(lambda moment, alloc: o.MEMORY * o.MB), by=("alloc_id",), other=o.MEMORY * o.MB
    ),
    client.ALLOCS_CPU_USER: Averaged("worker", c.busy_percent(0), ("alloc_id",), off=2.0, share=0.5),
    client.ALLOCS_CPU_SYSTEM: Averaged("worker", c.busy_percent(1), ("alloc_id",), off=2.0, share=0.5),
    client.ALLOCS_CPU_TOTAL_PERCENT: Averaged("worker", c.busy_percent(None), ("alloc_id",), off=2.0, share=0.5),
    client.ALLOCS_CPU_TOTAL_TICKS: Averaged("worker", c.busy_ticks, ("alloc_id",), off=40.0, share=0.5),
    client.ALLOCS_CPU_TOTAL_TICKS_COUNT: Counted(c.busy_ticks_added_up),
    # raw_exec holds nobody back.
    client.ALLOCS_CPU_THROTTLED_PERIODS: Always(0.0, 0.0),
    client.ALLOCS_CPU_THROTTLED_TIME: Always(0.0, 0.0),
    client.ALLOCS_MEMORY_RSS: _of_tasks(2),
    client.ALLOCS_MEMORY_SWAP: _of_tasks(3),
}

_PROCESS: dict[Metric, Check] = {
    external.PROCESS_START_TIME_SECONDS: Equals(o.of_process(lambda process: process.started), off=0.05),
    external.PROCESS_CPU_SECONDS_TOTAL: Equals(o.of_process(lambda process: process.cpu_seconds), off=1.0),
    external.PROCESS_OPEN_FDS: Equals(o.of_process(lambda process: process.open_files), off=6.0),
    external.PROCESS_MAX_FDS: Equals(o.of_process(lambda process: process.files_max)),
    external.PROCESS_RESIDENT_MEMORY_BYTES: Equals(o.of_process(lambda process: process.resident), share=0.05),
    external.PROCESS_VIRTUAL_MEMORY_BYTES: Equals(o.of_process(lambda process: process.virtual), share=0.15),
    runtime.NUM_GOROUTINES: Equals(o.of_process(lambda process: (process.threads, process.threads + 200)), off=2.0),
    runtime.ALLOC_BYTES: Equals(o.of_process(lambda process: process.anonymous), share=0.05),
    runtime.SYS_BYTES: Equals(o.of_process(lambda process: process.data), share=0.15),
    # A Python object takes some tens of bytes, and most of the heap is objects.
    runtime.HEAP_OBJECTS: Equals(o.of_process(lambda process: (process.anonymous / 2_000, process.anonymous / 30))),
    runtime.TOTAL_GC_RUNS: Rose(c.collections(0.5)),
    runtime.TOTAL_GC_PAUSE_NS: Rose(c.pauses),
    # It grows at each collection, or the loop hangs.
    runtime.MALLOC_COUNT: Rose(lambda record, place: (1.0, 1e9)),
}

_FSM: dict[Metric, Check] = {
    fsm.REGISTER_NODE: _counted(c.grown_with("nomad_nomad_client_register_count"), each=True),
    fsm.NODE_STATUS_UPDATE: Counted(c.in_step("client-lost", (2, 4)), each=True),
    fsm.NODE_ELIGIBILITY_UPDATE: _counted(c.asked("Node.UpdateEligibility"), each=True),
    fsm.NODE_DRAIN_UPDATE: _counted(c.asked("Node.UpdateDrain"), each=True),
    fsm.BATCH_NODE_DRAIN_UPDATE: _counted(c.in_step("drain", 1), each=True),
    fsm.AUTOPILOT: _counted(c.asked("Operator.AutopilotSetConfiguration"), each=True),
    fsm.REGISTER_JOB: _counted(c.asked("Job.Register"), each=True),
    fsm.DEREGISTER_JOB: _counted(c.asked("Job.Deregister"), each=True),
    fsm.UPDATE_EVAL: _all(
        Counted(
            c.grown_with(
                "nomad_nomad_eval_update_count", "nomad_nomad_eval_create_count", "nomad_nomad_eval_reblock_count"
            ),
            each=True,
            off=6.0,
        ),
        Timed(),
    ),
    fsm.APPLY_PLAN_RESULTS: _counted(c.grown_with("nomad_nomad_plan_apply_count"), each=True),
    fsm.ALLOC_CLIENT_UPDATE: _counted(c.grown_with("nomad_nomad_client_update_alloc_count"), each=True),
    fsm.ALLOC_UPDATE_DESIRED_TRANSITION: _counted(c.in_step("drain", (1, 6)), each=True),
}

_JOB: dict[Metric, Check] = {
    heartbeat.ACTIVE: Equals(o.leader_else(lambda moment: float(sum(n["Status"] != "down" for n in moment.nodes)))),
    heartbeat.INVALIDATE: Counted(c.in_step("client-lost", 1)),
    http.CONNECTIONS: Equals(o.http_connections, off=3.0),
    job.STATUS_PENDING: Equals(o.job_status("pending")),
    job.STATUS_RUNNING: Equals(o.job_status("running")),
    job.STATUS_DEAD: Equals(o.job_status("dead")),
    job.SUMMARY_QUEUED: Equals(o.on_leader(o.queued), by=("job", "task_group")),
    job.SUMMARY_STARTING: Equals(o.summary("pending"), by=("job", "task_group")),
    job.SUMMARY_RUNNING: Equals(o.summary("running"), by=("job", "task_group")),
    job.SUMMARY_COMPLETE: Equals(o.summary("complete"), by=("job", "task_group")),
    job.SUMMARY_FAILED: Equals(o.summary("failed"), by=("job", "task_group")),
    job.SUMMARY_UNKNOWN: Equals(o.summary("unknown"), by=("job", "task_group")),
    job.SUMMARY_LOST: Equals(o.summary("lost"), by=("job", "task_group")),
    leader.ESTABLISH_LEADERSHIP: Logged("leadership acquired", less="leadership not established", off=1.0),
    leader.REVOKE_LEADERSHIP: Logged("cluster leadership lost", off=1.0),
    leader.RECONCILE: _all(Counted(c.per_second(0.5, 5.1)), Timed(at_once=1)),
    leader.RECONCILE_MEMBER: _all(
        Counted(c.grown_with(*["nomad_nomad_leader_reconcile_count"] * 3, steps=("quiet",)), off=6.0), Timed(at_once=1)
    ),
    leader.BARRIER: _all(Overall(c.barriers), Timed()),
}

_SERVER: dict[Metric, Check] = {
    outrider.AGENT_INFO: Equals(lambda moment, place: {(place, moment.roles[place]): 1.0}, by=("node", "role")),
    outrider.SERVER_HAS_LEADER: _all(Equals(o.on_servers(lambda moment, place: 1.0)), Reached("lease", most=0.0)),
    outrider.SERVER_IS_LEADER: _of_both(outrider.SERVER_IS_LEADER, o.leader_else(lambda moment: 1.0)),
    outrider.RAFT_TERM: _of_both(outrider.RAFT_TERM, o.stats("term")),
    outrider.RAFT_VOTERS: _of_both(outrider.RAFT_VOTERS, o.on_servers(lambda moment, place: float(moment.voters))),
    outrider.RAFT_VOTERS_HEALTHY: _of_both(outrider.RAFT_VOTERS_HEALTHY, o.on_servers(o.voters_healthy)),
    outrider.RAFT_LAST_CONTACT_SECONDS: _all(
        Equals(o.on_servers(lambda moment, place: (0.0, 2.5))), Reached("lease", least=2.5)
    ),
    outrider.RAFT_TICK_LATENESS_SECONDS: _all(Always(0.0, 120.0), Reached("lease", least=2.0)),
    outrider.RAFT_LAST_INDEX: _of_both(outrider.RAFT_LAST_INDEX, o.stats("last_log_index")),
    outrider.RAFT_COMMIT_INDEX: _of_both(outrider.RAFT_COMMIT_INDEX, o.stats("commit_index")),
    outrider.RAFT_APPLIED_INDEX: _of_both(outrider.RAFT_APPLIED_INDEX, o.stats("applied_index")),
    outrider.RAFT_LOG_ENTRIES: _of_both(outrider.RAFT_LOG_ENTRIES, o.on_servers(o.log_entries)),
    outrider.RAFT_LOG_BYTES: Equals(o.on_servers(o.log_bytes), share=0.02),
    outrider.RAFT_SNAPSHOT_AGE_SECONDS: Equals(o.on_servers(o.snapshot_age), off=5.0),
    serf.MEMBER_JOIN: Logged("type=member-join ", off=2.0),
    serf.MEMBER_LEFT: Logged("type=member-leave ", off=1.0),
    serf.MEMBER_FAILED: Logged("type=member-failed ", off=1.0),
    serf.MEMBER_FLAP: Logged("type=member-flap ", off=1.0),
    serf.SNAPSHOT_APPEND_LINE: _all(Counted(c.in_step("leave", (2, 6))), Timed()),
    serf.MEMBER_UPDATE: Logged("type=member-update ", off=1.0),
    memberlist.MSG_SUSPECT: Logged("type=member-suspected ", off=2.0),
    # What one process sends and opens another one counts as it comes.
    memberlist.UDP_SENT: Counted(c.grown_with("nomad_memberlist_udp_received"), share=0.1, off=2_000.0),
    memberlist.UDP_RECEIVED: Counted(c.grown_with("nomad_memberlist_udp_sent"), share=0.1, off=2_000.0),
    memberlist.TCP_CONNECT: Counted(c.grown_with("nomad_memberlist_tcp_accept"), off=2.0),
    memberlist.TCP_ACCEPT: Counted(c.grown_with("nomad_memberlist_tcp_connect"), off=2.0),
    # One other an interval of a second, and the state is exchanged each half a minute.
    memberlist.PROBE_NODE: Counted(c.per_second(0.4 * 3, 1.05 * 3)),
    memberlist.PUSH_PULL_NODE: Counted(c.exchanges, off=2.0),
    memberlist.NODE_INSTANCES: All((Reached("start", least=3.0), Always(0.0, 3.0))),
    memberlist.HEALTH_SCORE: Reached("member-lost", least=1.0),
    outrider.RAFT_ELECTIONS_TOTAL: Logged("entering leader state"),
    outrider.RAFT_LEASE_LOSSES_TOTAL: Logged("leader lease timeout"),
    outrider.EVALUATIONS_FAILED_TOTAL: Counted(c.in_step("worker", (1, 1))),
    outrider.NODES: Equals(o.on_servers(o.nodes), by=("status", "eligibility"), other=0.0),
    outrider.NODES_DRAINING: _all(
        Equals(o.on_servers(lambda moment, place: float(sum(n["Drain"] for n in moment.nodes)))),
        Reached("drain", least=1.0),
    ),
    outrider.WORKER_COUNT: Equals(o.on_servers(o.cores)),
    outrider.WORKER_BUSY_COUNT: Equals(o.on_servers(lambda moment, place: 0.0)),
    outrider.QUEUE_DEPTH: Equals(o.on_servers(lambda moment, place: 0.0)),
    outrider.EVALUATION_DURATION_SECONDS: _counted(c.evals_by_type, by="type"),
    outrider.PLAN_DURATION_SECONDS: _counted(c.grown_with("nomad_nomad_plan_submit_count")),
    outrider.RAFT_COMMIT_DURATION_SECONDS: _counted(c.entries, off=3.0),
    outrider.CLIENT_LAST_HEARTBEAT_SECONDS: _all(Always(0.0, 40.0), Ages()),
    outrider.CLIENT_HEARTBEAT_TTL_SECONDS: Equals(o.on_clients(lambda moment, place: (10.0, 30.0))),
    outrider.CLIENT_SERVERS_CONNECTED: Equals(o.on_clients(o.connected_servers)),
    outrider.METRICS_SERIES: Equals(o.series_shown, share=0.1),
    outrider.METRICS_SERIES_REFUSED_TOTAL: Always(0.0, 0.0),
    outrider.SINK_DROPPED_TOTAL: Always(0.0, 0.0),
    outrider.TASK_FAILURES_TOTAL: Always(0.0, 0.0),
}

_PLAN: dict[Metric, Check] = {
    plan.QUEUE_DEPTH: AT_REST,
    # A real worker submits for itself; the script does so once.
    plan.SUBMIT: _counted(
        lambda lived, record: (
            record.grew("nomad_nomad_worker_submit_plan_count") + record.asked["Plan.Submit"]
            if record.is_steady
            else None
        )
    ),
    plan.EVALUATE: _counted(c.grown_with("nomad_nomad_plan_submit_count")),
    plan.WAIT_FOR_INDEX: _counted(c.grown_with("nomad_nomad_plan_submit_count")),
    # What the script submits is too much, and nothing of it is written.
    plan.APPLY: _counted(c.grown_with("nomad_nomad_plan_submit_count", less="Plan.Submit"), off=1.0),
    plan.NODE_REJECTED: Counted(c.asked("Plan.Submit", steps=("worker",))),
    worker.DEQUEUE_EVAL: _counted(c.grown_with("nomad_nomad_eval_dequeue_count", less="Eval.Dequeue"), off=12.0),
    # Once for each evaluation, and again where the leader refuses a part of its plan.
    worker.WAIT_FOR_INDEX: _counted(
        c.grown_with("nomad_nomad_eval_ack_count", "nomad_nomad_eval_nack_count", less="Eval.Nack"), off=4.0
    ),
    worker.INVOKE_SCHEDULER: _counted(c.evals_by_type, by="word"),
    worker.SUBMIT_PLAN: _counted(c.grown_with("nomad_nomad_plan_submit_count", less="Plan.Submit")),
    worker.CREATE_EVAL: _counted(c.grown_with("nomad_nomad_eval_create_count")),
    worker.UPDATE_EVAL: _counted(c.grown_with("nomad_nomad_eval_update_count")),
    worker.REBLOCK_EVAL: _counted(c.grown_with("nomad_nomad_eval_reblock_count")),
    worker.SEND_ACK: _counted(
        c.grown_with("nomad_nomad_eval_ack_count", "nomad_nomad_eval_nack_count", less="Eval.Nack")
    ),
}

_RAFT: dict[Metric, Check] = {
    raft.STATE_CANDIDATE: Overall(c.candidacies),
    raft.STATE_LEADER: Logged("entering leader state", off=1.0),
    raft.STATE_FOLLOWER: Logged("entering follower state", off=1.0),
    raft.TRANSITION_HEARTBEAT_TIMEOUT: Logged("reason='heartbeat timeout'", off=1.0),
    raft.TRANSITION_LEADER_LEASE_TIMEOUT: Logged("leader lease timeout", off=1.0),
    raft.PEERS: Equals(o.on_leader(lambda moment: float(len(moment.configuration))), may_be_gone=True),
    raft.CANDIDATE_ELECT_SELF: Overall(c.campaigns),
    raft.CANDIDATE_PRE_ELECT_SELF: Overall(c.rounds, off=3.0),
    raft.RPC_REQUEST_VOTE: Overall(c.votes_asked, off=2.0),
    raft.LEADER_LAST_CONTACT: _counted(c.per_second(0.3, 2.2)),
    raft.LEADER_DISPATCH_LOG: _batches(1),
    raft.LEADER_OLDEST_LOG_AGE: Equals(o.oldest_entry_ms, off=3_000.0),
    raft.REPLICATION_APPEND_ENTRIES_LOGS: Counted(c.entries_to_followers, off=8.0),
    raft.FSM_LAST_RESTORE_DURATION: Equals(o.restored_ms, off=1.0, may_be_gone=True),
    raft.LEADER_DISPATCH_NUM_LOGS: _ONE_AT_A_TIME,
    raft.APPLY: Counted(c.entries, off=4.0),
    raft.BARRIER: Overall(c.barriers, off=1.0),
    raft.COMMIT_TIME: _counted(c.entries, off=3.0),
    raft.COMMIT_NUM_LOGS: _ONE_AT_A_TIME,
    raft.REPLICATION_APPEND_ENTRIES_RPC: _counted(c.appends_with_entries, share=0.1, off=10.0),
    raft.REPLICATION_HEARTBEAT: _counted(c.per_second(1.3, 8)),
    raft.RPC_PROCESS_HEARTBEAT: _counted(c.grown_with("nomad_raft_replication_heartbeat_count"), share=0.1, off=10.0),
    raft.RPC_APPEND_ENTRIES: _counted(
        c.grown_with("nomad_raft_replication_heartbeat_count", "nomad_raft_replication_appendEntries_rpc_count"),
        share=0.1,
        off=10.0,
    ),
    raft.RPC_APPEND_ENTRIES_STORE_LOGS: _batches(2),
    raft.RPC_APPEND_ENTRIES_PROCESS_LOGS: _batches(2),
    raft.APPLIED_INDEX: Equals(o.stats("applied_index")),
    raft.LAST_INDEX: Equals(o.stats("last_log_index")),
    raft.FSM_APPLY: _batches(3),
    raft.FSM_ENQUEUE: _batches(3),
    raft.NET_RPC_DECODE: _counted(
        c.grown_with("nomad_raft_replication_heartbeat_count", "nomad_raft_replication_appendEntries_rpc_count"),
        share=0.1,
        off=10.0,
    ),
    raft.NET_RPC_RESPOND: _counted(
        c.grown_with("nomad_raft_replication_heartbeat_count", "nomad_raft_replication_appendEntries_rpc_count"),
        share=0.1,
        off=10.0,
    ),
    raft.SNAPSHOT_TAKE_SNAPSHOT: Counted(c.in_step("leader-lost", 2)),
    raft.SNAPSHOT_PERSIST: Counted(c.in_step("leader-lost", 2)),
    raft.FSM_SNAPSHOT: Counted(c.in_step("leader-lost", 2)),
    raft.FSM_RESTORE: Counted(c.in_step("leader-lost", 1)),
    raft.RPC_INSTALL_SNAPSHOT: Counted(c.in_step("leader-lost", 1)),
    state.SNAPSHOT_INDEX: Equals(o.on_servers(o.newest_index)),
}

_RPC: dict[Metric, Check] = {
    rpc.CLIENT_UPDATE_ELIGIBILITY: _asked("Node.UpdateEligibility"),
    rpc.CLIENT_UPDATE_DRAIN: _asked("Node.UpdateDrain"),
    rpc.CLIENT_GET_ALLOCS: _asked("Node.GetAllocs"),
    rpc.CLIENT_GET_NODE: _asked("Node.GetNode"),
    rpc.CLIENT_LIST: _asked("Node.List"),
    rpc.ALLOC_GET_ALLOC: _asked("Alloc.GetAlloc"),
    rpc.ALLOC_LIST: _asked("Alloc.List"),
    rpc.EVAL_GET_EVAL: _asked("Eval.GetEval"),
    rpc.EVAL_LIST: _asked("Eval.List"),
    rpc.EVAL_COUNT: _asked("Eval.Count"),
    rpc.EVAL_ALLOCATIONS: _asked("Eval.Allocations"),
    rpc.JOB_GET_JOB_VERSIONS: _asked("Job.GetJobVersions"),
    rpc.JOB_VALIDATE: _asked("Job.Validate"),
    rpc.JOB_SCALE_STATUS: _asked("Job.ScaleStatus"),
    rpc.NODE_POOL_LIST: _asked("NodePool.List"),
    rpc.NAMESPACE_LIST_NAMESPACE: _asked("Namespace.ListNamespaces"),
    rpc.SEARCH_PREFIX_SEARCH: _asked("Search.PrefixSearch"),
    rpc.JOB_REGISTER: _asked("Job.Register"),
    rpc.JOB_DEREGISTER: _asked("Job.Deregister"),
    rpc.JOB_GET_JOB: _asked("Job.GetJob"),
    rpc.JOB_LIST: _asked("Job.List"),
    rpc.JOB_ALLOCATIONS: _asked("Job.Allocations"),
    rpc.JOB_EVALUATIONS: _asked("Job.Evaluations"),
    rpc.JOB_SUMMARY_GET_JOB_SUMMARY: _asked("Job.Summary"),
    # A call that is tried anew while the leader changes counts again.
    rpc.CLIENT_REGISTER: _all(
        Counted(c.in_step("client-lost", (1, 3))),
        Counted(c.asked("Node.Register", steps=("leader-lost",)), off=3.0, share=0.02),
    ),
    rpc.CLIENT_UPDATE_STATUS: _counted(c.heartbeats, off=2.0),
    rpc.CLIENT_UPDATE_ALLOC: _counted(c.applied("alloc_client_update"), off=1.0),
    rpc.CLIENT_GET_CLIENT_ALLOCS: _counted(c.in_step("jobs", (2, 120))),
    rpc.ALLOC_GET_ALLOCS: _counted(c.in_step("jobs", (2, 120))),
    rpc.EVAL_DEQUEUE: _all(
        Counted(c.per_second(*_DEQUEUES_A_SECOND)),
        Counted(c.by_workers("dequeue_eval", script="Eval.Dequeue"), off=12.0),
        Timed(),
    ),
    rpc.EVAL_ACK: _counted(c.evals_acknowledged),
    rpc.EVAL_CREATE: _counted(c.grown_with("nomad_nomad_worker_create_eval_count")),
    rpc.EVAL_REBLOCK: _counted(c.grown_with("nomad_nomad_worker_reblock_eval_count")),
    rpc.RPC_REQUEST: Counted(c.sum_of_rates, off=3.0),
    rpc.RPC_QUERY: Counted(c.sum_of_reads, off=3.0),
    rpc.RPC_EVAL_WRITE: Counted(
        c.by_followers(
            "dequeue_eval",
            "send_ack",
            "update_eval",
            "create_eval",
            "reblock_eval",
            script=("Eval.Dequeue", "Eval.Nack"),
        ),
        off=2.0 * _WORKERS,
    ),
    rpc.RPC_NODE_WRITE: Counted(
        c.passed_on(
            "nomad_nomad_client_register_count",
            "nomad_nomad_client_update_status_count",
            "nomad_nomad_client_update_alloc_count",
            "nomad_nomad_client_update_eligibility_count",
            "nomad_nomad_client_update_drain_count",
            script=("Node.UpdateEligibility", "Node.UpdateDrain"),
        ),
        off=2.0,
    ),
    rpc.RPC_PLAN_WRITE: Counted(c.by_followers("submit_plan", script=("Plan.Submit",)), off=1.0),
    rpc.EVAL_UPDATE: _counted(c.eval_updates),
    rpc.EVAL_NACK: _counted(c.asked("Eval.Nack"), off=1.0),
    rpc.RPC_ALLOC_LIST: _over_rpc("Alloc.List"),
    rpc.RPC_ALLOC_READ: Counted(
        c.passed_on(
            "nomad_nomad_alloc_get_allocs_count", "nomad_nomad_alloc_get_alloc_count", script=("Alloc.GetAlloc",)
        ),
        off=2.0,
    ),
    rpc.RPC_EVAL_LIST: _over_rpc("Eval.List", "Eval.Count", "Eval.Allocations"),
    rpc.RPC_NODE_POOL_LIST: _over_rpc("NodePool.List"),
    rpc.RPC_NAMESPACE_LIST: _over_rpc("Namespace.ListNamespaces"),
    rpc.RPC_SEARCH_LIST: _over_rpc("Search.PrefixSearch"),
    rpc.RPC_EVAL_READ: _over_rpc("Eval.GetEval"),
    rpc.RPC_JOB_LIST: _over_rpc("Job.List", "Job.Allocations", "Job.Evaluations"),
    rpc.RPC_JOB_READ: _over_rpc("Job.GetJob", "Job.Summary", "Job.GetJobVersions", "Job.Validate", "Job.ScaleStatus"),
    rpc.RPC_JOB_WRITE: _over_rpc("Job.Register", "Job.Deregister"),
    # A client's question for its allocations is answered when there is news, and then asked anew.
    rpc.RPC_NODE_LIST: Counted(
        c.passed_on(
            "nomad_nomad_client_get_client_allocs_count",
            "nomad_nomad_client_list_count",
            "nomad_nomad_client_get_allocs_count",
            script=("Node.List", "Node.GetAllocs"),
        ),
        off=6.0,
    ),
    rpc.RPC_NODE_READ: _over_rpc("Node.GetNode"),
    rpc.RPC_OPERATOR_READ: _over_rpc("Operator.ServerHealth", "Operator.RaftGetConfiguration"),
    rpc.RPC_OPERATOR_WRITE: _over_rpc("Operator.AutopilotSetConfiguration"),
    # The log of the server that dialled says the same.
    rpc.RPC_RAFT_HANDOFF: Logged("raft: connected node=", off=4.0),
    rpc.RPC_STATUS_READ: _over_rpc("Status.Leader", others=True),
    rpc.RPC_STATUS_LIST: _over_rpc("Status.Peers", others=True),
}

_EXPORTER: dict[Metric, Check] = {
    exporter.INFO: Always(1.0, 1.0),
    # Two servers are left of three when it runs.
    exporter.SERVERS_WATCHED: Always(2.0, 2.0),
    exporter.SERVER_REACHABLE: Beside(lambda moment: {(name,): 1.0 for name in moment.servers}, ("server",)),
    exporter.BOOTSTRAP_EXPECT: Always(3.0, 3.0),
    exporter.AUTOPILOT_HEALTHY: Beside(lambda moment: {(moment.leader,): o.is_healthy(moment)}, ("server",)),
    exporter.AUTOPILOT_FAILURE_TOLERANCE: Beside(
        lambda moment: {(moment.leader,): o.failure_tolerance(moment)}, ("server",)
    ),
    exporter.READ_SECONDS: All((Always(0.0, 10.0), Reached("neighbours", least=1e-4))),
}

CHECKS: dict[Metric, Check] = {
    **_AUTOPILOT,
    **_BROKER,
    **_HOST,
    **_CLIENT,
    **_PROCESS,
    **_FSM,
    **_JOB,
    **_SERVER,
    **_PLAN,
    **_RAFT,
    **_RPC,
    **_EXPORTER,
}
"""Held against the API, the system or the script in each life."""
