"""Log lines as a Nomad operator knows them: time, level, part, event and key=value.

2026-11-22T19:23:51.208Z [INFO]  nomad.raft: entering leader state: term=2
"""

import json
import logging
import logging.handlers
import sys
from typing import TextIO

from agent.model.times import rfc3339

LEVELS = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
}
"""Nomad's words for levels. Python knows nothing below DEBUG."""

_NAMES = {logging.DEBUG: "[DEBUG]", logging.INFO: "[INFO] ", logging.WARNING: "[WARN] ", logging.ERROR: "[ERROR]"}


_HELD_LINES = 100_000
"""More lines than any start writes: a full gate would write them before the banner."""

_NOISY = ("asyncio", "grpc", "aiohttp.access", "aiohttp.server", "pysyncobj")


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = rfc3339(record.created)
        level = _NAMES.get(record.levelno, f"[{record.levelname}]")
        line = f"    {moment[:23]}Z {level} {record.name}: {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "@level": record.levelname.lower().replace("warning", "warn"),
            "@message": record.getMessage(),
            "@module": record.name,
            "@timestamp": rfc3339(record.created),
        }
        if record.exc_info:
            entry["stacktrace"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class GatedLog:
    """The process's log: held back until `release`, so that the banner comes first, as on Nomad.

    *level* is one of `LEVELS`; lines go to *stream*, standard output by default.
    """

    def __init__(self, level: str, *, as_json: bool, stream: TextIO | None = None) -> None:
        self._sink = logging.StreamHandler(stream or sys.stdout)
        self._sink.setFormatter(_JsonFormatter() if as_json else _TextFormatter())
        self._gate = logging.handlers.MemoryHandler(_HELD_LINES, flushLevel=logging.CRITICAL + 1, target=self._sink)
        root = logging.getLogger()
        root.handlers[:] = [self._gate]
        root.setLevel(LEVELS[level])
        for noisy in _NOISY:
            logging.getLogger(noisy).setLevel(logging.WARNING)

    def release(self) -> None:
        """Write what was held back, and everything from now on at once."""
        logging.getLogger().handlers[:] = [self._sink]
        self._gate.flush()
