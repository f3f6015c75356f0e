"""Where a server's disk may be cut, torn or damaged, and what the real code makes of each: `make crash-points`.

A life of one server is written through the real log and snapshots: elections, appends, truncations, snapshots of its
own and installed ones, compaction, restarts. Power is lost after every byte of it, with six views of what was not
synced (names changed or not; bytes there, gone, or zeros). Then every byte of every file that lay still is flipped,
zeroed and cut, as many as a record's header has are wiped, and every file is taken away. Each time the real engine opens
what is left, and what it holds is compared with what was promised. Of damage in the last record, power is lost once more
at every byte of what heals it.

Recovered is everything promised, and nothing that was never written; refused is one `ConfigError` that names file and
offset. Healed is damage in the last record alone: the server lacks that one record, neither votes nor stands until a
leader has sent it, and then has it for good. A loss of power alone is recovered from. Lost and broken (any other error)
end the command with 1.

    python -m tests.sim.crash_points [--steps N] [--seed N] [--every N]
"""

import argparse
import logging
import random
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from itertools import product

from agent.consensus.codec import AppendEntries, CommandKind, PreVote, PreVoteReply, RequestVote, VoteReply
from agent.consensus.engine_parts import Compaction, Timing
from agent.consensus.pysyncobj_engine import Engine
from agent.consensus.replicator import FIRST_INDEX, Peer, RaftState
from agent.consensus.snapshot_store import Snapshot, SnapshotStore, encode_snapshot
from agent.consensus.wal import FileLog
from agent.consensus.wal_format import RECORD_HEADER_BYTES
from agent.errors import ConfigError
from telemetry.clock import ManualClock
from telemetry.recorder import NullRecorder
from tests.sim.sim_disk import Disk, DiskPath, begin_of, last_record, on_disks

SEGMENT_BYTES = 400
CLUSTER_ID = "11111111-1111-4111-8111-111111111111"
_NAMES_A_PLACE = re.compile(r"(vote|snapshot|recovering|log-\d+\.wal): offset \d+: .+; ")
_ALLOWED = {
    "crash": {"recovered"},
    "damage": {"refused", "recovered"},
    "last record": {"healed", "recovered"},
    "healing": {"recovering", "recovered"},
}
"""By what was done to the disk. Recovered of damage is what nobody needed: entries that a truncation in the next segment
drops, or a last record that says only where a snapshot ends."""

_OUTCOMES = ("recovered", "recovering", "healed", "refused", "lost", "broken")
_VIEWS = tuple(product((False, True), ((False, False), (True, False), (False, True))))
"""Of the unsynced: whether names have changed, and whether bytes are there or are zeros."""


class Commands:
    """A state machine that keeps every command, and the rest that an engine is told and asks."""

    def __init__(self):
        self.commands = ()
        self.sent = []
        self.identified = None

    def apply(self, index, command):
        self.commands += (bytes([CommandKind.REGULAR]) + command,)
        return b""

    def send(self, node, message):
        self.sent.append(message)
        return True

    def load(self, data):
        self.commands = tuple(data.split(b"\n")) if data else ()

    def identity(self, node):
        return None

    def identify(self, cluster_id):
        self.identified = cluster_id

    def wake(self):
        """There is nobody to wake."""

    def state_changed(self, *change):
        """Nothing follows from it."""

    leader_changed = state_changed


def start(folder):
    """Start a server from *folder* and return its engine, log, clock and the rest; raises ConfigError."""
    clock, parts = ManualClock(), Commands()
    log = FileLog(folder, clock, SEGMENT_BYTES)
    engine = Engine(
        Peer("id-1", "s1", "s1", "s1"),
        ("s2", "s3"),
        timing=Timing(),
        compaction=Compaction(),
        log=log,
        snapshots=SnapshotStore(folder / "snapshot"),
        links=parts,
        fsm=parts,
        observer=parts,
        recorder=NullRecorder(),
        clock=clock,
        rng=random.Random(0),
        logger=logging.getLogger("crash-points"),
    )
    return engine, log, clock, parts


def reopen(folder):
    """Start a server and return (commands of its snapshot and its log, term, vote, whether it is recovering)."""
    engine, log, _, parts = start(folder)
    log.close()
    return _held(engine, log, parts), log.term, log.voted_for, log.damage is not None


