"""The parts for an Alertmanager that is there already."""

from dataclasses import replace

from alert_rules.alertmanager.fragment import fragment, mark_of
from alert_rules.rules import rule_set
from tests.alert_rules.receiver_set_ups import NONE, SET_UPS, hook

ALERTS = {"NomadQuorumLost": True, "Watchdog": True, "OutriderTest": True}
TWO = replace(NONE, receivers=(hook("one", watchdog=True), hook("two", clusters=("eu",))))


def names_in(part):
    """
    Return every name that a part gives to a receiver or a mute time, however deep.
    """
    if isinstance(part, dict):
        for key, value in part.items():
            if key in {"receiver", "name", "mute_time_intervals"}:
                yield from [value] if isinstance(value, str) else value
            else:
                yield from names_in(value)
    elif isinstance(part, list):
        for each in part:
            yield from names_in(each)


def test_one_route_takes_our_alerts_of_our_clusters():
    """
    It names the alerts and every cluster that a receiver may want, and ends their way.
    """
    [route] = fragment(TWO, ALERTS)["routes"]

    assert ['alertname=~"NomadQuorumLost|OutriderTest|Watchdog"', 'cluster=~"demo|eu"'] == route["matchers"]
    assert "continue" not in route
    assert ["alertname", "cluster", "region"] == route["group_by"]


def test_everything_of_ours_is_known_by_its_name():
    """
    Receivers, routes and mute times begin with our prefix and the cluster, inhibitions carry the mark.
    """
    for name in ("mute", "severities", "clusters"):
        settings, _ = SET_UPS[name]
        parts = fragment(settings, ALERTS)
        names = list(names_in({key: part for key, part in parts.items() if key != "inhibit_rules"}))
        assert len(names) > 4
        assert all(each.startswith("outrider/demo/") for each in names)
        assert all(mark_of(settings) in rule["source_matchers"] for rule in parts["inhibit_rules"])


def test_without_receivers_there_is_no_route():
    """
    The operator's own routes then decide who is told; inhibitions are still of use.
    """
    assert ["inhibit_rules", "templates"] == list(fragment(NONE, ALERTS))


def test_alerts_that_name_no_cluster_are_taken_by_their_name():
    """
    A matcher on a label that they lack would match none.
    """
    [route] = fragment(replace(TWO, label_names={"cluster": ""}), ALERTS)["routes"]

    assert 1 == len(route["matchers"])


def test_an_alert_that_may_name_no_cluster_is_taken_by_its_name():
    """
    What is about Prometheus itself has a route of its own, with the same receivers.
    """
    named, unnamed = fragment(TWO, ALERTS | {"OutriderRulesFailing": False})["routes"]

    assert ['alertname="OutriderRulesFailing"'] == unnamed["matchers"]
    assert named["routes"] == unnamed["routes"]


def test_every_alert_of_nomad_surely_names_its_cluster():
    """
    Whose name may be in other packs too is told from theirs by the cluster, and so is the Watchdog.
    """
    unnamed = [rule.alert for rule in rule_set(NONE).alerts if "cluster" not in rule.surely_labelled]

    assert [] == [alert for alert in unnamed if not alert.startswith("Outrider")]
