"""The queue of evaluations, kept only by the leader: at least once, one at a time for each job.

An evaluation waits (delayed), is pending behind another of its job, is ready, or is unacknowledged in the hands of a
worker. A worker that stays silent loses it, and another gets it; one that fails three times is put aside.
Source: Nomad, nomad/eval_broker.go; concepts, scheduling.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from agent.model.base import EvalID, JobKey
from agent.model.evaluation import Evaluation

NACK_TIMEOUT_SECONDS = 60.0
"""A worker that holds an evaluation for longer has lost it. Nomad's `eval_nack_timeout`."""

DELIVERY_LIMIT = 3
"""Deliveries after which an evaluation is put aside as failed. Nomad's `eval_delivery_limit`."""

INITIAL_NACK_DELAY_SECONDS = 1.0
SUBSEQUENT_NACK_DELAY_SECONDS = 20.0

FAILED_QUEUE = "_failed"
"""The scheduler type under which evaluations are kept that were delivered too often."""


class StaleTokenError(ValueError):
    """The token does not belong to the current delivery: the evaluation was given to another worker."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An evaluation in the hands of a worker, with the token that proves it."""

    evaluation: Evaluation
    token: str
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """How long a delivery took: from dequeued, and from first enqueued, to acknowledged."""

    evaluation: Evaluation
    process_seconds: float
    response_seconds: float
    superseded: tuple[Evaluation, ...]
    """Older evaluations of the same job that need not run any more."""


@dataclass(frozen=True, slots=True)
class BrokerStats:
    """How many evaluations are where; `by_scheduler` is (ready, unacknowledged) for each type seen."""

    ready: int
    unacked: int
    pending: int
    waiting: int
    cancelable: int
    by_scheduler: dict[str, tuple[int, int]]


@dataclass(slots=True)
class _Unacked:
    evaluation: Evaluation
    token: str
    dequeued_at: float
    deadline: float
    requeue: Evaluation | None = None


@dataclass(slots=True)
class _Ready:
    heap: list[tuple[int, int, Evaluation, float]] = field(default_factory=list)


