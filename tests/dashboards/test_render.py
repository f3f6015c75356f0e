import json
import re
import subprocess
from itertools import combinations

import pytest
import yaml

from alert_rules import views
from alert_rules.promql import resolve
from alert_rules.settings import Choice, ExpectedRegion, Links, RuleSettings, Times
from compose.tools import Tool, ToolError, find_tool
from dashboards.panel import substituted
from dashboards.render import DASHBOARDS, GRID_WIDTH, dashboard_files, render, render_all, render_by_hand
from telemetry.catalogue import CATALOGUE
from telemetry.catalogue.metric import Presence, Role


def settings(**changes) -> RuleSettings:
    shipped = {"cluster": "demo", "regions": (ExpectedRegion(name="global", expected_servers=3),)}
    shipped["links"] = Links(runbook_base_url="https://runbooks.example/outrider")
    return RuleSettings(**(shipped | changes))


SHIPPED = settings()
DOCUMENTS = {name: json.loads(text) for name, text in dashboard_files(SHIPPED).items() if "by-hand" not in name}
BY_UID = {dashboard.uid: dashboard for dashboard in DASHBOARDS}

each_dashboard = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())


def panels(document: dict) -> list[dict]:
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def keys_of(value: object) -> set[str]:
    """Return every key at any depth."""
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in keys_of(item)}
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item)}
    return set()


@each_dashboard
def test_the_schema_is_todays(document):
    """
    A dashboard has the schema version, variables, time and identity that provisioning needs.
    """
    assert 39 <= document["schemaVersion"]
    chosen = [choice.name for choice in BY_UID[document["uid"]].choices]
    assert ["datasource", *chosen] == [each["name"] for each in document["templating"]["list"]]
    assert {"from": "now-1h", "to": "now"} == document["time"]
    assert document["uid"]
    assert not document["editable"]


@each_dashboard
def test_no_dead_key_is_left(document):
    """
    Nothing is written that today's Grafana does not read.
    """
    dead = {
        "rows",
        "span",
        "sharedCrosshair",
        "hideControls",
        "gnetId",
        "intervalFactor",
        "renderer",
        "style",
        "time_options",
    }

    assert set() == keys_of(document) & dead


@each_dashboard
def test_ids_are_unique_and_in_reading_order(document):
    """
    Every panel, rows included, has an id of its own, counted from 1.
    """
    ids = [panel["id"] for panel in document["panels"]]

    assert list(range(1, len(ids) + 1)) == ids


