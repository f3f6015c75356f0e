"""News that wait to be sent along with other packets, each a limited number of times. Pure.

Source: SWIM (Das, Gupta, Motivala), section 4.1: news ride on packets that are sent anyway, and after some multiple of
log(n) sends nearly everybody has them; the full exchanges reach the rest.
"""

import math
from dataclasses import dataclass

QUEUE_LENGTH_MAX = 1024
"""Subjects with news at one time; above it the most often sent ones go first, as most members have them."""


@dataclass(slots=True)
class _News:
    payload: bytes
    sends: int
    number: int


class BroadcastQueue:
    """The latest news of each subject, with how often they were sent."""

    def __init__(self, retransmit_multiplier: int) -> None:
        self._multiplier = retransmit_multiplier
        self._news: dict[str, _News] = {}
        self._numbered = 0

    def __len__(self) -> int:
        return len(self._news)

    def count(self, prefix: str) -> int:
        """Return of how many subjects that begin with *prefix* there are news."""
        return sum(subject.startswith(prefix) for subject in self._news)

    def put(self, subject: str, payload: bytes) -> None:
        """Queue *payload* as the news of *subject*, in place of older ones."""
        self._numbered += 1
        self._news[subject] = _News(payload, 0, self._numbered)
        if len(self._news) > QUEUE_LENGTH_MAX:
            del self._news[max(self._news, key=lambda name: (self._news[name].sends, -self._news[name].number))]

    def drop(self, prefix: str) -> None:
        """Forget the news of all subjects that begin with *prefix*."""
        for subject in [subject for subject in self._news if subject.startswith(prefix)]:
            del self._news[subject]

    def take(self, budget: int, members: int) -> list[tuple[str, bytes]]:
        """Return subject and payload of news, the least sent and then newest first, and count them as sent.

        Together they have *budget* bytes at most. *members* is the size of the group: news are dropped once they were
        sent `sends_max` times.
        """
        taken: list[tuple[str, bytes]] = []
        limit = sends_max(self._multiplier, members)
        for subject, news in sorted(self._news.items(), key=lambda item: (item[1].sends, -item[1].number)):
            if len(news.payload) > budget:
                continue
            budget -= len(news.payload)
            taken.append((subject, news.payload))
            news.sends += 1
            if news.sends >= limit:
                del self._news[subject]
        return taken


def sends_max(multiplier: int, members: int) -> int:
    """Return how often news are sent in a group of so many *members*.

    memberlist takes the decimal logarithm: 4 times among 7, after which somebody misses one of the 42 pieces of news of
    a start in one of seven simulated starts, and waits for a full exchange. The natural one costs a few packets more.
    """
    return multiplier * math.ceil(math.log(members + 1))
