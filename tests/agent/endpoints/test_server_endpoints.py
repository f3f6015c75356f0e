"""What a server answers: jobs, nodes, evaluations and plans, through the same door as everybody."""

import asyncio
import dataclasses
import logging
import random
import time

import msgspec
import pytest

from agent.client.sync import NodeSync
from agent.endpoints.names import CONTEXTS
from agent.errors import NoClusterLeader, NotFound, NotLeader, RequestRefused
from agent.model.base import NodeID
from agent.model.job import Job, Task, TaskGroup
from agent.model.node import DriverInfo, Node, NodeCpu, NodeDisk, NodeMemory, NodeResources
from agent.rpc import methods as m
from telemetry.clock import SystemClock

pytestmark = pytest.mark.integration

SECONDS = 5.0


def node(name, status="ready"):
    return Node(
        id=NodeID(f"00000000-0000-0000-0000-{name:0>12}"),
        name=name,
        status=status,
        drivers={"raw_exec": DriverInfo(detected=True, healthy=True)},
        attributes={"kernel.name": "linux", "driver.raw_exec": "1"},
        node_resources=NodeResources(
            cpu=NodeCpu(cpu_shares=4000, total_cpu_cores=2),
            memory=NodeMemory(memory_mb=8000),
            disk=NodeDisk(disk_mb=50000),
        ),
    )


def job(id_="web", count=1, driver="raw_exec"):
    task = Task(name="t", driver=driver, config={"command": "/bin/true"})
    return Job(id=id_, task_groups=[TaskGroup(name="g", count=count, tasks=[task])])


def run(start_server, scenario):
    """Run *scenario* against a server and stop it."""

    async def whole():
        server = await start_server()
        try:
            return await asyncio.wait_for(scenario(server), 30)
        finally:
            await server.stop()

    return asyncio.run(whole())


async def until(condition, seconds=10):
    """Wait until *condition* gives something true, and return it."""
    async with asyncio.timeout(seconds):
        while not (found := condition()):  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)
    return found


def call(server, method, request):
    return server.caller.call(method, request, SECONDS)


def test_a_job_is_placed_on_a_ready_node(start_server):
    """
    Registered, evaluated by a worker, planned, committed: all parts of the path are there.
    """

    async def scenario(server):
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        answer = await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job(count=2)))
        allocs = await until(lambda: server.replicated.state.allocs_by_job("default", "web"))
        evaluation = await until(lambda: _ended(server.replicated.state.eval(answer.eval_id)))
        return allocs, evaluation

    allocs, evaluation = run(start_server, scenario)

    assert ["web.g[0]", "web.g[1]"] == sorted(alloc.name for alloc in allocs)
    assert "complete" == evaluation.status


def _ended(evaluation):
    return evaluation if evaluation is not None and evaluation.terminal else None


def test_a_job_without_room_is_blocked_and_placed_when_a_node_comes(start_server):
    """
    Capacity that comes wakes what waits for it.
    """

    async def scenario(server):
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job()))
        await until(lambda: server.duties.blocked.stats().blocked == 1)
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        return await until(lambda: server.replicated.state.allocs_by_job("default", "web"))

    assert 1 == len(run(start_server, scenario))


def test_a_silent_node_is_marked_down_and_comes_back(start_server):
    """
    A missed heartbeat goes through Raft, a heartbeat after it makes the node ready again.
    """

    async def scenario(server):
        registered = await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        id_ = node("1").id
        await until(lambda: server.replicated.state.node(id_).status == "down")
        await call(server, m.NODE_UPDATE_STATUS, m.NodeUpdateStatusRequest(node_id=id_, status="ready"))
        return registered.heartbeat_ttl_seconds, server.replicated.state.node(id_)

    ttl, after = run(start_server, scenario)

    assert 1.0 <= ttl <= 2.0
    assert "ready" == after.status
    assert "Node heartbeat missed" in [event.message for event in after.events]


def test_heartbeats_do_not_go_through_raft(start_server):
    """
    A thousand renewals leave the log where it was.
    """

    async def scenario(server):
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        before = server.status().last_index
        beat = m.NodeUpdateStatusRequest(node_id=node("1").id, status="ready")
        for _ in range(1000):
            await call(server, m.NODE_UPDATE_STATUS, beat)
        return before, server.status().last_index

    before, after = run(start_server, scenario)

    assert before == after


