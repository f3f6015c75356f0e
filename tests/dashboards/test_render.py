import json
import subprocess
from itertools import combinations

import pytest
import yaml

from alert_rules.dialect import Dialect
from alert_rules.settings import Links
from compose.tools import Tool, ToolError, find_tool
from dashboards.panel import substituted
from dashboards.render import DASHBOARDS, GRID_WIDTH, dashboard_files, render, render_all

LINKS = Links(runbook_base_url="https://runbooks.example/outrider")
DOCUMENTS = {name: json.loads(text) for name, text in dashboard_files(LINKS).items()}

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
    assert ["datasource", "cluster", "region"] == [each["name"] for each in document["templating"]["list"]]
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
    Several clusters share one Prometheus: no panel mixes them.
    """
    for panel in panels(document):
        for target in panel["targets"]:
            assert 'cluster="$cluster"' in target["expr"], panel["title"]


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
    first = render_all(tmp_path, LINKS)
    stamps = [path.stat().st_mtime_ns for path in first]

    second = render_all(tmp_path, LINKS)

    assert first == second
    assert stamps == [path.stat().st_mtime_ns for path in second]
    assert all(path.read_text(encoding="utf-8") == dashboard_files(LINKS)[path.name] for path in first)


def test_runbooks_are_linked_where_they_are_published():
    """
    The dashboard links to the runbooks when they have a web address, and not to a folder.
    """
    published = json.loads(render(DASHBOARDS[0], LINKS))
    local = json.loads(render(DASHBOARDS[0], Links()))

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
    dialect = Dialect(labels={"cluster": "env", "region": "", "instance": "node"}, clusters=("eu",))

    text = render(DASHBOARDS[0], LINKS, dialect)

    assert ["datasource", "cluster"] == [choice["name"] for choice in json.loads(text)["templating"]["list"]]
    assert "label_values(outrider:servers_expected, env)" in text
    assert "{{node}}" in text
    assert 'env=\\"$cluster\\"' in text
    assert not any(word in text for word in ("{{instance}}", "$region", 'cluster=\\"', 'env=\\"eu'))
