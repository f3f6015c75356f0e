"""Draining a client through the door that everybody uses."""

import msgspec
import pytest

from agent.errors import NotFound, RequestRefused
from agent.model.node import DrainSpec
from agent.rpc import methods as m
from tests.agent.endpoints.test_server_endpoints import call, job, node, run, until

pytestmark = pytest.mark.integration


def drain(server, name, spec, *, mark_eligible=False):
    request = m.NodeUpdateDrainRequest(node_id=node(name).id, spec=spec, mark_eligible=mark_eligible)
    return call(server, m.NODE_UPDATE_DRAIN, request)


async def report(server, status):
    """Tell of every allocation what its client would."""
    for alloc in server.replicated.state.allocs():
        if not alloc.client_terminal and (alloc.desired_status == "stop") == (status == "complete"):
            told = msgspec.structs.replace(alloc, client_status=status)
            await call(server, m.NODE_UPDATE_ALLOC, m.AllocUpdateRequest(allocs=[told]))


def test_a_drained_node_ends_empty_and_ineligible(start_server):
    """
    Its work is placed on the other node, its client hears that it is ineligible, and the drain is complete.
    """

    async def scenario(server):
        state = lambda: server.replicated.state  # noqa: E731 - said several times below
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job()))
        await until(lambda: state().allocs_by_job("default", "web"))
        await report(server, "running")
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("2")))
        answer = await drain(server, "1", DrainSpec(deadline=3600 * 10**9))
        beat = m.NodeUpdateStatusRequest(node_id=node("1").id, status="ready")
        heard = (await call(server, m.NODE_UPDATE_STATUS, beat)).scheduling_eligibility
        await until(lambda: len(state().allocs()) == 2)
        during = state().node(node("1").id)
        await report(server, "complete")
        await until(lambda: not state().node(node("1").id).drain)
        return answer, heard, during, state()

    answer, heard, during, state = run(start_server, scenario)

    after = state.node(node("1").id)
    assert (answer.index, [], 0) == (answer.node_modify_index, answer.eval_ids, answer.eval_create_index)
    assert answer.index > 0
    assert "ineligible" == heard
    assert (True, "draining") == (during.drain, during.last_drain.status)
    assert ("complete", "ineligible") == (after.last_drain.status, after.scheduling_eligibility)
    assert [node("2").id] == [alloc.node_id for alloc in state.allocs() if not alloc.terminal]


def test_a_drain_that_is_ended_gives_the_node_back(start_server):
    """
    With it come evaluations, as a system job may have been registered meanwhile.
    """
    system = msgspec.structs.replace(job("everywhere"), type="system")

    async def scenario(server):
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job("endless")))
        await until(lambda: server.replicated.state.allocs_by_job("default", "endless"))
        await drain(server, "1", DrainSpec())
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=system))
        answer = await drain(server, "1", None, mark_eligible=True)
        await until(lambda: server.replicated.state.allocs_by_job("default", "everywhere"))
        return answer, server.replicated.state.node(node("1").id)

    answer, after = run(start_server, scenario)

    assert (None, "eligible", True) == (after.drain_strategy, after.scheduling_eligibility, after.ready)
    assert len(answer.eval_ids) >= 1
    assert answer.index == answer.eval_create_index == answer.node_modify_index


@pytest.mark.parametrize(
    ("node_id", "message", "status"),
    [(node("9").id, "node not found", 404), ("", "missing node ID for drain update", 500)],
)
def test_a_drain_of_nobody_is_refused(start_server, node_id, message, status):
    """
    Nothing is written.
    """

    async def scenario(server):
        before = server.status().last_index
        with pytest.raises(RequestRefused) as refused:
            await call(server, m.NODE_UPDATE_DRAIN, m.NodeUpdateDrainRequest(node_id=node_id, spec=DrainSpec()))
        return refused.value, server.status().last_index - before

    error, entries = run(start_server, scenario)

    assert (message, status, 0) == (str(error), error.status, entries)
    assert (status == 404) == isinstance(error, NotFound)
