"""A whole cluster in virtual time behaves as one of processes does, and a seed decides what it exports."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import UnknownOutcome, Unreachable
from agent.leader.heartbeats import HeartbeatSettings
from agent.rpc import methods as m
from tests.sim.cluster_world import ClusterWorld, Pace
from tests.sim.scrapes import Outcome, Scrapes

pytestmark = pytest.mark.timeout(60)
SETTINGS = HeartbeatSettings()
TTL_AND_GRACE_SECONDS = 2 * SETTINGS.min_heartbeat_ttl_seconds + SETTINGS.heartbeat_grace_seconds
"""The longest time to live of a heartbeat among few clients, as much jitter as itself, and its grace."""


@pytest.fixture
def make_world():
    """Return what makes a world that has settled; all are closed, and none may have met a bug."""
    made = []

    def make(seed=1, settled=30.0, **options):
        world = ClusterWorld(seed, **options)
        made.append(world)
        world.run(settled)
        return world

    yield make
    for world in made:
        world.check_no_bug()
        world.close()


def values(world, name):
    """Return the value of each name in a scrape; of several series the last."""
    text = world.scrape(name).decode()
    return {key: float(value) for key, value in re.findall(r"^(\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE)}


def followers(world):
    return [name for name in world.names if name != world.leads().name]


@pytest.mark.parametrize("size", [3, 5])
def test_a_healthy_cluster_exports_what_a_real_one_does(make_world, size):
    """
    The leader counts contacts and work handed out and judges the servers; followers count heartbeats.
    """
    world = make_world(size=size)
    leader = values(world, world.leads().name)
    follower = values(world, followers(world)[0])

    assert (size - 1) // 2 == leader["nomad_nomad_autopilot_failure_tolerance"]
    assert 2 == leader["nomad_nomad_heartbeat_active"]
    assert 0 < leader["nomad_raft_leader_lastContact_count"]
    assert 0 < leader["nomad_nomad_eval_dequeue_count"]
    assert 0 < follower["nomad_raft_rpc_processHeartbeat_count"]
    assert "nomad_raft_leader_lastContact_count" not in follower
    assert (1, 1) == (leader["outrider_server_is_leader"], follower["outrider_server_has_leader"])


@pytest.mark.parametrize(
    ("pace", "least", "most"), [(Pace.QUICK, 0.05, 1.5), (Pace.SLOW, 0.2, 5.0), (Pace.NOMAD, 2.0, 8.0)]
)
@pytest.mark.parametrize("seed", range(4))
def test_a_killed_leader_is_replaced(make_world, seed, pace, least, most):
    """
    Another server takes up the duties: quickly, or as a Nomad after 2 to 4 s and perhaps a split vote.
    """
    world = make_world(seed, pace=pace)

    world.crash(world.leads().name)
    seconds = world.run_until(lambda: world.leads() is not None, within=most)

    print(f"fail-over after {seconds:.2f} s")
    assert least <= seconds <= most


def test_a_leader_whose_followers_are_stopped_says_so(make_world):
    """
    With both followers paused the leader's counters and autopilot's verdict freeze, and outrider_* say the truth.
    """
    world = make_world()
    leader = world.leads().name
    for name in followers(world):
        world.pause(name)
    world.run(3)

    before = values(world, leader)
    world.run(20)
    after = values(world, leader)

    frozen = (
        "nomad_raft_leader_lastContact_count",
        "nomad_nomad_autopilot_healthy",
        "nomad_nomad_autopilot_failure_tolerance",
    )
    assert [before[name] for name in frozen] == [after[name] for name in frozen]
    assert 1 == after["nomad_raft_transition_leader_lease_timeout"]
    assert 0 == after["outrider_server_has_leader"]
    assert after["nomad_raft_state_candidate"] > before["nomad_raft_state_candidate"]


def test_a_restarted_server_is_a_fresh_process_with_its_old_log(make_world):
    """
    A killed server refuses scrapes, and comes back with new counters and everything that was committed.
    """
    world = make_world()
    name = followers(world)[0]
    index = world.servers[name].engine.last_index
    world.crash(name)
    world.run(8)
    refused = world.scrape(name)
    world.start(name)
    world.run(5)

    assert refused is None
    assert index <= world.servers[name].engine.applied_index
    assert values(world, name)["nomad_raft_rpc_processHeartbeat_count"] <= 5 / 0.1
    assert 1 == values(world, name)["outrider_server_has_leader"]


def test_a_lead_that_is_handed_over_leaves_no_gap(make_world):
    """
    After a transfer another server has the duties within a second, and both clients are its.
    """
    world = make_world()
    old = world.leads()

    world.transfer()
    seconds = world.run_until(lambda: world.leads() not in {None, old}, within=1)
    world.run(6)

    assert seconds <= 1
    assert 2 == values(world, world.leads().name)["nomad_nomad_heartbeat_active"]


@pytest.mark.parametrize("fault", ["crash", "pause", "isolate"])
def test_a_client_that_is_gone_is_missed_in_time(make_world, fault):
    """
    A killed, paused or cut-off client's heartbeat is invalidated within its time to live and grace, once.
    """
    world = make_world()
    getattr(world, fault)("c1")

    def invalidated():
        return values(world, world.leads().name).get("nomad_nomad_heartbeat_invalidate_count")

    seconds = world.run_until(invalidated, within=TTL_AND_GRACE_SECONDS)
    world.run(6)

    assert 10 <= seconds
    assert 1 == invalidated()
    assert 1 == values(world, world.leads().name)["nomad_nomad_heartbeat_active"]


@pytest.mark.parametrize(("fault", "remedy"), [("crash", "start"), ("pause", "resume"), ("isolate", "heal")])
def test_a_client_that_returns_is_counted_again(make_world, fault, remedy):
    """
    After its outage a client renews its heartbeat by itself within two tries.
    """
    world = make_world()
    getattr(world, fault)("c1")
    world.run(60)

    getattr(world, remedy)(*([] if fault == "isolate" else ["c1"]))
    world.run(30)

    assert 2 == values(world, world.leads().name)["nomad_nomad_heartbeat_active"]


def ask(world, target, seen, timeout_seconds=2.0):
    """Have client c1 renew its heartbeat at *target*; what came of it and after how long is added to *seen*."""
    client = world.clients["c1"]

    async def call():
        began, request = world.now, m.NodeUpdateStatusRequest(region="global", node_id="node-c1", status="ready")
        try:
            answer = await client.agent.caller._wire.call(target, m.NODE_UPDATE_STATUS, request, timeout_seconds)
        except (UnknownOutcome, Unreachable) as error:
            answer = error
        seen.append((type(answer), round(world.now - began, 1)))

    client.spawn(call())


def test_calls_fail_as_their_connection_does(make_world):
    """
    A dead server refuses at once; a cut-off one leaves a write unknown at its deadline, and later is not reached.
    """
    world, seen = make_world(), []
    dead, leader = followers(world)[0], world.leads().name

    world.crash(dead)
    ask(world, dead, seen)
    world.run(1)
    world.isolate("c1")
    ask(world, leader, seen)
    world.run(20)
    ask(world, leader, seen)
    world.run(5)

    assert [(Unreachable, 0.0), (UnknownOutcome, 2.0), (Unreachable, 1.0)] == seen


def test_a_call_waits_for_a_paused_server(make_world):
    """
    What was sent to a stopped process is carried out and answered when it goes on.
    """
    world, seen = make_world(), []
    leader = world.leads().name

    world.pause(leader)
    ask(world, leader, seen)
    world.run(0.3)
    world.resume(leader)
    world.run(1)

    assert [(m.NodeUpdateResponse, 0.3)] == seen


def test_a_call_breaks_with_the_process_that_had_it(make_world):
    """
    A server that dies with a call in its hands leaves its caller in doubt at once.
    """
    world, seen = make_world(), []
    leader = world.leads().name

    world.pause(leader)
    ask(world, leader, seen)
    world.run(0.3)
    world.crash(leader)
    world.run(1)

    assert [(UnknownOutcome, 0.3)] == seen


def test_a_link_may_be_cut_one_way(make_world):
    """
    A client whose answers are lost keeps renewing, and is not missed.
    """
    world, seen = make_world(), []
    for name in world.names:
        world.sever(name, "c1")

    ask(world, world.leads().name, seen)
    world.run(14)

    assert [(UnknownOutcome, 2.0)] == seen
    assert 2 == values(world, world.leads().name)["nomad_nomad_heartbeat_active"]


def test_a_scrape_meets_what_became_of_the_process(make_world):
    """
    A running agent answers, a paused one hangs, a dead one refuses; columns hold None while nothing is exposed.
    """
    world = make_world()
    scrapes = Scrapes(world, {"nomad_raft_appliedIndex"})
    name = followers(world)[0]
    scrapes.run(0.5)
    world.pause(name)
    scrapes.run(0.5)
    world.resume(name)
    world.crash(name)
    scrapes.run(0.5)

    assert [Outcome.ANSWERS] * 2 + [Outcome.HANGS] * 2 + [Outcome.REFUSES] * 2 == scrapes.outcomes[name]
    [column] = scrapes.columns[name].values()
    assert [True, True, False, False, False, False] == [value is not None for value in column]


def test_a_scrape_nobody_wants_leaves_its_outcome(make_world):
    """
    Values are kept at wanted moments, and where a stopped process goes on, for a scrape may have waited for it.
    """
    world = make_world()
    scrapes = Scrapes(world, {"nomad_raft_appliedIndex"}, wanted=lambda name, moment: moment == 1)
    scrapes.run(1.0)
    world.pause("s1")
    scrapes.run(0.5)
    world.resume("s1")
    scrapes.run(0.5)

    assert [Outcome.ANSWERS] * 4 + [Outcome.HANGS] * 2 + [Outcome.ANSWERS] * 2 == scrapes.outcomes["s1"]
    [column] = scrapes.columns["s1"].values()
    assert [1, 6] == [moment for moment, value in enumerate(column) if value is not None]


def everything_exported(seed):
    """Return a digest of every scrape of a run with faults of all kinds."""
    world, seen = ClusterWorld(seed, size=5), hashlib.sha256()

    def run(seconds):
        for _ in range(seconds):
            world.run(1)
            for name in world.agents:
                seen.update(repr(world.scrape(name)).encode())

    run(20)
    world.crash("s2")
    world.pause("c1")
    run(20)
    world.start("s2")
    world.isolate("s3")
    world.pause(world.leads().name)
    run(20)
    for name in sorted(world.paused):
        world.resume(name)
    world.heal()
    world.transfer()
    run(20)
    world.close()
    return seen.hexdigest()


@pytest.mark.integration
def test_a_seed_decides_every_byte():
    """
    The same seed exports the same bytes in another process with another order of its sets; another seed does not.
    """
    root = Path(__file__).parents[2]

    def digest(seed, hash_seed):
        code = f"from tests.sim.test_cluster_world import everything_exported; print(everything_exported({seed}))"
        said = subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return said.stdout.splitlines()[-1]

    first = digest(7, "1")

    assert first == digest(7, "2")
    assert first == everything_exported(7)
    assert first != digest(8, "1")
