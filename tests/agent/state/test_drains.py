"""What commands about drains do to a node and its allocations, as Nomad does it."""

import pytest

from agent.model.alloc import Allocation, ClientStatus, DesiredStatus
from agent.model.base import AllocID, EvalID, JobID, NodeID
from agent.model.command import (
    ApplyPlanResults,
    CompleteNodeDrains,
    RegisterNode,
    UpdateAllocDesiredTransition,
    UpdateNodeDrain,
    decode,
    encode,
)
from agent.model.evaluation import Evaluation
from agent.model.job import Job
from agent.model.node import NO_TIME, DrainMetadata, DrainSpec, DrainStrategy, Eligibility, Node
from agent.state.drains import deadline_passed, force_deadline_ns
from agent.state.fsm import apply, dump, load
from agent.state.store import State

SECOND = 1_000_000_000
AT = 1_795_375_511_742_934_321
"""2026-11-22T19:25:11.742934321Z."""
BEGAN = "2026-11-22T19:25:11.742934321Z"
A_MINUTE_LATER = "2026-11-22T19:26:11.742934321Z"


class Log:
    """A state that grows by commands, each a minute after the one before; begins with a node that is eligible."""

    def __init__(self):
        self.state = State()
        self.at = AT - 60 * SECOND
        self(RegisterNode, node=Node(id=NodeID("n"), status="ready"))

    def __call__(self, command_type, **fields):
        index = self.state.index + 1
        command = command_type(request_id=f"request-{index}", at=self.at, **fields)
        applied = apply(self.state, index, decode(encode(command)))
        self.state = applied.state
        self.state.check_invariants()
        self.at += 60 * SECOND
        return applied

    def drain(self, deadline_seconds=3600, **fields):
        spec = None if deadline_seconds is None else DrainSpec(deadline=int(deadline_seconds * SECOND))
        return self(UpdateNodeDrain, node_id=NodeID("n"), spec=spec, **fields)

    @property
    def node(self):
        return self.state.node("n")

    def events(self):
        return [(event.subsystem, event.message, event.details) for event in self.node.events[1:]]


@pytest.fixture
def log():
    return Log()


def evaluation(name="e"):
    return Evaluation(id=EvalID(name), job_id=JobID("web"), triggered_by="node-drain")


def alloc(id_="a", **fields):
    known = {"id": AllocID(id_), "name": "web.app[0]", "eval_id": EvalID("e"), "node_id": NodeID("n"), "node_name": "n"}
    return Allocation(**known, job_id=JobID("web"), task_group="app", **fields)


def test_a_drain_takes_the_node_out_of_scheduling(log):
    """
    The strategy has its deadline as a moment, the node is ineligible, and its events and last drain say so.
    """
    applied = log.drain(3600, meta={"message": "disk"})

    assert DrainStrategy(3600 * SECOND, False, "2026-11-22T20:25:11.742934321Z", BEGAN) == log.node.drain_strategy
    assert DrainMetadata("", {"message": "disk"}, BEGAN, "draining", BEGAN) == log.node.last_drain
    assert (True, Eligibility.INELIGIBLE, False) == (log.node.drain, log.node.scheduling_eligibility, log.node.ready)
    assert [("Drain", "Node drain strategy set", None)] == log.events()
    assert (("n",), 2) == (applied.changes.nodes, log.node.modify_index)


@pytest.mark.parametrize(("seconds", "passed_after_a_day"), [(0, False), (-1, True), (3600, True)])
def test_only_a_positive_deadline_is_a_moment(log, seconds, passed_after_a_day):
    """
    0 stands for none, and less than 0 for at once.
    """
    log.drain(seconds)

    strategy = log.node.drain_strategy
    assert (seconds > 0) == (strategy.force_deadline != NO_TIME)
    assert (AT + seconds * SECOND if seconds > 0 else 0) == force_deadline_ns(strategy)
    assert (seconds < 0) == deadline_passed(strategy, AT)
    assert passed_after_a_day == deadline_passed(strategy, AT + 86_400 * SECOND)


def test_a_drain_that_is_changed_keeps_its_beginning(log):
    """
    The deadline counts from the change, what an operator wrote stays unless it is written anew.
    """
    log.drain(3600, meta={"message": "disk"})

    log.drain(60)

    strategy, last = log.node.drain_strategy, log.node.last_drain
    assert (BEGAN, "2026-11-22T19:27:11.742934321Z") == (strategy.started_at, strategy.force_deadline)
    assert DrainMetadata("", {"message": "disk"}, BEGAN, "draining", A_MINUTE_LATER) == last
    assert "Node drain strategy updated" == log.events()[-1][1]


