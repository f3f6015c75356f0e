"""What a hostile peer sends to each port: an endless sequence that its generator decides."""

import gzip
import json
import os
import pickle
import struct
import zlib

from agent.consensus.codec import AppendEntries, InstallSnapshot, RequestVote, TimeoutNow, encode_frame
from agent.consensus.greeting import hello_of
from agent.consensus.snapshot_store import Snapshot, encode_snapshot
from agent.gossip import wire
from agent.gossip.sealing import NONCE_BYTES, Keyring, Purpose, Seal

_LENGTH = struct.Struct(">I")
_LENGTHS = (0, 1, 0x7FFF, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1, 0x7FFFFFFF, 0xFFFFFFFF)
_ZEROS = bytes(8 * 1024 * 1024)
_BOMB = gzip.compress(_ZEROS, 9)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class _Evil:
    def __reduce__(self):
        return os.system, ("kill -9 $PPID",)


_PICKLE = pickle.dumps(_Evil())


def raft_frames(raft_address):
    """Return what a server of the group might say, from one that is none."""
    hello = hello_of("id-hostile", "hostile", (raft_address, raft_address), "global")
    bomb = encode_snapshot(Snapshot(2**40, 2**40, _ZEROS))
    return [
        encode_frame(hello),
        encode_frame(hello) + encode_frame(AppendEntries(2**40, 2**40, 1, 0, [(b"\0" + _PICKLE, 2, 2**40)], 0.0, 0)),
        encode_frame(hello) + encode_frame(RequestVote(2**60, 2**60, 2**60, "id-hostile")),
        encode_frame(hello) + encode_frame(TimeoutNow(1)) * 50,
        encode_frame(hello) + encode_frame(InstallSnapshot(2**40, bomb, True, True, 0.0, 0)),
    ]


def gossip_payloads():
    """Return messages of gossip that say what nobody may believe."""
    messages = [wire.Ping(1, "s1", "nobody"), wire.Ack(1), wire.Dead(2**40, "s1", "nobody")]
    return [wire.join([wire.encode(message)]) for message in messages]


def http_requests():
    """Return requests that are too long, too deep, unpacked too far, or nonsense."""

    def put(body, *headers):
        lines = ["PUT /v1/jobs HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    return [
        b"GET /v1/nodes HTTP/1.1\r\nHost: x\r\n\r\n",
        put(_BOMB, "Content-Encoding: gzip", "Content-Type: application/json"),
        put(zlib.compress(_ZEROS, 9), "Content-Encoding: deflate"),
        put(b"[" * 100_000),
        put(b'{"Job":' * 20_000),
        put(_PICKLE, "Content-Type: application/x-python-pickle"),
        put(json.dumps({"Job": {"ID": "\0" * 5_000, "Type": "service", "TaskGroups": [{}] * 500}}).encode()),
        b"PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n{",
        b"PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nx",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
        b"GET /v1/node/%00%ff..%2f.. HTTP/1.1\r\nHost: x\r\n\r\n",
    ]


def rpc_calls():
    """Return beginnings of HTTP/2: its preface, frames of wrong lengths and kinds, settings without end."""
    settings = b"\0\0\0\x04\0\0\0\0\0"
    return [
        _PREFACE + settings,
        _PREFACE + settings * 500,
        _PREFACE + b"\xff\xff\xff\x01\x05\0\0\0\x01" + b"\x82" * 500,
        _PREFACE + settings + b"\0\x40\0\0\x01\0\0\0\x01" + b"\x01" + _LENGTH.pack(len(_BOMB)) + _BOMB[:16_000],
        _PREFACE + b"\0\0\x04\x08\0\0\0\0\0\0\0\0\0" * 200,
    ]


class Inputs:
    """What is sent to one port: *valid* are the words of its protocol, which are cut, changed and said again."""

    def __init__(self, rng, valid):
        self._rng, self._valid = rng, valid

    def next(self):
        """Return the next input."""
        rng = self._rng
        valid = rng.choice(self._valid)
        match rng.randrange(7):
            case 0:
                return rng.randbytes(rng.choice((1, 3, 60, 1_300, 9_000)))
            case 1:
                return _LENGTH.pack(rng.choice(_LENGTHS)) + rng.randbytes(rng.choice((0, 5, 500)))
            case 2:
                return valid[: rng.randrange(len(valid))] or b"\0"
            case 3:
                return valid
            case 4:
                changed = bytearray(valid)
                for _ in range(rng.randint(1, 4)):
                    changed[rng.randrange(len(changed))] = rng.randrange(256)
                return bytes(changed)
            case 5:
                return _LENGTH.pack(len(_PICKLE)) + _PICKLE if rng.random() < 0.5 else _PICKLE
            case _:
                return _LENGTH.pack(min(len(_BOMB), 0xFFFF)) + _BOMB[: rng.choice((100, len(_BOMB)))]


def sealed(payloads, purpose, keys):
    """Return *payloads* as a member of another cluster seals them: plain, with another key, for another purpose."""
    found = []
    for keyring in (Keyring(), Keyring(keys)):
        seal = Seal(keyring)
        found += [
            seal.close(each, payload, bytes(NONCE_BYTES)) for payload in payloads for each in (purpose, Purpose.ANSWER)
        ]
    return found
