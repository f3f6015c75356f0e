"""prefix_filter and filter_default decide as go-metrics does, in either spelling of a name."""

import pytest

from telemetry.catalogue import broker, client, external, job, outrider, raft, rpc
from telemetry.filters import ALLOW_ALL, Filters


def test_without_rules_everything_is_allowed():
    """
    The default of Nomad: no filter.
    """
    assert ALLOW_ALL.allows(raft.APPLY)
    assert Filters.from_rules() == ALLOW_ALL


@pytest.mark.parametrize(
    ("rules", "metric", "allowed"),
    [
        (["-nomad.raft"], raft.APPLY, False),
        (["-nomad.raft"], job.STATUS_DEAD, True),
        (["-nomad_raft"], raft.APPLY, False),
        (["-nomad.raft", "+nomad.raft.apply"], raft.APPLY, True),
        (["-nomad.raft", "+nomad.raft.apply"], raft.BARRIER, False),
        (["+nomad.raft", "-nomad.raft.apply"], raft.APPLY, False),
        (["+nomad.raft", "-nomad.raft"], raft.APPLY, False),
        (["-nomad.raft", "+nomad.raft"], raft.APPLY, False),
        (["-nomad_raft", "+nomad.raft"], raft.APPLY, False),
        (["+nomad_raft", "-nomad.raft"], raft.APPLY, False),
        (["-nomad.nomad.job."], job.STATUS_DEAD, True),
        (["-nomad.nomad.job."], rpc.JOB_REGISTER, False),
        (["-nomad_nomad_job_"], job.STATUS_DEAD, False),
        (["-nomad.nomad.client.update_status"], rpc.CLIENT_UPDATE_STATUS, False),
        (["-nomad_nomad_client_update_status"], rpc.CLIENT_UPDATE_STATUS, False),
        (["-nomad.client.allocs.cpu.total_ticks"], client.ALLOCS_CPU_TOTAL_TICKS, False),
        (["-nomad.client.allocs.cpu.total_ticks"], client.ALLOCS_CPU_USER, True),
    ],
)
def test_the_longest_prefix_decides(rules, metric, allowed):
    """
    The longest prefix that fits wins whatever the order; a blocking rule wins over the same allowing one.
    """
    assert allowed is Filters.from_rules(rules).allows(metric)


def test_a_default_of_false_leaves_what_is_named():
    """
    With filter_default off only allowed prefixes are exported, and series of ours, which alerts need.
    """
    filters = Filters.from_rules(["+nomad.raft"], filter_default=False)

    assert filters.allows(raft.APPLY)
    assert not filters.allows(job.STATUS_DEAD)
    assert filters.allows(outrider.SERVER_HAS_LEADER)
    assert filters.allows(external.PROCESS_OPEN_FDS)


def test_series_of_ours_go_when_they_are_named():
    """
    A rule that names an outrider_ series blocks it.
    """
    assert not Filters.from_rules(["-outrider_queue"]).allows(outrider.QUEUE_DEPTH)


def test_expansions_are_filtered_one_by_one():
    """
    The word in a name takes part in the comparison.
    """
    filters = Filters.from_rules(["-nomad.nomad.broker._core"])

    assert not filters.allows(broker.SCHEDULER_READY, "_core")
    assert filters.allows(broker.SCHEDULER_READY, "service")


@pytest.mark.parametrize("rule", ["nomad.raft", "", "+", "-", "*nomad"])
def test_a_rule_without_a_sign_is_refused(rule):
    """
    The message quotes the entry and says how to write it.
    """
    with pytest.raises(ValueError, match=r"telemetry\.prefix_filter has the entry .* start it with \+ .* or with -"):
        Filters.from_rules([rule])
