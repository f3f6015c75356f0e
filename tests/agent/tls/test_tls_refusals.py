"""What the log hears of those who are turned away."""

import logging

from agent.tls.refusals import KINDS_MAX, REPEAT_SECONDS, Refusals


def told(caplog, *knocks):
    refusals = Refusals("http: refused a connection from", logging.getLogger("t"))
    for knock in knocks:
        refusals.tell(*knock)
    return caplog.messages


def test_the_same_host_and_reason_are_one_line_a_minute(caplog):
    """
    Whatever port it comes from; another host or another reason is another line.
    """
    lines = told(
        caplog,
        (0.0, "10.0.0.1:1", "a"),
        (1.0, "10.0.0.1:2", "a"),
        (2.0, "10.0.0.1:3", "b"),
        (3.0, "[::1]:4", "a"),
        (REPEAT_SECONDS - 0.1, "10.0.0.1:5", "a"),
        (REPEAT_SECONDS, "10.0.0.1:6", "a"),
    )

    assert [
        "http: refused a connection from=10.0.0.1:1 reason='a'",
        "http: refused a connection from=10.0.0.1:3 reason='b'",
        "http: refused a connection from=[::1]:4 reason='a'",
        "http: refused a connection from=10.0.0.1:6 reason='a'",
    ] == lines


def test_many_hosts_cost_no_memory_without_end(caplog):
    """
    The oldest is forgotten, and so told again.
    """
    knocks = [(0.0, f"10.0.{number // 256}.{number % 256}:1", "a") for number in range(KINDS_MAX + 1)]

    lines = told(caplog, *knocks, knocks[0], knocks[-1])

    assert KINDS_MAX + 2 == len(lines)
