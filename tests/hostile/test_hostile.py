"""Real agents under hostile input, some thousands on each cluster; a hundred thousand to each port by `make hostile`."""

import random
import zlib

import pytest

from tests.hostile.inputs import Inputs, http_requests, raft_frames
from tests.hostile.run import attack

INPUTS = 300
"""To each of five ports of each cluster."""


@pytest.mark.integration
@pytest.mark.timeout(300)
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_a_server_outlives_hostile_input_on_every_port(tmp_path, secured):
    """It lives in bounded memory, takes a write, keeps no pickle, and with TLS decoded nothing of a stranger."""
    report = attack(tmp_path, 1, INPUTS, seed=1, secured=secured)

    print(report)
    assert {"raft", "gossip tcp", "gossip udp", "rpc", "http"} == report.sent.keys()
    assert {INPUTS} == set(report.sent.values())
    assert [] == report.wrong
    assert report.decoded == set() if secured else report.decoded >= {"raft", "gossip", "http"}


def test_inputs_are_of_every_kind_and_the_seeds():
    """Cut and whole words, lengths out of bounds, pickles and bombs come within a hundred, the same for the same seed."""
    words = [*raft_frames("127.0.0.1:1"), *http_requests()]
    made = Inputs(random.Random(3), words)
    again = Inputs(random.Random(3), words)

    drawn = [made.next() for _ in range(200)]

    assert drawn == [again.next() for _ in range(200)]
    assert any(each in words for each in drawn)
    assert any(each not in words and any(word.startswith(each) for word in words) for each in drawn)
    assert any(each.startswith((b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff")) for each in drawn)
    assert any(b"\x80\x04\x95" in each for each in drawn)
    assert any(b"\x1f\x8b" in each for each in drawn)


def test_the_bomb_is_one():
    """A few kilobytes that unpack to eight megabytes."""
    (bomb,) = [each.partition(b"\r\n\r\n")[2] for each in http_requests() if b"deflate" in each]

    assert len(bomb) < 10_000
    assert 8 * 1024 * 1024 == len(zlib.decompress(bomb))
