"""Bodies and errors survive the wire."""

import pytest

from agent import errors
from agent.rpc import wire
from agent.rpc.methods import METHODS, JobListResponse, NodeSpecificRequest, Request

EVERY_ERROR = [
    errors.NotLeader("127.0.0.1:4647"),
    errors.NotLeader(),
    errors.Unreachable("127.0.0.1:1: refused"),
    errors.NoClusterLeader(),
    errors.Overloaded("plan queue is full"),
    errors.UnknownOutcome("raft: leadership lost while committing"),
    errors.NotFound("job not found"),
    errors.RequestRefused("Missing job ID for registration", 400),
    errors.RetryElsewhere("shutting down"),
    errors.RetryLater("restoring a snapshot"),
    errors.OutriderError("something else"),
]


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_as_the_class_it_was(error):
    """
    An error that travels keeps its class, its message and its fields.
    """
    _, body = wire.encode_error(error)

    back = wire.decode_error(body)

    assert (type(error), str(error), vars(error)) == (type(back), str(back), vars(back))


def test_a_subclass_travels_as_the_nearest_class_known():
    """
    A class that the wire does not know travels as its nearest ancestor.
    """

    class Fresh(errors.NoClusterLeader):
        pass

    _, body = wire.encode_error(Fresh())

    assert errors.NoClusterLeader is type(wire.decode_error(body))


def test_a_long_message_is_cut():
    """
    A message longer than the metadata may be is cut, not refused.
    """
    _, body = wire.encode_error(errors.RequestRefused("x" * 100_000, 400))

    back = wire.decode_error(body)

    assert wire.ERROR_TEXT_MAX == len(str(back))


def test_damaged_error_is_named():
    """
    Bytes that hold no error raise ValueError.
    """
    with pytest.raises(ValueError, match="damaged error"):
        wire.decode_error(b"\xc1")


def test_a_body_that_is_no_such_request_is_refused():
    """
    A request without its required field is refused with 400.
    """
    with pytest.raises(errors.RequestRefused, match="NodeSpecificRequest") as caught:
        wire.decode(NodeSpecificRequest, wire.encode(Request()))

    assert 400 == caught.value.status


def test_a_body_beyond_the_cap_is_refused():
    """
    A message above the cap is refused before it is sent.
    """
    with pytest.raises(errors.RequestRefused) as caught:
        wire.encode(Request(prefix="x" * wire.MESSAGE_SIZE_MAX))

    assert 413 == caught.value.status


def test_names_of_fields_on_the_wire_are_nomads():
    """
    Bodies carry Nomad's field names, so that a capture can be read.
    """
    assert b"LastContactSeconds" in wire.encode(JobListResponse())


def test_every_method_has_a_path_of_its_own():
    """
    Each method has a path of its own.
    """
    paths = {wire.path_of(name) for name in METHODS}

    assert len(METHODS) == len(paths)
    assert "/nomad.Node/Register" == wire.path_of("Node.Register")
