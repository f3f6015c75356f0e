"""The leader's duties around a state that applies what they propose, on a clock that is moved."""

import asyncio
import itertools
import logging
import random

import msgspec
import pytest

from agent.errors import NotLeader, OutriderError, Overloaded, UnknownOutcome
from agent.leader import duties as module
from agent.leader.duties import FOLLOW_UP_SECONDS_MIN, LeaderDuties
from agent.leader.eval_broker import DELIVERY_LIMIT, SUBSEQUENT_NACK_DELAY_SECONDS
from agent.leader.heartbeats import HeartbeatSettings
from agent.leader.surroundings import Surroundings
from agent.model.alloc import Allocation
from agent.model.autopilot import AutopilotConfig
from agent.model.base import AllocID, EvalID, JobID, NodeID
from agent.model.command import RegisterJob, RegisterNode, UpdateAutopilot, UpdateEvals
from agent.model.evaluation import Evaluation
from agent.model.job import Job, Resources, TaskGroup
from agent.model.node import Node, NodeCpu, NodeDisk, NodeMemory, NodeResources
from agent.model.plan import Plan, PlanResult
from agent.state.fsm import apply
from agent.state.store import Changes, State
from telemetry.clock import ManualClock
from telemetry.registry import Registry

SETTINGS = HeartbeatSettings(
    min_heartbeat_ttl_seconds=1.0, heartbeat_grace_seconds=1.0, failover_heartbeat_ttl_seconds=30
)


AUTOPILOT = AutopilotConfig(max_trailing_logs=99, min_quorum=3)


class Server:
    """What surrounds the duties: commands are applied at once, unless *broken* says otherwise."""

    def __init__(self):
        self.state = State()
        self.clock = ManualClock()
        self.broken: OutriderError | asyncio.Event | None = None
        self.proposed = []
        self.catches_up = False
        self.registry = Registry(self.clock)
        ids = itertools.count()
        self.duties = LeaderDuties(
            Surroundings(
                propose=self.propose, barrier=self.barrier, state=lambda: self.state,
                wait_for_index=self.wait_for_index, new_id=lambda: f"id-{next(ids)}",
                clock=self.clock, recorder=self.registry, logger=logging.getLogger("test.duties"),
                rng=random.Random(1),
            ),
            SETTINGS,
            AUTOPILOT,
        )  # fmt: skip

    async def barrier(self):
        await asyncio.sleep(0)

    async def wait_for_index(self, index, timeout_seconds):
        """Look three times, a second apart."""
        for _ in range(3):
            if self.state.index >= index:
                return True
            self.clock.advance(1.0)
            if self.catches_up:
                self.node(f"n{self.state.index}")
        return False

    async def propose(self, command):
        self.proposed.append(command)
        if isinstance(self.broken, OutriderError):
            raise self.broken
        if self.broken is not None:
            await self.broken.wait()
        return self.write(command)

    def write(self, command):
        """Apply a command as the log would."""
        applied = apply(self.state, self.state.index + 1, command)
        self.state = applied.state
        self.duties.on_changes(applied.changes)
        return applied.result

    def node(self, name="n1"):
        self.write(RegisterNode(request_id=f"node-{name}", at=0, node=Node(id=NodeID(name), name=name, status="ready")))

    def job(self):
        job = Job(id=JobID("web"), task_groups=[TaskGroup(name="g", count=1)])
        evaluation = Evaluation(id=EvalID("e"), job_id=JobID("web"), triggered_by="job-register")
        self.write(RegisterJob(request_id="job", at=0, job=job, eval=evaluation))


async def until(condition):
    """Let the loops run until *condition* gives something true; they wake by themselves within a second."""
    async with asyncio.timeout(5):
        while not (found := condition()):  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)
    return found


def lead(scenario, before=None):
    """Run *scenario* against a server that leads; *before* prepares its state."""

    async def whole():
        server = Server()
        if before is not None:
            before(server)
        await server.duties.establish()
        try:
            return await scenario(server)
        finally:
            await server.duties.revoke()

    return asyncio.run(whole())


def plan(index=0):
    return Plan(eval_id=EvalID("e"), eval_token="t", priority=50, snapshot_index=index)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.01)


def test_a_new_cluster_gets_the_settings_of_autopilot_from_its_first_leader():
    """
    They are written once, before this server answers as leader; to the API they are like any that an operator set.
    """

    async def scenario(server):
        return server.state.autopilot

    assert msgspec.structs.replace(AUTOPILOT, create_index=1, modify_index=1) == lead(scenario)


def test_settings_of_autopilot_that_are_there_stay():
    """
    Whatever the configuration of a later leader says, an operator's change rules.
    """
    changed = AutopilotConfig(max_trailing_logs=7)

    def before(server):
        server.write(UpdateAutopilot(request_id="r", at=0, config=changed))

    async def scenario(server):
        return server.state.autopilot, server.proposed

    assert (msgspec.structs.replace(changed, create_index=1, modify_index=1), []) == lead(scenario, before)