class EvalBroker:
    """Evaluations on their way to a worker. Not thread-safe: one loop owns it.

    Pure: *now* is seconds of the caller's monotonic clock. While disabled, on every server but the leader, it holds
    nothing and `enqueue` does nothing.
    """

    def __init__(self, new_token: Callable[[], str]) -> None:
        self._new_token = new_token
        self._enabled = False
        self._sequence = 0
        self._clear()

    def _clear(self) -> None:
        self._ready: dict[str, _Ready] = {}
        self._unacked: dict[EvalID, _Unacked] = {}
        self._pending: dict[JobKey, list[tuple[int, int, Evaluation]]] = {}
        self._waiting: list[tuple[float, int, Evaluation]] = []
        self._active: dict[JobKey, EvalID] = {}
        self._enqueued_at: dict[EvalID, float] = {}
        self._deliveries: dict[EvalID, int] = {}

    @property
    def enabled(self) -> bool:
        """Whether this server leads."""
        return self._enabled

    def enable(self) -> None:
        """Begin to take evaluations."""
        self._enabled = True

    def disable(self) -> None:
        """Forget everything; what was in flight is the next leader's."""
        self._enabled = False
        self._clear()

    def enqueue(self, evaluation: Evaluation, now: float, delay_seconds: float = 0.0) -> None:
        """Take *evaluation*, ready after *delay_seconds*; one that is known already counts once.

        An evaluation that is in a worker's hands and comes again (it was updated) is queued when that one is done.
        """
        if not self._enabled:
            return
        unacked = self._unacked.get(evaluation.id)
        if unacked is not None:
            unacked.requeue = evaluation
            return
        if evaluation.id in self._enqueued_at:
            return
        self._enqueued_at[evaluation.id] = now
        if delay_seconds > 0:
            heapq.heappush(self._waiting, (now + delay_seconds, self._next(), evaluation))
        else:
            self._make_ready(evaluation, now)

    def dequeue(self, schedulers: Sequence[str], now: float) -> Delivery | None:
        """Give out the ready evaluation of highest priority for one of *schedulers*, oldest first; None without one."""
        self.tick(now)
        best: tuple[int, int, str] | None = None
        for scheduler in sorted(schedulers):
            queue = self._ready.get(scheduler)
            if queue and queue.heap:
                candidate = (queue.heap[0][0], queue.heap[0][1], scheduler)
                best = candidate if best is None else min(best, candidate)
        if best is None:
            return None
        _, _, evaluation, ready_at = heapq.heappop(self._ready[best[2]].heap)
        token = self._new_token()
        self._unacked[evaluation.id] = _Unacked(evaluation, token, now, now + NACK_TIMEOUT_SECONDS)
        self._deliveries[evaluation.id] = self._deliveries.get(evaluation.id, 0) + 1
        return Delivery(evaluation, token, now - ready_at)

    def token(self, eval_id: EvalID) -> str | None:
        """Return the token under which *eval_id* is in a worker's hands, or None."""
        unacked = self._unacked.get(eval_id)
        return unacked.token if unacked else None

    def is_outstanding(self, token: str) -> bool:
        """Tell whether a worker holds an evaluation under *token*."""
        return any(held.token == token for held in self._unacked.values())

    def touch(self, eval_id: EvalID, token: str, now: float) -> None:
        """Give the worker its full time again, since it showed a sign of life; raises StaleTokenError."""
        self._held(eval_id, token).deadline = now + NACK_TIMEOUT_SECONDS

    def ack(self, eval_id: EvalID, token: str, now: float) -> Acknowledged:
        """Finish a delivery and let the job's next evaluation through; raises StaleTokenError.

        Of several pending evaluations of one job only the newest is worth running: it sees what the others wanted.
        """
        unacked = self._held(eval_id, token)
        del self._unacked[eval_id]
        evaluation = unacked.evaluation
        enqueued_at = self._forget(eval_id, evaluation.job_key)
        superseded = self._next_of_job(evaluation.job_key, now)
        if unacked.requeue is not None:
            self.enqueue(unacked.requeue, now)
        return Acknowledged(evaluation, now - unacked.dequeued_at, now - enqueued_at, superseded)

    def nack(self, eval_id: EvalID, token: str, now: float) -> None:
        """Take a delivery back, to be given out again after a pause; raises StaleTokenError."""
        self._held(eval_id, token)
        self._take_back(eval_id, now)

    def tick(self, now: float) -> None:
        """Make delayed evaluations ready and take back those whose worker stayed silent."""
        while self._waiting and self._waiting[0][0] <= now:
            _, _, evaluation = heapq.heappop(self._waiting)
            self._make_ready(evaluation, now)
        for eval_id in [key for key, held in self._unacked.items() if held.deadline <= now]:
            self._take_back(eval_id, now)

    def next_deadline(self) -> float | None:
        """Return when `tick` next has something to do, or None."""
        times = [held.deadline for held in self._unacked.values()]
        if self._waiting:
            times.append(self._waiting[0][0])
        return min(times, default=None)

    def stats(self) -> BrokerStats:
        """Count what is where."""
        by_scheduler = {name: [len(queue.heap), 0] for name, queue in self._ready.items()}
        for held in self._unacked.values():
            by_scheduler.setdefault(self._queue_of(held.evaluation), [0, 0])[1] += 1
        return BrokerStats(
            ready=sum(len(queue.heap) for queue in self._ready.values()),
            unacked=len(self._unacked),
            pending=sum(len(heap) for heap in self._pending.values()),
            waiting=len(self._waiting),
            cancelable=0,  # superseded ones are cancelled with the acknowledgement, none waits for it
            by_scheduler={name: (ready, unacked) for name, (ready, unacked) in by_scheduler.items()},
        )

    def waiting_seconds(self, now: float) -> dict[JobKey, float]:
        """Return how long the next evaluation of each job is yet to wait that is not to be worked on before a time.

        What waits because it was given back is not among them.
        """
        due: dict[JobKey, float] = {}
        for at, _, evaluation in self._waiting:
            if evaluation.wait_until and evaluation.id not in self._deliveries:
                due[evaluation.job_key] = min(at, due.get(evaluation.job_key, at))
        return {key: max(0.0, at - now) for key, at in due.items()}

    def check_invariants(self) -> None:
        """Assert what must hold at any time: each job has one active evaluation, each evaluation one place."""
        ready = [entry[2].id for queue in self._ready.values() for entry in queue.heap]
        pending = [entry[2].id for heap in self._pending.values() for entry in heap]
        waiting = [entry[2].id for entry in self._waiting]
        places = [*ready, *pending, *waiting, *self._unacked]
        assert len(places) == len(set(places)), "an evaluation is in two places"
        assert set(places) == set(self._enqueued_at), "an evaluation is lost or forgotten"
        for key, eval_id in self._active.items():
            assert eval_id in self._enqueued_at, f"job {key} is held by a forgotten evaluation"
        assert all(key in self._active for key in self._pending), "a pending evaluation waits for nobody"

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _held(self, eval_id: EvalID, token: str) -> _Unacked:
        unacked = self._unacked.get(eval_id)
        if unacked is None or unacked.token != token:
            raise StaleTokenError(f"evaluation {eval_id} is not outstanding under this token")
        return unacked

    def _make_ready(self, evaluation: Evaluation, now: float) -> None:
        active = self._active.get(evaluation.job_key)
        if evaluation.job_id and active is not None and active != evaluation.id:
            entry = (-evaluation.modify_index, -self._next(), evaluation)
            heapq.heappush(self._pending.setdefault(evaluation.job_key, []), entry)
            return
        if evaluation.job_id:
            self._active[evaluation.job_key] = evaluation.id
        failed = self._deliveries.get(evaluation.id, 0) >= DELIVERY_LIMIT
        queue = self._ready.setdefault(FAILED_QUEUE if failed else evaluation.type, _Ready())
        heapq.heappush(queue.heap, (-evaluation.priority, self._next(), evaluation, now))

    def _queue_of(self, unacked: Evaluation) -> str:
        """Return the queue that *unacked* came from: one more delivery than workers get is the leader's."""
        given_up = self._deliveries.get(unacked.id, 0) > DELIVERY_LIMIT
        return FAILED_QUEUE if given_up else unacked.type

    def _take_back(self, eval_id: EvalID, now: float) -> None:
        evaluation = self._unacked.pop(eval_id).evaluation
        first = self._deliveries.get(eval_id, 0) <= 1
        delay = INITIAL_NACK_DELAY_SECONDS if first else SUBSEQUENT_NACK_DELAY_SECONDS
        heapq.heappush(self._waiting, (now + delay, self._next(), evaluation))

    def _forget(self, eval_id: EvalID, key: JobKey) -> float:
        self._deliveries.pop(eval_id, None)
        if self._active.get(key) == eval_id:
            del self._active[key]
        return self._enqueued_at.pop(eval_id)

    def _next_of_job(self, key: JobKey, now: float) -> tuple[Evaluation, ...]:
        heap = self._pending.pop(key, None)
        if not heap:
            return ()
        _, _, newest = heapq.heappop(heap)
        self._make_ready(newest, now)
        superseded = tuple(evaluation for _, _, evaluation in sorted(heap, key=lambda entry: entry[:2]))
        self._drop(superseded)
        return superseded

    def _drop(self, evaluations: Iterable[Evaluation]) -> None:
        for evaluation in evaluations:
            self._enqueued_at.pop(evaluation.id, None)
            self._deliveries.pop(evaluation.id, None)
