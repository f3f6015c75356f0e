"""Reads that wait until it is known that this server led after they had come: one round of appends for all that wait.

What leaves after a round has begun carries its number, and each answer carries it back. Once a majority of the voters
has answered the newest round that a read waits for, nobody else was elected before that read came; with everything
applied that was committed when the round began, the state has all that was answered for before the read.

A number is never given twice by one process, and the engine counts an answer only in the term that was asked in: only
one process leads in a term, so no answer to another one's round is taken for an answer to this one's.

Pure. Source: Raft dissertation (Ongaro), section 6.4.
"""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from agent.consensus.quorum import majority_index
from agent.errors import OutriderError

Finish = Callable[[bytes | OutriderError], None]
"""Called once, in the Raft thread, with nothing in it or with the reason why the read must not be answered here."""


@dataclass(frozen=True, slots=True)
class _Round:
    number: int
    index: int
    reads: list[Finish]


class ReadRounds:
    """The reads that wait at one server. All but `ask` and `waiting` belongs to the Raft thread."""

    def __init__(self) -> None:
        self._number = 0
        self._asked: deque[Finish] = deque()
        self._out: deque[_Round] = deque()
        self._confirmed: deque[_Round] = deque()
        self._answered: dict[str, int] = {}

    @property
    def number(self) -> int:
        """What an append that leaves now carries; 0 before the first round."""
        return self._number

    @property
    def waiting(self) -> int:
        """Reads that no round was begun for; from any thread."""
        return len(self._asked)

    @property
    def is_due(self) -> bool:
        """Whether reads wait for a round and none is out that they would have to wait for."""
        return bool(self._asked) and not self._out

    def ask(self, finish: Finish) -> bool:
        """Let a read wait; from any thread. True when nobody waited, so that the Raft thread is to be woken."""
        first = not self._asked
        self._asked.append(finish)
        return first

    def begin(self, commit_index: int) -> int:
        """Begin a round for all reads that wait and return how many; before the appends that are to carry it leave."""
        reads = [self._asked.popleft() for _ in range(len(self._asked))]
        if reads:
            self._number += 1
            self._out.append(_Round(self._number, commit_index, reads))
        return len(reads)

    def acknowledge(self, node: str, number: int) -> None:
        """Note that *node* answered, in this leader's term, a message that carried *number*."""
        self._answered[node] = max(number, self._answered.get(node, 0))

    def settle(self, others: Collection[str], applied_index: int) -> None:
        """Finish the reads whose round a majority of this server and the *others* that vote has answered.

        Those whose index is above *applied_index* wait for it.
        """
        if self._out:
            answered = majority_index([self._number, *(self._answered.get(node, 0) for node in others)])
            while self._out and self._out[0].number <= answered:
                self._confirmed.append(self._out.popleft())
        while self._confirmed and self._confirmed[0].index <= applied_index:
            for finish in self._confirmed.popleft().reads:
                finish(b"")

    def fail(self, error: OutriderError) -> None:
        """Finish everything that waits with *error*: this server does not lead, or leads no more."""
        rounds = [*self._confirmed, *self._out]
        self._confirmed.clear()
        self._out.clear()
        asked = [self._asked.popleft() for _ in range(len(self._asked))]
        for finish in (*(finish for each in rounds for finish in each.reads), *asked):
            finish(error)
