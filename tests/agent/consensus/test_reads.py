"""Reads that a leader confirms by a round: what confirms them, what does not, and what they cost."""

import pytest

from agent.consensus.codec import AppendEntries, AppendReply
from agent.consensus.read_rounds import ReadRounds
from agent.consensus.replicator import RaftState
from agent.errors import NotLeader
from tests.agent.consensus.test_pysyncobj_engine import Alone
from tests.sim.raft_world import RaftWorld


class Leader(Alone):
    """An `Alone` that leads, and has committed the first entry of its term."""

    def __init__(self, size=3, *, settled=True):
        super().__init__(size)
        self.lead()
        if settled:
            for node in self.world.names[1:]:
                self.answer(node, 0)

    def answer(self, node, read_round, term=None):
        """Hear *node* acknowledge the whole log; return what is sent to it meanwhile."""
        now, next_index = self.world.clock.monotonic(), self.engine.last_index + 1
        term = self.engine.term if term is None else term
        return self.hear(node, AppendReply(term, next_index, True, False, now, 0, read_round))

    def read(self):
        """Ask for a read, step, and return the list that its outcome goes to."""
        outcome = []
        self.engine.confirm_read(outcome.append)
        self.sent.clear()
        self.engine.step()
        return outcome

    def rounds(self):
        """Return the rounds of the appends that were sent."""
        return [(node, message.read_round) for node, message in self.sent if isinstance(message, AppendEntries)]


def test_a_read_is_answered_once_a_majority_answered_what_was_sent_after_it():
    """Neither one of four others, nor any number of answers to what was sent before, confirms it."""
    leader = Leader(size=5)
    leader.read()
    read = leader.read()
    before = list(read)
    for node in ("s2", "s3", "s4", "s5"):
        leader.answer(node, 0)
    old = list(read)
    leader.answer("s2", 1)
    leader.answer("s3", 1)  # the first read's round: the second's begins
    first = list(read)
    leader.answer("s4", 2)
    leader.answer("s4", 2)
    one = list(read)

    leader.answer("s2", 2)

    assert ([], [], [], []) == (before, old, first, one)
    assert read == [b""]


def test_a_round_is_for_all_reads_that_wait_and_the_next_waits_for_it():
    """Ten reads cost one append for each other server; those that come meanwhile share the round after it."""
    leader = Leader()
    reads = [[] for _ in range(10)]
    for read in reads:
        leader.engine.confirm_read(read.append)
    leader.sent.clear()
    leader.engine.step()
    first = leader.rounds()
    late = [leader.read() for _ in range(3)]
    meanwhile = leader.rounds()

    leader.answer("s2", 1)
    second = leader.rounds()
    waiting = list(late)
    leader.answer("s3", 2)

    assert [("s2", 1), ("s3", 1)] == sorted(first)
    assert [] == meanwhile
    assert [("s2", 2), ("s3", 2)] == sorted(second)
    assert [[b""]] * 10 == reads
    assert [[b""]] * 3 == late == waiting
    assert (13, 2) == (leader.engine.totals["reads"], leader.engine.totals["read_rounds"])


def test_without_reads_nothing_more_is_sent_and_a_read_writes_nothing():
    """Between two heartbeats a step sends nothing; a read leaves log and disk as they were."""
    leader = Leader()
    last = leader.engine.last_index
    leader.sent.clear()
    leader.engine.step()
    idle = list(leader.sent)
    leader.read()

    assert [] == idle
    assert (last, last) == (leader.engine.last_index, leader.log.durable_index)
    assert leader.engine.next_deadline() > leader.world.clock.monotonic()


def test_a_round_whose_appends_were_lost_is_carried_by_the_next_heartbeat():
    """A read needs no retry of its own."""
    leader = Leader()
    read = leader.read()
    leader.world.clock.advance(leader.world.timing.append_seconds)
    leader.sent.clear()
    leader.engine.step()
    again = leader.rounds()

    leader.answer("s3", 1)

    assert [("s2", 1), ("s3", 1)] == sorted(again)
    assert [b""] == read


