"""The linter: what is shipped has no finding, and each thing that is broken has its own."""

import copy
import json

import pytest

from alert_rules.settings import ExpectedRegion, Links, RuleSettings
from dashboards.lint import lint
from dashboards.render import dashboard_files

PUBLISHED = Links(runbook_base_url="https://runbooks.example")
REGIONS = (ExpectedRegion(name="global", expected_servers=3),)
SETTINGS = {
    "as shipped": RuleSettings(cluster="demo", regions=REGIONS),
    "runbooks published": RuleSettings(cluster="demo", regions=REGIONS, links=PUBLISHED),
    "other labels": RuleSettings(
        cluster="demo",
        regions=REGIONS,
        label_names={"cluster": "env", "region": "", "instance": "node"},
        selectors={
            "server": 'job="nomad", tier="srv"',
            "client": 'job="nomad", tier="client"',
            "prometheus": 'job="p"',
        },
    ),
}
SOUND = {name.removesuffix(".json"): json.loads(text) for name, text in dashboard_files(SETTINGS["as shipped"]).items()}
CLUSTER = SOUND["dashboards/outrider-cluster"]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_what_is_built_has_no_finding(settings):
    """
    Both forms of every dashboard, whatever labels and links an operator has.
    """
    files = dashboard_files(settings)

    assert 14 == len(files)
    assert [] == [str(finding) for text in files.values() for finding in lint(json.loads(text))]


def panel(document, kind="timeseries"):
    return next(panel for panel in document["panels"] if panel["type"] == kind)


def breaking(change):
    """Return what the linter says of the cluster overview after *change*."""
    document = copy.deepcopy(CLUSTER)
    change(document)
    return [str(finding) for finding in lint(document)]


def of_panel(**changes):
    return lambda document: panel(document).update(changes)


def of_target(**changes):
    return lambda document: panel(document)["targets"][0].update(changes)


def of_fields(**changes):
    return lambda document: panel(document)["fieldConfig"]["defaults"].update(changes)


def of_variable(**changes):
    return lambda document: document["templating"]["list"][2].update(changes)


def of_board(**changes):
    return lambda document: document.update(changes)


def step(value):
    return {"mode": "absolute", "steps": [{"value": value, "color": "green"}]}