def test_a_leader_that_cannot_write_its_settings_leads_not():
    """
    The lead was lost meanwhile: nothing is taken up, and the next leader writes its own.
    """
    server = Server()
    server.broken = NotLeader()

    with pytest.raises(NotLeader):
        asyncio.run(server.duties.establish())

    assert server.duties.established is False


def test_everything_is_taken_up_from_the_state():
    """
    Evaluations that wait and clients that are not down are known at once, clients with the time of a fail-over.
    """

    def before(server):
        server.node("n1")
        server.node("n2")
        server.job()

    async def scenario(server):
        return server.duties.broker.stats().ready, len(server.duties.heartbeats)

    assert (1, 2) == lead(scenario, before)


def test_a_deposed_leader_forgets_everything():
    """
    What it kept in memory is the next leader's to rebuild.
    """

    async def scenario(server):
        await server.duties.revoke()
        stats = server.duties.broker.stats()
        return stats.ready, len(server.duties.heartbeats), server.duties.established

    assert (0, 0, False) == lead(scenario, lambda server: (server.node(), server.job()))


def test_nothing_of_the_former_state_is_handed_out_after_a_restore():
    """
    Evaluations, plans and deadlines are gone at once, before the duties are taken up anew.
    """

    async def scenario(server):
        waiting = asyncio.create_task(server.duties.submit_plan(plan()))
        await asyncio.sleep(0)
        server.duties.on_changes(Changes(9, restored=True))
        with pytest.raises(NotLeader):
            await waiting
        with pytest.raises(NotLeader):
            server.duties.renew_heartbeat("n1")
        return server.duties.broker.stats().ready, len(server.duties.heartbeats), server.duties.established

    assert (0, 0, False) == lead(scenario, lambda server: (server.node(), server.job()))


def test_a_client_that_is_silent_goes_down():
    """
    After the fail-over time, with an event that says why.
    """

    async def scenario(server):
        server.clock.advance(29)
        await asyncio.sleep(0.05)
        early = server.state.node("n1").status
        server.clock.advance(2)
        await until(lambda: server.state.node("n1").status == "down")
        return early, server.state.node("n1").events[-1].message

    assert ("ready", "Node heartbeat missed") == lead(scenario, Server.node)


def test_a_client_that_could_not_be_marked_down_is_not_forgotten(caplog):
    """
    While this server leads it tries again when another time to live has passed.
    """

    async def scenario(server):
        server.broken = UnknownOutcome("no majority")
        server.clock.advance(31)
        await until(lambda: "node not marked down" in caplog.text)
        server.broken = None
        server.clock.advance(10)
        await until(lambda: server.state.node("n1").status == "down")

    lead(scenario, Server.node)


def test_a_deposed_leader_renews_nothing():
    """
    A client whose heartbeat was under way is sent to the next leader, and no deadline stays behind.
    """

    async def scenario(server):
        await server.duties.revoke()
        with pytest.raises(NotLeader):
            server.duties.renew_heartbeat(NodeID("n1"))
        return len(server.duties.heartbeats)

    assert 0 == lead(scenario, Server.node)


def test_a_waiting_plan_is_told_that_the_lead_is_lost():
    """
    Those that were not begun had no effect.
    """

    async def scenario(server):
        waiting = asyncio.create_task(server.duties.submit_plan(plan()))
        await asyncio.sleep(0)
        await server.duties.revoke()
        with pytest.raises(NotLeader):
            await asyncio.wait_for(waiting, 2)

    lead(scenario)


def test_a_plan_under_way_is_told_that_its_outcome_is_unknown(monkeypatch):
    """
    A worker must not wait for ever because its leader was deposed in the middle of a write.
    """

    async def scenario(server):
        reached = asyncio.Event()

        async def stuck(self, plan):
            reached.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(LeaderDuties, "_apply_plan", stuck)
        waiting = asyncio.create_task(server.duties.submit_plan(plan()))
        await asyncio.wait_for(reached.wait(), 2)
        await server.duties.revoke()
        with pytest.raises(UnknownOutcome):
            await asyncio.wait_for(waiting, 2)

    lead(scenario)


def test_a_plan_of_a_newer_state_waits_for_it():
    """
    What its scheduler knew the leader knows before it judges, and the wait is measured.
    """

    async def scenario(server):
        server.catches_up = True
        await asyncio.wait_for(server.duties.submit_plan(plan(index=3)), 2)
        return server

    server = lead(scenario)

    assert 3 == server.state.index  # the first entry is autopilot's
    assert b"nomad_nomad_plan_wait_for_index_sum 2000\n" in server.registry.exposition()


def test_a_plan_of_a_state_that_does_not_come_goes_back():
    """
    It is refused, not judged by an older state; the next one is looked at.
    """

    async def scenario(server):
        with pytest.raises(Overloaded, match="index 7 was not applied within 5 s"):
            await asyncio.wait_for(server.duties.submit_plan(plan(index=7)), 2)
        return await asyncio.wait_for(server.duties.submit_plan(plan()), 2)

    assert isinstance(lead(scenario), PlanResult)


