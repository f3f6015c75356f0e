"""How a leader brings the group into line with gossip: what it asks of Raft, and what it tells of itself."""

import asyncio
import logging
from dataclasses import replace

import pytest

from agent.consensus.deferred import _NOTHING
from agent.consensus.replicator import Peer, PeerStatus, RaftState, Standing
from agent.errors import RequestRefused
from agent.gossip.bootstrap import CLUSTER_TAG, GROUP_TAG, RAFT_TAG
from agent.gossip.members import MemberView, Status
from agent.gossip.wire import Address
from agent.leader.autopilot import DEAD_SECONDS
from agent.membership import LEADERLESS_SECONDS, Membership
from agent.model.autopilot import AutopilotConfig
from telemetry.clock import ManualClock
from telemetry.registry import Registry
from telemetry.scraped import read_exposition


def peer(name):
    return Peer(f"id-{name}", name, f"127.0.0.1:{name[1:]}649", f"127.0.0.1:{name[1:]}647")


def view(name, status=Status.ALIVE, *, incarnation=1, **tags):
    own = {
        "region": "global", "id": f"id-{name}", "rpc_addr": "127.0.0.1", "port": f"{name[1:]}647",
        RAFT_TAG: f"127.0.0.1:{name[1:]}649", **tags,
    }  # fmt: skip
    return MemberView(f"{name}.global", Address("127.0.0.1", 4648), own, status, incarnation)


class World:
    """Gossip, Raft and autopilot's judgement as a test sets them; what was asked of Raft is in `asked`."""

    def __init__(self):
        self.clock = ManualClock(1000.0)
        self.registry = Registry(self.clock)
        self.views = [view("s1"), view("s2"), view("s3")]
        self.peers = [("s2", True), ("s3", True)]
        self.healthy = {"id-s2": 100.0, "id-s3": 100.0}
        self.asked, self.tags, self.clusters, self.refusal = [], [], [], None
        self.cluster_id = ""
        self.standing, self.leads = Standing.VOTER, True
        self.nameless = set()
        self.membership = Membership(
            peer("s1"),
            "global",
            self,
            self,
            self,
            lambda: self.leads,
            AutopilotConfig,
            self.clock,
            self.registry,
            logging.getLogger("t"),
        )

    def members(self):
        return self.views

    def add_tags(self, tags):
        self.tags += [tags[GROUP_TAG]] if GROUP_TAG in tags else []
        self.clusters += [tags[CLUSTER_TAG]] if CLUSTER_TAG in tags else []

    def healthy_seconds(self, key):
        return self.healthy.get(key)

    def status(self):
        peers = tuple(
            PeerStatus(
                Peer("", "", peer(name).raft_address, "") if name in self.nameless else peer(name), voter, True, 0.0, 9
            )
            for name, voter in self.peers
        )
        state = RaftState.LEADER if self.leads else RaftState.FOLLOWER
        return replace(
            _NOTHING,
            state=state,
            leader=peer("s1") if self.leads else None,
            peers=peers,
            standing=self.standing,
            cluster_id=self.cluster_id,
        )

    async def add_server(self, added, *, voter, timeout_seconds):
        self._ask("promote" if voter else "add", added.server_id)
        self.peers = [*((name, v) for name, v in self.peers if name != added.name), (added.name, voter)]

    async def remove_server(self, text, timeout_seconds):
        self._ask("remove", text)
        self.peers = [pair for pair in self.peers if text not in {peer(pair[0]).server_id, peer(pair[0]).raft_address}]

    def _ask(self, what, text):
        self.asked.append((what, text))
        if self.refusal:
            raise RequestRefused(self.refusal)

    def look(self, seconds=0.5):
        """Let time pass and have one look."""
        self.clock.advance(seconds)
        self.membership._tell()
        if self.leads:
            asyncio.run(self.membership._lead())
        return self.asked


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize(("leads", "looks"), [(True, 1), (False, 0)], ids=["a leader", "a follower"])
def test_a_leader_measures_each_comparison_and_each_member(world, monkeypatch, leads, looks):
    """
    One of all, and one of each of three servers; whoever does not lead compares nothing.
    """
    pauses = iter([0.0])

    async def once(_seconds):
        if next(pauses, None) is None:
            raise asyncio.CancelledError

    monkeypatch.setattr("agent.membership.asyncio.sleep", once)
    world.leads = leads
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(world.membership.run())

    scrape = read_exposition(world.registry.exposition().decode())
    names = ("nomad_nomad_leader_reconcile_count", "nomad_nomad_leader_reconcileMember_count")
    assert [looks, 3 * looks] == [scrape.value(name) or 0 for name in names]


def test_a_group_that_is_as_gossip_says_is_left_alone(world):
    """
    Nothing is asked of Raft, however long it lasts.
    """
    assert [] == world.look() + world.look(1000)


