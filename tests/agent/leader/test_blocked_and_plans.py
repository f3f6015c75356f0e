"""Blocked evaluations and the plan queue."""

import pytest
from msgspec.structs import replace

from agent.errors import NotLeader
from agent.leader.blocked_evals import BlockedEvals
from agent.leader.plan_queue import PlanQueue
from agent.model.alloc import AllocMetric
from agent.model.evaluation import Evaluation
from agent.model.job import Resources
from agent.model.plan import Plan


def evaluation(id_, job="web", snapshot=10):
    return Evaluation(id=id_, job_id=job, triggered_by="queued-allocs", status="blocked", snapshot_index=snapshot)


@pytest.fixture
def blocked():
    blocked = BlockedEvals()
    blocked.enable()
    return blocked


def test_capacity_wakes_what_is_blocked_once(blocked):
    """
    Every blocked evaluation is given out, and then no more.
    """
    blocked.block(evaluation("a", "one"))
    blocked.block(evaluation("b", "two"))

    woken = blocked.unblock(11)

    assert ["a", "b"] == [entry.id for entry in woken]
    assert [] == blocked.unblock(12)
    assert 0 == blocked.stats().blocked


def test_what_is_asked_for_counts_in_each_place_without_room(blocked):
    """
    An evaluation asks whole in every data center, class and pool it looked at; without a full class, in the empty one.
    """
    full = AllocMetric(
        nodes_available={"dc1": 2, "dc2": 1},
        class_exhausted={"big": 3},
        resources_exhausted={"web": Resources(cpu=100, memory_mb=50)},
    )
    filtered = AllocMetric(nodes_available={"dc1": 2}, resources_exhausted={"web": Resources(cpu=7, memory_mb=3)})
    blocked.block(replace(evaluation("a", "one"), failed_tg_allocs={"web": full}))
    blocked.block(replace(evaluation("b", "two"), failed_tg_allocs={"web": filtered, "api": full}))

    stats = blocked.stats()

    assert {("default", "one"): (100, 50), ("default", "two"): (107, 53)} == stats.by_job
    assert {
        ("dc1", "", "default"): (107, 53),
        ("dc1", "big", "default"): (207, 103),
        ("dc2", "", "default"): (107, 53),
        ("dc2", "big", "default"): (207, 103),
    } == stats.by_place


def test_a_change_that_came_between_is_not_missed(blocked):
    """
    An evaluation that looked at an older state than the last change runs again at once.
    """
    blocked.unblock(20)

    older, missed = blocked.block(evaluation("late", snapshot=19))

    assert older is None
    assert "late" == missed.id
    assert 0 == blocked.stats().blocked


def test_one_blocked_evaluation_for_a_job(blocked):
    """
    The older one is given back, to be cancelled.
    """
    blocked.block(evaluation("old"))

    older, missed = blocked.block(evaluation("new"))

    assert ("old", None) == (older.id, missed)
    assert 1 == blocked.stats().blocked


def plan(name, priority):
    return Plan(eval_id=name, eval_token="t", priority=priority, snapshot_index=1)


def test_plans_come_out_by_priority_then_age():
    """
    An urgent job is not kept waiting.
    """
    queue = PlanQueue()
    queue.enable()
    for name, priority in (("a", 50), ("b", 90), ("c", 50)):
        queue.enqueue(plan(name, priority), name, 0.0)

    order = [queue.dequeue().answer for _ in range(3)]

    assert ["b", "a", "c"] == order
    assert queue.dequeue() is None


def test_a_plan_queue_that_is_switched_off_gives_back_what_waits():
    """
    Submitters are told, and new plans refused.
    """
    queue = PlanQueue()
    queue.enable()
    queue.enqueue(plan("a", 50), "waiting", 0.0)

    waiting = queue.disable()

    assert ["waiting"] == [entry.answer for entry in waiting]
    with pytest.raises(NotLeader):
        queue.enqueue(plan("b", 50), "late", 0.0)
