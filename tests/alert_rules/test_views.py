"""Which dashboard an alert opens."""

import pytest
import yaml

from alert_rules.dialect import Dialect
from alert_rules.rules import rule_set
from alert_rules.settings import ExpectedRegion, Links, RuleSettings
from alert_rules.views import CLUSTER, FLEET, RAFT, VIEWS, dashboard_link
from tests.tools import find

SETTINGS = RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))
OURS = "https://grafana.example/d/outrider-cluster"
ALL = frozenset({"cluster", "region", "instance"})


def test_every_alert_has_its_dashboard():
    """
    The table names every alert that the rules give, and none that they do not.
    """
    assert sorted(rule.alert for rule in rule_set(SETTINGS).alerts) == sorted(VIEWS)


def test_an_alert_opens_its_own_dashboard_with_its_variables():
    """
    The address of one of our dashboards becomes that of the alert's, with the labels that the alert surely has.
    """
    assert (
        "https://grafana.example/d/outrider-raft?var-cluster={{ $labels.cluster | urlquery }}"
        "&var-region={{ $labels.region | urlquery }}&var-instance={{ $labels.instance | urlquery }}"
    ) == dashboard_link("NomadRaftSaturated", OURS, ALL, Dialect())
    assert RAFT is VIEWS["NomadRaftSaturated"]


def test_only_labels_that_are_there_fill_a_variable():
    """
    A label that the alert or the targets lack is left out, and a renamed one is asked for by its name.
    """
    dialect = Dialect(labels={"cluster": "env", "region": ""})

    assert "https://grafana.example/d/outrider-telemetry" == dashboard_link("Watchdog", OURS, frozenset(), dialect)
    assert "https://grafana.example/d/outrider-cluster?var-cluster={{ $labels.env | urlquery }}" == dashboard_link(
        "NomadNoLeader", OURS, ALL, dialect
    )


@pytest.mark.parametrize(
    "address", ["https://grafana.example/d/ours/nomad", "http://127.0.0.1:9090/", "dashboards", OURS + "2"]
)
def test_a_page_of_the_operators_own_stays(address):
    """
    Whoever has another dashboard, or none, gets that address with every alert.
    """
    assert address == dashboard_link("NomadNoLeader", address, ALL, Dialect())


@pytest.mark.parametrize(
    "address", [OURS, OURS + "/overview", OURS + "?orgId=1", "https://grafana.example/d/" + FLEET.uid]
)
def test_any_form_of_an_address_of_ours_is_known(address):
    """
    A title behind the uid, a query, or another dashboard of ours.
    """
    link = dashboard_link("NomadNoLeader", address, ALL, Dialect())

    assert link.startswith(f"https://grafana.example/d/{CLUSTER.uid}?var-cluster=")


def test_prometheus_fills_the_address(tmp_path):
    """
    A label with signs that mean something in an address arrives whole.
    """
    found = find("promtool")
    if not found:
        pytest.skip("promtool is not found: `make tools` brings it")
    settings = RuleSettings(cluster="a&b c", regions=SETTINGS.regions, links=Links(dashboard_url=OURS))
    alert = rule_set(settings).alert("NomadServerCountUnwise")
    rule = alert.document(settings.links) | {"alert": "A", "expr": 'x{cluster!=""} > 0', "labels": {}}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}), encoding="utf-8")
    case = {
        "interval": "1m",
        "input_series": [{"series": 'x{cluster="a&b c", region="r"}', "values": "4 4"}],
        "alert_rule_test": [{"eval_time": "1m", "alertname": "A", "exp_alerts": []}],
    }
    test = {"rule_files": ["rules.yml"], "tests": [case]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test), encoding="utf-8")

    result = found[0].run("test", "rules", str(tmp_path / "test.yml"))

    # The alert was not expected, so that promtool prints it as it fired.
    assert "https://grafana.example/d/outrider-fleet?var-cluster=a%26b+c" in result.stdout + result.stderr
