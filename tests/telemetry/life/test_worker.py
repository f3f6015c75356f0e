"""The script's worker has always waited for longer than the servers' own, and counts what it asked."""

import asyncio
import threading
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import pytest

from agent.errors import Unreachable
from agent.rpc import methods as m
from tests.telemetry.life import counts, oracles, worker
from tests.telemetry.life.record import StepRecord
from tests.telemetry.life.worker import Asking, Worker


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """
    What waits for seconds waits for hundredths of them.
    """
    monkeypatch.setattr(worker, "ASKED_SECONDS", 0.04)
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.01)


def asked_until(answers, seconds):
    """Return what `Asking` found and itself, where *answers* come one after the other, None for ever after them."""

    async def ask():
        answer = answers.pop(0) if answers else None
        if isinstance(answer, Exception):
            raise answer
        await asyncio.sleep(0.0 if answer else worker.ASKED_SECONDS)
        return answer

    async def run():
        asking = Asking(ask)
        await asking.wait(seconds)
        return await asking.end(), asking

    return asyncio.run(run())


def test_questions_go_on_until_there_is_work():
    """
    Questions that ended without an answer are asked anew; all of them are counted, and two are open at a time.
    """
    found, asking = asked_until([None, None, None, "work"], 5.0)

    assert "work" == found
    assert 4 <= asking.answered <= 5
    assert asking.seconds > 0


def test_two_questions_are_open_at_a_time():
    """
    One of them has always waited for half a wait and more, when the other is asked anew.
    """
    begun = []

    async def run():
        loop = asyncio.get_running_loop()

        async def ask():
            begun.append(loop.time())
            await asyncio.sleep(worker.ASKED_SECONDS)

        asking = Asking(ask)
        await asking.wait(0.3)
        await asking.end()

    asyncio.run(run())

    assert begun[1] - begun[0] >= worker.ASKED_SECONDS * 0.49
    gaps = [after - before for before, after in pairwise(begun)]
    assert len(gaps) >= 2
    assert min(gaps) < worker.ASKED_SECONDS * 0.75


class Leader:
    """In the place of a leader: has an evaluation once `cause` was called, and writes down who asked for what."""

    def __init__(self):
        self.heard = []
        self.made = threading.Event()

    def cause(self):
        self.heard.append("cause")
        self.made.set()

    async def call(self, address, method, request, seconds):
        self.heard.append(method.name)
        if method is not m.EVAL_DEQUEUE:
            return None
        wait = asyncio.to_thread(self.made.wait, worker.ASKED_SECONDS)
        found = SimpleNamespace(job_id="a", type="batch") if await wait else None
        return SimpleNamespace(eval=found, token="t")


def test_the_script_asks_before_there_is_work_and_has_it(monkeypatch):
    """
    Both questions are open when the cause of the work comes; what one of them brings is the script's, and counted so.
    """
    monkeypatch.setattr(worker, "AHEAD_SECONDS", 0.2)
    leader = Leader()

    async def with_client(run):
        return await run(leader)

    monkeypatch.setattr(worker, "_with_client", with_client)
    agents = [SimpleNamespace(name="s1", rpc=1), SimpleNamespace(name="s2", rpc=2)]
    done = Counter()
    life = SimpleNamespace(
        cluster=SimpleNamespace(settings=SimpleNamespace(agents=agents)),
        leader="s2",
        watch=lambda seconds: None,
        held=Counter(),
        did=lambda name, *_, times=1, **__: done.update({name: times}),
    )

    found, token = Worker(life).take("batch", leader.cause)

    assert ("a", "t") == (found.job_id, token)
    assert leader.heard[: leader.heard.index("cause")].count(m.EVAL_DEQUEUE.name) >= 2
    assert {"batch": 1} == life.held
    assert 1 == done["taken: a"]
    assert leader.heard.count(m.EVAL_DEQUEUE.name) == done["Eval.Dequeue"]


def test_work_that_comes_late_is_not_lost():
    """
    What a question brings that was open as the time was up belongs to the script all the same.
    """

    async def run():
        async def ask():
            await asyncio.sleep(0.1)
            return "late"

        asking = Asking(ask)
        await asking.wait(0.01)
        return await asking.end()

    assert "late" == asyncio.run(run())


def test_nothing_is_found_where_another_worker_was_faster():
    """
    It ends when its time is up.
    """
    found, asking = asked_until([], 0.1)

    assert found is None
    assert asking.answered > 1


def test_a_question_without_an_answer_is_counted_apart():
    """
    A leader that is slow is asked again; whether it counted the question is not known.
    """
    found, asking = asked_until([Unreachable("slow"), "work"], 5.0)

    assert ("work", 1) == (found, asking.unsure)


def test_what_passed_is_known_as_well_as_the_time_of_the_answer():
    """
    An agent looks at its clock some time between question and answer, which on a busy machine are seconds apart.
    """
    moment = SimpleNamespace(
        wall=(1_000.0, 1_007.0),
        evals=[{"JobID": "a", "Status": "pending", "WaitUntil": "1970-01-01T00:17:00+00:00"}],
    )

    assert (900.0, 957.0) == oracles.since(moment, 50.0, 100.0)
    assert {("a",): (13.0, 20.0)} == oracles.waits_seconds(moment)


@pytest.mark.parametrize(("connects", "wanted"), [(40.0, (4.5, 14.0)), (8.0, (4.5, 8.0)), (2.0, (2.0, 2.0))])
def test_exchanges_are_no_more_than_their_connections(connects, wanted):
    """
    Three servers exchange once in half a minute each; a probe that is late opens a connection, too.
    """
    record = StepRecord("worker", ended=99.0, servers=("s1", "s2", "s3"))
    record.grown["s1"] = {("nomad_memberlist_tcp_connect", ()): connects}

    assert pytest.approx(wanted) == counts.exchanges(None, record)
