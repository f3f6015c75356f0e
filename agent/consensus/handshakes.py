"""TLS handshakes of Raft's connections, in a thread of their own: their arithmetic would make the Raft thread late.

One thread serves all of them without waiting for any, so that a peer that says nothing delays nobody. What it hands
back is a connection whose far side proved to be a server of this region, or the reason why there is none; not a byte of
Raft was read or written until then.
"""

import contextlib
import itertools
import logging
import selectors
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.consensus.streams import TlsStream
from agent.tls.contexts import Tls, TlsKeeper
from agent.tls.reasons import reason_of
from telemetry.clock import Clock

_IDLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the handshake *number* ended: with a stream, or with a reason."""

    number: int
    stream: TlsStream | None
    reason: str = ""


@dataclass(slots=True, eq=False)
class _Attempt:
    number: int
    plain: socket.socket
    tls: Tls
    is_server: bool
    deadline: float
    secured: ssl.SSLSocket | None = None


class Handshakes:
    """Begun and taken by the Raft thread, made by a thread that starts with the first one.

    A socket given to `begin` belongs to that thread until its outcome is taken. *on_outcome* is called there when there
    is one to take.
    """

    def __init__(self, keeper: TlsKeeper, clock: Clock, logger: logging.Logger, on_outcome: Callable[[], None]) -> None:
        self._keeper = keeper
        self._clock = clock
        self._logger = logger
        self._on_outcome = on_outcome
        self._numbers = itertools.count(1)
        self._begun: deque[_Attempt] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._abandoned: set[int] = set()
        self._thread: threading.Thread | None = None
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._is_closed = False

    def begin(self, plain: socket.socket, *, is_server: bool, deadline: float) -> int:
        """Begin a handshake on the connected *plain*, as the side that was dialled or not; return its number.

        The newest certificates are used. After *deadline*, on the monotonic clock, it has failed.
        """
        attempt = _Attempt(next(self._numbers), plain, self._keeper.current, is_server, deadline)
        self._begun.append(attempt)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="raft-tls", daemon=True)
            self._thread.start()
        self._wake()
        return attempt.number

    def abandon(self, number: int) -> None:
        """Ask no more after the handshake *number*: its connection is closed by itself, at its deadline at last."""
        self._abandoned.add(number)

    def take(self) -> list[Outcome]:
        """Return what has ended since the last call."""
        found: list[Outcome] = []
        while self._outcomes:
            outcome = self._outcomes.popleft()
            if outcome.number in self._abandoned:
                self._abandoned.discard(outcome.number)
                if outcome.stream is not None:
                    outcome.stream.close()
            else:
                found.append(outcome)
        return found

    def close(self) -> None:
        """End the thread and close what is in its hands; idempotent."""
        self._is_closed = True
        self._wake()
        if self._thread is not None:
            self._thread.join(1.0)
        for outcome in self.take():
            if outcome.stream is not None:
                outcome.stream.close()
        self._wake_out.close()
        self._wake_in.close()

    def _wake(self) -> None:
        # Full: it wakes anyway. Closed: nobody is left to wake.
        with contextlib.suppress(OSError):
            self._wake_out.send(b"w")

    # In the thread.

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_in, selectors.EVENT_READ)
            active: set[_Attempt] = set()
            try:
                while not self._is_closed:
                    self._turn(selector, active)
            except Exception:  # the root of a thread; the next handshake begins another
                self._logger.exception("raft: the thread of TLS handshakes failed by a bug")
            finally:
                active.update(self._begun)
                self._begun.clear()
                for attempt in active:
                    (attempt.secured or attempt.plain).close()

    def _turn(self, selector: selectors.BaseSelector, active: set[_Attempt]) -> None:
        deadline = min((attempt.deadline for attempt in active), default=float("inf"))
        ready = selector.select(min(max(deadline - self._clock.monotonic(), 0.0), _IDLE_SECONDS))
        moved = []
        for key, _ in ready:
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._wake_in.recv(4096)
            else:
                moved.append(key.data)
        while self._begun:
            attempt = self._begun.popleft()
            active.add(attempt)
            moved.append(attempt)
        now = self._clock.monotonic()
        for attempt in moved:
            self._step(attempt, selector, active)
        for attempt in [attempt for attempt in active if attempt.deadline <= now]:
            self._end(attempt, "the handshake did not end in time", selector, active)

    def _step(self, attempt: _Attempt, selector: selectors.BaseSelector, active: set[_Attempt]) -> None:
        """Go on with one handshake as far as it goes without waiting."""
        try:
            if attempt.secured is None:
                attempt.secured = _wrap(attempt)
            attempt.secured.do_handshake()
        except ssl.SSLWantReadError:
            _watch(attempt, selector, selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            _watch(attempt, selector, selectors.EVENT_WRITE)
        except OSError as error:
            self._end(attempt, reason_of(error), selector, active)
        except Exception:  # the thread goes on: one odd connection must not end all the others
            self._logger.exception("raft: a handshake failed by a bug")
            self._end(attempt, "a bug, see the log", selector, active)
        else:
            self._end(attempt, attempt.tls.refusal(attempt.secured), selector, active)

    def _end(self, attempt: _Attempt, reason: str, selector: selectors.BaseSelector, active: set[_Attempt]) -> None:
        active.discard(attempt)
        holder = attempt.secured or attempt.plain
        # Putting TLS on a connection that its far side has reset closes it.
        if holder.fileno() >= 0 and holder.fileno() in selector.get_map():
            selector.unregister(holder)
        stream = None
        if reason or attempt.secured is None:
            with contextlib.suppress(OSError):
                holder.close()
        else:
            stream = TlsStream(attempt.secured)
        self._outcomes.append(Outcome(attempt.number, stream, reason))
        self._on_outcome()


def _wrap(attempt: _Attempt) -> ssl.SSLSocket:
    """Put TLS on a socket that has none yet; nothing is sent."""
    if attempt.is_server:
        return attempt.tls.raft_server.wrap_socket(attempt.plain, server_side=True, do_handshake_on_connect=False)
    return attempt.tls.raft_client.wrap_socket(
        attempt.plain, server_hostname=attempt.tls.server_name, do_handshake_on_connect=False
    )


def _watch(attempt: _Attempt, selector: selectors.BaseSelector, events: int) -> None:
    assert attempt.secured is not None, "only a handshake that began wants something"
    if attempt.secured.fileno() in selector.get_map():
        selector.modify(attempt.secured, events, attempt)
    else:
        selector.register(attempt.secured, events, attempt)
