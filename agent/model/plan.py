"""Plans: what a scheduler proposes, and what the leader made of it. Source: Nomad concepts, scheduling."""

from agent.model.alloc import Allocation
from agent.model.base import EvalID, Model, NodeID


class Plan(Model, frozen=True):
    """Changes that one evaluation asks for, checked against the newest state by the leader."""

    eval_id: EvalID
    eval_token: str
    """What the broker gave with the evaluation; a plan with an outdated token is refused."""
    priority: int
    snapshot_index: int
    node_update: dict[NodeID, list[Allocation]] = {}
    """Allocations to stop, by node."""
    node_allocation: dict[NodeID, list[Allocation]] = {}
    """Allocations to place or update in place, by node."""

    @property
    def empty(self) -> bool:
        """Whether the plan changes nothing."""
        return not self.node_update and not self.node_allocation


class PlanResult(Model, frozen=True):
    """The part of a plan that was committed. `refresh_index` > 0 asks the scheduler to look again from there."""

    node_update: dict[NodeID, list[Allocation]] = {}
    node_allocation: dict[NodeID, list[Allocation]] = {}
    rejected_nodes: list[NodeID] = []
    refresh_index: int = 0
    alloc_index: int = 0
