"""One line in the log for each kind of peer that is turned away, however often it comes back."""

import logging
from collections import OrderedDict

REPEAT_SECONDS = 60.0
"""After so long the same host and reason are told again."""

KINDS_MAX = 256
"""Hosts with reasons that are remembered; strangers of many addresses cost no memory beyond."""


class Refusals:
    """Tells of connections that came to nothing; belongs to one thread.

    *event* stands before the address in each line, such as "http: refused a connection from".
    """

    def __init__(self, event: str, logger: logging.Logger) -> None:
        self._event = event
        self._logger = logger
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    def tell(self, now: float, address: str, reason: str) -> None:
        """Log *address* (host:port) and *reason*, unless its host was told of for the same a moment ago."""
        kind = (address.rpartition(":")[0], reason)
        last = self._told.get(kind)
        if last is not None and now - last < REPEAT_SECONDS:
            return
        self._told[kind] = now
        self._told.move_to_end(kind)
        if len(self._told) > KINDS_MAX:
            self._told.popitem(last=False)
        self._logger.warning("%s=%s reason=%r", self._event, address, reason)
