"""What a server says of its group in series and statistics, when not everybody votes."""

from dataclasses import replace

import pytest

from agent.consensus.replicator import Standing
from agent.self_info import server_stats
from telemetry.catalogue import outrider
from tests.agent.test_observe import LEADER, leading, peer, sampled, status

LEARNER = replace(peer(4, 0.1), voter=False)


@pytest.mark.parametrize(
    ("standing", "voters", "healthy"), [(Standing.VOTER, 3, 2), (Standing.NONVOTER, 2, 1), (Standing.NONE, 2, 1)]
)
def test_a_server_without_a_vote_does_not_count_itself(standing, voters, healthy):
    """
    The voters are those of the configuration, this server among them only if it is one.
    """
    found = sampled(status(standing=standing))

    assert (voters, healthy) == (found[outrider.RAFT_VOTERS], found[outrider.RAFT_VOTERS_HEALTHY])


def test_a_leader_counts_no_server_without_a_vote():
    """
    Neither as a voter, nor as healthy, nor for when a quorum was last heard.
    """
    given = leading((0.1, 0.3))
    found = sampled(replace(given, peers=(*given.peers, replace(LEARNER, last_contact_seconds=0.0))))

    assert (3, 3) == (found[outrider.RAFT_VOTERS], found[outrider.RAFT_VOTERS_HEALTHY])
    assert 0.1 == found[outrider.RAFT_LAST_CONTACT_SECONDS]


def test_statistics_say_who_votes():
    """
    As a Nomad's: peers are the other voters, and each server has its suffrage; a removed one is not in the list.
    """
    given = status(peers=(peer(2), LEARNER))
    raft = server_stats(given, LEADER, 3, 1, {})["raft"]

    assert "1" == raft["num_peers"]
    assert (
        "[{Suffrage:Voter ID:id-1 Address:127.0.0.1:11} {Suffrage:Voter ID:id-2 Address:127.0.0.1:12} "
        "{Suffrage:Nonvoter ID:id-4 Address:127.0.0.1:14}]"
    ) == raft["latest_configuration"]
    gone = server_stats(replace(given, standing=Standing.NONE), LEADER, 3, 1, {})["raft"]["latest_configuration"]
    assert "id-1" not in gone
