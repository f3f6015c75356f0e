"""Changes of a simulated group's servers, as faults: what operators and autopilot ask of a leader, at any moment.

A leader that is none any more is asked as well. What it refuses, or never commits, is no change.
"""

from functools import partial

from agent.consensus.replicator import Peer, RaftState, Standing
from tests.sim.configured import voters_of, votes_of

_LOOK_SECONDS = 0.2
_LEAVE_LOOKS = 15
"""A server that leaves waits about three seconds for its removal, then it ends."""


def asked(world, rng):
    """Return one of the servers that take themselves for the leader, None when there is none."""
    leading = [
        server
        for server in world.servers.values()
        if server.engine is not None and server.engine.state is RaftState.LEADER and server.name not in world.paused
    ]
    return rng.choice(leading) if leading else None


def _others(server):
    """Return the others in the configuration of *server*: by name, whether each votes."""
    return {
        name: votes for name, votes in votes_of(server.engine._configurations.newest).items() if name != server.name
    }


def _include(world, leader, name, *, voter):
    peer = Peer(f"id-{name}", name, name, name)
    world.change(leader.name, lambda configuration: configuration.with_server(peer, voter=voter))


def _exclude(world, leader, name):
    peer = Peer(f"id-{name}", name, name, name)
    world.change(leader.name, lambda configuration: configuration.without(peer))


def _add(world, rng, name):
    leader = asked(world, rng)
    strangers = sorted(set(world.names) - {leader.name} - set(_others(leader))) if leader is not None else []
    if strangers:
        _include(world, leader, rng.choice(strangers), voter=rng.random() < 0.3)


def _promote(world, rng, name):
    leader = asked(world, rng)
    learners = sorted(each for each, votes in _others(leader).items() if not votes) if leader is not None else []
    if learners:
        _include(world, leader, rng.choice(learners), voter=True)


def _demote(world, rng, name):
    leader = asked(world, rng)
    if leader is not None and _others(leader).get(name):
        _include(world, leader, name, voter=False)


def _remove(world, rng, name):
    leader = asked(world, rng)
    if leader is not None and name in _others(leader):
        _exclude(world, leader, name)


def _prune(world, rng, name):
    """A server that is dead is removed, while those are fewer than half."""
    leader = asked(world, rng)
    if leader is None:
        return
    voters = voters_of(leader)
    dead = sorted(each for each in _others(leader) if world.servers[each].engine is None)
    if dead and 2 * len(set(dead) & set(voters)) < len(voters):
        _exclude(world, leader, rng.choice(dead))


def _leave(world, rng, name):
    """A server hands over if it leads, has itself removed, and ends."""
    server = world.servers[name]
    if server.engine is not None and server.engine._standing is not Standing.NONE:
        _look(world, name, server.boots, _LEAVE_LOOKS)


def _look(world, name, boot, looks):
    server = world.servers[name]
    if server.engine is None or server.boots != boot or world.mended:
        return
    if name not in world.paused:
        if looks == 0 or server.engine._standing is Standing.NONE:
            world.counts["left"] += looks > 0
            world.kill(name)
            return
        leader = world.leader()
        if leader is server:
            leader.engine.transfer_leadership()
        elif leader is not None and name in _others(leader):
            _exclude(world, leader, name)
    world._later(_LOOK_SECONDS, partial(_look, world, name, boot, looks - 1))


CHANGES = (
    (8, _add),
    (6, _promote),
    (2, _demote),
    (4, _remove),
    (3, _leave),
    (5, _prune),
)
"""What happens to the group's servers, and how often, beside the faults."""
