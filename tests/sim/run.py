"""Simulated groups under faults, one a seed, and what they broke: `make sim SEEDS=500`.

Each seed makes a group of three or five servers, that stays so or not, on a network that keeps its order or not, with
clients that write and read registers, and for 12 s of virtual time whatever `FAULTS` has. Then everything is mended:
the group must agree and take a write again, and what the clients saw is judged. A seed that fails prints the command
that replays it; the digest is of every message and operation, so that the same seed is seen to be the same run.

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
from tests.sim.changes import CHANGES, asked
from tests.sim.configured import voters_of
from tests.sim.linearizable import violation
from tests.sim.register_clients import Client
from tests.sim.register_world import RegisterWorld, simulated

SECONDS = 12.0
CLIENTS = (1, 2, 4, 4)
"""Where few write, what a deposed leader wrote stays ahead of its successor's log for a while."""
_ELECTED_SECONDS = 1.0
"""After it a group that is whole mostly has a leader."""
_MENDED_SECONDS = 20.0

SLOW_SECONDS = (0.05, 0.3, 1.0, 1.5, 2.0, 3.0)
"""How late what one server sends another may be; TCP gives a connection up after 4 s."""


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
    """Cut the group in two, the leader in the smaller part if there is one, often in the middle of many writes.

    What is not cut may be slow, above all what the one in the smaller part hears.
    """
    leader = world.leader()
    first = leader.name if leader is not None else name
    few = _cut_in_two(world, rng, first)
    slow = rng.choice((0.0, 0.4, 1.0, 1.0))
    for one in world.names:
        for other in world.names:
            if (
                one != other
                and (one in few) == (other in few)
                and rng.random() < (slow if other == first else slow / 2)
            ):
                world.delays[one, other] = rng.choice(SLOW_SECONDS)
    if rng.random() < 0.7:
        world.written_to = first
        _burst(world, rng, name)