def _held(engine, log, parts):
    return (*parts.commands, *(entry[0] for entry in log.entries if entry[1] > engine.applied_index))


@dataclass
class Life:
    """What one server writes, and what it has promised. Commands stand at index 2 and on."""

    folder: DiskPath
    rng: random.Random
    commands: tuple[bytes, ...] = ()
    committed: int = FIRST_INDEX
    contents: list[tuple[bytes, ...]] = field(default_factory=lambda: [()])
    """What may be found: what was durable last, and each step from there; one at least."""
    votes: list[tuple[int, str | None]] = field(default_factory=lambda: [(0, None)])

    def start(self):
        """Open log and snapshots as a process does."""
        self.log = FileLog(self.folder, ManualClock(), SEGMENT_BYTES)
        self.snapshots = SnapshotStore(self.folder / "snapshot")
        self.snapshots.cluster_id = self.log.cluster_id
        self.snapshots.load()

    @property
    def last(self):
        return FIRST_INDEX + len(self.commands)

    def step(self):
        """Do what comes next."""
        action = self.rng.choices(
            (self.append, self.elect, self.truncate, self.take_snapshot, self.install, self.restart, self.identify),
            (10, 2, 3, 2, 1, 1, 1),
        )[0]
        action()

    def append(self):
        if self.log.term == 0:
            self.elect()
        for _ in range(self.rng.randint(1, 4)):
            self._add()
        self._sync()
        self.committed = self.rng.randint(self.committed, self.last)

    def elect(self):
        self._vote(self.log.term + self.rng.randint(1, 3), self.rng.choice((None, "id-1", "id-2")))

    def truncate(self):
        """A new leader overwrites what was not committed."""
        if self.committed == self.last:
            return
        self.elect()
        index = self.rng.randint(self.committed + 1, self.last)
        self._becomes(self.commands[: index - FIRST_INDEX - 1])
        self.log.truncate_from(index)
        self.append()

    def take_snapshot(self):
        """Write a snapshot of what is committed, and compact the log."""
        if self.committed <= self.snapshots.index:
            return
        state = b"\n".join(self.commands[: self.committed - FIRST_INDEX])
        snapshot = Snapshot(self.committed, self._term_at(), state, cluster_id=self.log.cluster_id)
        self.snapshots._keep(self.committed, encode_snapshot(snapshot))
        self.log.compact_to(max(self.log.entries[0][1], self.committed - 2))

    def install(self):
        """A leader that is far ahead sends its snapshot."""
        self.elect()
        ahead = tuple(self._command(self.last + number) for number in range(1, 4))
        self._becomes(self.commands[: self.committed - FIRST_INDEX] + ahead)
        snapshot = Snapshot(self.last, self.log.term, b"\n".join(self.commands), cluster_id=self.log.cluster_id)
        assert self.snapshots.receive(encode_snapshot(snapshot), first=True, last=True) == snapshot
        self.log.reset(snapshot.index, snapshot.term)
        self.committed, self.contents = self.last, [self.commands]

    def restart(self):
        self.log.close()
        self.start()

    def identify(self):
        """The cluster has got its id: the vote file is replaced and a segment begun, once."""
        if not self.log.cluster_id:
            self.log.identify(CLUSTER_ID)
            self.snapshots.cluster_id = CLUSTER_ID

    def _term_at(self):
        return next(entry[2] for entry in self.log.entries if entry[1] == self.committed)

    def _command(self, index):
        padding = b"x" * self.rng.choice((0, 1, 30, 120))
        return bytes([CommandKind.REGULAR]) + b"%d of term %d %s" % (index, self.log.term, padding)

    def _add(self):
        command = self._command(self.last + 1)
        self._becomes((*self.commands, command))
        self.log.append(command, self.last, self.log.term)

    def _becomes(self, commands):
        self.commands = commands
        self.contents.append(commands)

    def _sync(self):
        self.log.sync()
        self.contents = [self.commands]

    def _vote(self, term, voted_for):
        self.votes.append((term, voted_for))
        self.log.set_term_and_vote(term, voted_for)
        del self.votes[:-1]


