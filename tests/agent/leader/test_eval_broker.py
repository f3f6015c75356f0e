"""The queue of evaluations."""

import itertools

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.leader.eval_broker import (
    DELIVERY_LIMIT,
    FAILED_QUEUE,
    INITIAL_NACK_DELAY_SECONDS,
    NACK_TIMEOUT_SECONDS,
    SUBSEQUENT_NACK_DELAY_SECONDS,
    EvalBroker,
    StaleTokenError,
)
from agent.model.evaluation import Evaluation

NOW = 1_000.0


def evaluation(id_, job="web", priority=50, index=1, kind="service"):
    return Evaluation(id=id_, job_id=job, triggered_by="job-register", type=kind, priority=priority, modify_index=index)


@pytest.fixture
def broker():
    tokens = itertools.count()
    broker = EvalBroker(lambda: f"token-{next(tokens)}")
    broker.enable()
    yield broker
    broker.check_invariants()


def test_higher_priority_is_given_out_first(broker):
    """
    Priority decides, then age.
    """
    broker.enqueue(evaluation("low", job="a", priority=10), NOW)
    broker.enqueue(evaluation("high", job="b", priority=90), NOW)
    broker.enqueue(evaluation("high2", job="c", priority=90), NOW)

    order = [broker.dequeue(["service"], NOW).evaluation.id for _ in range(3)]

    assert ["high", "high2", "low"] == order


def test_one_evaluation_of_a_job_at_a_time(broker):
    """
    A second evaluation of a job waits until the first is acknowledged.
    """
    broker.enqueue(evaluation("first"), NOW)
    broker.enqueue(evaluation("second", index=2), NOW)
    first = broker.dequeue(["service"], NOW)

    nothing = broker.dequeue(["service"], NOW)
    broker.ack("first", first.token, NOW + 1)
    second = broker.dequeue(["service"], NOW + 1)

    assert nothing is None
    assert "second" == second.evaluation.id


def test_what_waits_for_its_time_says_for_how_long(broker):
    """
    Of each job the next one; what is ready, or waits because it was given back, is not among them.
    """
    for name, job, delay in (("late", "web", 90.0), ("soon", "web", 30.0), ("other", "db", 60.0)):
        later = msgspec.structs.replace(evaluation(name, job=job), wait_until=1)
        broker.enqueue(later, NOW, delay)
    broker.enqueue(evaluation("now", job="api"), NOW)
    broker.nack("now", broker.dequeue(["service"], NOW).token, NOW)

    assert {("default", "web"): 20.0, ("default", "db"): 50.0} == broker.waiting_seconds(NOW + 10)
    assert {} == EvalBroker(str).waiting_seconds(NOW)


def test_only_the_newest_pending_evaluation_runs(broker):
    """
    Older pending evaluations of a job are superseded by the newest.
    """
    broker.enqueue(evaluation("running"), NOW)
    for index in (2, 3, 4):
        broker.enqueue(evaluation(f"pending-{index}", index=index), NOW)
    held = broker.dequeue(["service"], NOW)

    done = broker.ack("running", held.token, NOW)

    assert {"pending-2", "pending-3"} == {older.id for older in done.superseded}
    assert "pending-4" == broker.dequeue(["service"], NOW).evaluation.id


def test_a_silent_worker_loses_its_evaluation(broker):
    """
    After the timeout and a pause another worker gets it, and the old token is worth nothing.
    """
    broker.enqueue(evaluation("e"), NOW)
    lost = broker.dequeue(["service"], NOW)

    broker.tick(NOW + NACK_TIMEOUT_SECONDS)
    again = broker.dequeue(["service"], NOW + NACK_TIMEOUT_SECONDS + INITIAL_NACK_DELAY_SECONDS)

    assert "e" == again.evaluation.id
    with pytest.raises(StaleTokenError):
        broker.ack("e", lost.token, NOW + 70)