def _cut_in_two(world, rng, first):
    """Cut *first* and others, fewer than half, off from the rest; return their names."""
    others = [other for other in world.names if other != first]
    few = {first, *rng.sample(others, (len(world.names) - 1) // 2 - 1)}
    for one in sorted(few):
        for other in world.names:
            if other not in few:
                world.sever(one, other)
                world.sever(other, one)
    return few


def _lead_and_back(world, rng, name):
    """A leader is cut off with fewer than half in the middle of many writes, and leads again once another has led.

    Nothing else begins meanwhile. What those few tell each other is slow: what they said in the first lead is heard in
    the second, when the leader between has overwritten what it was about. Some hear nothing of the second lead.
    """
    for mend in (_start_all, _resume_all, _heal):
        mend(world, rng, name)
    world.run(_ELECTED_SECONDS)
    leader = world.leader()
    if leader is None:
        return
    first = leader.name
    few = sorted(_cut_in_two(world, rng, first))
    world.delays |= {(one, other): rng.choice(SLOW_SECONDS) for one in few for other in few if one != other}
    world.written_to = first
    _burst(world, rng, name)
    for _ in range(20):
        world.run(0.1)
        if world.leader() not in {None, leader}:
            break
    world.heal()
    world.run(rng.uniform(0.4, 0.7))
    _hand_over(world, first)
    if rng.random() < 0.5:
        for other in few:
            world.sever(first, other)
    for _ in range(rng.randint(1, 4)):
        world.run(rng.uniform(0.1, 0.6))
        world.written_to = first
        _burst(world, rng, name)


def _isolate(world, rng, name):
    world.isolate(name)


def _heal(world, rng, name):
    world.delays.clear()
    world.heal()


def _delay(world, rng, name):
    """One direction of a link is slow, as where TCP sends again: what is under way stays so when it is mended."""
    leader = world.leader()
    other = rng.choice([other for other in world.names if other != name])
    if leader is not None and leader.name != name and rng.random() < 0.5:
        other = leader.name
    world.delays[name, other] = rng.choice(SLOW_SECONDS)


def _reconnect(world, rng, name):
    world.reconnect(name, rng.choice([other for other in world.names if other != name]))


def _pause(world, rng, name):
    world.pause(name)


def _resume_all(world, rng, name):
    for each in sorted(world.paused):
        world.resume(each)


def _transfer(world, rng, name):
    """The leader hands over: to anybody, to one by name, or to the one that writes are for."""
    _hand_over(world, rng.choice(("", name, world.written_to)))


def _hand_over(world, name, tries=12):
    """Have the leader ask *name* to lead, again while that one lags or is not connected."""
    leader = world.leader()
    if leader is not None and leader.name != name and leader.name not in world.paused and not world.mended:
        done = leader.engine.transfer_leadership(name and f"id-{name}")
        leader.wake()
        if not done and tries:
            world._later(0.1, lambda: _hand_over(world, name, tries - 1))


def _hand_over_unheard(world, rng, name):
    """The leader of a whole group hands over and is late to hear of it: what it hears was said while it led.

    Half of the others answer late all the time; the rest keep up, for only one of those can take over, and what they
    say is late from then on.
    """
    for mend in (_start_all, _resume_all, _heal):
        mend(world, rng, name)
    world.run(_ELECTED_SECONDS)
    leader = world.leader()
    others = [] if leader is None else [other for other in voters_of(leader) if other != leader.name]
    if not others:
        return
    rng.shuffle(others)
    late = rng.uniform(0.3, 0.45)
    world.delays |= {(other, leader.name): late for other in others[len(others) // 2 :]}
    world.run(late)
    for _ in range(40):
        if leader.engine is None or leader.engine.transfer_leadership(f"id-{others[0]}"):
            break
        world.run(0.01)
    world.delays |= {(other, leader.name): late for other in others}
    world.run(late + rng.uniform(0.1, 0.3))
    _heal(world, rng, name)


def _burst(world, rng, name):
    """Many writes at once, of somebody who is slow to learn that another leads."""
    leader = world.servers[world.written_to]
    if leader.engine is None or leader.engine.state is not RaftState.LEADER:
        leader = asked(world, rng)
        if leader is None or rng.random() < 0.7:
            return
        world.written_to = leader.name
    for _ in range(rng.choice((3, 10, 100))):
        world.counts["written in bursts"] += 1
        command = encode(Noop(request_id=f"burst.{world.counts['written in bursts']}", at=0))
        world.ask(leader.name, CommandKind.REGULAR, command, lambda result: None)


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
    (7, _split),
    (2, _lead_and_back),
    (2, _isolate),
    (6, _heal),
    (2, _delay),
    (2, _reconnect),
    (2, _pause),
    (4, _resume_all),
    (4, _transfer),
    (4, _hand_over_unheard),
    (4, _burst),
)
"""What happens, and how often; beside it either `DAMAGE` or `CHANGES` to the servers of the group."""
DAMAGE = ((2, _damage_last),)
"""Apart from `CHANGES`: a group that shrank to two elects nobody while one of them is recovering."""

_MENDING = (_start, _start_all, _heal, _resume_all)
_CRASHING = (_fuse, _fuse_leader, _crash, _crash_leader, _power_off, _blackout)


def _mix(rng, faults):
    """Return *faults* as this seed has them, each frequent, usual, rare, or not there at all; what mends always is.

    With all of them on every seed no connection and no leader lives long enough for what takes a while; on some seeds
    hardly a server crashes. Source: Groce and others, "Swarm testing", 2012.
    """
    factors = {fault: rng.choice((0, 0.3, 1, 3)) for _, fault in faults}
    factors |= dict.fromkeys(_MENDING, 1)
    crashes = rng.choice((0, 0.2, 1, 1))
    factors |= {fault: factors[fault] * crashes for fault in _CRASHING}
    return [(weight * factors[fault], fault) for weight, fault in faults]


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
        size, loss = 5 if seed % 3 else 3, 0.05 if reorder else 0.0
        joiners = 2 if seed % 8 >= 4 else 0
        try:
            with simulated(lambda: RegisterWorld(seed, size, loss, reorder, joiners)) as world:
                run.counts = world.counts
                _live(world, rng, seconds)
                run.digest = world.digest.hexdigest()
        except Exception as error:  # noqa: BLE001 - whatever the servers raise is a finding
            run.finding = f"{type(error).__name__}: {error}"
    return run


def _live(world, rng, seconds):
    history = []
    until = world.clock.monotonic() + seconds
    clients = [Client(world, f"c{number + 1}", history, until) for number in range(rng.choice(CLIENTS))]
    world.run(_ELECTED_SECONDS)
    faults = _mix(rng, FAULTS + (DAMAGE if world.founders == world.names else CHANGES))
    while world.clock.monotonic() < until:
        (fault,) = rng.choices([fault for _, fault in faults], [weight for weight, _ in faults])
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
    world.loss, world.reorder, world.mended = 0.0, False, True
    for server in world.servers.values():
        server.disk.fuse = None
    world.blackout = False
    _resume_all(world, None, "")
    _heal(world, None, "")
    _start_all(world, None, "")
    done, end = [], world.clock.monotonic() + _MENDED_SECONDS

    def recovering():
        return any(server.recovering() for server in world.group())

    while not (done and _agreed(world)) or recovering():
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


def _agreed(world):
    """Say whether there is a leader, and its whole group has applied what it has committed."""
    leader = world.leader()
    return leader is not None and {s.engine.applied_index for s in world.group()} == {leader.engine.commit_index}


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
