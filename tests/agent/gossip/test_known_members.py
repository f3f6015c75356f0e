"""Members over a restart: what the file keeps, and how a server finds its cluster by it."""

import asyncio
import logging

import pytest

from agent.gossip import service as module
from agent.gossip.known_members import KNOWN_MAX, KnownMembers
from agent.gossip.members import Status
from tests.agent.gossip.test_gossip_sockets import Stage

LOGGER = logging.getLogger("test.members")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "server" / "serf" / "local.snapshot"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "REMEMBER_SECONDS", 0.01)


def known(file):
    return KnownMembers(file, LOGGER).addresses


def write(file, addresses):
    KnownMembers(file, LOGGER).write(addresses)


def test_what_was_written_is_read(file):
    """
    Also names with spaces and IPv6; only the owner may read it; without a file nobody is known.
    """
    assert {} == known(file)
    wanted = {"s1.global": "10.0.0.1:4648", "a name.global": "[fe80::1]:4648"}

    write(file, wanted)

    assert wanted == known(file)
    assert 0o600 == file.stat().st_mode & 0o777


def test_a_damaged_line_costs_only_itself(file, caplog):
    """
    A changed byte anywhere in a line, and a last line that is cut short: the others stay, and it is said.
    """
    write(file, {f"s{number}.global": f"10.0.0.{number}:4648" for number in range(1, 4)})
    whole = file.read_bytes()
    begin = whole.index(b"\n") + 1
    end = whole.index(b"\n", begin)

    for at in range(begin, end):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        file.write_bytes(damaged)
        assert ["s2.global", "s3.global"] == list(known(file)), f"offset {at}"
    file.write_bytes(whole[:-3])

    assert ["s1.global", "s2.global"] == list(known(file))
    assert "damaged and passed over" in caplog.text


@pytest.mark.parametrize("content", [b"", b"outrider-members 2\n", b"\xff\x00" * 50, b"00000000 x 10.0.0.1:1\n"])
def test_a_file_that_is_none_of_ours_is_nobody(file, content):
    """
    A server starts with whatever is there.
    """
    file.parent.mkdir(parents=True)
    file.write_bytes(content)

    assert {} == known(file)


def test_the_oldest_goes_when_there_are_too_many():
    """
    Who is seen at another address counts as new; what is known already is no news.
    """
    members = KnownMembers(None, LOGGER)
    for number in range(KNOWN_MAX):
        assert members.add(f"s{number}", "10.0.0.1:1")
    assert not members.add("s0", "10.0.0.1:1")

    assert members.add("s0", "10.0.0.2:1")
    assert members.add("new", "10.0.0.3:1")

    assert KNOWN_MAX == len(members.addresses)
    assert "s1" not in members.addresses
    assert "10.0.0.2:1" == members.addresses["s0"]


def test_a_server_does_not_look_for_itself():
    """
    Neither by its name at a former address, nor by a former name at its address.
    """
    members = KnownMembers(None, LOGGER)
    for name, address in (("me", "10.0.0.9:1"), ("former-me", "10.0.0.1:1"), ("other", "10.0.0.2:1")):
        members.add(name, address)

    members.forget_self("me", "10.0.0.1:1")

    assert ["other"] == list(members.addresses)


def test_a_file_that_cannot_be_written_is_said_once(tmp_path, caplog):
    """
    Gossip goes on; only the memory is lost.
    """
    (tmp_path / "server").write_text("no folder")
    members = KnownMembers(tmp_path / "server" / "serf" / "local.snapshot", LOGGER)

    members.write({"s1": "10.0.0.1:1"})
    members.write({"s1": "10.0.0.1:1"})

    assert 1 == caplog.text.count("members are not remembered over a restart")


def gossiping(scenario):
    """Run *scenario* on a stage; everybody is stopped afterwards."""

    async def whole():
        stage = Stage()
        try:
            return await asyncio.wait_for(scenario(stage), 40)
        finally:
            for gossip in stage.running.values():
                await gossip.stop()

    return asyncio.run(whole())


async def met(stage, file, **options):
    """Start a and b, b with *file*, and return b once it has written down that it met a."""
    await stage.start("a")
    second = await stage.start("b", known_file=file, **options)
    await stage.until(lambda: "a.global" in known(file))
    return second


async def again(stage, file, within=10.0, **options):
    """Start b anew, configured with nobody, and return whether it finds a."""
    stage.running.pop("b")
    found = await stage.start("b", known_file=file, join=(), **options)
    try:
        await stage.until(lambda: any(view.name == "a.global" for view in found.members()), within)
    except TimeoutError:
        return False
    return True


def test_a_restarted_server_finds_its_cluster_without_being_told(file):
    """
    The file is enough, and stays.
    """

    async def scenario(stage):
        second = await met(stage, file)
        await second.stop()
        return await again(stage, file), list(known(file))

    assert (True, ["a.global"]) == gossiping(scenario)


def test_a_server_that_left_does_not_come_back_by_itself(file):
    """
    Leaving empties the file before anybody is told.
    """

    async def scenario(stage):
        second = await met(stage, file)
        await second.leave()
        await second.stop()
        return known(file), await again(stage, file, within=1.5)

    assert ({}, False) == gossiping(scenario)


def test_a_server_that_left_comes_back_where_it_is_told_to(file):
    """
    With `rejoin_after_leave` leaving is for a while.
    """

    async def scenario(stage):
        second = await met(stage, file, rejoin_after_leave=True)
        await second.leave()
        await second.stop()
        return await again(stage, file, rejoin_after_leave=True)

    assert gossiping(scenario)


def test_who_left_is_forgotten_and_who_failed_is_not(file):
    """
    A server that was cut off from all, and restarts, still knows where to look.
    """

    async def scenario(stage):
        first = await stage.start("a")
        left = await stage.start("c")
        second = await stage.start("b", known_file=file)
        await stage.until(lambda: {"a.global", "c.global"} == set(known(file)))
        await left.leave()
        await left.stop()
        await stage.until(lambda: {"a.global"} == set(known(file)))
        await first.stop()
        await stage.until(lambda: Status.FAILED in {view.status for view in second.members()}, seconds=20)
        await asyncio.sleep(0.1)
        return set(known(file))

    assert {"a.global"} == gossiping(scenario)
