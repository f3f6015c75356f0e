"""What the leader's duties need of the server around them."""

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.model.command import AnyCommand, Result
from agent.state.store import State
from telemetry.clock import Clock
from telemetry.recorder import Recorder

Propose = Callable[[AnyCommand], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The server as its duties see it; everything belongs to one event loop."""

    propose: Propose
    barrier: Callable[[], Awaitable[None]]
    state: Callable[[], State]
    wait_for_index: Callable[[int, float], Awaitable[bool]]
    """Return True once an index is applied here, False when that took longer than so many seconds."""
    new_id: Callable[[], str]
    clock: Clock
    recorder: Recorder
    logger: logging.Logger
    rng: random.Random