def mark(server, name, eligibility):
    request = m.NodeUpdateEligibilityRequest(node_id=node(name).id, eligibility=eligibility)
    return call(server, m.NODE_UPDATE_ELIGIBILITY, request)


def test_an_ineligible_node_keeps_its_work_and_gets_no_new(start_server):
    """
    What runs there stays, what is new is blocked until the node is eligible again; the client hears of both.
    """

    async def scenario(server):
        state = lambda: server.replicated.state  # noqa: E731 - said five times below
        beat = m.NodeUpdateStatusRequest(node_id=node("1").id, status="ready")
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job("old")))
        await until(lambda: state().allocs_by_job("default", "old"))
        disabled = await mark(server, "1", "ineligible")
        again = await mark(server, "1", "ineligible")
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job("new")))
        await until(lambda: server.duties.blocked.stats().blocked == 1)
        kept = [alloc.desired_status for alloc in state().allocs_by_node(node("1").id)]
        heard = [(await call(server, m.NODE_UPDATE_STATUS, beat)).scheduling_eligibility]
        enabled = await mark(server, "1", "eligible")
        heard.append((await call(server, m.NODE_UPDATE_STATUS, beat)).scheduling_eligibility)
        await until(lambda: state().allocs_by_job("default", "new"))
        return disabled, again, enabled, kept, heard, state().node(node("1").id), state()

    disabled, again, enabled, kept, heard, after, state = run(start_server, scenario)

    assert ["run"] == kept
    assert ["ineligible", "eligible"] == heard
    assert [[], 0] == [disabled.eval_ids, disabled.eval_create_index]
    assert 0 < disabled.index < enabled.index == enabled.eval_create_index
    assert (0, []) == (again.index, again.eval_ids)
    assert ["old"] == [state.eval(eval_id).job_id for eval_id in enabled.eval_ids]
    assert [
        "Node registered", "Node marked as ineligible for scheduling", "Node marked as eligible for scheduling",
    ] == [event.message for event in after.events]  # fmt: skip


def test_a_system_job_reaches_a_node_that_becomes_eligible(start_server):
    """
    It was registered while the node took no work, so only the change can make it look again.
    """
    system = msgspec.structs.replace(job("everywhere"), type="system")

    async def scenario(server):
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        await mark(server, "1", "ineligible")
        answer = await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=system))
        await until(lambda: _ended(server.replicated.state.eval(answer.eval_id)))
        before = server.replicated.state.allocs_by_job("default", "everywhere")
        await mark(server, "1", "eligible")
        after = await until(lambda: server.replicated.state.allocs_by_job("default", "everywhere"))
        return len(before), len(after)

    assert (0, 1) == run(start_server, scenario)


@pytest.mark.parametrize(
    ("name", "eligibility", "message"),
    [
        ("1", "maybe", 'invalid scheduling eligibility "maybe"'),
        ("1", "", 'invalid scheduling eligibility ""'),
        ("2", "eligible", "node not found"),
    ],
)
def test_an_eligibility_that_cannot_be_is_refused_in_nomads_words(start_server, name, eligibility, message):
    """
    Nothing is written, and the status is Nomad's.
    """

    async def scenario(server):
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        before = server.status().last_index
        with pytest.raises(RequestRefused) as refused:
            await mark(server, name, eligibility)
        return str(refused.value), refused.value.status, server.status().last_index - before

    assert (message, 500, 0) == run(start_server, scenario)


@pytest.mark.parametrize("field", ["status", "scheduling_eligibility"])
def test_a_client_registers_with_words_that_are_known(start_server, field):
    """
    They become labels of series, so what nobody knows is refused.
    """

    async def scenario(server):
        with pytest.raises(RequestRefused, match=r"invalid .*bogus"):
            await call(
                server,
                m.NODE_REGISTER,
                m.NodeRegisterRequest(node=msgspec.structs.replace(node("1"), **{field: "bogus"})),
            )

    run(start_server, scenario)


