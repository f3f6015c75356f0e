"""What comes over a socket comes within one time, which no byte begins anew."""

import socket
from contextlib import closing

import pytest

from telemetry.clock import ManualClock, SystemClock
from telemetry.timed_reader import TimedReader


@pytest.fixture
def ends():
    """
    Two ends of a connection; the time limit of the second is far away.
    """
    near, far = socket.socketpair()
    far.settimeout(60)
    with closing(near), closing(far):
        yield near, far


def test_silence_ends_with_what_is_left_of_the_time(ends):
    """
    A byte that came late leaves little to the next, and the socket has its own limit again afterwards.
    """
    near, far = ends
    clock, waited = ManualClock(), SystemClock()
    reader = TimedReader(far, 10.0, clock, "too late")
    near.sendall(b"a")
    assert b"a" == reader.read(1)
    clock.advance(9.95)

    began = waited.monotonic()
    with pytest.raises(TimeoutError):
        reader.read(1)

    assert waited.monotonic() - began < 30
    assert 60 == far.gettimeout()


def test_what_comes_after_the_time_is_not_read(ends):
    """
    Even where it is there; the reason is the caller's.
    """
    near, far = ends
    clock = ManualClock()
    reader = TimedReader(far, 10.0, clock, "too late")
    near.sendall(b"a")
    clock.advance(10.0)

    with pytest.raises(TimeoutError, match=r"^too late$"):
        reader.read(1)


@pytest.mark.parametrize("seconds", [None, 10.0], ids=["no time given", "a time given up"])
def test_without_a_time_the_socket_has_its_own(ends, seconds):
    """
    Where none was given, and from the call on that gives it up.
    """
    near, far = ends
    clock = ManualClock()
    reader = TimedReader(far, seconds, clock, "too late")
    reader.wait_as_usual()
    clock.advance(1_000.0)
    near.sendall(b"a")

    assert b"a" == reader.read(1)
