"""A snapshot is restored on a whole cluster in virtual time, and servers die at every moment of it."""

import random

import pytest

from agent.errors import OutriderError
from agent.model.base import JobID
from agent.model.job import Job, Task, TaskGroup
from agent.rpc import methods as m
from agent.state.archive import read_archive
from agent.state.restore import pack
from tests.sim.cluster_world import ClusterWorld

pytestmark = pytest.mark.timeout(60)

PIECE_BYTES = 200
"""So that a restore takes a few round trips, between which something can happen."""


@pytest.fixture
def make_world():
    """Return what makes a world that has settled; all are closed, and none may have met a bug."""
    made = []

    def make(seed, **options):
        world = ClusterWorld(seed, **options)
        made.append(world)
        world.run(8)
        return world

    yield make
    for world in made:
        world.check_no_bug()
        world.close()


class Operator:
    """Asks one server after the other, as whoever sits at its API does."""

    def __init__(self, world):
        self.world = world
        self.outcome = None

    def do(self, server, work):
        """Carry *work* out at *server* to its end, and return what it gave."""
        self.begin(server, work)
        self.world.run_until(lambda: self.outcome is not None, within=30)
        assert not isinstance(self.outcome, OutriderError), self.outcome
        return self.outcome

    def begin(self, server, work):
        self.outcome = None

        async def whole():
            try:
                self.outcome = await work(server.agent.caller.call) or True
            except OutriderError as error:
                self.outcome = error

        server.spawn(whole())


def register(*names):
    async def work(call):
        for name in names:
            task = Task(name="t", driver="raw_exec", config={"command": "/bin/true"})
            job = Job(id=JobID(name), task_groups=[TaskGroup(name="g", count=0, tasks=[task])])
            await call(m.JOB_REGISTER, m.JobRegisterRequest(job=job), 10)

    return work


async def save(call):
    """Return a file of the state."""
    return (await call(m.OPERATOR_SNAPSHOT_SAVE, m.SnapshotSaveRequest(), 10)).data


def restore(file):
    dumped = read_archive(file).dumped
    packed = pack(dumped)

    async def work(call):
        sizes = {"packed_bytes": len(packed), "state_bytes": len(dumped)}
        for offset in range(0, len(packed), PIECE_BYTES):
            data = packed[offset : offset + PIECE_BYTES]
            piece = m.SnapshotStageRequest(restore_id="r", offset=offset, data=data, **sizes)
            await call(m.OPERATOR_SNAPSHOT_STAGE, piece, 10)
        return await call(m.OPERATOR_SNAPSHOT_RESTORE, m.SnapshotRestoreRequest(restore_id="r"), 10)

    return work


def jobs(server):
    return [job.id for job in server.agent.replicated.state.jobs()]


def agreed(world):
    """Say whether all servers run and have the same state."""
    states = [server.agent.replicated.state for server in world.servers.values() if not server.gone]
    return len(states) == len(world.names) and all(state == states[0] for state in states)


def test_clients_and_leader_go_on_with_the_restored_state(make_world):
    """
    Clients that the snapshot knows stay ready, past every deadline; what is written afterwards is newer than the
    restore, on every server; the leader leads on in its term.
    """
    world = make_world(1, clients=2)
    operator, leader = Operator(world), world.leads()
    operator.do(leader, register("kept"))
    file = operator.do(leader, save)
    operator.do(leader, register("later"))
    term = leader.agent.status().term

    answer = operator.do(leader, restore(file))
    world.run(60)
    operator.do(world.leads(), register("next"))
    world.run_until(lambda: agreed(world), within=5)

    state = world.leads().agent.replicated.state
    assert (leader.name, term) == (world.leads().name, leader.agent.status().term)
    assert {"kept", "next"} == {job.id for job in state.jobs()}
    assert answer.index < state.job("default", "next").create_index
    assert ["ready", "ready"] == [node.status for node in state.nodes()]


@pytest.mark.parametrize("missing", [-1, 0, 1, 3])
@pytest.mark.parametrize("leader_dies", [True, False])
def test_whatever_dies_in_the_middle_there_is_the_old_state_or_the_new_one(make_world, missing, leader_dies):
    """
    One follower is down; the leader or the other follower dies when *missing* entries of the restore are not in the
    leader's log yet, at -1 once it was answered. When all are back they agree, and what was answered for is so.
    """
    world = make_world(missing + 10, clients=0)
    rng = random.Random(missing)
    operator, leader = Operator(world), world.leads()
    operator.do(leader, register("kept"))
    file = operator.do(leader, save)
    operator.do(leader, register("later"))
    down, other = (name for name in world.names if name != leader.name)
    world.crash(down)
    victim, asked = (leader.name, world.servers[other]) if leader_dies else (other, leader)
    last = leader.engine.last_index + -(-len(pack(read_archive(file).dumped)) // PIECE_BYTES) + 1

    operator.begin(asked, restore(file))
    world.run_until(lambda: operator.outcome or (0 <= missing and leader.engine.last_index >= last - missing), within=5)
    answered = operator.outcome is not None
    world.crash(victim)
    world.run(rng.uniform(0.5, 3.0))
    for name in world.names:
        if world.servers[name].gone:
            world.start(name)
    world.run_until(lambda: world.leads() is not None and agreed(world), within=30)
    world.run(5)

    found = jobs(world.leads())
    print(f"victim={victim} answered={answered} outcome={operator.outcome!r} jobs={found}")
    assert found in (["kept"], ["kept", "later"])
    assert agreed(world)
    if answered:
        assert ["kept"] == found
    if missing > 0 and leader_dies:
        assert ["kept", "later"] == found


def test_a_server_that_missed_it_all_gets_the_restored_state_with_a_snapshot(make_world):
    """
    The log it would need was cut after the restore: it is sent a snapshot, and goes on at the same index.
    """
    world = make_world(3, clients=0)
    operator, leader = Operator(world), world.leads()
    operator.do(leader, register("kept"))
    file = operator.do(leader, save)
    down = next(name for name in world.names if name != leader.name)
    world.crash(down)
    operator.do(leader, register(*(f"later-{number}" for number in range(60))))

    operator.do(leader, restore(file))
    world.run(5)
    world.start(down)
    world.run_until(lambda: agreed(world), within=20)

    assert ["kept"] == jobs(world.servers[down])
