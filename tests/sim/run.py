"""Simulated groups under faults, one a seed, and what they broke: `make raft-sim SEEDS=500`.

Each seed makes a group of three or five servers on a network that keeps its order or not, with clients that write and
read registers, and for 12 s of virtual time whatever `FAULTS` has. Then everything is mended: the group must agree and
take a write again, and what the clients saw is judged. A seed that fails prints the command that replays it; the digest
is of every message and operation, so that the same seed is seen to be the same run.

    python -m tests.sim.run [--seeds N] [--first N] [--seed N] [--planted NAME]
"""

import argparse
import io
import logging
import random
import sys
from collections import Counter
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, field

from agent.consensus.codec import CommandKind
from agent.consensus.replicator import RaftState
from agent.model.command import Noop, encode
from tests.sim.linearizable import violation
from tests.sim.register_clients import Client
from tests.sim.register_world import RegisterWorld, simulated

SECONDS = 12.0
CLIENTS = 4
_MENDED_SECONDS = 20.0


def _crash(world, rng, name):
    if world.servers[name].engine is not None:
        rng.choice((world.crash, world.kill))(name)


def _start(world, rng, name):
    if world.servers[name].engine is None:
        world.counts["restarts"] += 1
        world.start(name)


def _start_all(world, rng, name):
    for each in world.names:
        _start(world, rng, each)


def _power_off(world, rng, name):
    """Everybody loses power at one moment."""
    for each in world.names:
        if world.servers[each].engine is not None:
            world.crash(each)


def _fuse(world, rng, name):
    """Power goes within the next bytes that a server writes."""
    if world.servers[name].engine is not None:
        world.servers[name].disk.fuse = rng.choice((rng.randint(0, 3), rng.randint(0, 60), rng.randint(0, 600)))


def _fuse_leader(world, rng, name):
    leader = world.leader()
    if leader is not None:
        _fuse(world, rng, leader.name)


def _blackout(world, rng, name):
    """Power goes for everybody in the middle of what one of them writes."""
    _fuse(world, rng, name)
    world.blackout = world.servers[name].engine is not None


def _crash_leader(world, rng, name):
    leader = world.leader()
    if leader is not None:
        _crash(world, rng, leader.name)


def _cut(world, rng, name):
    world.sever(name, rng.choice([other for other in world.names if other != name]))


