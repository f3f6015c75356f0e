"""What `make dashboards-live` does and says, without a cluster."""

import pytest

from agent.errors import UnknownOutcome
from dashboards.fleet import FLEET
from tests.dashboards import live, lived
from tests.dashboards.asking import Asked, Asker
from tests.dashboards.live import main, moments, unlived, wrong
from tests.dashboards.lived import Watched, steps
from tests.telemetry.life.life import Step


class Clock:
    """Stands still but for what the steps take."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def life(monkeypatch):
    """A life whose steps are called, and nothing else."""
    found = Watched(cluster=None)
    found.clock = Clock()
    monkeypatch.setattr(found, "_live", lambda step: step.run(found))
    return found


def step(name, *outcomes, seconds=1.0):
    """Return a step that ends so the first, second and further times, None well."""
    left = list(outcomes)

    def run(life):
        life.clock.now += seconds
        if left and (error := left.pop(0)) is not None:
            raise error

    return Step(name, "", run)


def test_a_step_that_a_busy_machine_disturbs_is_tried_again_and_others_are_lived(life, capsys):
    """
    Whatever it failed with; one that fails again is said, and does not end the life.
    """
    life.run(
        [
            step("once", UnknownOutcome("cut")),
            step("held", AssertionError("none")),
            step("twice", SystemExit("no"), SystemExit("never")),
            step("well"),
        ]
    )

    assert ["never"] == life.missed
    assert [
        "  once: cut, once more",
        "  held: none, once more",
        "  twice: no, once more",
        "  twice: never",
        "  not lived: never",
    ] == (capsys.readouterr().out.splitlines())
    assert 7 == life.clock.now


def test_no_step_begins_when_the_time_is_over(life):
    """
    A machine that is too slow ends with a report, not never.
    """
    life.run([step("long", seconds=lived.LIFE_SECONDS_MAX + 1), step("late", seconds=5)])

    assert [f"late: the {lived.LIFE_SECONDS_MAX:.0f} s are over"] == life.missed
    assert lived.LIFE_SECONDS_MAX + 1 == life.clock.now


def test_clients_are_lost_before_another_server_leads():
    """
    A new leader gives each client five minutes, for which the life would wait.
    """
    names = [each.name for each in steps()]

    assert names.index("client-lost") < min(names.index(each) for each in ("lease", "member-lost", "leader-lost"))
    assert len(names) == len(set(names))


def test_every_part_of_a_life_is_asked_about():
    """
    Two minutes at a time, and a last part that is shorter.
    """
    assert (220.0, 340.0, 350.0) == moments(100.0, 350.0)
    assert (130.0,) == moments(100.0, 130.0)


FOUND = {
    "moves": Asked("moves", "a", is_sure=True, values=3, moving=True),
    "still": Asked("still", "b", is_sure=False, values=3),
    "sure and still": Asked("sure and still", "c", is_sure=True, values=3),
    "empty": Asked("empty", "d", is_sure=False),
    "sure and empty": Asked("sure and empty", "e", is_sure=True),
    "refused": Asked("refused", "f", is_sure=False, errors=["bad"], values=1, moving=True),
}


def test_refused_queries_and_those_that_are_always_to_have_an_answer_fail():
    """
    Of a real Nomad nothing else can be demanded: recordings are of the faults that they are of.
    """
    assert ["not answered: sure and empty", "refused: refused"] == list(wrong(FOUND))


def test_of_our_own_cluster_every_query_must_say_something():
    """
    Neither nothing nor only 0, but for what is excused; an excuse of no query is told.
    """
    assert ["only 0: still", "only 0: sure and still", "not answered: empty"] == list(unlived(FOUND, {}))
    assert ["only 0: still", "only 0: sure and still"] == list(unlived(FOUND, {"empty": "it never happens"}))
    assert "NOT_LIVED names 'away', of which there is no query" in list(unlived(FOUND, {"away": "it never happens"}))


def test_a_prometheus_that_does_not_answer_is_an_error_of_each_query():
    """
    It is told with the others, and the run ends.
    """
    asker = Asker("http://127.0.0.1:9", 5.0, is_ours=True)

    asker.ask(FLEET, "local", "global", 1_800_000_000.0)

    assert asker.found
    assert all(each.errors[0].startswith("no answer: ") for each in asker.found.values())


def test_recordings_alone_need_a_folder(monkeypatch, capsys):
    """
    One sentence says how.
    """
    monkeypatch.setattr("tests.dashboards.live.find_or_explain", lambda name: ([name], ""))

    assert 2 == main(["--recorded"])
    assert "say the folder of the recordings" in capsys.readouterr().err


def test_what_takes_too_long_to_ask_fails_and_ends(monkeypatch):
    """
    It is said how much is left; nothing more is asked.
    """
    asked = []
    monkeypatch.setattr(live, "ASKING_SECONDS_MAX", -1.0)
    asker = Asker("", 5.0, is_ours=True)
    monkeypatch.setattr(asker, "ask", lambda *words: asked.append(words))

    said = live._ask(asker, "local", ("global",), (1.0, 2.0))

    assert ["not asked: 14 of 14 rounds, for -1 s were over"] == said
    assert [] == asked
