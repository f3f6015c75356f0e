"""`outrider metrics` finds what is there and helps with what is not."""

import json

import pytest
from click.testing import CliRunner

from telemetry.catalogue import CATALOGUE
from telemetry.cli import metrics


@pytest.fixture
def run():
    """
    A function that runs the group with arguments.
    """
    return lambda *arguments: CliRunner().invoke(metrics, arguments)


def test_show_resolves_a_suffix(run):
    """
    The count of a summary is explained by its metric, with Nomad's key and unit.
    """
    done = run("show", "nomad_raft_leader_lastContact_count")

    assert 0 == done.exit_code
    assert "key         = nomad.raft.leader.lastContact\n" in done.output
    assert "unit        = ms\n" in done.output


def test_show_of_an_unknown_name_suggests_near_ones(run):
    """
    A misspelt name is an error that names what was probably meant.
    """
    done = run("show", "nomad_raft_commitTim")

    assert 1 == done.exit_code
    assert 'no metric has the series "nomad_raft_commitTim"; did you mean nomad_raft_commitTime' in done.output


def test_show_says_why_the_agent_does_not_export_it(run):
    """
    What only a Nomad exports has a reason; what the agent exports has none.
    """
    query = " ".join(run("show", "nomad_serf_queue_Query").output.split())

    assert "exported by = server (Nomad only: gossip) not by outrider = the agent's gossip has no user events," in query
    assert "not by outrider" not in run("show", "nomad_raft_commitTime").output


def test_show_as_json(run):
    """
    With -json the same fields are one object.
    """
    done = run("show", "-json", "nomad_nomad_heartbeat_active")

    assert "gauge" == json.loads(done.output)["kind"]


def test_list_holds_every_metric(run):
    """
    Without options each metric has a line.
    """
    done = run("list")

    assert len(CATALOGUE) == len(done.output.splitlines())


def test_list_can_be_narrowed(run):
    """
    By subsystem, kind and exporter, together.
    """
    done = run("list", "--module", "serf", "--kind", "counter")
    ours = run("list", "--module", "go_runtime", "--exported")

    assert 5 == len(done.output.splitlines())
    assert all("counter" in line for line in done.output.splitlines())
    assert "" == ours.output.strip()


def test_search_looks_into_meanings_and_keys(run):
    """
    A word of a meaning or a dotted key finds a metric, in whatever case; nothing found is an error.
    """
    assert "nomad_raft_transition_leader_lease_timeout" in run("search", "LEASE").output
    assert "nomad_nomad_job_summary_lost" in run("search", "nomad.nomad.job_summary.lost").output
    done = run("search", "lease", "zebra")
    assert 1 == done.exit_code
    assert 'no metric has "lease", "zebra" in its name, its key or its meaning; try fewer words' in done.output


@pytest.mark.parametrize("words", [("lease", "loss"), ("LOSS lease",)], ids=["words", "a phrase"])
def test_search_wants_all_words_in_any_order(run, words):
    """
    They need not stand beside each other: the counter of lost leases is found, the gauge of lost allocations is not.
    """
    found = run("search", *words).output

    assert "outrider_raft_lease_losses_total" in found
    assert "nomad_nomad_job_summary_lost" not in found


def test_show_takes_the_key_of_a_sink(run):
    """
    What statsd calls it finds the metric as well as what Prometheus does; what nobody has says how to look for it.
    """
    assert "nomad_raft_commitTime" in run("show", "nomad.raft.commitTime").output
    assert "outrider_raft_term" in run("show", "outrider.raft_term").output
    assert "look for it with `outrider metrics search WORD`" in run("show", "zebra").output
