"""What single commands do, as Nomad does it."""

import pytest

from agent.model.alloc import Allocation, ClientStatus, DesiredStatus
from agent.model.base import AllocID, EvalID, JobID, NodeID
from agent.model.command import (
    ApplyPlanResults,
    DeleteEvals,
    DeregisterJob,
    Noop,
    RegisterJob,
    RegisterNode,
    UpdateAllocsFromClient,
    UpdateEvals,
    UpdateNodeEligibility,
    UpdateNodeStatus,
)
from agent.model.evaluation import EvalStatus, Evaluation
from agent.model.job import Job, JobType, Resources, TaskGroup
from agent.model.node import NODE_EVENTS_MAX, DrainStrategy, Eligibility, Node, NodeStatus
from agent.state.fsm import apply, apply_bytes, dump, load
from agent.state.store import JOB_VERSIONS_MAX, REQUESTS_MAX, State, Table

AT = 1_795_375_511_742_934_321
"""2026-11-22T19:25:11Z."""


class Log:
    """A state that grows by commands; each with an id of its own."""

    def __init__(self) -> None:
        self.state = State()

    def __call__(self, command_type, **fields):
        index = self.state.index + 1
        fields.setdefault("request_id", f"request-{index}")
        applied = apply(self.state, index, command_type(at=AT, **fields))
        self.state = applied.state
        self.state.check_invariants()
        return applied


@pytest.fixture
def log():
    return Log()


def job(name="web", count=1, **fields):
    return Job(id=JobID(name), task_groups=[TaskGroup(name="app", count=count)], **fields)


def evaluation(name="e", job_id="web", **fields):
    return Evaluation(id=EvalID(name), job_id=JobID(job_id), triggered_by="job-register", **fields)


def alloc(id_="a", **fields):
    values = {
        "id": AllocID(id_), "name": "web.app[0]", "eval_id": EvalID("e"), "node_id": NodeID("n"), "node_name": "n",
        "job_id": JobID("web"), "task_group": "app", "resources": Resources(cpu=50, memory_mb=32, disk_mb=300),
    }  # fmt: skip
    return Allocation(**(values | fields))