def test_a_read_waits_for_the_first_entry_of_the_leaders_term():
    """Until then the leader does not know all that was committed before it."""
    leader = Leader(settled=False)
    read = leader.read()
    sent = leader.rounds()
    asleep = leader.engine.next_deadline() > leader.world.clock.monotonic()
    leader.answer("s2", 0)
    begun = leader.rounds()
    leader.answer("s2", 1)

    assert ([], True) == (sent, asleep)
    assert [("s2", 1), ("s3", 1)] == sorted(begun)
    assert [b""] == read


@pytest.mark.parametrize("out", [False, True], ids=["before its round", "while its round is out"])
def test_a_read_of_a_leader_that_is_deposed_is_refused(out):
    """It must be asked of the next one."""
    leader = Leader(settled=out)
    read = leader.read()

    leader.hear("s2", AppendEntries(leader.engine.term + 1, 1, 1, 0, [], leader.world.clock.monotonic(), 0))

    assert RaftState.FOLLOWER is leader.engine.state
    assert [NotLeader] == [type(outcome) for outcome in read]


def test_a_read_without_a_majority_is_refused_when_the_lease_is_lost():
    """Nobody waits for longer than that."""
    leader = Leader()
    read = leader.read()
    leader.world.clock.advance(leader.world.timing.lease_seconds)
    leader.engine.step()

    assert [NotLeader] == [type(outcome) for outcome in read]


def test_a_follower_refuses_a_read_and_names_the_leader():
    """At the next step."""
    alone = Alone()
    alone.append(1, 1, 0, [1])
    outcome = []
    alone.engine.confirm_read(outcome.append)
    due = alone.engine.next_deadline()
    alone.engine.step()

    assert due < alone.world.clock.monotonic()
    assert ["s2"] == [error.leader for error in outcome]


def test_an_answer_to_an_append_of_another_term_answers_no_round():
    """A former leader's rounds have the numbers of the new one's: only in the term of the question do they count."""
    alone = Alone()
    now = alone.world.clock.monotonic()
    (current,) = alone.hear("s2", AppendEntries(5, 1, 1, 0, [], now, 7))
    (old,) = alone.hear("s2", AppendEntries(3, 1, 1, 0, [], now, 9))

    assert (5, 7) == (current.term, current.read_round)
    assert (5, 0) == (old.term, old.read_round)


def test_an_answer_of_an_earlier_term_confirms_nothing():
    """It says who led then."""
    leader = Leader()
    read = leader.read()

    leader.answer("s2", 1, term=leader.engine.term - 1)

    assert [] == read


def test_a_group_of_one_answers_at_once():
    """There is nobody to ask."""
    world = RaftWorld(seed=1, size=1)
    engine = world.servers["s1"].engine
    world.run(1)
    outcome = []
    engine.confirm_read(outcome.append)
    engine.step()

    assert [b""] == outcome


def test_a_learner_confirms_nothing():
    """Only the answers of voters count, however many others answer."""
    rounds, read = ReadRounds(), []
    rounds.ask(read.append)
    rounds.begin(5)
    rounds.acknowledge("learner", 1)
    rounds.settle(("s2", "s3"), 5)
    before = list(read)
    rounds.acknowledge("s3", 1)
    rounds.settle(("s2", "s3"), 5)

    assert ([], [b""]) == (before, read)


def test_a_confirmed_read_waits_until_the_state_has_its_index():
    """What was committed when its round began is in what it is answered from."""
    rounds, read = ReadRounds(), []
    rounds.ask(read.append)
    rounds.begin(5)
    rounds.acknowledge("s2", 1)
    rounds.settle(("s2", "s3"), 4)
    before = list(read)
    rounds.settle(("s2", "s3"), 5)

    assert ([], [b""]) == (before, read)
