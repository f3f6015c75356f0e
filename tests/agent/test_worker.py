"""A scheduling worker against a scripted leader: what it asks, hands in and gives back."""

import asyncio
import logging
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent import worker as module
from agent.errors import NoClusterLeader, RequestRefused, UnknownOutcome
from agent.model.base import EvalID, JobID, NodeID
from agent.model.command import RegisterJob, RegisterNode
from agent.model.evaluation import Evaluation
from agent.model.job import Job, Task, TaskGroup
from agent.model.node import DriverInfo, Node, NodeCpu, NodeDisk, NodeMemory, NodeResources
from agent.model.plan import PlanResult
from agent.rpc import methods as m
from agent.state.fsm import apply
from agent.state.store import State
from agent.worker import PLAN_ATTEMPTS_MAX, Worker, WorkerSurroundings
from telemetry.catalogue import outrider
from telemetry.clock import ManualClock
from telemetry.recorder import NullRecorder

EVALUATION = Evaluation(id=EvalID("e"), job_id=JobID("web"), triggered_by="job-register")


class Over(BaseException):
    """Ends a worker: the script has nothing more to say."""


class Leader:
    """Answers a worker's calls: one evaluation, then the end. *failing* maps a method's name to what it raises."""

    def __init__(self, evaluation=EVALUATION, failing=None, refresh_index=0):
        self.work = [evaluation]
        self.calls = []
        self.failing = failing or {}
        self.refresh_index = refresh_index

    async def call(self, method, request, timeout_seconds):
        self.calls.append((method.name, request))
        error = self.failing.get(method.name)
        if error is not None:
            raise error
        match method:
            case m.EVAL_DEQUEUE:
                if not self.work:
                    raise Over
                return m.EvalDequeueResponse(eval=self.work.pop(), token="token", wait_index=2)
            case m.PLAN_SUBMIT:
                return m.PlanSubmitResponse(result=PlanResult(refresh_index=self.refresh_index))
            case _:
                return m.Response()

    def names(self):
        """Return the calls after the first dequeue, without the last."""
        return [name.partition(".")[2] for name, _ in self.calls[1:-1]]


class Counted(NullRecorder):
    """Keeps what was added."""

    def __init__(self):
        self.added = []

    def add(self, metric, amount=1.0, labels=(), expansion=""):
        self.added.append((metric, *labels))


def state():
    task = Task(name="t", driver="raw_exec", config={"command": "/bin/true"})
    job = Job(id=JobID("web"), task_groups=[TaskGroup(name="g", count=1, tasks=[task])])
    node = Node(
        id=NodeID("n"), name="n", status="ready", drivers={"raw_exec": DriverInfo(detected=True, healthy=True)},
        attributes={"kernel.name": "linux", "driver.raw_exec": "1"},
        node_resources=NodeResources(
            cpu=NodeCpu(cpu_shares=4000), memory=NodeMemory(memory_mb=4000), disk=NodeDisk(disk_mb=9000)
        ),
    )  # fmt: skip
    first = apply(State(), 1, RegisterNode(request_id="1", at=0, node=node)).state
    return apply(first, 2, RegisterJob(request_id="2", at=0, job=job)).state


def run(leader, *, caught_up=True, recorder=None):
    """Let a worker work until the script is over; return whether it was busy then."""

    async def scenario():
        async def wait_for_index(index, timeout_seconds):
            return caught_up

        ids = iter(range(1000))
        around = WorkerSurroundings(
            caller=leader, state=state, wait_for_index=wait_for_index, new_id=lambda: f"id-{next(ids)}",
            clock=ManualClock(), recorder=recorder or NullRecorder(), logger=logging.getLogger("test.worker"),
            region="global", schedulers=("service",),
        )  # fmt: skip
        with ThreadPoolExecutor(1) as pool:
            worker = Worker(around, pool, random.Random(1))
            with pytest.raises(Over):
                await worker.run()
        return worker.busy

    return asyncio.run(scenario())


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(module, "BACKOFF_SECONDS", 0.0)


def test_an_evaluation_is_planned_written_and_acknowledged():
    """
    In this order, with the token it came with; the worker is free again afterwards.
    """
    leader = Leader()

    busy = run(leader)

    assert ["Submit", "Update", "Ack"] == leader.names()
    assert "token" == leader.calls[1][1].plan.eval_token
    assert {"token"} == {request.eval_token for name, request in leader.calls if name == "Eval.Update"}
    assert not busy


def test_a_refused_plan_is_made_again_and_not_for_ever():
    """
    Each time from a newer state; after the last attempt what follows is written instead.
    """
    leader = Leader(refresh_index=3)

    run(leader)

    assert PLAN_ATTEMPTS_MAX == leader.names().count("Submit")
    assert "Create" in leader.names()
    assert "Ack" == leader.names()[-1]


def test_a_server_that_lags_gives_the_evaluation_back(caplog):
    """
    Scheduling on an old state would place twice; another server may be newer.
    """
    leader = Leader()

    run(leader, caught_up=False)

    assert ["Nack"] == leader.names()
    assert "was not applied here" in caplog.text


def test_a_bug_in_a_scheduler_costs_neither_worker_nor_evaluation(caplog, monkeypatch):
    """
    It is logged with its traceback, counted, and the evaluation given back.
    """
    monkeypatch.setattr(module, "process", lambda *_, **__: 1 / 0)
    recorder, leader = Counted(), Leader()

    run(leader, recorder=recorder)

    assert ["Nack"] == leader.names()
    assert (outrider.TASK_FAILURES_TOTAL, "scheduler") in recorder.added
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("method", "error", "expected"),
    [
        ("Plan.Submit", UnknownOutcome("lost"), ["Submit", "Nack"]),
        ("Eval.Update", RequestRefused("not outstanding"), ["Submit", "Update", "Nack"]),
        ("Eval.Ack", NoClusterLeader(), ["Submit", "Update", "Ack"]),
    ],
)
def test_what_fails_is_given_back_once(method, error, expected):
    """
    The worker goes on; an acknowledgement that is lost is the leader's to notice.
    """
    leader = Leader(failing={method: error})

    run(leader)

    assert expected == leader.names()


def test_the_first_failure_is_told_also_when_giving_back_fails(caplog):
    """
    What went wrong counts, not that the leader is gone as well.
    """
    leader = Leader(failing={"Plan.Submit": UnknownOutcome("the plan is lost"), "Eval.Nack": NoClusterLeader()})

    run(leader)

    assert "the plan is lost" in caplog.text