BROKEN = {
    "no uid": (of_board(uid=""), "its uid is ''"),
    "a long uid": (of_board(uid="x" * 41), "its uid is"),
    "no title": (of_board(title=""), "it has no title"),
    "an old schema": (of_board(schemaVersion=38), "its schemaVersion is 38"),
    "an id of a database": (of_board(id=7), "it has an id"),
    "a version, which Grafana counts": (of_board(version=3), "the key 'version' is dead"),
    "no tag": (of_board(tags=[]), "it has no tag"),
    "no link": (of_board(links=[]), "leads to no other dashboard"),
    "a link to nowhere": (
        lambda document: document["links"].append({"type": "link", "title": "Runbooks"}),
        "its link 'Runbooks' has no url",
    ),
    "a dead key": (of_board(rows=[]), "the key 'rows' is dead"),
    "a dead key of a panel": (of_panel(nullPointMode="null"), "the key 'nullPointMode' is dead"),
    "a dead key of a query": (of_target(intervalFactor=2), "the key 'intervalFactor' is dead"),
    "a dead option": (lambda document: panel(document)["options"].update(graph={}), "the key 'graph' is dead"),
    "a null": (of_board(description=None), "its key 'description' is null"),
    "an Angular panel": (of_panel(type="graph"), "its type is 'graph'"),
    "a collapsed row": (lambda document: document["panels"][0].update(panels=[{}]), "a row is collapsed"),
    "outside of the grid": (of_panel(gridPos={"h": 8, "w": 12, "x": 20, "y": 900}), "it lies outside"),
    "no place": (of_panel(gridPos={"h": 8}), "write h, w, x and y"),
    "an overlap": (of_panel(gridPos={"h": 4, "w": 4, "x": 0, "y": 1}), "it overlaps"),
    "an id twice": (of_panel(id=1), "its id is 1"),
    "no id": (of_panel(id=None), "its id is None"),
    "no question": (of_panel(title="Raft"), "its title is 'Raft'"),
    "a title twice": (of_panel(title="How many alerts fire?"), "another panel has the same title"),
    "no good and bad": (of_panel(description="Servers."), "what good and bad look like"),
    "no bad": (of_panel(description="Servers. Good: 3."), "what good and bad look like"),
    "no unit": (of_fields(unit=""), "its unit is ''"),
    "a unit that is none": (of_fields(unit="millis"), "its unit is 'millis'"),
    "a lowest step with a value": (of_fields(thresholds=step(0)), "its thresholds begin at [0]"),
    "steps that fall": (
        of_fields(thresholds={"steps": [{"value": value, "color": "red"} for value in (None, 2, 1)]}),
        "its thresholds do not rise",
    ),
    "a date in seconds": (of_fields(unit="dateTimeAsIso"), "a date, which Grafana reads in milliseconds"),
    "a column with a date in seconds": (
        lambda document: panel(document, "table")["fieldConfig"]["overrides"].append(
            {"matcher": {"id": "byName", "options": "state"}, "properties": [{"id": "unit", "value": "dateTimeAsIso"}]}
        ),
        "a date, which Grafana reads in milliseconds",
    ),
    "milliseconds that are no date": (
        lambda document: of_target(expr=f"1000 * ({panel(document)['targets'][0]['expr']})")(document),
        "its unit is no date",
    ),
    "no word for nothing": (of_fields(noValue=""), "set noValue"),
    "no queries": (of_panel(targets=[]), "its queries are called []"),
    "a letter twice": (of_target(refId="B"), "its queries are called ['B', 'B'"),
    "no legend": (of_target(legendFormat=""), "has no legend"),
    "a moment on a time line": (of_target(instant=True, range=False), "is asked for a moment"),
    "a table's format on a time line": (of_target(format="table"), "has the format 'table'"),
    "a data source by name": (of_panel(datasource="Prometheus"), "is not written as type and uid"),
    "two data sources": (of_target(datasource={"type": "prometheus", "uid": "x"}), "ask different data sources"),
    "a fixed rate": (of_target(expr='rate(up{cluster="$cluster"}[5m])'), "has a rate over a fixed time"),
    "a made-up value": (of_target(expr='up{cluster="$cluster"} or vector(0)'), "makes a value where there is none"),
    "no PromQL": (of_target(expr='up{cluster="$cluster"'), "cannot be right"),
    "all clusters": (of_target(expr="up"), "up is not of $cluster"),
    "one arm of all clusters": (of_target(expr='up{cluster="$cluster"} + up'), "mixes clusters"),
    "one arm with its name": (
        of_target(expr='2 * up{cluster="$cluster"} or up{cluster="$cluster"}'),
        "series of several names (no name, up)",
    ),
    "a name behind filters": (
        of_target(expr='(up{cluster="$cluster"} > 0 and up{cluster="$cluster"}) or ALERTS{cluster="$cluster"}'),
        "series of several names (ALERTS, up)",
    ),
    "an unknown variable": (of_target(expr='up{cluster="$cluster", instance="$host"}'), "$host is used"),
    "an unused variable": (
        lambda document: document["templating"]["list"].append({"name": "rack", "type": "custom"}),
        "variable rack: nothing uses it",
    ),
    "a variable twice": (
        lambda document: document["templating"]["list"].append(document["templating"]["list"][1]),
        "variable cluster: it stands twice",
    ),
    "a variable never read anew": (of_variable(refresh=0), "it is never read anew"),
    "a variable of another definition": (of_variable(definition="x"), "its definition is not its query"),
    "a variable that is no list": (of_variable(query={"query": "up"}), "write label_values"),
    "a variable of a later one": (
        lambda document: document["templating"]["list"].insert(1, document["templating"]["list"].pop(2)),
        "it is filled by $cluster, which stands behind it",
    ),
    "All as a long list": (of_variable(includeAll=True), "set allValue"),
    "no marks": (of_board(annotations={"list": []}), "alerts are not marked"),
    "a mark of a named data source": (
        lambda document: document["annotations"]["list"][0].update(datasource="x"),
        "annotation Alerts: its data source",
    ),
    "a mark of all clusters": (
        lambda document: document["annotations"]["list"][0].update(expr="ALERTS"),
        "ALERTS is not of $cluster",
    ),
}


@pytest.mark.parametrize(("change", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_is_found(change, says):
    """
    Each way to break a sound dashboard brings the finding that names it, the dashboard and the remedy.
    """
    findings = breaking(change)

    assert any(says in finding for finding in findings), findings
    assert all(finding.startswith(("outrider-cluster: ", "Outrider: ", ": ", "x")) for finding in findings)
