import random
import socket
from types import SimpleNamespace

import pytest

from alert_rules.settings import Times
from compose.drill.churn import AWAY_SECONDS, ELECTIONS_MAX, Churn, ChurnPlan, ChurnResult, Deed, summary
from compose.drill.drill import Drill, DrillSettings, Queue, jobs_of, skipped
from compose.drill.fault import Setup, Unable
from compose.drill.judge import Verdict
from compose.drill.matrix import FAULTS, find
from compose.drill.pause import Pause, Stopped
from compose.drill.ports import BLOCK, NoPorts, PortBlocks
from compose.drill.watching import _without
from compose.local import LocalError
from telemetry.clock import ManualClock

TEN_MINUTES = 600.0


def test_jobs_are_every_fault_on_every_size_so_often():
    """
    In the order of the table, and only on sizes that the fault knows and that are wanted.
    """
    faults = [find("kill-leader"), find("kill-minority")]

    jobs = jobs_of(faults, (3, 5), 2)

    names = [job.key for job in jobs]
    assert [("kill-leader", 3, 1), ("kill-leader", 3, 2), ("kill-leader", 5, 1), ("kill-leader", 5, 2)] == names[:4]
    assert [("kill-minority", 5, 1), ("kill-minority", 5, 2)] == names[4:]
    assert () == jobs_of([find("kill-minority")], (3,), 1)


def test_the_longest_jobs_are_taken_first_and_each_once():
    """
    A lane is not left with a long one in the end, and everything is taken.
    """
    jobs = jobs_of(FAULTS, (3, 5), 1)
    queue = Queue(jobs)

    taken = []
    while (job := queue.take(lambda _job: False)) is not None:
        taken.append(job)

    assert taken[0].fault.long_seconds == max(job.fault.long_seconds for job in jobs)
    assert {"leader-flapping", "unplaceable-job"} <= {job.fault.name for job in taken[:5]}
    assert sorted(job.key for job in jobs) == sorted(job.key for job in taken)


def test_a_lane_goes_on_with_what_its_cluster_can_take():
    """
    A job that suits comes before others, wherever it stands.
    """
    queue = Queue(jobs_of(FAULTS, (3, 5), 1))

    job = queue.take(lambda job: job.fault.setup is Setup.TWO_REGIONS)

    assert "region-lost" == job.fault.name


def test_a_fault_that_cannot_be_made_has_a_note_and_no_verdict():
    """
    It is skipped with its reason.
    """
    run = skipped(jobs_of([find("disk-slow")], (3,), 1)[0], 6, 1.0, "no compiler")

    assert (Verdict.SKIPPED, "no compiler", ()) == (run.verdict, run.note, run.judgement.lines)


def test_blocks_of_ports_never_overlap_and_are_free():
    """
    What is lent is not lent again until it is given back, and a block with a port in use is passed over.
    """
    blocks = PortBlocks(33_000)
    first = blocks.take()
    with socket.create_server(("127.0.0.1", first + BLOCK + 7)):
        second = blocks.take()
    blocks.give_back(first)

    assert second >= first + 2 * BLOCK
    assert first == blocks.take()


def test_no_ports_are_an_error_with_a_remedy():
    """
    Where no block is free the message names the option that looks elsewhere.
    """
    with pytest.raises(NoPorts, match="--port-base"):
        PortBlocks(65_400).take()


def test_a_pause_ends_when_it_is_stopped():
    """
    Every wait after a stop raises, however short.
    """
    pause = Pause(ManualClock())
    pause(0.0)
    before = pause.is_stopped
    pause.stop()

    with pytest.raises(Stopped):
        pause(60.0)
    assert [False, True] == [before, pause.is_stopped]


def test_a_pause_asks_until_an_answer_is_true():
    """
    The first true answer comes back, and nothing once the time is over.
    """
    clock = ManualClock()
    pause = Pause(clock)
    answers = iter([None, 0, 7])

    def late():
        clock.advance(5.0)
        return False

    assert 7 == pause.until(lambda: next(answers), 10.0)
    assert pause.until(late, 10.0) is None


def test_targets_are_taken_out_by_their_instance():
    """
    Only the named ones go, and what has no such targets stays as it is.
    """
    config = {"job_name": "s", "static_configs": [{"labels": {"instance": name}} for name in ("a", "b")]}

    assert {"job_name": "s", "static_configs": [{"labels": {"instance": "b"}}]} == _without(config, {"a", "c"})
    assert {"job_name": "f", "file_sd_configs": []} == _without({"job_name": "f", "file_sd_configs": []}, {"a"})


