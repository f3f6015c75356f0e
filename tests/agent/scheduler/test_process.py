"""What single evaluations lead to. Times are Unix nanoseconds."""

import itertools
import random

import msgspec
import pytest

from agent.leader.plan_apply import evaluate_plan
from agent.model.alloc import AllocDeploymentStatus, TaskStateInfo
from agent.model.base import EvalID, JobID, NodeID
from agent.model.canonical import canonicalize
from agent.model.command import (
    ApplyPlanResults,
    DeregisterJob,
    RegisterJob,
    RegisterNode,
    UpdateAllocsFromClient,
    UpdateEvals,
    UpdateNodeStatus,
)
from agent.model.evaluation import Evaluation
from agent.model.job import Constraint, Job, JobType, ReschedulePolicy, Resources, RestartPolicy, Task, TaskGroup
from agent.model.node import DriverInfo, Eligibility, Node, NodeCpu, NodeDisk, NodeMemory, NodeResources, NodeStatus
from agent.scheduler.process import process
from agent.state.fsm import apply
from agent.state.store import State

SECOND = 1_000_000_000
START = 1_795_375_566 * SECOND


class World:
    """Two nodes as in the recordings of Nomad, and whatever a test adds."""

    def __init__(self, nodes=2, **node_fields):
        self.state, self.now = State(), START
        self._ids = itertools.count()
        for number in range(nodes):
            self.commit(RegisterNode, node=recorded_node(f"n{number}", **node_fields))

    def new_id(self):
        return f"id-{next(self._ids):03}"

    def commit(self, command_type, **fields):
        command = command_type(request_id=self.new_id(), at=self.now, **fields)
        self.state = apply(self.state, self.state.index + 1, command).state
        self.state.check_invariants()

    def evaluation(self, job_id="web", kind=JobType.SERVICE, trigger="job-register", **fields):
        evaluation = Evaluation(
            id=EvalID(self.new_id()), job_id=JobID(job_id), type=kind, triggered_by=trigger, **fields
        )
        self.commit(UpdateEvals, evals=[evaluation])
        return evaluation

    def run(self, evaluation, **options):
        """Process an evaluation, commit all of its plan, write its evaluations and return the outcome."""
        outcome = process(evaluation, self.state, self.now, random.Random(1), self.new_id, **options)
        plan = outcome.plan
        result = evaluate_plan(self.state, plan)
        assert [] == result.rejected_nodes
        updated = [a for part in (plan.node_update, plan.node_allocation) for allocs in part.values() for a in allocs]
        self.commit(ApplyPlanResults, eval_id=plan.eval_id, updated=updated, snapshot_index=plan.snapshot_index)
        self.commit(UpdateEvals, evals=outcome.evals)
        return outcome

    def register(self, job):
        self.commit(RegisterJob, job=job)
        return self.run(self.evaluation(job.id, job.type))

    def report(self, alloc_id, status, **fields):
        alloc = msgspec.structs.replace(self.state.alloc(alloc_id), client_status=status, **fields)
        self.commit(UpdateAllocsFromClient, allocs=[alloc])

    def allocs(self, job_id="web"):
        return sorted(self.state.allocs_by_job("default", job_id), key=lambda alloc: (alloc.create_index, alloc.name))

    def live(self, job_id="web"):
        return [alloc for alloc in self.allocs(job_id) if not alloc.terminal]


def recorded_node(name, **fields):
    """Return a node with the resources of the recorded ones."""
    values = {
        "id": NodeID(name), "name": name, "status": NodeStatus.READY,
        "drivers": {"raw_exec": DriverInfo(detected=True, healthy=True)},
        "node_resources": NodeResources(
            cpu=NodeCpu(cpu_shares=4600), memory=NodeMemory(memory_mb=24105), disk=NodeDisk(disk_mb=258019)
        ),
    }  # fmt: skip
    return Node(**(values | fields))


def job(name="web", count=2, kind=JobType.SERVICE, cpu=50, command="sleep", **group_fields):
    task = Task(
        name="sleep", driver="raw_exec", config={"command": command}, resources=Resources(cpu=cpu, memory_mb=32)
    )
    group = TaskGroup(**({"name": "app", "count": count, "tasks": [task]} | group_fields))
    return canonicalize(Job(id=JobID(name), type=kind, task_groups=[group]))