class Tally:
    """What was found, by what was done to the disk."""

    def __init__(self):
        self.counts = {kind: Counter() for kind in ("crash", "damage", "last record", "healing")}
        self.failures = []
        self._known = {}

    def check(self, kind, contents, life, what):
        """Open *contents* and judge what comes of it."""
        outcome, found = self._opened(contents)
        if outcome == "recovered" and found[3]:
            outcome, found = _heal(Disk("disk", contents), life) if kind == "last record" else ("recovering", found)
        elif outcome == "recovered" and (found[0] not in life.contents or found[1:3] not in life.votes):
            outcome, found = "lost", f"found {found}, promised one of {life.contents} and of {life.votes}"
        if outcome == "refused" and not _NAMES_A_PLACE.search(found):
            outcome, found = "broken", f"the refusal names no place or no remedy: {found}"
        self._count(kind, outcome, f"{what}: {outcome}: {found}")

    def check_healing(self, contents, life, what):
        """Open what a loss of power left of a server that was being healed: it is recovering, or has everything."""
        outcome, found = self._opened(contents)
        if outcome == "recovered":
            lacks = found[0] == life.commands[:-1]
            if found[0] != life.commands and not (lacks and found[3]):
                outcome, found = "lost", f"found {found}, was to have {life.commands}"
            elif found[3]:
                outcome = "recovering"
        self._count("healing", outcome, f"{what}: {outcome}: {found}")

    def _count(self, kind, outcome, failure):
        self.counts[kind][outcome] += 1
        if outcome not in _ALLOWED[kind]:
            self.failures.append(f"{kind} {failure}")

    def _opened(self, contents):
        key = tuple(sorted(contents.items()))
        if key not in self._known:
            self._known[key] = _outcome(Disk("disk", contents))
        return self._known[key]


def _outcome(disk):
    try:
        found = reopen(DiskPath(disk))
        if reopen(DiskPath(Disk("disk", disk.survivors(names=False, data=False)))) != found:
            return "broken", "a second start, after a loss of power at the first, finds something else"
    except ConfigError as error:
        return "refused", str(error)
    except Exception as error:  # noqa: BLE001 - whatever else is raised is what is looked for
        return "broken", repr(error)
    return "recovered", found


def _heal(disk, life):
    """Ask a recovering server for its vote, then send it what *life* has; return what came of it."""
    try:
        engine, log, clock, parts = start(DiskPath(disk))
        held, term = _held(engine, log, parts), log.term + 1
        if held != life.commands[:-1]:
            return "lost", f"found {held}, promised all but the last of {life.commands}"
        _ask_for_votes(engine, life, term)
        clock.advance(10.0)
        engine.step()
        votes = [reply for reply in parts.sent if isinstance(reply, VoteReply | PreVoteReply)]
        if len(votes) != 2 or any(reply.granted for reply in votes) or engine.state is not RaftState.FOLLOWER:
            return "broken", f"a recovering server answered {votes} as {engine.state}"
        _, index, last_term = log.entries[-1]
        lacks = [entry for entry in life.log.entries if entry[1] > index]
        engine.on_message("s2", AppendEntries(term, life.committed, index, last_term, lacks, 0.0, 0))
        engine.step()
        clock.advance(0.6)
        parts.sent.clear()
        _ask_for_votes(engine, life, term + 1)
        engine.step()
        if not all(reply.granted for reply in parts.sent if isinstance(reply, VoteReply | PreVoteReply)):
            return "broken", f"a healed server answered {parts.sent}"
        found = reopen(DiskPath(Disk("disk", disk.survivors(names=False, data=False))))
    except Exception as error:  # noqa: BLE001 - whatever else is raised is what is looked for
        return "broken", repr(error)
    if found != (life.commands, term + 1, "id-2", False):
        return "lost", f"healed, it has {found}, not {life.commands}"
    return "healed", ""


def _ask_for_votes(engine, life, term):
    engine.on_message("s2", PreVote(term, life.last, term - 1))
    engine.on_message("s2", RequestVote(term, life.last, term - 1, "id-2"))