def test_a_new_node_gets_its_first_event(log):
    """
    A node that registers for the first time says so in its events, with the time of the command.
    """
    log(RegisterNode, node=Node(id=NodeID("n"), name="c1"))

    node = log.state.node("n")
    assert [("Node registered", "2026-11-22T19:25:11Z", 0)] == [
        (event.message, event.timestamp, event.create_index) for event in node.events
    ]
    assert (1, 1, AT // 10**9) == (node.create_index, node.modify_index, node.status_updated_at)


def test_a_node_that_registers_again_keeps_what_others_decided(log):
    """
    Eligibility and age of a node survive its registering again; what it says of itself is taken over.
    """
    log(RegisterNode, node=Node(id=NodeID("n"), scheduling_eligibility=Eligibility.INELIGIBLE))

    log(RegisterNode, node=Node(id=NodeID("n"), name="renamed"))

    node = log.state.node("n")
    assert ("renamed", Eligibility.INELIGIBLE, 1, 2) == (
        node.name, node.scheduling_eligibility, node.create_index, node.modify_index
    )  # fmt: skip


def test_a_missed_heartbeat_is_remembered_until_the_node_is_ready(log):
    """
    Going down notes the index and an event; coming back clears the index and says how.
    """
    log(RegisterNode, node=Node(id=NodeID("n"), status=NodeStatus.READY))

    log(UpdateNodeStatus, node_id=NodeID("n"), status=NodeStatus.DOWN)
    down = log.state.node("n")
    log(UpdateNodeStatus, node_id=NodeID("n"), status=NodeStatus.READY)

    assert 2 == down.last_missed_heartbeat_index
    assert 0 == log.state.node("n").last_missed_heartbeat_index
    assert ["Node registered", "Node heartbeat missed", "Node reregistered by heartbeat"] == [
        event.message for event in log.state.node("n").events
    ]


def test_a_node_keeps_its_last_events_only(log):
    """
    A node that flaps for long has as many events as Nomad keeps.
    """
    log(RegisterNode, node=Node(id=NodeID("n"), status=NodeStatus.READY))

    for _ in range(NODE_EVENTS_MAX):
        log(UpdateNodeStatus, node_id=NodeID("n"), status=NodeStatus.DOWN)
        log(UpdateNodeStatus, node_id=NodeID("n"), status=NodeStatus.READY)

    assert NODE_EVENTS_MAX == len(log.state.node("n").events)


def test_the_status_of_an_unknown_node_is_refused(log):
    """
    There is no node to update, and the caller is told with Nomad's words and status.
    """
    applied = log(UpdateNodeStatus, node_id=NodeID("nobody"), status=NodeStatus.READY, evals=[evaluation()])

    assert ("node not found", 404) == (applied.result.error, applied.result.status)
    assert [] == log.state.evals()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Eligibility.INELIGIBLE, "Node marked as ineligible for scheduling"),
        (Eligibility.ELIGIBLE, "Node marked as eligible for scheduling"),
    ],
)
def test_the_eligibility_of_a_node_is_changed_and_remembered(log, wanted, message):
    """
    The node, its events, its times and the evaluations that come with it say so; its status stays.
    """
    before = next(other for other in Eligibility if other is not wanted)
    log(RegisterNode, node=Node(id=NodeID("n"), status=NodeStatus.READY, scheduling_eligibility=before))

    applied = log(UpdateNodeEligibility, node_id=NodeID("n"), eligibility=wanted, evals=[evaluation()])

    node = log.state.node("n")
    assert (wanted, NodeStatus.READY, 2, AT // 10**9) == (
        node.scheduling_eligibility, node.status, node.modify_index, node.status_updated_at,
    )  # fmt: skip
    assert (message, "Cluster", "2026-11-22T19:25:11Z", 2) == (
        node.events[-1].message, node.events[-1].subsystem, node.events[-1].timestamp, node.events[-1].create_index,
    )  # fmt: skip
    assert [("e", 2)] == [(each.id, each.node_modify_index) for each in log.state.evals()]
    assert (("n",), ("e",)) == (applied.changes.nodes, applied.changes.evals)
    assert (wanted is Eligibility.ELIGIBLE) == node.ready


def test_a_draining_node_does_not_become_eligible(log):
    """
    The drain would end with new work on the node; it may become ineligible.
    """
    log(RegisterNode, node=Node(id=NodeID("n"), drain=True, drain_strategy=DrainStrategy(deadline=1)))

    refused = log(UpdateNodeEligibility, node_id=NodeID("n"), eligibility=Eligibility.ELIGIBLE, evals=[evaluation()])
    log(UpdateNodeEligibility, node_id=NodeID("n"), eligibility=Eligibility.INELIGIBLE)

    assert "can not set node's scheduling eligibility to eligible while it is draining" == refused.result.error
    assert [] == log.state.evals()
    assert Eligibility.INELIGIBLE == log.state.node("n").scheduling_eligibility


def test_the_eligibility_of_an_unknown_node_is_refused(log):
    """
    There is no node to update, and nothing comes of it.
    """
    applied = log(UpdateNodeEligibility, node_id=NodeID("no"), eligibility=Eligibility.ELIGIBLE, evals=[evaluation()])

    assert ("node not found", 500) == (applied.result.error, applied.result.status)
    assert [] == log.state.evals()


def test_a_version_is_counted_only_when_the_specification_changes(log):
    """
    Registering the same job again leaves it alone but for its evaluation; a changed count is version 1.
    """
    log(RegisterJob, job=job(), eval=evaluation("e1"))

    log(RegisterJob, job=job(submit_time=5), eval=evaluation("e2"))
    same = log.state.job("default", "web")
    log(RegisterJob, job=job(count=2), eval=evaluation("e3"))

    changed = log.state.job("default", "web")
    assert (0, 1) == (same.version, same.job_modify_index)
    assert (1, 3, 1) == (changed.version, changed.job_modify_index, changed.create_index)
    assert [1, 1, 3] == [log.state.eval(id_).job_modify_index for id_ in ("e1", "e2", "e3")]