@pytest.mark.parametrize("seed", range(5))
def test_churn_never_makes_more_elections_than_are_healthy(seed):
    """
    In any ten minutes of an hour there are no more than restarting every server makes, and every deed comes up.
    """
    plan = ChurnPlan(random.Random(seed))
    times = [25.0 * number for number in range(144)]

    drawn = [(now, plan.draw(now)) for now in times]

    costs = [(now, deed.elections) for now, deed in drawn]
    worst = max(sum(cost for at, cost in costs if now - TEN_MINUTES < at <= now) for now in times)
    assert 1 <= worst <= ELECTIONS_MAX, seed
    assert set(Deed) == {deed for _, deed in drawn}, seed


def test_churn_is_replayed_by_its_seed():
    """
    The same seed draws the same deeds.
    """
    first, second = (ChurnPlan(random.Random(4)) for _ in range(2))

    assert [first.draw(30.0 * each) for each in range(20)] == [second.draw(30.0 * each) for each in range(20)]


def test_churn_keeps_within_what_is_no_event():
    """
    With a start of a few seconds what is killed is back within 15 s.
    """
    assert AWAY_SECONDS[1] + 3.0 < 15.0


@pytest.mark.parametrize(
    ("changed", "word"),
    [({}, "ok"), ({"alerts": 1}, "failed"), ({"watchdogs": 0}, "failed"), ({"was_stopped": True}, "stopped")],
)
def test_churn_is_ok_when_nothing_arrived_and_something_could_have(changed, word):
    """
    One alert fails it, and so does a chain that never gave a sign of life.
    """
    fine = {"deeds": {Deed.SCALE: 3}, "alerts": 0, "watchdogs": 4, "took_seconds": 90.0, "was_stopped": False}

    told = summary(ChurnResult(**fine | changed), 11)

    assert told[1].startswith(f"{word}: ")
    assert "3 x scale a job" in told[0]
    assert "seed 11" in told[1]


def test_what_was_told_before_the_change_is_not_of_it():
    """
    A cluster whose start was told is judged by what comes after; what comes amid a deed is counted.
    """
    clock = ManualClock()
    observer = SimpleNamespace(notifications=2, watchdogs=5, traces=lambda: ())

    class Stage:
        """Tells one alert during the first wait."""

        def __init__(self):
            self.observer = observer
            self.clients = ("client-1",)
            self.jobs = SimpleNamespace(stop=lambda name: None, register=lambda body: None)
            self.servers, self.nodes = ("server-1",), None

        def wait(self, seconds):
            clock.advance(max(seconds, 61.0))
            observer.notifications, observer.watchdogs = 3, 6

    class OnlyJobs(random.Random):
        """Draws changes of jobs alone."""

        def choice(self, seq):
            jobs = [one for one in seq if one in {Deed.NEW_JOB, Deed.SCALE}]
            return super().choice(jobs or seq)

    result = Churn(Stage(), OnlyJobs(3), lambda line: None, clock).run(1.0)

    assert (1, 1) == (result.alerts, result.watchdogs)


def drill_of(make):
    """Return a drill of two lanes whose stages come from *make*, and what it said."""
    clock, said = ManualClock(), []
    settings = DrillSettings(make=make, via="processes", times=Times(), clients=6, seed=1, lanes=2)
    return Drill(settings, said.append, Pause(clock), clock), said


def test_a_cluster_that_cannot_be_had_ends_the_drill():
    """
    After a second try the drill ends with the reason, and with a scoreboard of what was run.
    """
    tries = []

    def make(job):
        tries.append(job.key)
        raise LocalError("the port is taken")

    drill, said = drill_of(make)

    board = drill.run(jobs_of([find("kill-leader")], (3,), 1), ())

    assert "the port is taken" == str(drill.failure)
    assert 2 == len(tries)
    assert ((), []) == (board.runs, said)


def test_what_a_machine_cannot_do_is_skipped_and_the_rest_goes_on():
    """
    Each such fault has a note and no verdict, and the drill comes to its end.
    """

    def make(job):
        raise Unable(f"no {job.fault.name} here")

    drill, said = drill_of(make)

    board = drill.run(jobs_of([find("kill-leader"), find("disk-slow")], (3, 5), 1), ())

    assert drill.failure is None
    assert 4 == len(said) == len(board.runs)
    assert {Verdict.SKIPPED} == {run.verdict for run in board.runs}
    assert ["kill-leader", "kill-leader", "disk-slow", "disk-slow"] == [run.fault for run in board.runs]
    assert "no disk-slow here" == board.runs[2].note
