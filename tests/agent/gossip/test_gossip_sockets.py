"""Gossip over real sockets on loopback: joining, dying, leaving, keys, and what strangers send."""

import asyncio
import base64
import logging
import os
import random
import socket
import struct
from dataclasses import replace

import pytest

from agent.config.gossip_keys import key_text
from agent.errors import ConfigError, RequestRefused
from agent.gossip.keyring_file import read_keys
from agent.gossip.members import Event, Status
from agent.gossip.service import Gossip, GossipSettings
from agent.gossip.timings import LAN
from telemetry.clock import SystemClock
from tests.agent.gossip.gossip_world import Recorded

KEY, OTHER = b"k" * 32, b"o" * 32
QUICK = replace(
    LAN, probe_interval_seconds=0.2, probe_timeout_seconds=0.1, gossip_interval_seconds=0.04, stream_timeout_seconds=2.0
)
"""A fifth of the shipped times, so that a test takes seconds."""


def _settings(name, **options):
    options = {"join": (), "encrypt": "", "region": "global", "near": QUICK, "retry_interval_seconds": 0.5} | options
    return GossipSettings(
        name=f"{name}.global", bind_host="127.0.0.1", bind_port=0, advertise="127.0.0.1:4648",
        tags={"region": options["region"], "id": name}, **options,
    )  # fmt: skip


class Stage:
    """Servers that gossip in this process; each joins the first one."""

    def __init__(self):
        self.running, self.changes = {}, []

    async def start(self, name, **options):
        first = next(iter(self.running.values()), None)
        if first is not None and "join" not in options:
            options["join"] = (f"127.0.0.1:{first.address.port}",)
        gossip = Gossip(
            _settings(name, **options), random.Random(os.urandom(8)), SystemClock(), Recorded(),
            on_change=lambda change: self.changes.append((name, change)),
            on_given_up=lambda reason: self.changes.append((name, reason)),
        )  # fmt: skip
        await gossip.start()
        self.running[name] = gossip
        return gossip

    async def until(self, condition, seconds=10.0):
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - what is waited for is on a network
                await asyncio.sleep(0.01)

    def see(self, about, status):
        views = [{v.name: v.status for v in g.members()} for name, g in self.running.items() if name != about]
        return all(view.get(f"{about}.global") is status for view in views)

    async def all_alive(self):
        await self.until(lambda: all(self.see(name, Status.ALIVE) for name in self.running))


@pytest.fixture
def on_stage():
    """Run a coroutine function of a stage, and stop what it started."""

    def run(scene):
        async def main():
            stage = Stage()
            try:
                await scene(stage)
            finally:
                for gossip in stage.running.values():
                    await gossip.stop()

        asyncio.run(main())

    return run


@pytest.mark.parametrize("encrypt", ["", key_text(KEY)])
def test_servers_join_by_one_address_and_see_a_death_and_a_leave(on_stage, encrypt):
    """
    With and without a key: three know each other, one that stops without a word fails, one that leaves has left.
    """

    async def scene(stage):
        for name in ("a", "b", "c"):
            await stage.start(name, encrypt=encrypt)
        await stage.all_alive()
        await stage.running.pop("b").stop()
        await stage.until(lambda: stage.see("b", Status.FAILED))
        leaver = stage.running.pop("c")
        async with asyncio.timeout(1.0):
            await leaver.leave()
        await stage.until(lambda: stage.see("c", Status.LEFT), 1.0)
        await leaver.stop()
        assert stage.running["a"].force_leave("b.global", prune=True)
        assert [view.name for view in stage.running["a"].members()] == ["a.global", "c.global"]

    on_stage(scene)


@pytest.mark.parametrize(("first", "second"), [(KEY, OTHER), (KEY, b""), (b"", KEY)])
def test_another_key_is_refused_with_one_line(on_stage, caplog, first, second):
    """
    Servers with different keys, or with and without one, do not join; the log says so once, and to both.
    """

    async def scene(stage):
        a = await stage.start("a", encrypt=key_text(first) if first else "")
        b = await stage.start("b", encrypt=key_text(second) if second else "", retry_interval_seconds=0.1)
        await stage.until(lambda: a._sockets.refused >= 3)
        assert [view.name for view in a.members()] == ["a.global"]
        assert [view.name for view in b.members()] == ["b.global"]

    with caplog.at_level(logging.INFO):
        on_stage(scene)
    refused = [record.getMessage() for record in caplog.records if "gossip refused" in record.getMessage()]
    assert len(refused) == 1
    assert "key" in refused[0]
    assert any("same encrypt" in record.getMessage() for record in caplog.records)