def test_only_the_last_versions_are_kept(log):
    """
    After many changes the newest versions can be asked for and the first cannot.
    """
    for count in range(JOB_VERSIONS_MAX + 2):
        log(RegisterJob, job=job(count=count))

    versions = log.state.job_versions("default", "web")
    assert list(range(JOB_VERSIONS_MAX + 1, 1, -1)) == [version.version for version in versions]
    assert 7 == log.state.job_version("default", "web", 7).task_groups[0].count
    assert log.state.job_version("default", "web", 0) is None


@pytest.mark.parametrize(
    ("known", "wanted", "message"),
    [
        (True, 0, "Enforcing job modify index 0: job already exists"),
        (True, 7, "Enforcing job modify index 7: job exists with conflicting job modify index: 1"),
        (True, 1, ""),
        (False, 7, "Enforcing job modify index 7: job does not exist"),
        (False, 0, ""),
    ],
)
def test_enforcing_an_index_guards_a_job(log, known, wanted, message):
    """
    A job is only changed at the index that was asked for; the refusal is Nomad's sentence.
    """
    if known:
        log(RegisterJob, job=job())

    applied = log(RegisterJob, job=job(count=9), enforce_index=True, job_modify_index=wanted, eval=evaluation())

    assert message == applied.result.error
    assert (0 if message else 1) == len(log.state.evals())


def test_stopping_a_job_is_a_new_version_and_purging_removes_it(log):
    """
    A stopped job is still there, one version later; a purged one is gone with its summary.
    """
    log(RegisterJob, job=job())

    log(DeregisterJob, namespace="default", job_id="web")
    stopped = log.state.job("default", "web")
    log(DeregisterJob, namespace="default", job_id="web", purge=True)

    assert (True, 1) == (stopped.stop, stopped.version)
    assert log.state.job("default", "web") is None
    assert log.state.job_summary("default", "web") is None


def test_deregistering_an_unknown_job_is_no_error(log):
    """
    As on Nomad, whoever stops what is not there is not told off.
    """
    assert "" == log(DeregisterJob, namespace="default", job_id="nope").result.error


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        # Nomad 2.0.5: the unplaceable service of the recordings runs from the end of its first evaluation.
        (JobType.SERVICE, ["pending", "running", "running", "running"]),
        (JobType.BATCH, ["pending", "pending", "running", "dead"]),
        (JobType.SYSTEM, ["running", "running", "running", "running"]),
    ],
)
def test_the_status_of_a_job_follows_its_work(log, kind, statuses):
    """
    From registered over blocked and placed to finished, each type of job has Nomad's status.
    """
    seen = []

    log(RegisterJob, job=job(type=kind), eval=evaluation())
    seen.append(log.state.job("default", "web").status)
    blocked = evaluation("b", status=EvalStatus.BLOCKED)
    log(UpdateEvals, evals=[evaluation(status=EvalStatus.COMPLETE, failed_tg_allocs={}, blocked_eval="b"), blocked])
    seen.append(log.state.job("default", "web").status)
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc()])
    seen.append(log.state.job("default", "web").status)
    log(UpdateAllocsFromClient, allocs=[alloc(client_status=ClientStatus.COMPLETE)])
    log(UpdateEvals, evals=[evaluation("b", status=EvalStatus.COMPLETE)])
    seen.append(log.state.job("default", "web").status)

    assert statuses == seen


def test_a_stopped_service_is_dead_when_its_work_ends(log):
    """
    A stopped service runs until its last allocation is stopped.
    """
    log(RegisterJob, job=job())
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc()])
    log(DeregisterJob, namespace="default", job_id="web")
    before = log.state.job("default", "web").status

    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc(desired_status=DesiredStatus.STOP)])

    assert ("running", "dead") == (before, log.state.job("default", "web").status)


