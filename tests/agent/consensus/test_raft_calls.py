"""Raft calls are told apart, and how long it takes to read one is measured."""

import pytest

from agent.consensus import codec
from agent.consensus.calls import call_of, timed_decoder
from telemetry.clock import ManualClock
from telemetry.registry import Registry
from telemetry.scraped import read_exposition

CALLS = {
    "AppendEntries": codec.AppendEntries(1, 1, 1, 1, [(b"\1x", 2, 1)], 0.0, 0),
    "Heartbeat": codec.AppendEntries(1, 1, 1, 1, [], 0.0, 0),
    "InstallSnapshot": codec.InstallSnapshot(1, b"", True, True, 0.0, 0),
    "RequestPreVote": codec.PreVote(1, 1, 1),
    "RequestVote": codec.RequestVote(1, 1, 1, "s1"),
    "TimeoutNow": codec.TimeoutNow(1),
}
ANSWERS = [
    codec.AppendReply(1, 2, True, False, 0.0, 0, 0),
    codec.PreVoteReply(1, 1, True),
    codec.VoteReply(1, True),
]


def body(message):
    """Return what is decoded: the frame without its head."""
    (found,) = codec.FrameReader().feed(codec.encode_frame(message))
    return found


@pytest.mark.parametrize("call", CALLS)
def test_a_call_has_the_word_of_a_nomad(call):
    """
    Appends without entries are heartbeats.
    """
    assert call == call_of(CALLS[call])


def test_reading_a_call_is_measured_and_an_answer_is_not(monkeypatch):
    """
    Milliseconds, by call; what is read is what was sent.
    """
    clock = ManualClock()
    registry = Registry(clock)
    real = codec.decode_message

    def slow(data):
        clock.advance(0.25)
        return real(data)

    monkeypatch.setattr("agent.consensus.calls.decode_message", slow)
    decode = timed_decoder(clock, registry)

    sent = [*CALLS.values(), CALLS["Heartbeat"], *ANSWERS]
    assert sent == [decode(body(message)) for message in sent]

    scrape = read_exposition(registry.exposition().decode())
    sums = {each.labels["rpcType"]: each.value for each in scrape.of("nomad_raft_net_rpcDecode_sum")}
    assert dict.fromkeys(CALLS, 250.0) | {"Heartbeat": 500.0} == sums
