import os
import signal
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from compose.processes import ProcessTable, Running
from telemetry.clock import SystemClock

pytestmark = pytest.mark.integration

SLEEPER = (sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(600)",
)


def wait_for(condition, seconds: float = 10.0) -> bool:
    """Poll until *condition* holds, at most *seconds*."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        pause.wait(0.02)
    return False


@pytest.fixture
def table(tmp_path):
    """An empty table whose processes end with the test."""
    table = ProcessTable(tmp_path, SystemClock(), threading.Event().wait)
    yield table
    table.stop(table.names)


def test_a_started_process_is_found_again_by_another_table(table, tmp_path):
    """
    What one command started, a later one finds through the state file.
    """
    started = table.start("a", SLEEPER)

    later = ProcessTable(tmp_path, SystemClock(), threading.Event().wait)

    assert ("a",) == later.names
    assert started == later.get("a")
    assert Running.RUNNING is later.state("a")


def test_a_process_is_in_a_session_of_its_own(table):
    """
    A started process is detached: an interrupt at the terminal does not reach it.
    """
    started = table.start("a", SLEEPER)

    assert started.pid == os.getsid(started.pid)
    assert os.getsid(0) != started.pid


def test_a_paused_process_is_told_and_can_be_ended(table):
    """
    A stopped process shows as paused and still ends on SIGTERM.
    """
    table.start("a", SLEEPER)
    table.signal("a", signal.SIGSTOP)
    was_paused = wait_for(lambda: table.state("a") is Running.PAUSED)

    table.stop(["a"])

    assert was_paused
    assert Running.DEAD is table.state("a")


def test_a_killed_process_is_dead_and_starts_again(table):
    """
    After SIGKILL a process is dead, and restarting gives it a new id and the same command.
    """
    first = table.start("a", SLEEPER)
    table.signal("a", signal.SIGKILL)
    died = wait_for(lambda: table.state("a") is Running.DEAD)

    second = table.restart("a")

    assert died
    assert first.pid != second.pid
    assert (first.command, Running.RUNNING) == (second.command, table.state("a"))


def test_a_reused_id_is_never_signalled(table, tmp_path):
    """
    When the id belongs to a process that started at another time, it is left alone and ours counts as dead.
    """
    stranger = table.start("stranger", SLEEPER)
    forged = msgspec.structs.replace(stranger, name="ours", started=stranger.started - 60)
    (tmp_path / "state.json").write_bytes(msgspec.json.encode([forged]))
    later = ProcessTable(tmp_path, SystemClock(), threading.Event().wait)

    was_signalled = later.signal("ours", signal.SIGKILL)

    assert not was_signalled
    assert Running.DEAD is later.state("ours")
    assert Running.RUNNING is table.state("stranger")


def test_who_ignores_sigterm_is_killed(table, monkeypatch):
    """
    A process that does not end on SIGTERM is killed after the time it has.
    """
    monkeypatch.setattr("compose.processes.TERM_SECONDS", 0.3)
    table.start("a", STUBBORN)
    wait_for(lambda: table.last_lines("a", 1) == ["here"])

    table.stop(["a"])

    assert -signal.SIGKILL == table.exit_status("a")


def test_output_goes_to_the_log(table):
    """
    What a process prints is in its log, and its last lines can be quoted.
    """
    table.start("a", (sys.executable, "-c", "print('one\\ntwo\\nthree')"))
    wait_for(lambda: table.state("a") is Running.DEAD)

    lines = table.last_lines("a", 2)

    assert ["two", "three"] == lines
    assert 0 == table.exit_status("a")
    assert Path(table.get("a").log).name == "a.log"


def test_a_damaged_state_file_is_no_process(tmp_path):
    """
    A state file that cannot be read remembers nothing.
    """
    (tmp_path / "state.json").write_text("{", encoding="utf-8")

    assert () == ProcessTable(tmp_path, SystemClock(), threading.Event().wait).names


def test_what_was_added_to_the_environment_stays_over_a_restart(table):
    """
    A process gets what is added to the environment, also when it is started anew.
    """
    shower = (sys.executable, "-c", "import os, time; print(os.environ['ADDED'], flush=True); time.sleep(600)")
    table.start("a", shower, {"ADDED": "yes"})
    assert wait_for(lambda: ["yes"] == table.last_lines("a", 2))

    table.restart("a")

    assert wait_for(lambda: ["yes", "yes"] == table.last_lines("a", 2))