def test_a_newcomer_is_added_promoted_and_removed_when_it_leaves(world):
    """
    The whole life of a server: taken in without a vote, promoted when it is stable, removed once it left.
    """
    world.views.append(view("s4"))

    assert [("add", "id-s4")] == world.look()
    world.look()
    world.healthy["id-s4"] = 9.9
    assert 1 == len(world.look(20))
    world.healthy["id-s4"] = 10.0
    assert ("promote", "id-s4") == world.look()[-1]
    world.views[-1] = view("s4", Status.LEFT)
    world.look()
    assert ("remove", "id-s4") == world.look()[-1]
    assert 3 == len(world.look())


def test_health_of_a_former_life_gives_no_vote(world):
    """
    A server that left and is back within a round of autopilot's is still judged healthy, since long ago.
    """
    world.peers = [("s2", True)]

    assert [("add", "id-s3")] == world.look()
    world.look()
    assert 1 == len(world.look(9.9))
    assert ("promote", "id-s3") == world.look(0.1)[-1]


def test_a_dead_server_is_removed_when_it_was_long_enough(world):
    """
    It counts from when this leader first saw it failed.
    """
    world.views[2] = view("s3", Status.FAILED)
    del world.healthy["id-s3"]

    assert [] == world.look() + world.look(DEAD_SECONDS - 0.1)
    assert [("remove", "id-s3")] == world.look(0.2)


def test_servers_of_other_groups_and_regions_are_not_taken_in(world):
    """
    Two groups never mix, and a region is one group.
    """
    world.views += [view("s4", **{GROUP_TAG: "1"}), view("s5", region="west"), view("s6", Status.LEAVING)]

    assert [] == world.look()


def test_a_server_that_was_sent_away_comes_back_after_a_restart(world):
    """
    An operator removed it while it runs: it stays out until it is a new process, or was away.
    """
    world.peers = [("s2", True)]
    world.membership.send_away("id-s3")

    assert [] == world.look() + world.look(100)
    world.views[2] = view("s3", incarnation=int(world.clock.wall()))
    assert [("add", "id-s3")] == world.look()


def test_a_server_whose_id_raft_does_not_know_is_no_newcomer(world):
    """
    Right after an election a follower may not have said who it is: gossip's word for its address is taken.
    """
    world.nameless = {"s3"}

    assert [] == world.look()
    world.views[2] = view("s3", Status.LEFT)
    world.look()
    assert [("remove", "127.0.0.1:3649")] == world.look()


def test_a_trouble_is_logged_once(world, caplog):
    """
    What Raft refuses is tried again at each look, and said once.
    """
    world.views.append(view("s4"))
    world.refusal = "not now"

    with caplog.at_level(logging.WARNING):
        world.look()
        world.look()

    assert 2 == len(world.asked)
    assert ["autopilot: cannot change the servers: add id-s4: not now"] == [record.message for record in caplog.records]


def test_a_server_says_that_it_is_of_a_group_and_no_more_when_it_was_removed(world):
    """
    An election is no news; a removal is, and so is a long time without a leader.
    """
    world.look()
    world.leads = False
    world.look()
    assert ["1"] == world.tags
    world.look(LEADERLESS_SECONDS + 1)
    assert ["1", ""] == world.tags
    world.leads = True
    world.look()
    world.standing = Standing.NONE
    world.look()
    assert ["1", "", "1", ""] == world.tags


def test_a_server_that_leaves_says_nothing_more(world):
    """
    It is removed while it waits: a new tag would bring it back into gossip as a member that lives.
    """
    world.look()
    world.membership.leave()
    world.standing, world.leads = Standing.NONE, False
    world.look()

    assert ["1"] == world.tags


def test_a_server_without_a_group_says_nothing(world):
    """
    It waits to be taken in.
    """
    world.leads, world.standing = False, Standing.NONE

    world.look(100)

    assert [] == world.tags


def test_a_server_of_another_cluster_is_not_taken_in(world, caplog):
    """Though no group has it: it may hold a log that would be overwritten. One that knows no cluster yet is a new one."""
    world.cluster_id = "11111111-1111-4111-8111-111111111111"
    world.views += [
        view("s4", **{CLUSTER_TAG: "22222222-2222-4222-8222-222222222222"}),
        view("s5", **{CLUSTER_TAG: world.cluster_id}),
        view("s6"),
    ]

    for _ in range(5):
        world.look()

    assert [("add", "id-s5"), ("add", "id-s6")] == world.asked[:2]
    assert not any(key == "id-s4" for _, key in world.asked)
    assert [world.cluster_id] == world.clusters
    (line,) = [record.getMessage() for record in caplog.records if "not taken in" in record.getMessage()]
    assert "server=s4.global id=id-s4 reason='is of cluster 22222222-" in line
    assert "remove its data directory" in line
