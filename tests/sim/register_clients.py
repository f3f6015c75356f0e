"""Clients of a simulated group: each has one operation under way, and keeps what it saw of it.

A client mostly asks whom it takes for the leader, goes on to another server when it is told so, repeats a write with the same
request id when its outcome is unknown, and gives up after a while. What certainly never happened is forgotten; of what
may have happened the return stays open.
"""

import random
from functools import partial

from agent.consensus.codec import CommandKind
from agent.errors import NotLeader
from agent.model.command import UpdateEvals, decode_result, encode
from agent.model.evaluation import Evaluation, Trigger
from tests.sim.linearizable import Operation

KEYS = ("a", "b")
_PATIENCE_SECONDS = 3.0
_ANSWER_SECONDS = 0.7
_SETTLED = 0.8
"""How often it asks whom it takes for the leader, and not anybody: or nobody would meet a new leader beside the old."""


class Client:
    """One client; `history` is what all clients saw. It stops when *until* has come."""

    def __init__(self, world, name, history, until):
        self.world, self.name, self.history, self.until = world, name, history, until
        self.rng = random.Random(f"{world.seed}:client:{name}")
        self.leader = world.names[0]
        self.number = 0
        self._attempt = 0
        self._pause()

    def end(self):
        """Stop; a write that is under way has an outcome that nobody learns."""
        self._attempt += 1
        if self._now is not None and self._now.writes:
            self.history.append(self._now)

    def _pause(self):
        self._now = None
        self.world._later(self.rng.expovariate(12), self._begin)

    def _begin(self):
        now = self.world.clock.monotonic()
        if now >= self.until:
            return
        self.number += 1
        draw = self.rng.random()
        self._asks = "write" if draw < 0.5 else "barrier" if draw < 0.65 else "read"
        value = f"{self.name}.{self.number}" if self._asks == "write" else ""
        self._now = Operation(self.name, self.rng.choice(KEYS), self._asks == "write", value, now)
        self._give_up_at, self._may_have_happened = now + _PATIENCE_SECONDS, False
        self._try()

    def _try(self):
        self._attempt += 1
        answer = partial(self._answered, self._attempt)
        name = self.leader if self.rng.random() < _SETTLED else self.rng.choice(self.world.names)
        self._later(self._arrive, name, self._now, self._asks, answer)
        self.world._later(_ANSWER_SECONDS, partial(answer, TimeoutError()))

    def _later(self, action, *arguments):
        """Do something after a way through the network, which loses one message of 50."""
        if self.rng.random() < 0.98:
            self.world._later(self.rng.uniform(0.0005, 0.01), partial(action, *arguments))

    def _arrive(self, name, operation, asks, answer):
        server = self.world.servers[name]
        if server.engine is None:
            self._later(answer, NotLeader())
        elif name in self.world.paused:
            # It is taken in when the server runs again, however long its sender has given up.
            self.world._hold(name, partial(self._arrive, name, operation, asks, answer))
        elif server.engine.state.value != "leader" or (asks == "read" and not server.surely_leads()):
            self._later(answer, NotLeader(self._hint(server)))
        elif asks == "read":
            self.world.counts["reads asked"] += 1
            server.engine.confirm_read(partial(self._confirmed, server, operation, answer))
        elif asks == "barrier":
            self.world.ask(name, CommandKind.NO_OP, b"", partial(self._confirmed, server, operation, answer))
        else:
            self.world.ask(name, CommandKind.REGULAR, _command(operation), partial(self._later, answer))

    def _hint(self, server):
        leader = server.engine._SyncObj__raftLeader
        return "" if leader is None else leader.id.removeprefix("id-")  # itself by its id, others by their address

    def _confirmed(self, server, operation, answer, result):
        if isinstance(result, bytes):
            # The event loop reads: somewhat later, and where the process was stopped between, after that.
            later = partial(self._look, server, server.boots, operation, answer)
            self.world._later(self.rng.choice((0.0, 0.001, 0.01)), later)
        else:
            self._later(answer, result)

    def _look(self, server, boot, operation, answer):
        if server.name in self.world.paused:
            self.world._hold(server.name, partial(self._look, server, boot, operation, answer))
        elif server.engine is not None and server.boots == boot:
            self._later(answer, _read(server, operation))

    def _answered(self, attempt, outcome):
        if attempt != self._attempt:
            return
        now = self.world.clock.monotonic()
        match outcome:
            case bytes() | str():
                self._done(now, outcome)
                return
            case NotLeader():
                self.leader = outcome.leader or self.rng.choice(self.world.names)
            case _:
                self._may_have_happened = True
                self.leader = self.rng.choice(self.world.names)
        if now < self._give_up_at:
            self._attempt += 1
            self.world._later(self.rng.uniform(0.02, 0.15), self._try)
            return
        self._attempt += 1
        if self._now.writes and self._may_have_happened:
            self.world.counts["unknown outcomes"] += 1
            self.history.append(self._now)
        self._pause()

    def _done(self, now, outcome):
        self._attempt += 1
        self.world.counts[{"write": "writes", "barrier": "reads behind a barrier", "read": "reads"}[self._asks]] += 1
        self._now.returned = now
        if self._now.writes:
            result = decode_result(outcome)
            assert not result.error, f"a write was refused: {result.error}"
        else:
            self._now.value = outcome
        self.history.append(self._now)
        self._pause()


def _read(server, operation):
    found = server.replicated.state.eval(operation.key)
    return "" if found is None else found.status_description


def _command(operation):
    evaluation = Evaluation(
        id=operation.key, job_id="registers", triggered_by=Trigger.SCHEDULED, status_description=operation.value
    )
    return encode(UpdateEvals(request_id=operation.value, at=0, evals=[evaluation]))
