"""Processes as /proc shows them."""

import pytest

from agent.client.drivers.raw_exec import Status, exit_result, read_status
from agent.client.proc import parse_stat, usage_by_session

STAT = "4242 (a b) c)) S 1 4242 4200 0 -1 4194560 500 0 0 0 {user} {system} 20 10 20 0 1 0 987654 123 {rss} 184 1 1 0"


def test_a_stat_with_a_strange_name_is_read():
    """
    A program's name may hold blanks and parentheses; times of ended children are added.
    """
    stat = parse_stat(STAT.format(user=100, system=50, rss=7))

    assert (4242, "S", 4200, 987654) == (stat.pid, stat.state, stat.session, stat.started_ticks)
    assert (120, 60, 7) == (stat.user_ticks, stat.system_ticks, stat.rss_pages)


@pytest.mark.parametrize("text", ["", "1 (x", "1 (x) S 1 2"])
def test_a_damaged_stat_is_none(text):
    """
    A process that went away while it was read counts as gone.
    """
    assert parse_stat(text) is None


def test_the_use_of_a_session_is_the_sum_of_its_processes(tmp_path):
    """
    Only processes of the sessions asked for are added up.
    """
    for pid, session, user in ((10, 10, 100), (11, 10, 50), (12, 12, 999)):
        (tmp_path / str(pid)).mkdir()
        stat = f"{pid} (x) S 1 {session} {session} 0 -1 0 0 0 0 0 {user} 0 0 0 20 0 1 0 5 1 2 0 0 0"
        (tmp_path / str(pid) / "stat").write_text(stat)
    (tmp_path / "11" / "status").write_text("Name:\tx\nVmSwap:\t      3 kB\n")
    (tmp_path / "self").mkdir()

    found = usage_by_session({10, 99}, tmp_path)

    assert {10} == set(found)
    assert pytest.approx(1.5) == found[10].user_seconds
    assert (3072, 4 * 4096) == (found[10].swap_bytes, found[10].rss_bytes)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", Status()),
        ("pid 12\n", Status(12)),
        ("pid 12\nexit 3\n", Status(12, 3)),
        ("pid 12\nexit 13", Status(12)),
        ("pid x\nnoise\n", Status()),
    ],
)
def test_a_status_file_counts_by_whole_lines(tmp_path, text, status):
    """
    A line that was cut off by the end of its writer says nothing.
    """
    path = tmp_path / "status"
    path.write_text(text)

    assert status == read_status(path)
    assert Status() == read_status(tmp_path / "missing")


def test_codes_above_128_are_signals():
    """
    A shell tells a signal by its number above 128; other codes have none.
    """
    assert (143, 15) == (exit_result(143).exit_code, exit_result(143).signal)
    assert (3, 0) == (exit_result(3).exit_code, exit_result(3).signal)
    assert (255, 0) == (exit_result(255).exit_code, exit_result(255).signal)
    assert exit_result(0).successful
    assert not exit_result(128).successful
