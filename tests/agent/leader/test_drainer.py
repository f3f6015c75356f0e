"""The leader's loop about drains: what it writes, when it wakes, and what it does when a write fails."""

import pytest

from agent.errors import UnknownOutcome
from agent.leader import drainer as module
from agent.model.alloc import Allocation
from agent.model.base import AllocID, EvalID, JobID, NodeID
from agent.model.command import (
    ApplyPlanResults,
    CompleteNodeDrains,
    RegisterJob,
    UpdateAllocDesiredTransition,
    UpdateAllocsFromClient,
    UpdateNodeDrain,
)
from agent.model.job import Job, TaskGroup
from agent.model.node import DrainSpec
from tests.agent.leader.test_duties import lead, until


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "PACE_SECONDS", 0.0)
    monkeypatch.setattr(module, "WAIT_SECONDS_MAX", 0.01)


def work(server, kind="service"):
    """Put a job there with one allocation that runs on n1."""
    server.node("n1")
    job = Job(id=JobID("web"), type=kind, task_groups=[TaskGroup(name="g", count=1)])
    server.write(RegisterJob(request_id="work", at=0, job=job))
    alloc = Allocation(
        id=AllocID("a"), name="web.g[0]", eval_id=EvalID("e"), node_id=NodeID("n1"), node_name="n1",
        job_id=JobID("web"), task_group="g",
    )  # fmt: skip
    server.write(ApplyPlanResults(request_id="place", at=0, eval_id=EvalID("e"), updated=[alloc]))
    report(server, "running")


def report(server, status):
    alloc = server.state.alloc("a")
    told = Allocation(**{name: getattr(alloc, name) for name in ("id", "name", "eval_id", "node_id", "node_name")},
                      job_id=alloc.job_id, task_group=alloc.task_group, client_status=status)  # fmt: skip
    server.write(UpdateAllocsFromClient(request_id=f"report-{status}", at=0, allocs=[told]))


def drain(server, deadline_seconds=0):
    at = int(server.clock.wall() * 1e9)
    spec = None if deadline_seconds is None else DrainSpec(deadline=int(deadline_seconds * 1e9))
    server.write(UpdateNodeDrain(request_id=f"drain-{deadline_seconds}", at=at, node_id=NodeID("n1"), spec=spec))


def written(server, kind):
    return [command for command in server.proposed if isinstance(command, kind)]


def test_a_drain_is_carried_to_its_end():
    """
    What runs is marked together with an evaluation of its job; when it has ended the drain is complete.
    """

    async def scenario(server):
        drain(server)
        await until(lambda: written(server, UpdateAllocDesiredTransition))
        early = written(server, CompleteNodeDrains)
        report(server, "complete")
        await until(lambda: written(server, CompleteNodeDrains))
        return server, early

    server, early = lead(scenario, before=work)

    (mark,) = written(server, UpdateAllocDesiredTransition)
    assert (["a"], [("web", "node-drain")]) == (mark.migrate, [(e.job_id, e.triggered_by) for e in mark.evals])
    assert [] == early
    assert 1 == len(written(server, CompleteNodeDrains))
    assert "complete" == server.state.node("n1").last_drain.status


def test_a_new_leader_goes_on_with_a_drain():
    """
    Everything is in the state: nothing has to happen for it to begin.
    """

    def before(server):
        work(server)
        drain(server)

    async def scenario(server):
        await until(lambda: written(server, UpdateAllocDesiredTransition))
        return server

    assert [["a"]] == [mark.migrate for mark in written(lead(scenario, before), UpdateAllocDesiredTransition)]


def test_a_deadline_is_kept_without_any_change():
    """
    The loop wakes by itself; before the deadline batch work is let finish.
    """

    def before(server):
        work(server, "batch")
        drain(server, 60)

    async def scenario(server):
        server.clock.advance(59)
        await until(lambda: server.duties._drainer._nodes)
        early = list(written(server, UpdateAllocDesiredTransition))
        server.clock.advance(1)
        await until(lambda: written(server, UpdateAllocDesiredTransition))
        return early

    assert [] == lead(scenario, before)


def test_a_write_that_fails_is_tried_again():
    """
    The drain goes on once the log takes writes, and the failure ends no task.
    """

    async def scenario(server):
        server.broken = UnknownOutcome("lost")
        drain(server)
        await until(lambda: len(written(server, UpdateAllocDesiredTransition)) > 1)
        server.broken = None
        await until(lambda: server.state.alloc("a").desired_transition.migrate)
        return server.duties._tasks.failures

    assert 0 == lead(scenario, before=work)


def test_a_deposed_leader_carries_no_drain_on():
    """
    What happens after the lead is lost is the next leader's.
    """

    async def scenario(server):
        await server.duties.revoke()
        drain(server)
        await until(lambda: server.state.node("n1").drain)
        return written(server, UpdateAllocDesiredTransition)

    assert [] == lead(scenario, before=work)
