"""Which Raft call a message is, in the words of hashicorp/raft, and how long decoding it takes.

Source: hashicorp/raft net_transport.go, handleCommand. Its heartbeats are calls without entries, as here.
"""

from collections.abc import Callable

from agent.consensus.codec import (
    AppendEntries,
    InstallSnapshot,
    Message,
    PreVote,
    RequestVote,
    TimeoutNow,
    decode_message,
)
from telemetry.catalogue import raft
from telemetry.clock import Clock
from telemetry.recorder import Recorder

_CALLS = {
    InstallSnapshot: "InstallSnapshot",
    PreVote: "RequestPreVote",
    RequestVote: "RequestVote",
    TimeoutNow: "TimeoutNow",
}


def call_of(message: Message) -> str:
    """Return the call that *message* is; "" for an answer."""
    if isinstance(message, AppendEntries):
        return "AppendEntries" if message.entries else "Heartbeat"
    return _CALLS.get(type(message), "")


def timed_decoder(clock: Clock, recorder: Recorder) -> Callable[[bytes], Message]:
    """Return `decode_message` that tells *recorder* how many milliseconds each call took."""

    def decode(body: bytes) -> Message:
        began = clock.monotonic()
        message = decode_message(body)
        call = call_of(message)
        if call:
            recorder.observe(raft.NET_RPC_DECODE, (clock.monotonic() - began) * 1000, (call,))
        return message

    return decode