def test_an_unknown_node_is_told_to_register(start_server):
    """
    The client knows the words and registers again.
    """

    async def scenario(server):
        with pytest.raises(NotFound, match="node not found"):
            await call(server, m.NODE_UPDATE_STATUS, m.NodeUpdateStatusRequest(node_id="x", status="ready"))

    run(start_server, scenario)


def test_a_client_that_the_servers_forgot_registers_again(start_server):
    """
    Servers that lost their state get their clients back without a restart.
    """

    async def scenario(server):
        known = node("1")
        sync = NodeSync(
            lambda: known, "global", server.caller, SystemClock(), random.Random(1), logging.getLogger("test"), list
        )
        task = asyncio.create_task(sync.run())
        try:
            await asyncio.wait_for(sync.registered.wait(), 10)
            replicated = server.replicated
            replicated._state = dataclasses.replace(replicated.state, nodes_by_id=type(replicated.state.nodes_by_id)())
            return await until(lambda: replicated.state.node(known.id))
        finally:
            task.cancel()

    assert "Node registered" == run(start_server, scenario).events[0].message


def test_an_invalid_job_is_refused_in_nomads_words(start_server):
    """
    The problems are counted and listed, and nothing is written.
    """

    async def scenario(server):
        with pytest.raises(RequestRefused, match="error") as caught:
            await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=Job(id="bad")))
        with pytest.raises(NotFound):
            await call(server, m.JOB_SUMMARY, m.JobSpecificRequest(job_id="bad"))
        return str(caught.value)

    assert "occurred" in run(start_server, scenario)


def test_a_periodic_job_is_refused_rather_than_forgotten(start_server):
    """
    Accepting what would never run would be a lie.
    """

    async def scenario(server):
        import msgspec

        periodic = msgspec.structs.replace(job(), periodic={"Spec": "* * * * *"}, type="batch")
        with pytest.raises(RequestRefused, match="periodic"):
            await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=periodic))

    run(start_server, scenario)


def test_a_blocking_query_returns_when_its_table_changes(start_server):
    """
    It waits for news of nodes, and a job is none.
    """

    async def scenario(server):
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        seen = await call(server, m.NODE_LIST, m.Request())
        waiting = asyncio.create_task(
            server.caller.call(m.NODE_LIST, m.Request(min_query_index=seen.index, max_query_time_seconds=10), 20)
        )
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job(count=0)))
        await asyncio.sleep(0.2)
        was_waiting = not waiting.done()
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("2")))
        answer = await asyncio.wait_for(waiting, 2)
        return was_waiting, seen.index, answer

    was_waiting, before, answer = run(start_server, scenario)

    assert was_waiting
    assert answer.index > before
    assert ["1", "2"] == [entry.name for entry in answer.nodes]


def test_a_blocking_query_without_news_ends_in_time(start_server):
    """
    The wait is over when the caller said so.
    """

    async def scenario(server):
        seen = await call(server, m.NODE_LIST, m.Request())
        began = time.monotonic()
        await server.caller.call(m.NODE_LIST, m.Request(min_query_index=seen.index, max_query_time_seconds=0.3), 5)
        return time.monotonic() - began

    assert 0.25 <= run(start_server, scenario) < 3


def _unsure(server, answers):
    """Have *server* confirm reads by *answers*, in their order, and return the list of those it gave."""
    given = []

    async def confirm():
        given.append(answers[len(given)] if len(given) < len(answers) else NotLeader())
        if given[-1] is not None:
            raise given[-1]

    server.caller._context = dataclasses.replace(server.context, confirm_read=confirm)
    return given


def test_a_read_is_answered_only_once_the_lead_is_confirmed(start_server):
    """
    Where it is not, a read ends as without a leader, after another try; a stale one and a write need no confirmation.
    """

    async def scenario(server):
        given = _unsure(server, [NotLeader(), None])
        second = await call(server, m.NODE_LIST, m.Request())
        tries = len(given)
        with pytest.raises(NoClusterLeader):
            await server.caller.call(m.NODE_LIST, m.Request(), 0.5)
        asked = len(given)
        await call(server, m.NODE_LIST, m.Request(allow_stale=True))
        await call(server, m.OPERATOR_SERVER_HEALTH, m.Request(allow_stale=True))
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        return second.nodes, tries, len(given) - asked

    assert ([], 2, 0) == run(start_server, scenario)