def test_the_summary_counts_queued_starting_and_running(log):
    """
    Waiting allocations are counted from the evaluation, placed ones by what their client says.
    """
    summaries = []
    log(RegisterJob, job=job(count=2))

    log(UpdateEvals, evals=[evaluation(queued_allocations={"app": 2})])
    summaries.append(log.state.job_summary("default", "web").summary["app"])
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc()])
    summaries.append(log.state.job_summary("default", "web").summary["app"])
    log(UpdateAllocsFromClient, allocs=[alloc(client_status=ClientStatus.RUNNING)])
    summaries.append(log.state.job_summary("default", "web").summary["app"])

    assert [(2, 0, 0), (1, 1, 0), (1, 0, 1)] == [(s.queued, s.starting, s.running) for s in summaries]


def test_garbage_collection_keeps_what_the_summary_remembers(log):
    """
    A failed allocation that is removed has still failed; a running one that is removed no longer runs.
    """
    log(RegisterJob, job=job(count=2))
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc("a"), alloc("b")])
    log(UpdateAllocsFromClient, allocs=[alloc("a", client_status="failed"), alloc("b", client_status="running")])

    log(DeleteEvals, eval_ids=[], alloc_ids=[AllocID("a"), AllocID("b")])

    counts = log.state.job_summary("default", "web").summary["app"]
    assert (1, 0) == (counts.failed, counts.running)
    assert [] == log.state.allocs()


def test_a_client_writes_its_own_half_only(log):
    """
    A client's report changes neither what is wanted nor the index by which clients fetch.
    """
    log(RegisterNode, node=Node(id=NodeID("n")))
    log(RegisterJob, job=job())
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc()])
    report = alloc(client_status="running", desired_status="stop", node_id=NodeID("other"), name="forged")

    log(UpdateAllocsFromClient, allocs=[report, alloc("unknown")])

    after = log.state.alloc("a")
    assert ("running", "run", "n", "web.app[0]") == (
        after.client_status, after.desired_status, after.node_id, after.name
    )  # fmt: skip
    assert (3, 3, 4) == (after.create_index, after.alloc_modify_index, after.modify_index)
    assert (4, 1) == (log.state.node("n").last_alloc_update_index, log.state.node("n").modify_index)
    assert log.state.alloc("unknown") is None


def test_an_ended_allocation_does_not_come_back(log):
    """
    A report that was overtaken by the end of its allocation is passed over.
    """
    log(RegisterJob, job=job())
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc()])
    log(UpdateAllocsFromClient, allocs=[alloc(client_status="failed")])

    log(UpdateAllocsFromClient, allocs=[alloc(client_status="running")])

    assert "failed" == log.state.alloc("a").client_status


def test_a_stop_keeps_what_the_client_said(log):
    """
    The servers' half of an update leaves the client's status alone, unless they say that it is lost.
    """
    log(RegisterJob, job=job())
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc("a"), alloc("b")])
    log(UpdateAllocsFromClient, allocs=[alloc("a", client_status="running"), alloc("b", client_status="running")])

    log(
        ApplyPlanResults,
        eval_id=EvalID("e"),
        updated=[alloc("a", desired_status="stop"), alloc("b", desired_status="stop", client_status="lost")],
    )

    assert ["running", "lost"] == [log.state.alloc(id_).client_status for id_ in ("a", "b")]
    assert 0 == log.state.usage("n").cpu


def test_a_placement_gets_the_version_its_scheduler_saw(log):
    """
    A job that changed between planning and commit does not make old allocations look new.
    """
    log(RegisterJob, job=job(count=1))
    log(RegisterJob, job=job(count=2))

    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc("old")], snapshot_index=1)
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc("new")])

    assert [0, 1] == [log.state.alloc(id_).job.version for id_ in ("old", "new")]


def test_a_placement_of_a_purged_job_is_left_out(log):
    """
    Nothing would ever stop an allocation whose job is gone, so it is not made.
    """
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc()])

    assert [] == log.state.allocs()


