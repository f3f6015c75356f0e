"""`make catalogue` without its cluster: what is printed of recorded scrapes and of a life, and the exit code."""

import tarfile
from pathlib import Path

import pytest

from tests.telemetry import both_ways
from tests.telemetry.both_ways import main
from tests.telemetry.life.checks import Lived
from tests.telemetry.life.elsewhere import PROVEN, UNCHECKED
from tests.telemetry.life.seen import ELSEWHERE, STEP_OF
from tests.telemetry.life.values import CHECKS

GOLDEN = Path(__file__).parent.parent / "golden" / "nomad-2.0.5"
# Ten minutes after the recorded server was started.
MOMENT = "1763840000.5"


@pytest.fixture
def recording(tmp_path):
    """
    A function that makes a folder with an archive of one scrape of a server.
    """

    def make(text):
        inner = tmp_path / "made" / "kill-leader" / "s1"
        inner.mkdir(parents=True)
        (inner / f"{MOMENT}.prom").write_text(text)
        folder = tmp_path / "recordings"
        folder.mkdir()
        with tarfile.open(folder / "kill-leader.tar.xz", "w:xz") as packed:
            packed.add(tmp_path / "made" / "kill-leader", "kill-leader")
        return str(folder)

    return make


def test_what_is_recorded_at_rest_compares_without_a_remainder(capsys):
    """
    The three scrapes that are kept here pass, and it is said that no fault was looked at.
    """
    assert 0 == main(["--recorded"])

    lines = capsys.readouterr().out.splitlines()
    assert "recorded at rest: 3 scrapes, 1378 samples: 0 unknown, 0 wrong kind, 0 other labels, 0 missing" == lines[0]
    assert lines[1].startswith("recorded under faults: not looked at")


def test_recordings_under_faults_are_read_out_of_their_archives(recording, capsys):
    """
    Each scrape inside is compared, and one that is as a Nomad's brings nothing.
    """
    assert 0 == main(["--recorded", recording((GOLDEN / "follower.prom").read_text())])

    assert "recorded under faults: 1 scrapes," in capsys.readouterr().out


def test_what_differs_is_listed_with_its_place_and_fails(recording, capsys):
    """
    The recording and the agent are named, and the exit code is 1.
    """
    text = (GOLDEN / "follower.prom").read_text() + "nomad_new 1\n"

    assert 1 == main(["--recorded", recording(text)])

    assert "  kill-leader/s1: nomad_new is not in the catalogue (1 times)\n" in capsys.readouterr().out


def test_a_folder_that_is_none_is_refused(tmp_path, capsys):
    """
    The sentence names it.
    """
    assert 2 == main(["--recorded", str(tmp_path / "no")])

    assert "is no folder" in capsys.readouterr().err


def test_a_life_without_anything_fails_on_every_name_and_value(capsys):
    """
    What was not seen by its step, or compared with nothing, is listed and counted, and is no success.
    """
    nothing = Lived((), ())

    assert not both_ways.seen_by_their_steps(nothing)
    assert not both_ways.values_are_right(nothing)

    out = capsys.readouterr().out
    assert f"seen: 0 of {len(STEP_OF)} names by the end of their step, {len(ELSEWHERE)} elsewhere\n" in out
    checked, excused = len(CHECKS) + len(PROVEN), len(UNCHECKED)
    assert f"values: {checked} checked, {len(CHECKS)} wrong, {excused} without a check\n" in out
    assert "  outrider_raft_term: never seen, expected by the end of start\n" in out