def test_keys_are_rotated_over_gossip_and_kept_in_the_file(on_stage, tmp_path):
    """
    Install, use, remove reach every member, and a restart reads the new key whatever encrypt says.
    """

    async def scene(stage):
        for name in ("a", "b"):
            await stage.start(name, encrypt=key_text(KEY), keyring_file=tmp_path / name)
        await stage.all_alive()
        a = stage.running["a"]
        for operation in ("install", "use"):
            answers = await a.keyring(operation, key_text(OTHER))
            assert (2, {}) == (answers.asked, answers.messages)
        assert "primary" in (await a.keyring("remove", key_text(OTHER))).messages["b.global"]
        assert {} == (await a.keyring("remove", key_text(KEY))).messages
        listed = await a.keyring("list")
        assert ({key_text(OTHER): 2}, {key_text(OTHER): 2}) == (listed.keys, listed.primary_keys)
        assert [OTHER] == read_keys(tmp_path / "b")
        assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
        with pytest.raises(RequestRefused, match="base64"):
            await a.keyring("install", "nonsense!")

    on_stage(scene)


def test_without_encryption_there_is_no_keyring(on_stage):
    """
    An operation on the keyring says what is missing, and no stream gets one either.
    """

    async def scene(stage):
        a = await stage.start("a")
        with pytest.raises(RequestRefused, match="not encrypted"):
            await a.keyring("list")

    on_stage(scene)


def test_a_join_is_given_up_after_as_many_tries_as_allowed(on_stage):
    """
    With retry_max the caller hears why.
    """

    async def scene(stage):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
            await stage.start("a", join=(address,), retry_max=2, retry_interval_seconds=0.05)
            await stage.until(lambda: any(isinstance(told, str) for _, told in stage.changes))
        reason = next(told for _, told in stage.changes if isinstance(told, str))
        assert "retry_max" in reason
        assert address in reason

    on_stage(scene)


def test_a_name_is_joined_and_one_that_does_not_exist_is_told(on_stage):
    """
    Names are resolved when they are joined; what cannot be resolved is an error beside the others.
    """

    async def scene(stage):
        a = await stage.start("a")
        b = await stage.start("b", join=())
        joined, errors = await b.join([f"localhost:{a.address.port}", "no.such.host.invalid"])
        assert joined == 1
        assert any("no.such.host.invalid" in error for error in errors)

    on_stage(scene)


def test_what_strangers_send_does_no_harm(on_stage):
    """
    Random packets, huge lengths, slow and many connections leave two servers gossiping.
    """

    async def scene(stage):
        a = await stage.start("a", encrypt=key_text(KEY))
        await stage.start("b", encrypt=key_text(KEY))
        await stage.all_alive()
        rng = random.Random(4)
        held = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for number in range(2000):
                udp.sendto(rng.randbytes(rng.randint(0, 9000)), ("127.0.0.1", a.address.port))
                if number % 100 == 0:
                    await asyncio.sleep(0)
        for _ in range(60):
            _, writer = await asyncio.open_connection("127.0.0.1", a.address.port)
            held.append(writer)
            writer.write(
                rng.choice([b"", struct.pack(">I", 2**32 - 1), struct.pack(">I", 10) + b"x" * 10, b"GET / HTTP"])
            )
        stuck = len(a._sockets._streams)
        await asyncio.sleep(1.5)
        assert stuck <= 8
        for writer in held:
            writer.transport.abort()
        assert stage.see("b", Status.ALIVE)
        assert not [change for _, change in stage.changes if getattr(change, "event", None) is Event.FAILED]

    on_stage(scene)


def test_an_address_that_is_taken_is_told_with_the_remedy():
    """
    A second process on the port is refused with the key to change.
    """

    async def scene():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            settings = replace(_settings("a"), bind_port=port)
            gossip = Gossip(settings, random.Random(1), SystemClock(), Recorded())
            with pytest.raises(ConfigError, match=r"ports \{ serf"):
                await gossip.start()

    asyncio.run(scene())


@pytest.mark.parametrize(("text", "reason"), [("abc", "base64"), (base64.b64encode(b"x" * 5).decode(), "5 bytes")])
def test_a_bad_key_stops_the_start(text, reason):
    """
    What encrypt must hold is said.
    """
    with pytest.raises(ConfigError, match=reason):
        Gossip(_settings("a", encrypt=text), random.Random(1), SystemClock(), Recorded())


def test_a_damaged_keyring_stops_the_start(tmp_path):
    """
    A server does not go on with other keys than those it was given.
    """
    (tmp_path / "keys").write_text("[]")
    with pytest.raises(ConfigError, match="keyring"):
        Gossip(_settings("a", keyring_file=tmp_path / "keys"), random.Random(1), SystemClock(), Recorded())