def test_a_service_is_placed_as_it_was_on_a_real_nomad():
    """
    The recorded job on the recorded nodes gets the recorded names, resources, counts and score.
    """
    world = World()

    outcome = world.register(job())

    first = world.allocs()[0]
    assert ["web.app[0]", "web.app[1]"] == [alloc.name for alloc in world.allocs()]
    assert ["n0", "n1"] == sorted(alloc.node_id for alloc in world.allocs())
    assert Resources(cpu=50, disk_mb=300, memory_mb=32, memory_max_mb=32) == first.resources
    assert (2, 0, 0, 2, {"dc1": 2}) == (
        first.metrics.nodes_evaluated, first.metrics.nodes_filtered, first.metrics.nodes_exhausted,
        first.metrics.nodes_in_pool, first.metrics.nodes_available,
    )  # fmt: skip
    assert 0.015427536558790441 == pytest.approx(first.metrics.score_meta_data[0].norm_score, rel=1e-12)
    done = outcome.evals[-1]
    assert ("complete", {"app": 0}, None, "") == (
        done.status, done.queued_allocations, done.failed_tg_allocs, done.blocked_eval
    )  # fmt: skip
    assert (2, 0) == tuple(done.plan_annotations["DesiredTGUpdates"]["app"][key] for key in ("Place", "Ignore"))


def test_what_cannot_be_placed_blocks_as_on_a_real_nomad():
    """
    A job that asks for too much CPU ends in the recorded pair: a complete evaluation, and a blocked one that waits.
    """
    world = World()

    outcome = world.register(job(count=1, cpu=900_000))

    blocked, done = outcome.evals
    metric = done.failed_tg_allocs["app"]
    assert ("blocked", "queued-allocs", "created to place remaining allocations", done.id) == (
        blocked.status, blocked.triggered_by, blocked.status_description, blocked.previous_eval
    )  # fmt: skip
    assert ("complete", blocked.id, {"app": 1}) == (done.status, done.blocked_eval, done.queued_allocations)
    assert (2, 2, {"cpu": 2}, 900_000, 0) == (
        metric.nodes_evaluated, metric.nodes_exhausted, metric.dimension_exhausted,
        metric.resources_exhausted["sleep"].cpu, metric.resources_exhausted["sleep"].memory_mb,
    )  # fmt: skip
    assert outcome.plan.empty
    assert "running" == world.state.job("default", "web").status


def test_a_blocked_evaluation_goes_on_waiting_under_its_own_id():
    """
    Tried again without success it stays blocked; with room it completes and places all.
    """
    world = World()
    blocked = world.register(job(count=3, cpu=4000)).evals[0]

    again = world.run(msgspec.structs.replace(world.state.eval(blocked.id), status="pending"))
    still = world.state.eval(blocked.id).status
    world.commit(RegisterNode, node=recorded_node("n2"))
    world.run(msgspec.structs.replace(world.state.eval(blocked.id), status="pending"))

    assert [blocked.id] == [evaluation.id for evaluation in again.evals]
    assert ("blocked", "complete") == (still, world.state.eval(blocked.id).status)
    assert 3 == len(world.live())


def test_what_one_cannot_find_the_next_is_not_looked_for():
    """
    Of five that do not fit, one search is made and four are counted with it.
    """
    world = World()

    metric = world.register(job(count=5, cpu=900_000)).evals[-1].failed_tg_allocs["app"]

    assert (2, 4) == (metric.nodes_evaluated, metric.coalesced_failures)


def test_filtered_nodes_are_counted_by_what_filtered_them():
    """
    A node without the driver and one that fails a constraint are told apart.
    """
    world = World(nodes=0)
    world.commit(RegisterNode, node=recorded_node("bare", drivers={}))
    world.commit(RegisterNode, node=recorded_node("other", attributes={"kernel.name": "linux"}, node_class="c"))
    picky = [Constraint(l_target="${attr.kernel.name}", operand="=", r_target="windows")]

    metric = world.register(job(count=1, constraints=picky)).evals[-1].failed_tg_allocs["app"]

    assert {"missing drivers": 1, "${attr.kernel.name} = windows": 1} == metric.constraint_filtered
    assert ({"c": 1}, 2, None) == (metric.class_filtered, metric.nodes_filtered, metric.dimension_exhausted)


