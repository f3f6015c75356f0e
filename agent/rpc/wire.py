"""How requests, answers and errors look on the wire: MessagePack bodies, errors by kind.

A body is the MessagePack of the method's struct under Nomad's names. An error that the far side raised on purpose
travels in the trailing metadata and is raised here as the same class with the same fields, so that a caller need not
know whether it was answered here or elsewhere. The gRPC status code beside it is for people with other tools.
"""

import functools
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

import grpc
import msgspec

from agent import errors
from agent.rpc.methods import Request, Response

SERVICE_PREFIX = "/nomad."

MESSAGE_SIZE_MAX = 8 * 1024 * 1024
"""Bytes of one request or answer, either way: what the replicated log takes of one command, too."""

ERROR_TEXT_MAX = 2048
"""Characters of an error's message; all metadata of a call must stay below gRPC's 8 KiB."""

ERROR_KEY = "outrider-error-bin"

T = TypeVar("T", bound=msgspec.Struct)


class ErrorKind(Enum):
    """Which class of the tree of errors travels; the values are the wire's."""

    NOT_LEADER = "not_leader"
    UNREACHABLE = "unreachable"
    NO_CLUSTER_LEADER = "no_cluster_leader"
    OVERLOADED = "overloaded"
    UNKNOWN_OUTCOME = "unknown_outcome"
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    RETRY_ELSEWHERE = "retry_elsewhere"
    RETRY_LATER = "retry_later"
    OTHER = "other"


_KINDS: tuple[tuple[type[errors.OutriderError], ErrorKind, grpc.StatusCode], ...] = (
    (errors.NotLeader, ErrorKind.NOT_LEADER, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Unreachable, ErrorKind.UNREACHABLE, grpc.StatusCode.UNAVAILABLE),
    (errors.NoClusterLeader, ErrorKind.NO_CLUSTER_LEADER, grpc.StatusCode.UNAVAILABLE),
    (errors.Overloaded, ErrorKind.OVERLOADED, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.UnknownOutcome, ErrorKind.UNKNOWN_OUTCOME, grpc.StatusCode.UNKNOWN),
    (errors.NotFound, ErrorKind.NOT_FOUND, grpc.StatusCode.NOT_FOUND),
    (errors.RequestRefused, ErrorKind.REFUSED, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.RetryElsewhere, ErrorKind.RETRY_ELSEWHERE, grpc.StatusCode.UNAVAILABLE),
    (errors.RetryLater, ErrorKind.RETRY_LATER, grpc.StatusCode.UNAVAILABLE),
    (errors.OutriderError, ErrorKind.OTHER, grpc.StatusCode.ABORTED),
)
"""Most particular first: the first class that fits names the kind."""


class ErrorBody(msgspec.Struct, frozen=True):
    """An error on the wire; `leader` and `status` belong to the kinds that have them."""

    kind: ErrorKind
    message: str
    leader: str = ""
    status: int = 0


_ENCODER = msgspec.msgpack.Encoder()
_ERROR_DECODER = msgspec.msgpack.Decoder(ErrorBody)


@functools.cache
def _decoder(kind: type[T]) -> "msgspec.msgpack.Decoder[T]":
    return msgspec.msgpack.Decoder(kind)


def encode(value: Request | Response) -> bytes:
    """Return *value* as bytes; raises RequestRefused (413) when there are more than MESSAGE_SIZE_MAX."""
    data = _ENCODER.encode(value)
    if len(data) > MESSAGE_SIZE_MAX:
        raise errors.RequestRefused(
            f"{type(value).__name__} has {len(data)} bytes, more than the {MESSAGE_SIZE_MAX} that one message may have",
            413,
        )
    return data


def decode(kind: type[T], data: bytes) -> T:
    """Return the *kind* in *data*; raises RequestRefused (400) when the bytes are no such thing."""
    try:
        value: T = _decoder(kind).decode(data)
    except msgspec.MsgspecError as error:
        raise errors.RequestRefused(f"not a {kind.__name__}: {error}", 400) from error
    return value


def encode_error(error: errors.OutriderError) -> tuple[grpc.StatusCode, bytes]:
    """Return the status code and the metadata that carry *error*; its message is cut at ERROR_TEXT_MAX."""
    kind, code = next((kind, code) for cls, kind, code in _KINDS if isinstance(error, cls))
    body = ErrorBody(
        kind=kind,
        message=str(error)[:ERROR_TEXT_MAX],
        leader=error.leader if isinstance(error, errors.NotLeader) else "",
        status=error.status if isinstance(error, errors.RequestRefused) else 0,
    )
    return code, _ENCODER.encode(body)


def decode_error(data: bytes) -> errors.OutriderError:
    """Return the error in *data*, of the class it had; raises ValueError when the bytes hold none."""
    try:
        body = _ERROR_DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"damaged error: {error}") from error
    match body.kind:
        case ErrorKind.NOT_LEADER:
            return errors.NotLeader(body.leader)
        case ErrorKind.NO_CLUSTER_LEADER:
            return errors.NoClusterLeader()
        case ErrorKind.REFUSED:
            return errors.RequestRefused(body.message, body.status)
        case _:
            return _PLAIN[body.kind](body.message)


_PLAIN: dict[ErrorKind, Callable[[str], errors.OutriderError]] = {
    kind: cls
    for cls, kind, _ in _KINDS
    if kind not in {ErrorKind.NOT_LEADER, ErrorKind.NO_CLUSTER_LEADER, ErrorKind.REFUSED}
}
"""The classes that are made from their message alone."""


def path_of(name: str) -> str:
    """Return gRPC's path of the method *name*: `/nomad.Node/Register` for `Node.Register`."""
    endpoint, _, call = name.partition(".")
    return f"{SERVICE_PREFIX}{endpoint}/{call}"