@pytest.mark.parametrize(("mark", "word"), [(True, Eligibility.ELIGIBLE), (False, Eligibility.INELIGIBLE)])
def test_a_drain_is_ended_by_its_operator(log, mark, word):
    """
    The last drain is canceled, and the node takes work again exactly when that was asked for.
    """
    log.drain(0)

    applied = log.drain(None, mark_eligible=mark, meta={"cancel_message": "later"}, evals=[evaluation()])

    node = log.node
    assert (False, None, word) == (node.drain, node.drain_strategy, node.scheduling_eligibility)
    assert DrainMetadata("", {"cancel_message": "later"}, BEGAN, "canceled", A_MINUTE_LATER) == node.last_drain
    assert ("Drain", "Node drain disabled", None) == log.events()[-1]
    assert [("e", applied.changes.index)] == [(each.id, each.node_modify_index) for each in log.state.evals()]


def test_a_node_that_does_not_drain_is_only_made_eligible(log):
    """
    There is no drain to end, so neither its events nor its last drain tell of one.
    """
    log(UpdateNodeDrain, node_id=NodeID("n"), mark_eligible=True)

    assert ([], None, Eligibility.ELIGIBLE) == (log.events(), log.node.last_drain, log.node.scheduling_eligibility)


def test_the_drain_of_an_unknown_node_is_refused(log):
    """
    There is no node to drain, and nothing comes of it.
    """
    applied = log(UpdateNodeDrain, node_id=NodeID("no"), spec=DrainSpec(), evals=[evaluation()])

    assert ("node not found", 404) == (applied.result.error, applied.result.status)
    assert [] == log.state.evals()


@pytest.mark.parametrize(("seconds", "details"), [(3600, None), (30, {"deadline_reached": "true"})])
def test_a_complete_drain_leaves_the_node_ineligible(log, seconds, details):
    """
    The node waits for its operator; the event tells whether the deadline had to help.
    """
    log.drain(seconds)

    log(CompleteNodeDrains, drains={NodeID("n"): log.node.drain_strategy})

    node = log.node
    assert (False, None, Eligibility.INELIGIBLE) == (node.drain, node.drain_strategy, node.scheduling_eligibility)
    assert ("complete", BEGAN, A_MINUTE_LATER) == (
        node.last_drain.status, node.last_drain.started_at, node.last_drain.updated_at,
    )  # fmt: skip
    assert ("Drain", "Node drain complete", details) == log.events()[-1]


def test_a_drain_that_was_changed_meanwhile_is_not_complete(log):
    """
    What the leader saw is no longer what the operator wants; a node that drains no more stays as it is.
    """
    log.drain(3600)
    seen = log.node.drain_strategy
    log.drain(0)

    log(CompleteNodeDrains, drains={NodeID("n"): seen})
    changed = log.node
    log.drain(None)
    log(CompleteNodeDrains, drains={NodeID("n"): seen, NodeID("gone"): seen})

    assert (True, "draining") == (changed.drain, changed.last_drain.status)
    assert "canceled" == log.node.last_drain.status


def test_a_node_that_registers_again_goes_on_draining(log):
    """
    A client that is restarted in the middle of its drain does not take new work.
    """
    log.drain(3600)
    before = log.node

    log(RegisterNode, node=Node(id=NodeID("n"), status="ready", name="renamed"))

    after = log.node
    assert (before.drain_strategy, before.last_drain, True) == (after.drain_strategy, after.last_drain, after.drain)
    assert Eligibility.INELIGIBLE == after.scheduling_eligibility


def test_a_draining_state_is_loaded_as_it_was_dumped(log):
    """
    A server that starts from a snapshot knows strategy and last drain.
    """
    log.drain(3600, meta={"message": "disk"})

    assert log.node == load(dump(log.state)).node("n")


def test_allocations_are_marked_for_migration():
    """
    Only live ones, with the evaluations of their jobs; the client has nothing to fetch for it.
    """
    log, job = Log(), Job(id=JobID("web"))
    live, stopped = alloc("a", job=job), alloc("s", job=job, desired_status=DesiredStatus.STOP)
    ended = alloc("d", job=job, client_status=ClientStatus.COMPLETE)
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[live, stopped, ended])

    applied = log(
        UpdateAllocDesiredTransition, migrate=[AllocID(id_) for id_ in ("a", "s", "d", "gone")], evals=[evaluation("m")]
    )

    marked = {each.id: each.desired_transition.migrate for each in log.state.allocs()}
    assert {"a": True, "s": None, "d": None} == marked
    after = log.state.alloc("a")
    assert (3, 2, 2) == (after.modify_index, after.alloc_modify_index, after.create_index)
    assert (("a",), ("m",)) == (applied.changes.allocs, applied.changes.evals)