def test_a_blocking_query_without_news_is_confirmed_again(start_server):
    """
    A leader that was deposed meanwhile does not say that nothing changed; the next one is asked for the time that is left.
    """

    async def scenario(server):
        seen = await call(server, m.NODE_LIST, m.Request())
        query = m.Request(min_query_index=seen.index, max_query_time_seconds=0.3)
        given = _unsure(server, [None, None])
        await server.caller.call(m.NODE_LIST, query, 5)
        whole = len(given)
        given = _unsure(server, [None, NotLeader(), None, None])
        began = time.monotonic()
        await server.caller.call(m.NODE_LIST, query, 5)
        return whole, len(given), time.monotonic() - began

    whole, again, seconds = run(start_server, scenario)

    assert (2, 4) == (whole, again)
    assert 0.25 <= seconds < 0.55


def test_a_blocking_query_with_news_is_confirmed_once(start_server):
    """
    What is newer than what the leader knew when it was asked is fresh.
    """

    async def scenario(server):
        seen = await call(server, m.NODE_LIST, m.Request())
        given = _unsure(server, [None])
        query = m.Request(min_query_index=seen.index, max_query_time_seconds=10)
        waiting = asyncio.create_task(server.caller.call(m.NODE_LIST, query, 20))
        await asyncio.sleep(0.1)
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        answer = await asyncio.wait_for(waiting, 2)
        return [entry.name for entry in answer.nodes], len(given)

    assert (["1"], 1) == run(start_server, scenario)


def test_another_region_has_no_path(start_server):
    """
    The words are Nomad's.
    """

    async def scenario(server):
        with pytest.raises(RequestRefused, match="No path to region"):
            await call(server, m.NODE_LIST, m.Request(region="mars"))

    run(start_server, scenario)


def test_a_plan_with_an_old_token_is_refused(start_server):
    """
    A worker that lost its evaluation cannot commit what it made of it.
    """

    async def scenario(server):
        from agent.model.plan import Plan

        plan = Plan(eval_id="gone", eval_token="old", priority=50, snapshot_index=1)
        with pytest.raises(RequestRefused, match="outdated token"):
            await call(server, m.PLAN_SUBMIT, m.PlanSubmitRequest(plan=plan))

    run(start_server, scenario)


def test_work_that_comes_back_is_timed(start_server):
    """
    A worker's refusal is measured as Nomad measures it, also one that came too late.
    """

    async def scenario(server):
        with pytest.raises(RequestRefused):
            await call(server, m.EVAL_NACK, m.EvalAckRequest(eval_id="gone", token="old"))
        return server.context.recorder.exposition().decode()

    assert "\nnomad_nomad_eval_nack_count 1\n" in run(start_server, scenario)


def test_a_server_that_lays_down_its_duties_forgets_them(start_server):
    """
    Broker, heartbeats and plans are gone; the caller learns that there is no leader.
    """

    async def scenario(server):
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        held = len(server.duties.heartbeats)
        await server.duties.revoke()
        with pytest.raises(NoClusterLeader):
            await server.caller.call(m.NODE_LIST, m.Request(), 0.5)
        stale = await server.caller.call(m.NODE_LIST, m.Request(allow_stale=True), 0.5)
        return held, len(server.duties.heartbeats), server.duties.broker.enabled, len(stale.nodes)

    assert (1, 0, False, 1) == run(start_server, scenario)