def test_an_evaluation_that_always_fails_is_put_aside(broker):
    """
    After the delivery limit only who asks for failed evaluations gets it.
    """
    broker.enqueue(evaluation("poison"), NOW)
    now = NOW
    for _ in range(DELIVERY_LIMIT):
        held = broker.dequeue(["service"], now)
        broker.nack("poison", held.token, now)
        now += SUBSEQUENT_NACK_DELAY_SECONDS

    assert broker.dequeue(["service"], now) is None
    assert "poison" == broker.dequeue([FAILED_QUEUE], now).evaluation.id


def test_a_delayed_evaluation_is_ready_when_due(broker):
    """
    The deadline is offered to the shell, and holds.
    """
    broker.enqueue(evaluation("later"), NOW, delay_seconds=30)

    assert NOW + 30 == broker.next_deadline()
    assert broker.dequeue(["service"], NOW + 29.9) is None
    assert "later" == broker.dequeue(["service"], NOW + 30).evaluation.id


def test_an_update_while_in_a_workers_hands_runs_after_it(broker):
    """
    Nothing that changed meanwhile is lost.
    """
    broker.enqueue(evaluation("e"), NOW)
    held = broker.dequeue(["service"], NOW)

    broker.enqueue(evaluation("e", index=9), NOW + 1)
    broker.ack("e", held.token, NOW + 2)

    assert 9 == broker.dequeue(["service"], NOW + 2).evaluation.modify_index


def test_a_disabled_broker_holds_nothing(broker):
    """
    A follower neither queues nor remembers.
    """
    broker.enqueue(evaluation("e"), NOW)

    broker.disable()
    broker.enqueue(evaluation("f"), NOW)

    stats = broker.stats()
    assert (0, 0, 0, 0) == (stats.ready, stats.unacked, stats.pending, stats.waiting)


def test_times_of_a_delivery_are_measured(broker):
    """
    Waiting, processing and the whole are told apart.
    """
    broker.enqueue(evaluation("e"), NOW)

    delivery = broker.dequeue(["service"], NOW + 2)
    done = broker.ack("e", delivery.token, NOW + 5)

    assert (2.0, 3.0, 5.0) == (delivery.waited_seconds, done.process_seconds, done.response_seconds)


class BrokerMachine(RuleBasedStateMachine):
    """Random steps: no evaluation is lost, none is held twice, one a job at a time."""

    def __init__(self):
        super().__init__()
        tokens = itertools.count()
        self.broker = EvalBroker(lambda: f"t{next(tokens)}")
        self.broker.enable()
        self.now = NOW
        self.held = {}
        self.known = set()
        self.serial = itertools.count()

    @rule(job=st.sampled_from("abc"), priority=st.integers(1, 100), delay=st.sampled_from([0, 0, 5]))
    def enqueue(self, job, priority, delay):
        number = next(self.serial)
        self.known.add(f"e{number}")
        self.broker.enqueue(evaluation(f"e{number}", job, priority, number), self.now, delay)

    @rule()
    def dequeue(self):
        delivery = self.broker.dequeue(["service", FAILED_QUEUE], self.now)
        if delivery is not None:
            assert delivery.evaluation.job_id not in {held.evaluation.job_id for held in self.held.values()}
            self.held[delivery.evaluation.id] = delivery

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def ack(self, data):
        eval_id = data.draw(st.sampled_from(sorted(self.held)))
        done = self.broker.ack(eval_id, self.held.pop(eval_id).token, self.now)
        self.known -= {eval_id, *(older.id for older in done.superseded)}

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def nack(self, data):
        eval_id = data.draw(st.sampled_from(sorted(self.held)))
        self.broker.nack(eval_id, self.held.pop(eval_id).token, self.now)

    @rule(seconds=st.sampled_from([0.5, 5, 30]))
    def wait(self, seconds):
        self.now += seconds
        self.broker.tick(self.now)
        self.held = {key: held for key, held in self.held.items() if self.broker.token(key) == held.token}

    @invariant()
    def nothing_is_lost(self):
        self.broker.check_invariants()
        stats = self.broker.stats()
        assert len(self.known) == stats.ready + stats.unacked + stats.pending + stats.waiting


TestBrokerMachine = BrokerMachine.TestCase
TestBrokerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