def test_distinct_hosts_places_one_a_node():
    """
    With three wanted on two nodes, one waits.
    """
    world = World()

    outcome = world.register(job(count=3, constraints=[Constraint(operand="distinct_hosts")]))

    assert 2 == len({alloc.node_id for alloc in world.live()})
    assert {"app": 1} == outcome.evals[-1].queued_allocations
    assert {"distinct_hosts": 2} == outcome.evals[-1].failed_tg_allocs["app"].constraint_filtered


@pytest.mark.parametrize("fields", [{"status": NodeStatus.DOWN}, {"scheduling_eligibility": Eligibility.INELIGIBLE}])
def test_a_node_that_is_not_ready_gets_nothing(fields):
    """
    Neither a node that is down nor one that is ineligible is even looked at.
    """
    world = World(**fields)

    metric = world.register(job(count=1)).evals[-1].failed_tg_allocs["app"]

    assert (0, 0) == (metric.nodes_evaluated, metric.nodes_in_pool)


def test_a_lower_count_stops_the_highest_numbers():
    """
    From four to two, the numbers 2 and 3 are stopped.
    """
    world = World()
    world.register(job(count=4))

    world.register(job(count=2))

    assert ["web.app[0]", "web.app[1]"] == [alloc.name for alloc in world.live()]
    assert {"alloc not needed due to job update"} == {
        alloc.desired_description for alloc in world.allocs() if alloc.desired_status == "stop"
    }


def test_a_stopped_job_stops_all():
    """
    Nothing of a stopped job lives on, and nothing is queued.
    """
    world = World()
    world.register(job())

    world.commit(DeregisterJob, namespace="default", job_id="web")
    outcome = world.run(world.evaluation(trigger="job-deregister"))

    assert [] == world.live()
    assert {"app": 0} == outcome.evals[-1].queued_allocations


def test_lost_allocations_are_replaced_under_their_names():
    """
    When a node goes down its allocations are lost, and others with the same names run elsewhere.
    """
    world = World()
    world.register(job())
    lost = next(alloc for alloc in world.allocs() if alloc.node_id == "n0")

    world.commit(UpdateNodeStatus, node_id=NodeID("n0"), status=NodeStatus.DOWN)
    world.run(world.evaluation(trigger="node-update"))

    after = world.state.alloc(lost.id)
    assert ("lost", "stop", "alloc is lost since its node is down") == (
        after.client_status, after.desired_status, after.desired_description
    )  # fmt: skip
    assert ["n1", "n1"] == [alloc.node_id for alloc in world.live()]
    assert ["web.app[0]", "web.app[1]"] == sorted(alloc.name for alloc in world.live())
    assert lost.id in {alloc.previous_allocation for alloc in world.live()}


def test_a_failed_service_is_replaced_after_its_delay():
    """
    The failure makes an evaluation that waits for the delay; it stops the failed one and places the next elsewhere.
    """
    world = World()
    world.register(job(count=1))
    failed = world.allocs()[0]
    world.report(failed.id, "failed", modify_time=world.now)

    follow_up = world.run(world.evaluation(trigger="alloc-failure")).evals[0]
    waiting = world.state.alloc(failed.id)
    second = world.run(world.evaluation(trigger="alloc-failure"))
    world.now += 30 * SECOND
    world.run(follow_up)

    replacement = world.live()[0]
    assert ("alloc-reschedule", "pending", START + 30 * SECOND) == (
        follow_up.triggered_by, follow_up.status, follow_up.wait_until
    )  # fmt: skip
    assert (follow_up.id, "run") == (waiting.followup_eval_id, waiting.desired_status)
    assert 1 == len(second.evals)
    assert (failed.id, True) == (replacement.previous_allocation, replacement.node_id != failed.node_id)
    assert [(30 * SECOND, failed.id, failed.node_id, world.now)] == [
        (event["Delay"], event["PrevAllocID"], event["PrevNodeID"], event["RescheduleTime"])
        for event in replacement.reschedule_tracker["Events"]
    ]
    assert ("stop", replacement.id) == (
        world.state.alloc(failed.id).desired_status, world.state.alloc(failed.id).next_allocation
    )  # fmt: skip