def test_a_replacement_is_linked_from_what_it_replaces(log):
    """
    The old allocation names the new one.
    """
    log(RegisterJob, job=job())
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc("a")])

    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc("b", previous_allocation="a")])

    assert "b" == log.state.alloc("a").next_allocation


def test_a_success_cancels_the_blocked_evaluations_of_its_job(log):
    """
    When everything has its place, nobody needs to wait for more room; other jobs go on waiting.
    """
    others = evaluation("other", job_id="db", status="blocked")
    log(UpdateEvals, evals=[evaluation("b", status="blocked"), others])

    applied = log(UpdateEvals, evals=[evaluation("e", status="complete")])

    assert ["canceled", "blocked"] == [log.state.eval(id_).status for id_ in ("b", "other")]
    assert ("e", "b") == applied.changes.evals


def test_a_repeated_request_counts_once(log):
    """
    The same request again gives the first result, moves the index and changes nothing.
    """
    first = log(RegisterJob, job=job(), request_id="same")

    again = log(RegisterJob, job=job(count=5), request_id="same")

    assert first.result == again.result
    assert (2, 1) == (log.state.index, log.state.table_index(Table.JOBS))
    assert 1 == log.state.job("default", "web").task_groups[0].count


def test_the_memory_of_requests_is_bounded():
    """
    The oldest request is forgotten when there are too many, and saving keeps their order.
    """
    state = State()

    for index in range(1, REQUESTS_MAX + 12):
        state = apply(state, index, Noop(request_id=f"r{index}", at=0)).state

    state.check_invariants()
    assert state.result_of("r11") is None
    assert state.result_of("r12") is not None
    assert state == load(dump(state))


def test_an_entry_that_was_applied_before_changes_nothing(log):
    """
    An index that is not after the state's own is refused, also when its bytes are damaged.
    """
    log(RegisterJob, job=job())

    applied = apply(log.state, 1, Noop(request_id="late", at=0))
    damaged = apply_bytes(log.state, 1, b"\x01garbage")

    assert applied.state is log.state
    assert damaged.state is log.state
    assert "index 1 is not after 1" in applied.result.error


def test_an_unknown_version_is_a_recorded_refusal(log):
    """
    A command of a newer server is refused with a sentence that names both versions.
    """
    applied = apply_bytes(log.state, 1, b"\x63rest")

    assert "command version 63, this server knows 1" == applied.result.error
    assert 1 == applied.state.index


def test_changes_name_the_tables_and_things(log):
    """
    What the shell has to wake is named: tables, and each thing once.
    """
    applied = log(RegisterJob, job=job(), eval=evaluation())

    assert frozenset({Table.JOBS, Table.JOB_SUMMARIES, Table.EVALS}) == applied.changes.tables
    assert ((("default", "web"),), ("e",)) == (applied.changes.jobs, applied.changes.evals)
    assert (1, 1, 0) == tuple(log.state.table_index(t) for t in (Table.JOBS, Table.EVALS, Table.NODES))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "not a snapshot of the state: it begins with nothing"),
        (lambda data: b"XX" + data[2:], "not a snapshot of the state"),
        (lambda data: data[:4] + b"\x09" + data[5:], "snapshot version 9, this server knows 1"),
        (lambda data: data[:-1], "the checksum"),
        (lambda data: data[:20] + bytes((data[20] ^ 1,)) + data[21:], "the checksum"),
    ],
)
def test_a_damaged_snapshot_is_named(log, damage, message):
    """
    Loading what is no snapshot, is of another version or is damaged says which of these it is.
    """
    log(RegisterJob, job=job())

    with pytest.raises(ValueError, match=message):
        load(damage(dump(log.state)))


def test_lists_are_sorted_and_filtered_by_prefix(log):
    """
    Lists come by id, and a prefix narrows them.
    """
    for name in ("b2", "a1", "b1"):
        log(RegisterNode, node=Node(id=NodeID(name)))

    assert ["a1", "b1", "b2"] == [node.id for node in log.state.nodes()]
    assert ["b1", "b2"] == [node.id for node in log.state.nodes("b")]
