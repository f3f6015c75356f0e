"""Plans against the newest state: what fits is taken, node by node."""

import pytest

from agent.leader.plan_apply import evaluate_plan
from agent.model.alloc import Allocation
from agent.model.base import AllocID, EvalID, JobID, NodeID
from agent.model.command import ApplyPlanResults, RegisterJob, RegisterNode
from agent.model.job import Job, Resources
from agent.model.node import Eligibility, Node, NodeCpu, NodeDisk, NodeMemory, NodeResources, NodeStatus
from agent.model.plan import Plan
from agent.state.fsm import apply
from agent.state.store import State


def node(name="n1", **fields):
    resources = NodeResources(
        cpu=NodeCpu(cpu_shares=1000), memory=NodeMemory(memory_mb=1000), disk=NodeDisk(disk_mb=1000)
    )
    return Node(**({"id": NodeID(name), "status": NodeStatus.READY, "node_resources": resources} | fields))


def alloc(name, cpu=400, node_id="n1", memory_mb=10, disk_mb=10, **fields):
    return Allocation(
        id=AllocID(name), name="web.app[0]", eval_id=EvalID("e"), node_id=NodeID(node_id), node_name=node_id,
        job_id=JobID("web"), task_group="app", resources=Resources(cpu=cpu, memory_mb=memory_mb, disk_mb=disk_mb),
        **fields,
    )  # fmt: skip


def state_with(*nodes, allocs=()):
    state = apply(State(), 1, RegisterJob(request_id="", at=0, job=Job(id=JobID("web")))).state
    for place, each in enumerate(nodes):
        state = apply(state, 2 + place, RegisterNode(request_id="", at=0, node=each)).state
    return apply(state, 10, ApplyPlanResults(request_id="", at=0, eval_id=EvalID("e"), updated=list(allocs))).state


def plan(place=(), stop=()):
    update: dict = {}
    allocation: dict = {}
    for item in place:
        allocation.setdefault(item.node_id, []).append(item)
    for item in stop:
        update.setdefault(item.node_id, []).append(item)
    return Plan(
        eval_id=EvalID("e"),
        eval_token="t",
        priority=50,
        snapshot_index=10,
        node_update=update,
        node_allocation=allocation,
    )


def test_what_fits_is_taken_whole():
    """
    Two allocations that fill a node are both committed and nothing is to be looked at again.
    """
    result = evaluate_plan(state_with(node()), plan([alloc("a", 500), alloc("b", 500)]))

    assert ["a", "b"] == [item.id for item in result.node_allocation["n1"]]
    assert ([], 0) == (result.rejected_nodes, result.refresh_index)


@pytest.mark.parametrize("resources", [{"cpu": 601}, {"memory_mb": 991}, {"disk_mb": 991}])
def test_each_dimension_can_run_out(resources):
    """
    One MHz or MB too much is too much.
    """
    state = state_with(node(), allocs=[alloc("old")])

    result = evaluate_plan(state, plan([alloc("new", **({"cpu": 1} | resources))]))

    assert ({}, ["n1"], 10) == (result.node_allocation, result.rejected_nodes, result.refresh_index)


def test_a_full_node_takes_what_its_stops_make_room_for():
    """
    A stop and a placement in one plan are weighed together.
    """
    old = alloc("old", 900)

    result = evaluate_plan(state_with(node(), allocs=[old]), plan([alloc("new", 900)], stop=[old]))

    assert ["n1"] == list(result.node_allocation)
    assert ["n1"] == list(result.node_update)


def test_a_refused_node_keeps_its_stops_and_others_are_taken():
    """
    The stop that was to make room is left out with the placement; the other node's part is committed.
    """
    old = alloc("old", 100)

    result = evaluate_plan(
        state_with(node(), node("n2"), allocs=[old]),
        plan([alloc("new", 1001), alloc("other", node_id="n2")], stop=[old]),
    )

    assert (["n1"], ["n2"], {}) == (result.rejected_nodes, list(result.node_allocation), result.node_update)


@pytest.mark.parametrize(
    "fields", [{"status": NodeStatus.DOWN}, {"scheduling_eligibility": Eligibility.INELIGIBLE}, {"drain": True}]
)
def test_a_node_that_is_not_ready_takes_nothing_new_but_stops(fields):
    """
    New work is refused; stops are always taken, and so is a note on an allocation that is there.
    """
    ready, known = state_with(node(), allocs=[alloc("old")]), alloc("old", followup_eval_id="f")
    state = apply(ready, 11, RegisterNode(request_id="", at=0, node=node(**fields))).state
    if "status" not in fields:
        state = state_with(node(**fields), allocs=[alloc("old")])

    assert ["n1"] == evaluate_plan(state, plan([alloc("new")])).rejected_nodes
    assert [] == evaluate_plan(state, plan(stop=[alloc("old")])).rejected_nodes
    assert [] == evaluate_plan(state, plan([known])).rejected_nodes


def test_an_unknown_node_is_refused_but_its_stops_are_taken():
    """
    Nothing is placed on a node that is gone, and what was there can still be stopped.
    """
    assert ["n9"] == evaluate_plan(State(), plan([alloc("a", node_id="n9")])).rejected_nodes
    assert 1 == evaluate_plan(State(), plan([alloc("a", node_id="n9")])).refresh_index
    assert ["n9"] == list(evaluate_plan(State(), plan(stop=[alloc("a", node_id="n9")])).node_update)


def test_what_is_kept_for_the_host_is_not_given_away():
    """
    Reserved resources are taken off what a node has.
    """
    from agent.model.node import ReservedCpu, ReservedResources

    kept = node(reserved_resources=ReservedResources(cpu=ReservedCpu(cpu_shares=300)))

    assert [] == evaluate_plan(state_with(kept), plan([alloc("a", 700)])).rejected_nodes
    assert ["n1"] == evaluate_plan(state_with(kept), plan([alloc("a", 701)])).rejected_nodes