@each_dashboard
def test_no_panel_overlaps_another(document):
    """
    Every panel lies within the grid and shares no cell with another.
    """
    places = [panel["gridPos"] for panel in document["panels"]]

    assert all(0 <= place["x"] and place["x"] + place["w"] <= GRID_WIDTH for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


@each_dashboard
def test_every_panel_says_what_it_shows(document):
    """
    Every panel has a title, a description, a unit, a lowest threshold and the datasource of the variable.
    """
    for panel in panels(document):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert defaults["unit"], panel["title"]
        assert {"value": None} == {"value": defaults["thresholds"]["steps"][0].get("value", "missing")}
        assert {"type": "prometheus", "uid": "${datasource}"} == panel["datasource"]
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert len(panel["targets"]) == len({target["refId"] for target in panel["targets"]})


@each_dashboard
def test_every_query_is_of_the_chosen_cluster(document):
    """
    Several clusters share one Prometheus: no panel mixes them, but for those about Prometheus and Alertmanager.
    """
    for panel in panels(document):
        for target in panel["targets"]:
            of_watchers = resolve(substituted(target["expr"])).metrics
            is_of_watchers = all(name.startswith(("prometheus_", "alertmanager_")) for name in of_watchers)
            assert is_of_watchers or re.search(r'cluster=~?"\$cluster"', target["expr"]), panel["title"]


def test_promtool_accepts_every_query(tmp_path):
    """
    Prometheus' own parser takes every query and annotation, with a value for each variable.
    """
    try:
        promtool = find_tool(Tool.PROMTOOL)
    except ToolError as error:
        pytest.skip(str(error))
    queries = [series.expr for dashboard in DASHBOARDS for panel in dashboard.panels for series in panel.series]
    queries += [note.expr for dashboard in DASHBOARDS for note in dashboard.notes]
    rules = [{"record": f"query:{number}", "expr": substituted(expr)} for number, expr in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")

    result = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False, timeout=60)

    assert f"SUCCESS: {len(queries)} rules found" in result.stdout, result.stdout + result.stderr


def test_rendering_is_stable_and_leaves_unchanged_files_alone(tmp_path):
    """
    The same dashboards give the same bytes, and a file that says so already is not written again.
    """
    first = render_all(tmp_path, SHIPPED)
    stamps = [path.stat().st_mtime_ns for path in first]

    second = render_all(tmp_path, SHIPPED)

    assert first == second
    assert stamps == [path.stat().st_mtime_ns for path in second]
    written = {str(path.relative_to(tmp_path)): path.read_text(encoding="utf-8") for path in first}
    assert dashboard_files(SHIPPED) == written


def test_runbooks_are_linked_where_they_are_published():
    """
    The dashboard links to the runbooks when they have a web address, and not to a folder.
    """
    published = json.loads(render(DASHBOARDS[0], SHIPPED))
    local = json.loads(render(DASHBOARDS[0], settings(links=Links())))

    assert ["https://runbooks.example/outrider"] == [link["url"] for link in published["links"] if link.get("url")]
    assert [] == [link for link in local["links"] if link["title"] == "Runbooks"]


def test_alerts_link_to_a_dashboard_that_exists():
    """
    The address alerts carry by default ends in the identity of one of the dashboards.
    """
    assert Links().dashboard_url.rpartition("/")[2] in {dashboard.uid for dashboard in DASHBOARDS}


def test_a_dashboard_speaks_of_the_labels_there_are():
    """
    Renamed labels are asked for by their names, and a choice of a label that targets lack falls away.
    """
    theirs = settings(cluster="eu", label_names={"cluster": "env", "region": "", "instance": "node"})

    text = render(BY_UID["outrider-cluster"], theirs)

    assert ["datasource", "cluster"] == [choice["name"] for choice in json.loads(text)["templating"]["list"]]
    assert "label_values(outrider:servers_expected, env)" in text
    assert "{{node}}" in text
    assert 'env=\\"$cluster\\"' in text
    assert not any(word in text for word in ("{{instance}}", "$region", 'cluster=\\"', 'env=\\"eu'))


LEADER_ONLY = {
    metric.name for metric in CATALOGUE if metric.present is Presence.LEADER_ONLY and metric.exporter is Role.SERVER
}


def test_gauges_of_the_leader_are_read_from_the_live_leader():
    """
    What stands still for a minute on a server that lost the lead is asked of the one that leads.
    """
    asked = [
        (panel.title, series.expr)
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for series in panel.series
        if {name.removesuffix("_sum").removesuffix("_count") for name in resolve(substituted(series.expr)).metrics}
        & LEADER_ONLY
    ]

    assert len(asked) >= 5
    assert [] == [each for each in asked if "and on (cluster, region, instance) outrider:leader{" not in each[1]]


def test_every_dashboard_is_of_use():
    """
    An alert opens it.
    """
    assert {dashboard.uid for dashboard in DASHBOARDS} == {view.uid for view in views.VIEWS.values()}


def test_links_from_values_lead_to_dashboards_and_fill_their_variables():
    """
    A value opens one of ours with the labels it has, at the same time and data source.
    """
    urls = [
        link["url"]
        for document in DOCUMENTS.values()
        for panel in panels(document)
        for link in panel["fieldConfig"]["defaults"]["links"]
    ]

    assert len(urls) > 10
    for url in urls:
        page, _, query = url.partition("?")
        view = BY_UID[page.removeprefix("/d/")].view
        filled = {name for name in view.variables if f"var-{name}=" in query or f"${{{name}:queryparam}}" in query}
        assert {"cluster", "region"} & set(view.variables) <= filled, url
        assert "${datasource:queryparam}" in query
        assert "${__url_time_range}" in query


def test_an_alert_in_a_table_leads_to_its_runbook():
    """
    Where runbooks are published; a folder is no link.
    """

    def runbook_links(of: RuleSettings) -> list[str]:
        return [
            item["value"][0]["url"]
            for text in dashboard_files(of).values()
            for panel in panels(json.loads(text))
            for override in panel["fieldConfig"]["overrides"]
            for item in override["properties"]
            if item["id"] == "links"
        ]

    assert {"https://runbooks.example/outrider/${__value.raw}.md"} == set(runbook_links(SHIPPED))
    assert [] == runbook_links(settings(links=Links()))


def test_the_form_for_import_by_hand_asks_for_the_data_source():
    """
    It has no variable for it, and all that asks takes what was answered.
    """
    document = json.loads(render_by_hand(BY_UID["outrider-raft"], SHIPPED))

    assert ["DS_PROMETHEUS"] == [each["name"] for each in document["__inputs"]]
    assert ["cluster", "region", "instance"] == [each["name"] for each in document["templating"]["list"]]
    assert {"${DS_PROMETHEUS}"} == {
        target["datasource"]["uid"] for panel in panels(document) for target in panel["targets"]
    }
    assert "${datasource" not in json.dumps(document)


def test_a_table_is_one_row_for_each_set_of_labels():
    """
    Its queries are asked for a moment, joined, and its columns named.
    """
    table = next(panel for panel in panels(DOCUMENTS["dashboards/outrider-fleet.json"]) if panel["type"] == "table")
    join, order = table["transformations"]

    assert {(True, False, "table")} == {(each["instant"], each["range"], each["format"]) for each in table["targets"]}
    assert ("merge", "organize") == (join["id"], order["id"])
    assert ["cluster", "region", "Value #A"] == sorted(
        order["options"]["indexByName"], key=order["options"]["indexByName"].get
    )[:3]
    assert "servers with a leader" == order["options"]["renameByName"]["Value #A"]


def test_limits_are_the_operators():
    """
    A threshold that outrider.yaml changes is the line that the dashboards draw.
    """
    changed = settings(
        choices={"NomadScrapeSlow": Choice(numbers={"share": 0.2})}, times=Times(scrape_interval_seconds=10.0)
    )

    def line(of: RuleSettings) -> float:
        document = json.loads(render(BY_UID["outrider-telemetry"], of))
        panel = next(each for each in panels(document) if each["title"] == "How long does a scrape take?")
        assert "line" == panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"]
        return panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"]

    assert (2.5, 2.0) == (line(SHIPPED), line(changed))


def test_lines_of_many_have_no_areas_below_them():
    """
    Areas are left to a line that stands alone and to those that are stacked: others would hide one another.
    """
    found = {
        panel["title"]: panel["fieldConfig"]["defaults"]["custom"]["fillOpacity"]
        for document in DOCUMENTS.values()
        for panel in panels(document)
        if panel["type"] == "timeseries"
    }

    assert 0 == found["How busy is each host?"]
    assert 10 == found["How long does a write take?"]
    assert 10 == found["Which status do the nodes have?"]