def test_what_there_is_can_be_counted_listed_and_found(start_server):
    """
    Versions, scale, counts, names and prefixes follow what is registered; a context that there is not is refused.
    """

    async def scenario(server):
        pooled = msgspec.structs.replace(node("1"), node_pool="gpu")
        await server.caller.call(m.NODE_REGISTER, m.NodeRegisterRequest(node=pooled), SECONDS)
        await server.caller.call(
            m.NODE_UPDATE_STATUS, m.NodeUpdateStatusRequest(node_id=pooled.id, status="ready"), SECONDS
        )
        for count in (1, 3):
            given = msgspec.structs.replace(job(count=count), node_pool="gpu")
            await server.caller.call(m.JOB_REGISTER, m.JobRegisterRequest(job=given), SECONDS)
        question = m.JobSpecificRequest(job_id="web")

        replicated = server.replicated
        await until(lambda: sum(not each.terminal for each in replicated.state.allocs_by_job("default", "web")) == 3)
        scale = await server.caller.call(m.JOB_SCALE_STATUS, question, SECONDS)
        evals = await server.caller.call(m.EVAL_LIST, m.Request(), SECONDS)
        of_job = await server.caller.call(m.JOB_ALLOCATIONS, question, SECONDS)
        placer = of_job.allocs[0].eval_id
        asked = m.EvalSpecificRequest(eval_id=placer)
        with pytest.raises(RequestRefused, match="'moons' cannot be searched; name one of all, allocs"):
            await server.caller.call(m.SEARCH_PREFIX, m.SearchRequest(context="moons"), SECONDS)
        return {
            "scale": scale,
            "evals": {each.id for each in evals.evals},
            "count": (await server.caller.call(m.EVAL_COUNT, m.Request(), SECONDS)).count,
            "elsewhere": (await server.caller.call(m.EVAL_COUNT, m.Request(namespace="other"), SECONDS)).count,
            "allocs": {each.id for each in of_job.allocs if each.eval_id == placer},
            "of_eval": {each.id for each in (await server.caller.call(m.EVAL_ALLOCATIONS, asked, SECONDS)).allocs},
            "versions": (await server.caller.call(m.JOB_GET_JOB_VERSIONS, question, SECONDS)).versions,
            "pools": (await server.caller.call(m.NODE_POOL_LIST, m.Request(), SECONDS)).names,
            "namespaces": (await server.caller.call(m.NAMESPACE_LIST, m.Request(), SECONDS)).names,
            "found": await server.caller.call(m.SEARCH_PREFIX, m.SearchRequest(prefix="w"), SECONDS),
            "nodes": await server.caller.call(
                m.SEARCH_PREFIX, m.SearchRequest(prefix="0000", context="nodes"), SECONDS
            ),
            "other": await server.caller.call(m.JOB_SCALE_STATUS, m.JobSpecificRequest(job_id="db"), SECONDS),
        }

    found = run(start_server, scenario)

    group = found["scale"].groups["g"]
    assert ("web", 3, 3) == (found["scale"].job.id, group.desired, group.placed)
    assert len(found["evals"]) == found["count"] >= 2
    assert 0 == found["elsewhere"]
    assert found["allocs"] == found["of_eval"] != set()
    assert [3, 1] == [version.task_groups[0].count for version in found["versions"]]
    assert (["all", "default", "gpu"], ["default"]) == (found["pools"], found["namespaces"])
    assert ["web"] == found["found"].matches["jobs"]
    assert set(CONTEXTS) == found["found"].matches.keys() == found["found"].truncations.keys()
    assert {"nodes": ["00000000-0000-0000-0000-000000000001"]} == found["nodes"].matches
    assert found["other"].job is None


def test_a_search_names_twenty_and_says_that_there_are_more(start_server):
    """
    Of each context by itself.
    """

    async def scenario(server):
        for number in range(21):
            await server.caller.call(m.JOB_REGISTER, m.JobRegisterRequest(job=job(f"web-{number:02}")), SECONDS)
        return await server.caller.call(m.SEARCH_PREFIX, m.SearchRequest(prefix="web"), SECONDS)

    found = run(start_server, scenario)

    assert [f"web-{number:02}" for number in range(20)] == found.matches["jobs"]
    assert (True, False) == (found.truncations["jobs"], found.truncations["nodes"])


def test_a_job_is_validated_as_it_would_be_registered(start_server):
    """
    The same sentence, and nothing is written.
    """

    async def scenario(server):
        bad = msgspec.structs.replace(job(), task_groups=[])
        with pytest.raises(RequestRefused) as refused:
            await server.caller.call(m.JOB_REGISTER, m.JobRegisterRequest(job=bad), SECONDS)
        said = [
            (await server.caller.call(m.JOB_VALIDATE, m.JobValidateRequest(job=each), SECONDS)).problem
            for each in (bad, job())
        ]
        return str(refused.value), said, (await server.caller.call(m.JOB_LIST, m.Request(), SECONDS)).jobs

    refusal, said, jobs = run(start_server, scenario)

    assert ([refusal, ""], []) == (said, jobs)
    assert refusal