def _split(world, rng, name):
    """Cut the group in two, the leader in the smaller part if there is one."""
    leader = world.leader()
    few = {leader.name if leader is not None else name}
    few |= set(rng.sample(world.names, (len(world.names) - 1) // 2 - 1)) if len(world.names) > 3 else set()
    for one in world.names:
        for other in world.names:
            if (one in few) != (other in few):
                world.sever(one, other)


def _isolate(world, rng, name):
    world.isolate(name)


def _heal(world, rng, name):
    world.delays.clear()
    world.heal()


def _delay(world, rng, name):
    world.delays[name, rng.choice([other for other in world.names if other != name])] = rng.choice((0.05, 0.3, 1.0))


def _reconnect(world, rng, name):
    world.reconnect(name, rng.choice([other for other in world.names if other != name]))


def _pause(world, rng, name):
    world.pause(name)


def _resume_all(world, rng, name):
    for each in sorted(world.paused):
        world.resume(each)


def _transfer(world, rng, name):
    leader = world.leader()
    if leader is not None and leader.name not in world.paused:
        leader.engine.transfer_leadership()
        leader.wake()


def _damage_last(world, rng, name):
    """Power goes for a server, and takes the last record of its log."""
    if world.servers[name].engine is not None:
        world.damage(name)


FAULTS = (
    (3, _fuse),
    (3, _fuse_leader),
    (2, _crash),
    (3, _crash_leader),
    (7, _start),
    (3, _start_all),
    (1, _power_off),
    (2, _blackout),
    (3, _cut),
    (2, _split),
    (2, _isolate),
    (6, _heal),
    (2, _delay),
    (2, _reconnect),
    (2, _pause),
    (4, _resume_all),
    (2, _transfer),
    (2, _damage_last),
)
"""What happens, and how often. A change of membership is one more line here, and `check_same_state` has to leave out
who is no member; the rest of the world asks the servers that there are."""


@dataclass
class Run:
    """What came of one seed."""

    seed: int
    finding: str = ""
    digest: str = ""
    counts: Counter = field(default_factory=Counter)


def simulate(seed, seconds=SECONDS):
    """Run one seed and return what came of it; never raises for what a server did."""
    run = Run(seed)
    rng = random.Random(f"run:{seed}")
    reorder = seed % 4 >= 2
    with redirect_stdout(io.StringIO()):
        size, loss = 5 if seed % 2 else 3, 0.05 if reorder else 0.0
        try:
            with simulated(lambda: RegisterWorld(seed, size, loss, reorder)) as world:
                run.counts = world.counts
                _live(world, rng, seconds)
                run.digest = world.digest.hexdigest()
        except Exception as error:  # noqa: BLE001 - whatever the servers raise is a finding
            run.finding = f"{type(error).__name__}: {error}"
    return run


def _live(world, rng, seconds):
    history = []
    until = world.clock.monotonic() + seconds
    clients = [Client(world, f"c{number + 1}", history, until) for number in range(CLIENTS)]
    world.run(1.0)
    while world.clock.monotonic() < until:
        (fault,) = rng.choices([fault for _, fault in FAULTS], [weight for weight, _ in FAULTS])
        fault(world, rng, rng.choice(world.names))
        world.run(rng.choice((0.003, rng.uniform(0.01, 0.3), rng.uniform(0.1, 0.8))))
    _mend(world)
    for client in clients:
        client.end()
    world.counts["terms"] = len(world.leaders)
    world.counts["entries"] = len(world.committed)
    for operation in history:
        world.digest.update(repr(operation).encode())
    found = violation(history)
    assert found is None, found


def _mend(world):
    """Mend everything; the group agrees and takes a write."""
    world.loss, world.reorder = 0.0, False
    for server in world.servers.values():
        server.disk.fuse = None
    world.blackout = False
    _resume_all(world, None, "")
    _heal(world, None, "")
    _start_all(world, None, "")
    done, end = [], world.clock.monotonic() + _MENDED_SECONDS

    def recovering():
        return any(server.recovering() for server in world.servers.values())

    while (
        not done
        or recovering()
        or {s.engine.applied_index for s in world.servers.values()} != {world.servers["s1"].engine.commit_index}
    ):
        assert world.clock.monotonic() < end, f"not agreed {_MENDED_SECONDS:g} s after all was mended"
        leader = world.leader()
        if leader is not None and (not done or recovering()):
            command = encode(Noop(request_id="last", at=0))
            world.ask(
                leader.name, CommandKind.REGULAR, command, lambda r: done.append(r) if isinstance(r, bytes) else None
            )
        world.run(0.5)
    assert any(server.engine.state is RaftState.LEADER for server in world.servers.values())
    world.check_same_state()


def main():
    """Run the seeds; the exit code says whether all of them held."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.run")
    parser.add_argument("--seeds", type=int, default=100, help="how many (100)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seed", type=int, help="this one alone, with its digest")
    parser.add_argument("--planted", default="", help="with this bug planted; each must be found")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds) if options.seed is None else [options.seed]
    total, failed = Counter(), 0
    with _planted(options.planted):
        for seed in seeds:
            run = simulate(seed)
            total += run.counts
            if run.finding:
                failed += 1
                replay = (
                    f"python -m tests.sim.run --seed {seed}{f' --planted {options.planted}' * bool(options.planted)}"
                )
                print(f"seed {seed}: {run.finding}\n  again: {replay}", flush=True)
            elif options.seed is not None:
                print(f"seed {seed}: digest {run.digest}")
    print(
        f"seeds {len(seeds)}  failed {failed}  " + "  ".join(f"{name} {count}" for name, count in sorted(total.items()))
    )
    return int(failed > 0)


def _planted(name):
    if not name:
        return nullcontext()
    from tests.sim.planted import PLANTED

    if name not in PLANTED:
        sys.exit(f"--planted {name}: there is no such bug; known are {', '.join(sorted(PLANTED))}")
    return PLANTED[name].plant()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # the servers say at length what they make of it
    sys.exit(main())