def test_a_bug_in_planning_fails_one_plan_and_not_the_next(monkeypatch):
    """
    The loop is begun again, and its worker is told.
    """
    monkeypatch.setattr("agent.tasks.PAUSE_SECONDS", 0.0)
    real, calls = module.evaluate_plan, []

    def broken_once(state, plan):
        calls.append(plan)
        return real(state, plan) if len(calls) > 1 else 1 / 0

    monkeypatch.setattr(module, "evaluate_plan", broken_once)

    async def scenario(server):
        with pytest.raises(UnknownOutcome):
            await asyncio.wait_for(server.duties.submit_plan(plan()), 2)
        return await asyncio.wait_for(server.duties.submit_plan(plan()), 2)

    assert isinstance(lead(scenario), PlanResult)


def test_an_evaluation_that_nobody_finishes_is_given_up():
    """
    It fails, one that tries again later follows it, and its job is free for other evaluations.
    """

    async def scenario(server):
        broker = server.duties.broker
        for _ in range(DELIVERY_LIMIT):
            delivery = await until(lambda: broker.dequeue(["service"], server.clock.monotonic()))
            broker.nack(EvalID("e"), delivery.token, server.clock.monotonic())
            server.clock.advance(SUBSEQUENT_NACK_DELAY_SECONDS + 1)
        await until(lambda: server.state.eval("e").status == "failed")
        failed = server.state.eval("e")
        follow_up = server.state.eval(failed.next_eval)
        await until(lambda: broker.stats().unacked == 0)
        broker.check_invariants()
        counted = (server.state.evals(), server.duties.evaluations_failed)
        return failed, follow_up, server.clock.wall(), broker.stats(), counted

    failed, follow_up, wall, stats, (evaluations, given_up) = lead(scenario, Server.job)

    assert "evaluation reached delivery limit (3)" == failed.status_description
    assert ("failed-follow-up", "e", "pending") == (
        follow_up.triggered_by, follow_up.previous_eval, follow_up.status,
    )  # fmt: skip
    assert FOLLOW_UP_SECONDS_MIN - 1 <= follow_up.wait_until / 1e9 - wall <= 600
    assert (0, 1) == (stats.ready, stats.waiting)
    assert 1 == sum(each.status == "failed" for each in evaluations) == given_up


def test_giving_up_is_tried_again_after_a_failed_write():
    """
    Without a majority the evaluation stays the leader's, and it counts once it is written that it failed.
    """

    async def scenario(server):
        broker = server.duties.broker
        server.broken = UnknownOutcome("no majority")
        for _ in range(DELIVERY_LIMIT):
            delivery = await until(lambda: broker.dequeue(["service"], server.clock.monotonic()))
            broker.nack(EvalID("e"), delivery.token, server.clock.monotonic())
            server.clock.advance(SUBSEQUENT_NACK_DELAY_SECONDS + 1)
        await until(lambda: any(isinstance(command, UpdateEvals) for command in server.proposed))
        unwritten = server.duties.evaluations_failed
        server.broken = None
        server.clock.advance(SUBSEQUENT_NACK_DELAY_SECONDS + 1)
        await until(lambda: server.state.eval("e").status == "failed")
        await until(lambda: server.duties.evaluations_failed)
        return unwritten, server.duties.evaluations_failed

    assert (0, 1) == lead(scenario, Server.job)


def test_a_refused_part_of_a_plan_is_counted_by_client():
    """
    A client that cannot take what was planned for it is named, once a plan; the one that can is not.
    """
    small, large = Resources(cpu=10, memory_mb=10), Resources(cpu=10**6, memory_mb=10)

    def placing(**wanted):
        placed = {
            NodeID(node_id): [
                Allocation(
                    id=AllocID(f"a-{node_id}"), name="web.g[0]", eval_id=EvalID("e"), node_id=NodeID(node_id),
                    node_name=node_id, job_id=JobID("web"), task_group="g", resources=resources,
                )
            ]
            for node_id, resources in wanted.items()
        }  # fmt: skip
        return msgspec.structs.replace(plan(), node_allocation=placed)

    async def scenario(server):
        for wanted in ({"n1": large, "n2": small}, {"n1": large}, {"gone": small}):
            await server.duties.submit_plan(placing(**wanted))
        lines = server.registry.exposition().decode().splitlines()
        return {line for line in lines if line.startswith("nomad_nomad_plan_node_rejected")}

    def before(server):
        for name in ("n1", "n2"):
            server.write(RegisterNode(request_id=name, at=0, node=node_with_room(name)))

    assert {
        'nomad_nomad_plan_node_rejected{node_id="n1"} 2',
        'nomad_nomad_plan_node_rejected{node_id="gone"} 1',
    } == lead(scenario, before)


def node_with_room(name):
    room = NodeResources(cpu=NodeCpu(cpu_shares=1000), memory=NodeMemory(memory_mb=1000), disk=NodeDisk(disk_mb=1000))
    return Node(id=NodeID(name), name=name, status="ready", node_resources=room)
