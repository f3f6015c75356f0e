"""Lines of the log."""

import io
import json
import logging

import pytest

from agent.logs import GatedLog

WALL = 1_795_375_511.208


@pytest.fixture
def stream():
    """A stream to log to; the process's own logging is put back after the test."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)


def record(text, *arguments, level=logging.INFO):
    made = logging.getLogger("nomad.raft").makeRecord("nomad.raft", level, __file__, 1, text, arguments, None)
    made.created = WALL
    logging.getLogger("nomad.raft").handle(made)


def test_lines_are_held_back_until_the_banner_is_printed(stream):
    """
    What was logged before comes after it, in order; later lines come at once.
    """
    log = GatedLog("INFO", as_json=False, stream=stream)
    record("first: term=%d", 2)

    held = stream.getvalue()
    log.release()
    record("second")

    assert "" == held
    assert [
        "    2026-11-22T19:25:11.208Z [INFO]  nomad.raft: first: term=2",
        "    2026-11-22T19:25:11.208Z [INFO]  nomad.raft: second",
    ] == stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("level", "shown"),
    [("TRACE", 4), ("DEBUG", 4), ("INFO", 3), ("WARN", 2), ("ERROR", 1)],
)
def test_nomads_words_for_levels_decide_what_is_shown(stream, level, shown):
    """
    Each level shows itself and what is worse.
    """
    GatedLog(level, as_json=False, stream=stream).release()
    logger = logging.getLogger("nomad")

    logger.debug("a")
    logger.info("b")
    logger.warning("c")
    logger.error("d")

    assert shown == len(stream.getvalue().splitlines())


def test_json_lines_carry_nomads_keys(stream):
    """
    One object a line, with go-hclog's names.
    """
    GatedLog("INFO", as_json=True, stream=stream).release()

    record("event: key=value", level=logging.WARNING)

    assert {
        "@level": "warn",
        "@message": "event: key=value",
        "@module": "nomad.raft",
        "@timestamp": "2026-11-22T19:25:11.208000Z",
    } == json.loads(stream.getvalue())


def test_a_failure_brings_its_traceback(stream):
    """
    A bug must be found from the log alone.
    """
    GatedLog("INFO", as_json=False, stream=stream).release()

    try:
        {}["lost"]
    except KeyError:
        logging.getLogger("nomad").exception("task failed")

    assert "KeyError: 'lost'" in stream.getvalue()
