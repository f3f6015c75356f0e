"""What a maintenance silence covers, and what is said of the rest."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from alert_rules.rules import rule_set
from compose.cli import outrider
from compose.maintenance import MaintenanceError, Where, plan_agent, plan_region
from compose.settings import parse_settings

THREE = """\
cluster: demo
alertmanager: 127.0.0.1:1
servers:
  - {name: server-1, address: "127.0.0.1:4646"}
  - {name: server-2, address: "127.0.0.1:4656"}
  - {name: server-3, address: "127.0.0.1:4666"}
clients:
  - {name: client-1, address: "127.0.0.1:4676"}
"""
TWO_REGIONS = """\
cluster: demo
regions:
  - name: eu
    servers: [{name: a, address: "a:1"}, {name: only-eu, address: "a:2"}, {name: c, address: "a:3"}]
  - name: us
    servers: [{name: a, address: "b:1"}]
"""


def covered(plan, labels):
    """
    Return the subjects of the silences in *plan* that match an alert with *labels*, by Alertmanager's rules.
    """
    found = []
    for subject, matchers in plan.silences:
        is_match = True
        for each in matchers:
            value = labels.get(each.name, "")
            is_equal = value in each.value.split("|") if each.is_regex else value == each.value
            is_match = is_match and is_equal == each.is_equal
        if is_match:
            found.append(subject)
    return found


def labels_of(alert, severity, **more):
    return {"alertname": alert, "severity": severity, "cluster": "demo", "region": "global", **more}


def test_a_server_is_silenced_and_nothing_else():
    """
    Its own alerts are covered; those of another server, of another cluster and of the region are not.
    """
    plan = plan_agent(parse_settings(THREE), "server-2", Where(), with_risk=False)

    assert ["server-2"] == covered(plan, labels_of("NomadServerDown", "warning", instance="server-2"))
    assert [] == covered(plan, labels_of("NomadServerDown", "warning", instance="server-3"))
    assert [] == covered(plan, labels_of("NomadServerDown", "warning", instance="server-2") | {"cluster": "x"})
    assert [] == covered(plan, labels_of("NomadQuorumAtRisk", "warning"))


def test_of_three_servers_the_risk_still_comes():
    """
    Two of three are just the quorum: the warning is announced, with the way to silence it too.
    """
    plan = plan_agent(parse_settings(THREE), "server-2", Where(), with_risk=False)

    said = " ".join(plan.notes)
    assert "NomadQuorumAtRisk still comes while server-2 is down: 2 of 3 servers are just the quorum" in said
    assert "--with-risk" in said
    assert "Still notified, always: NomadQuorumLost, NomadNoLeader." in said


def test_the_risk_can_be_silenced_too():
    """
    With --with-risk the warning of that region is covered, and that alone.
    """
    plan = plan_agent(parse_settings(THREE), "server-2", Where(), with_risk=True)

    assert ["the risk to the quorum of global"] == covered(plan, labels_of("NomadQuorumAtRisk", "warning"))
    assert [] == covered(plan, labels_of("NomadQuorumAtRisk", "warning") | {"region": "other"})
    assert [] == covered(plan, labels_of("NomadClusterShrunk", "warning"))


@pytest.mark.parametrize("with_risk", [True, False])
@pytest.mark.parametrize("subject", ["server-2", "client-1", "region"])
def test_the_loss_of_quorum_or_leader_is_never_silenced(subject, with_risk):
    """
    Whatever is silenced, these two pages come, under any severity they may have been given.
    """
    settings = parse_settings(THREE)
    if subject == "region":
        plan = plan_region(settings, "global")
    else:
        plan = plan_agent(settings, subject, Where(), with_risk=with_risk and subject == "server-2")

    for alert in ("NomadQuorumLost", "NomadNoLeader"):
        for severity in ("critical", "warning"):
            assert [] == covered(plan, labels_of(alert, severity))


def test_a_region_is_silenced_but_for_its_pages():
    """
    Every warning of the region is covered, no page, no Watchdog, no other region.
    """
    settings = parse_settings(THREE)
    plan = plan_region(settings, "global")

    for rule in rule_set(settings.rules).alerts:
        labels = labels_of(rule.alert, rule.severity.value)
        if rule.alert == "Watchdog":
            del labels["region"]
        expected = ["region global"] if rule.severity.value in {"warning", "info"} else []
        assert expected == covered(plan, labels), rule.alert
        assert [] == covered(plan, labels | {"region": "other"})
    assert [] == covered(plan, labels_of("AnyOtherPage", "critical"))
    assert ("Pages still come, of every kind.",) == plan.notes


@pytest.mark.parametrize(
    ("expected", "with_risk", "said"),
    [
        (5, False, ""),
        (4, False, "3 of 4 servers are just the quorum"),
        (
            2,
            False,
            "Without server-2 region global has no quorum (1 of 2 servers needed): nothing is scheduled meanwhile",
        ),
        (1, False, "Without server-2 region global has no quorum (0 of 1 servers needed)"),
    ],
)
def test_what_the_loss_of_one_server_means_depends_on_the_expected_size(expected, with_risk, said):
    """
    Five have one to spare, four and three do not, two and one lose the quorum.
    """
    settings = parse_settings(THREE + f"expected_servers: {expected}\n")

    notes = plan_agent(settings, "server-2", Where(), with_risk=with_risk).notes

    assert said in notes[0] if said else 1 == len(notes)


@pytest.mark.parametrize(
    ("text", "name", "region", "with_risk", "error"),
    [
        (THREE, "server-4", None, False, "there is no server or client 'server-4'; did you mean server-3? the known ones are server-1, server-2, server-3, client-1"),
        (THREE, "x", None, False, "there is no server or client 'x'; the known ones are server-1"),
        (THREE, "server-2", "eu", False, "there is no region 'eu'; the known ones are global"),
        (THREE, "client-1", None, True, "client-1 is a client, which no quorum rests on: leave --with-risk out"),
        (THREE + "expected_servers: 5\n", "server-2", None, True, "nothing is at risk: leave --with-risk out, it would hide"),
        (THREE + "expected_servers: 2\n", "server-2", None, True, "--with-risk cannot help, and the page for it is never silenced"),
        (TWO_REGIONS, "a", None, False, "'a' is in the regions eu, us; say which with --region"),
        (TWO_REGIONS, "only-eu", "us", False, "there is no server or client 'only-eu'; the known ones are a"),
    ],
)  # fmt: skip
def test_what_cannot_be_silenced_is_refused(text, name, region, with_risk, error):
    """
    One sentence with the name and what is known.
    """
    with pytest.raises(MaintenanceError) as said:
        plan_agent(parse_settings(text), name, Where(region=region), with_risk=with_risk)

    assert error in str(said.value)


def test_a_name_in_two_regions_is_silenced_in_the_one_that_is_named():
    """
    The region is one of the matchers.
    """
    plan = plan_agent(parse_settings(TWO_REGIONS), "a", Where(region="us"), with_risk=False)

    alert = {"alertname": "NomadServerDown", "cluster": "demo", "instance": "a"}
    assert ["a"] == covered(plan, alert | {"region": "us"})
    assert [] == covered(plan, alert | {"region": "eu"})


def test_a_name_in_two_clusters_is_silenced_in_the_one_that_is_named():
    """
    Without the cluster it is refused, for a region as well; with it the silence is of that cluster.
    """
    server = 'servers: [{name: a, address: "a:4646"}]'
    settings = parse_settings(f"clusters:\n  - {{name: eu, {server}}}\n  - {{name: us, {server}}}\n")

    plan = plan_agent(settings, "a", Where(cluster="us"), with_risk=False)

    assert ["instance=a", "cluster=us", "region=global"] == [
        f"{matcher.name}={matcher.value}" for matcher in plan.silences[0][1]
    ]
    assert "cluster=us" in [
        f"{matcher.name}={matcher.value}" for matcher in plan_region(settings, "global", "us").silences[0][1]
    ]
    with pytest.raises(MaintenanceError, match="'a' is in the clusters eu, us; say which with --cluster"):
        plan_agent(settings, "a", Where(), with_risk=False)
    with pytest.raises(MaintenanceError, match="region 'global' is in the clusters eu, us; say which with --cluster"):
        plan_region(settings, "global")
    with pytest.raises(MaintenanceError, match="there is no cluster 'ap'; the known ones are eu, us"):
        plan_region(settings, "global", "ap")


def test_labels_with_other_names_are_matched_by_them():
    """
    A silence speaks of the labels that alerts have, and of none that they lack.
    """
    settings = parse_settings(THREE)
    settings = replace(
        settings,
        rules=replace(settings.rules, label_names={"cluster": "nomad_cluster", "region": "", "instance": "node"}),
    )

    [(_, matchers)] = plan_agent(settings, "server-2", Where(), with_risk=False).silences

    assert ['node="server-2"', 'nomad_cluster="demo"'] == [str(each) for each in matchers]


def test_a_region_that_alerts_do_not_name_cannot_be_silenced_alone():
    """
    Without the label, a silence of one region would be one of all.
    """
    settings = parse_settings(TWO_REGIONS)
    settings = replace(settings, rules=replace(settings.rules, label_names={"region": ""}))

    with pytest.raises(MaintenanceError, match="do not say their region, so none can be silenced alone"):
        plan_region(settings, "eu")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["server-2", "--for", "25h"], "--for is 25h, longer than 1d, and what is silenced that long is forgotten"),
        (["server-2", "--for", "soon"], '--for is \'soon\'; write a duration such as "30m" or "2h"'),
        (["server-2", "--for", "0s"], "--for is '0s'; it must be longer than 0s"),
        (["--for", "1h"], "nothing is named: give a server or client, or --region"),
        (["--region", "global", "--with-risk", "--for", "1h"], "--with-risk goes with one server"),
        (["server-9", "--for", "1h"], "there is no server or client 'server-9'; did you mean"),
        (["server-2", "--for", "1h"], "no Alertmanager answered (http://127.0.0.1:1: Connection refused)"),
        (["server-2", "--for", "25h", "--yes"], "no Alertmanager answered"),
        (["add", "server-2", "--for", "1h"], "no Alertmanager answered"),
        (["list"], "no Alertmanager answered (http://127.0.0.1:1: Connection refused)"),
        (["end", "x"], "no Alertmanager answered"),
        (["list", "--alertmanager", "http://127.0.0.1:2"], "no Alertmanager answered (http://127.0.0.1:2:"),
    ],
)
def test_the_command_ends_with_one_sentence(arguments, error, tmp_path):
    """
    Mistakes are named before anything is asked of Alertmanager, and so is an Alertmanager that is not there.
    """
    file = tmp_path / "outrider.yaml"
    file.write_text(THREE)

    result = CliRunner().invoke(outrider, ["silence", *arguments, "-f", str(file)])

    assert 1 == result.exit_code
    assert f"Error: {error}" in result.output


def test_the_help_names_the_four_ways():
    """
    A newcomer sees what can be silenced and how it is ended.
    """
    output = CliRunner().invoke(outrider, ["silence", "--help"]).output

    for line in ("silence server-2 --for 30m", "silence --region eu --for 2h", "silence list", "silence end ID"):
        assert f"  outrider {line}" in output