def test_delays_grow_from_failure_to_failure():
    """
    With the exponential policy each delay is twice the last, up to the longest.
    """
    world = World()
    policy = ReschedulePolicy(delay=10 * SECOND, max_delay=35 * SECOND)
    world.register(job(count=1, reschedule_policy=policy))
    delays = []

    for _ in range(4):
        world.report(world.live()[0].id, "failed", modify_time=world.now)
        follow_up = world.run(world.evaluation(trigger="alloc-failure")).evals[0]
        delays.append((follow_up.wait_until - world.now) // SECOND)
        world.now = follow_up.wait_until
        world.run(follow_up)

    assert [10, 20, 35, 35] == delays


def test_a_batch_job_that_fails_too_often_is_left():
    """
    After the one attempt of the default policy a failed batch allocation stays failed.
    """
    world = World()
    world.register(job(count=1, kind=JobType.BATCH))

    for _ in range(2):
        world.report(world.live()[0].id, "failed", modify_time=world.now)
        world.now += 10 * SECOND
        last = world.run(world.evaluation(kind=JobType.BATCH, trigger="alloc-failure"))

    assert [] == world.live()
    assert (2, 1) == (len(world.allocs()), len(last.evals))


def test_a_finished_batch_allocation_is_not_run_again():
    """
    What a batch job has completed is done, until a new version of the job runs from the beginning.
    """
    world = World()
    world.register(job(count=2, kind=JobType.BATCH))
    world.report(world.allocs()[0].id, "complete")

    same = world.run(world.evaluation(kind=JobType.BATCH, trigger="node-update"))
    world.report(world.live()[0].id, "complete")
    world.register(job(count=2, kind=JobType.BATCH, command="other"))

    assert same.plan.empty
    assert 2 == len(world.live())


def test_a_change_that_tasks_do_not_feel_is_made_in_place():
    """
    A new restart policy reaches the running allocations, which get the new version and keep their ids.
    """
    world = World()
    world.register(job())
    before = [alloc.id for alloc in world.live()]

    world.register(job(restart_policy=RestartPolicy(attempts=9)))

    assert before == [alloc.id for alloc in world.live()]
    assert [1, 1] == [alloc.job.version for alloc in world.live()]


def test_a_new_command_replaces_one_after_the_other():
    """
    With max_parallel 1 the first is replaced at once, the second when the first runs and some time has passed.
    """
    world = World()
    world.register(job())
    for alloc in world.live():
        world.report(alloc.id, "running", deployment_status=AllocDeploymentStatus(healthy=True))

    rolling = world.register(job(command="new")).evals[0]
    versions = [sorted(alloc.job.version for alloc in world.live())]
    world.now = rolling.wait_until
    stalled = world.run(rolling)
    versions.append(sorted(alloc.job.version for alloc in world.live()))
    world.report(next(alloc.id for alloc in world.live() if alloc.job.version == 1), "running")
    world.run(stalled.evals[0])
    versions.append(sorted(alloc.job.version for alloc in world.live()))

    assert ("rolling-update", START + 10 * SECOND) == (rolling.triggered_by, rolling.wait_until)
    assert [[0, 1], [0, 1], [1, 1]] == versions


def test_an_update_that_finds_no_place_keeps_the_old_allocation():
    """
    An old allocation is better than none: it is not stopped before there is a place for the new one.
    """
    world = World(nodes=1)
    world.register(job(count=1))
    world.report(world.live()[0].id, "running")

    outcome = world.register(job(count=1, cpu=900_000))

    assert [0] == [alloc.job.version for alloc in world.live()]
    assert "blocked" == outcome.evals[0].status


def test_a_system_job_runs_once_on_each_node():
    """
    Each ready node gets one, a new node too, a node that went down loses its own and nothing replaces it.
    """
    world = World()
    world.register(job("agent", count=1, kind=JobType.SYSTEM))
    first = sorted(alloc.node_id for alloc in world.live("agent"))

    world.commit(RegisterNode, node=recorded_node("n2"))
    world.commit(UpdateNodeStatus, node_id=NodeID("n0"), status=NodeStatus.DOWN)
    world.run(world.evaluation("agent", JobType.SYSTEM, "node-update"))

    assert ["n0", "n1"] == first
    assert ["n1", "n2"] == sorted(alloc.node_id for alloc in world.live("agent"))
    assert {"agent.app[0]"} == {alloc.name for alloc in world.allocs("agent")}


def test_a_failed_system_allocation_waits_for_a_reason():
    """
    That it failed is no reason to place it again; a change of the nodes is.
    """
    world = World(nodes=1)
    world.register(job("agent", count=1, kind=JobType.SYSTEM))
    world.report(world.live("agent")[0].id, "failed")

    world.run(world.evaluation("agent", JobType.SYSTEM, "alloc-failure"))
    after_failure = len(world.live("agent"))
    world.run(world.evaluation("agent", JobType.SYSTEM, "node-update"))

    assert (0, 1) == (after_failure, len(world.live("agent")))


@pytest.mark.parametrize(
    ("kind", "constraints", "description"),
    [
        ("_core", [], 'no scheduler for evaluations of type "_core"'),
        (
            JobType.SERVICE,
            [Constraint(operand="distinct_property")],
            'constraint operand "distinct_property" is not supported by this scheduler',
        ),
    ],
)
def test_what_cannot_be_judged_fails_with_a_sentence(kind, constraints, description):
    """
    An evaluation that this scheduler cannot process fails and places nothing.
    """
    world = World()
    world.commit(RegisterJob, job=job(constraints=constraints))

    outcome = world.run(world.evaluation(kind=kind))

    assert [("failed", description)] == [(e.status, e.status_description) for e in outcome.evals]
    assert outcome.plan.empty


def test_the_last_attempt_says_what_to_write_when_it_is_refused():
    """
    Then the evaluation fails, and a blocked one waits for more room.
    """
    world = World()
    world.commit(RegisterJob, job=job())

    outcome = world.run(world.evaluation(), last_attempt=True)

    blocked, failed = outcome.evals_if_refused
    assert ("blocked", "max-plan-attempts") == (blocked.status, blocked.triggered_by)
    assert ("failed", blocked.id) == (failed.status, failed.blocked_eval)


def test_two_of_one_name_become_one():
    """
    Should two live allocations ever have one name, the older stays and the other is stopped.
    """
    world = World()
    world.register(job(count=2))
    twin = msgspec.structs.replace(world.live()[0], id="twin", job=None)
    world.commit(ApplyPlanResults, eval_id=EvalID("x"), updated=[twin])

    world.run(world.evaluation())

    assert ["web.app[0]", "web.app[1]"] == [alloc.name for alloc in world.live()]
    assert "twin" not in {alloc.id for alloc in world.live()}


def test_two_lost_of_one_name_are_replaced_by_one():
    """
    Two allocations of one name that are lost together leave one name to fill; the other place gets a free one.
    """
    world = World()
    world.register(job(count=2))
    for name in ("twin-a", "twin-b"):
        twin = msgspec.structs.replace(world.allocs()[0], id=name, name="web.app[0]", node_id="gone", job=None)
        world.commit(ApplyPlanResults, eval_id=EvalID("x"), updated=[twin])
    for alloc in world.allocs()[:2]:
        world.commit(
            ApplyPlanResults, eval_id=EvalID("x"), updated=[msgspec.structs.replace(alloc, desired_status="stop")]
        )

    world.run(world.evaluation())

    assert ["web.app[0]", "web.app[1]"] == sorted(alloc.name for alloc in world.live())


def test_the_end_of_the_last_task_starts_the_delay():
    """
    The delay counts from when the task ended, not from when the servers heard of it.
    """
    world = World()
    world.register(job(count=1))
    ended = TaskStateInfo(state="dead", failed=True, finished_at="2026-11-22T19:26:06.500000000Z")
    world.report(world.live()[0].id, "failed", task_states={"sleep": ended}, modify_time=START + 9 * SECOND)

    follow_up = world.run(world.evaluation(trigger="alloc-failure")).evals[0]

    assert START + 30 * SECOND + SECOND // 2 == follow_up.wait_until