def crash_points(steps, seed, every=1):
    """Lose power after every byte of a life of *steps*, then damage what it left; one of *every* points is tried."""
    tally, moments = Tally(), 0

    def lose_power():
        nonlocal moments
        moments += 1
        if moments % every == 0:
            for names, (data, zeros) in _VIEWS:
                left = disk.survivors(names=names, data=data, zeros=zeros)
                tally.check("crash", left, life, f"after change {moments} (names {names}, data {data}, zeros {zeros})")

    disk = Disk("disk", on_change=lose_power)
    life = Life(DiskPath(disk), random.Random(seed))
    with on_disks():
        life.start()
        for number in range(steps):
            life.step()
            if number % (steps // 4) == steps // 4 - 1:
                _damage(disk, life, tally, every)
    return tally


def _damage(disk, life, tally, every):
    """Flip, zero and cut every byte of every file, and take each file away, as they lie now."""
    whole = disk.survivors(names=True, data=True)
    newest = max(n for n, content in whole.items() if n.endswith(".wal") and len(content) > begin_of(content))
    last, _ = last_record(whole[newest])
    for name, content in sorted(whole.items()):
        for at in range(0, len(content), every):
            kind = "last record" if name == newest and at >= last else "damage"
            damaged = [bytes([content[at] ^ mask]) for mask in (0x01, 0x80, 0xFF)] + [b"\0"]
            for byte in damaged:
                if byte != content[at : at + 1]:
                    left = content[:at] + byte + content[at + 1 :]
                    tally.check(kind, {**whole, name: left}, life, f"{name}: byte {at} became {byte.hex()}")
            wiped = content[:at] + b"\xff" * len(content[at : at + RECORD_HEADER_BYTES])
            if (name != newest or len(wiped) <= last) and not content.startswith(wiped):
                left = wiped + content[len(wiped) :]
                tally.check("damage", {**whole, name: left}, life, f"{name}: wiped from {at}")
            # The newest records, cut, are what they were at an earlier moment: losses of power have shown that, and no
            # file tells whether there were more.
            if name != newest:
                tally.check("damage", {**whole, name: content[:at]}, life, f"{name}: cut at {at}")
        others = {key: value for key, value in whole.items() if key != name}
        if not _may_be_missed(name, newest, whole, life):
            tally.check("damage", others, life, f"{name}: taken away")
    middle = (last + len(whole[newest])) // 2
    flipped = bytes([whole[newest][middle] ^ 0xFF])
    damaged = {**whole, newest: whole[newest][:middle] + flipped + whole[newest][middle + 1 :]}
    _lose_power_healing(damaged, life, tally, every)


def _may_be_missed(name, newest, whole, life):
    """Tell whether nobody needs the file, or nobody can know that it was there."""
    if name == "snapshot":
        return f"log-{1:020d}.wal" in whole
    # Behind a snapshot the first segment is one that compaction could have deleted.
    return name != "vote" and (name >= newest or life.snapshots.index > FIRST_INDEX)


def _lose_power_healing(contents, life, tally, every):
    """Lose power after every byte that a server writes while its damaged last record is cut and healed."""
    moments = 0

    def lose_power():
        nonlocal moments
        moments += 1
        if moments % every == 0:
            for names, (data, zeros) in _VIEWS:
                left = disk.survivors(names=names, data=data, zeros=zeros)
                tally.check_healing(left, life, f"after change {moments} (names {names}, data {data}, zeros {zeros})")

    disk = Disk("disk", contents, on_change=lose_power)
    _heal(disk, life)


def main():
    """Print the counts; the exit code says whether every point was recovered or refused as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.crash_points")
    parser.add_argument("--steps", type=int, default=120, help="steps of the recorded life, 4 at least (120)")
    parser.add_argument("--seed", type=int, default=1, help="what decides them (1)")
    parser.add_argument("--every", type=int, default=1, help="try one point of so many (1)")
    options = parser.parse_args()
    tally = crash_points(options.steps, options.seed, options.every)
    for kind, counts in tally.counts.items():
        figures = "  ".join(f"{outcome} {counts[outcome]}" for outcome in _OUTCOMES)
        print(f"{kind:11} points {counts.total()}  {figures}")
    for failure in tally.failures[:20]:
        print(failure, file=sys.stderr)
    return int(bool(tally.failures))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # the servers say at length what they make of it
    sys.exit(main())
