"""Plans held against the newest state: what still fits is committed, the rest goes back to its scheduler. Pure.

Schedulers work in parallel on snapshots, so two of them may give the same room away; here, one plan after the other,
is where that shows. Source: Nomad, nomad/plan_apply.go, evaluatePlan.
"""

from agent.model.alloc import Allocation
from agent.model.base import NodeID
from agent.model.plan import Plan, PlanResult
from agent.state.store import State, Table
from agent.state.usage import alloc_usage, node_capacity


def evaluate_plan(state: State, plan: Plan) -> PlanResult:
    """Return the part of *plan* that *state* has room for, node by node.

    A node is taken or left as a whole: if its placements do not fit, its stops are left out too, for they were meant
    to make room. Left-out nodes are named, sorted, and `refresh_index` tells the scheduler from where to look again.
    """
    rejected = []
    updates: dict[NodeID, list[Allocation]] = {}
    placements: dict[NodeID, list[Allocation]] = {}
    for node_id in sorted({*plan.node_update, *plan.node_allocation}):
        stopped, placed = plan.node_update.get(node_id, []), plan.node_allocation.get(node_id, [])
        if not node_fits(state, node_id, stopped, placed):
            rejected.append(node_id)
            continue
        if stopped:
            updates[node_id] = stopped
        if placed:
            placements[node_id] = placed
    refresh_index = max(1, state.table_index(Table.NODES, Table.ALLOCS)) if rejected else 0
    return PlanResult(
        node_update=updates, node_allocation=placements, rejected_nodes=rejected, refresh_index=refresh_index
    )


def node_fits(state: State, node_id: NodeID, stopped: list[Allocation], placed: list[Allocation]) -> bool:
    """Tell whether a node can take *placed* once *stopped* are gone.

    New work needs a node that is ready; an allocation that is there already may be changed on any known node. With
    nothing placed the answer is yes: whatever is to stop shall stop, even on a node that is gone.
    """
    if not placed:
        return True
    node = state.node(node_id)
    if node is None:
        return False
    if not node.ready and any(state.alloc(alloc.id) is None for alloc in placed):
        return False
    usage = state.usage(node_id)
    for alloc in {alloc.id: alloc for alloc in (*stopped, *placed)}.values():
        known = state.alloc(alloc.id)
        if known is not None and not known.terminal and known.node_id == node_id:
            usage = usage.minus(alloc_usage(known))
    grown = usage
    for alloc in placed:
        if not alloc.terminal:
            grown = grown.plus(alloc_usage(alloc))
    return grown == usage or not grown.exceeded(node_capacity(node))
