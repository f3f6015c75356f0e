"""Queries resolved against the catalogue."""

import pytest

from alert_rules.promql import QueryError, resolve
from telemetry.catalogue.metric import Unit


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sum(", "not PromQL"),
        ("nomad_raft_leader_lastcontact > 200", "did you mean 'nomad_raft_leader_lastContact'?"),
        ("absent(nomad_raft_state_leadr)", "unknown metric 'nomad_raft_state_leadr'"),
        ('up{rack="a"} == 1', "up has no label 'rack'"),
        ('up{server="s1"} == 1', "up has no label 'server'"),
        ("max by (server) (nomad_raft_appliedIndex)", "max by 'server'"),
        ("rate(nomad_raft_peers[5m]) > 0", "rate() of nomad_raft_peers"),
        ("resets(nomad_raft_peers[5m]) > 0", "resets() of nomad_raft_peers"),
        ("rate(up[5m]) > 0", "rate() of up"),
        ("increase(nomad_raft_leader_lastContact[5m]) > 0", "increase() of nomad_raft_leader_lastContact"),
        ("delta(nomad_raft_state_leader[5m]) > 0", "delta() of the counter nomad_raft_state_leader"),
        ('nomad_raft_leader_lastContact{quantile="0.99"} > 0.2', "0.2 is no threshold for a value in 'ms'"),
        ("up > 3", "3 is no threshold for a value in '0 or 1'"),
        ("up > nomad_raft_peers", "compares"),
        ("count by (rack) (up)", "count by 'rack'"),
        ("sum by (cluster) (up) > on (region) sum by (cluster) (up)", "`on` names 'region'"),
        ("sum by (instance) (outrider:servers_up)", "sum by 'instance'"),
        ("absent(up) or on (instance) up{rack='a'}", "up has no label 'rack'"),
    ],
)
def test_a_query_that_cannot_be_right_is_refused(query, problem):
    """
    What does not resolve is refused with the reason.
    """
    with pytest.raises(QueryError, match=r".") as refused:
        resolve(query)

    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("query", "labels", "unit"),
    [
        ('sum by (cluster) (up{role="server"}) < 2', {"cluster"}, Unit.COUNT),
        ('nomad_raft_leader_lastContact{quantile="0.9"} > 200', None, Unit.MILLISECONDS),
        ("rate(nomad_raft_leader_lastContact_sum[1m]) / rate(nomad_raft_leader_lastContact_count[1m])", None, None),
        ("outrider:servers_up < outrider:servers_quorum", {"cluster", "region"}, Unit.COUNT),
        ('absent(up{cluster="a"})', {"cluster"}, Unit.COUNT),
        ("vector(1)", set(), Unit.COUNT),
        ("sum by (cluster) (up) or vector(0)", set(), Unit.COUNT),
        ("max by (cluster, region) (outrider_raft_term)", {"cluster", "region"}, Unit.TERM),
        ('max by (cluster, server) (outrider_raft_term{server!=""})', {"cluster", "server"}, Unit.TERM),
        ("avg without (instance, job) (up) < 0.5", None, Unit.RATIO),
    ],
)
def test_a_query_has_the_labels_and_the_unit_of_its_series(query, labels, unit):
    """
    Labels and unit follow the functions and operators a series goes through.
    """
    shape = resolve(query).shape

    assert unit is shape.unit
    if labels is not None:
        assert labels == shape.labels


def test_after_or_only_the_labels_of_both_arms_are_sure():
    """
    A text that uses a label which one arm lacks would print nothing there.
    """
    shape = resolve('sum by (cluster, region) (up) or absent(up{cluster="a"})').shape

    assert {"cluster"} == shape.labels
