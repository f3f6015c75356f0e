"""The catalogue both ways, against the recorded scrapes of a real Nomad and against scrapes made wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from telemetry.catalogue import CATALOGUE, Presence, Role
from telemetry.catalogue.comparison import AgentState, Problem, compare, required, unseen
from telemetry.finding import Weight
from telemetry.scraped import read_exposition

GOLDEN = Path(__file__).parent.parent / "golden" / "nomad-2.0.5"
STATES = {
    "leader": AgentState(place="s2", roles=Role.SERVER, is_leader=True, seconds=180, is_outrider=False),
    "follower": AgentState(place="s1", roles=Role.SERVER, seconds=180, is_outrider=False),
    "client": AgentState(place="c1", roles=Role.CLIENT, seconds=180, is_outrider=False),
}
PEER = "b54ee6ea-c10b-f6d4-9be7-b22702474b22"


def text_of(role):
    return (GOLDEN / f"{role}.prom").read_text()


def problems(text, state):
    return [(each.problem, each.finding.metric) for each in compare(read_exposition(text), state)]


@pytest.mark.parametrize("role", STATES)
def test_a_recorded_scrape_and_the_catalogue_agree_both_ways(role):
    """
    No sample of a real Nomad at rest is unknown or otherwise than catalogued, and nothing that must be there lacks.
    """
    assert [] == problems(text_of(role), STATES[role])


def test_a_sample_that_no_entry_has_is_found_once():
    """
    Each unknown name is one finding, however many series it has.
    """
    text = text_of("client") + 'nomad_new{a="1"} 1\nnomad_new{a="2"} 1\n'

    assert [(Problem.UNKNOWN, "nomad_new")] == problems(text, STATES["client"])


def test_a_peer_in_the_name_is_known_only_where_nomad_puts_one():
    """
    The series of Raft peers that carry the id in their name are known; others with an id are not.
    """
    suffix = PEER.replace("-", "_")
    text = text_of("leader") + f"nomad_raft_replication_heartbeat_{suffix}_count 3\nnomad_raft_apply_{suffix} 3\n"

    assert [(Problem.UNKNOWN, f"nomad_raft_apply_{suffix}")] == problems(text, STATES["leader"])


def test_another_kind_is_an_error():
    """
    A gauge that came as a counter breaks the rules made for it.
    """
    text = text_of("leader").replace("# TYPE nomad_raft_lastIndex gauge", "# TYPE nomad_raft_lastIndex counter")

    found = compare(read_exposition(text), STATES["leader"])

    assert [Problem.KIND] == [each.problem for each in found]
    assert Weight.ERROR is found[0].finding.weight
    assert "nomad_raft_lastIndex is a counter, the catalogue says gauge" == found[0].finding.seen


def test_a_label_too_many_is_an_error_and_host_is_none():
    """
    Labels that the catalogue lacks are found; the label of disable_hostname = false is of no metric.
    """
    text = text_of("follower").replace("nomad_raft_lastIndex ", 'nomad_raft_lastIndex{host="h",shard="1"} ')

    assert [(Problem.LABELS, "nomad_raft_lastIndex")] == problems(text, STATES["follower"])
    assert [] == problems(text.replace(',shard="1"', ""), STATES["follower"])


def test_a_series_of_ours_with_a_label_too_few_is_an_error():
    """
    A Nomad leaves labels out; the outrider_* series never do.
    """
    text = "# TYPE outrider_raft_term gauge\noutrider_raft_term 3\n"

    assert (Problem.LABELS, "outrider_raft_term") in problems(text, replace(STATES["leader"], is_outrider=True))


def test_what_only_a_leader_says_lacks_only_on_a_leader():
    """
    A follower's scrape taken for a leader's lacks what the leader says, and the other way round.
    """
    lacking = problems(text_of("follower"), STATES["leader"])

    assert (Problem.MISSING, "nomad_nomad_autopilot_healthy") in lacking
    assert {Problem.MISSING} == {problem for problem, _ in lacking}
    assert (Problem.MISSING, "nomad_raft_rpc_processHeartbeat") in problems(text_of("leader"), STATES["follower"])


def test_a_young_leader_may_still_lack_what_it_does_once_a_minute():
    """
    Nothing of the leader's is demanded before it has been one for a minute, and nothing of an agent that just began.
    """
    young = replace(STATES["leader"], seconds=59.0)

    assert not [metric for metric in required(young) if metric.present is Presence.LEADER_ONLY]
    assert [] == list(required(replace(young, seconds=1.0)))


def test_a_server_that_is_alone_has_no_peers():
    """
    Replication and contact with followers are demanded of a leader that has some.
    """
    names = {metric.name for metric in required(replace(STATES["leader"], servers=1))}

    assert "nomad_raft_replication_heartbeat" not in names
    assert "nomad_raft_leader_lastContact" not in names
    assert "nomad_raft_commitTime" in names


def test_series_of_ours_are_demanded_of_our_agent_alone():
    """
    A real Nomad has no outrider_*, and our agent only what it exports.
    """
    of_nomad = {metric.name for metric in required(STATES["client"])}
    of_ours = {metric.name for metric in required(replace(STATES["client"], is_outrider=True))}

    assert not any(name.startswith("outrider_") for name in of_nomad)
    assert "outrider_client_last_heartbeat_seconds" in of_ours
    assert "go_memstats_sys_bytes" in of_nomad - of_ours


def test_what_was_never_seen_is_listed_with_when_it_is_there():
    """
    Events that the recorded moment lacked are unseen; what it had is not.
    """
    pairs = [(STATES[role], read_exposition(text_of(role))) for role in STATES]

    found = unseen(pairs)

    assert Presence.AFTER_FIRST_EVENT is found["nomad_raft_state_candidate"]
    assert "nomad_raft_commitTime" not in found
    assert set() == {name for name, present in found.items() if present is Presence.ALWAYS}
    assert found.keys() <= {name for metric in CATALOGUE for name in metric.names}


def test_a_word_that_our_agent_has_no_use_for_is_unseen_on_a_nomad_only():
    """
    Our agent has no scheduler that tidies up, so nobody waits for series of its name.
    """
    nothing = read_exposition("")
    nomad, ours = (AgentState(place="s", roles=Role.SERVER, is_outrider=each) for each in (False, True))

    assert "nomad_nomad_broker__core_ready" in unseen([(nomad, nothing)])
    assert "nomad_nomad_broker__core_ready" not in unseen([(ours, nothing)])
    assert "nomad_nomad_broker_batch_ready" in unseen([(ours, nothing)])
