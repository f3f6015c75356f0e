"""A dashboard with a panel of every kind, as Grafana exports it, and series of an hour for it in OpenMetrics."""

import json
import math

CLUSTERS = {"blue": ("server-1", "server-2", "server-3"), "green.1": ("server-9",)}
STEP_SECONDS, SECONDS = 15, 3_600
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WHERE = 'cluster="$cluster", instance=~"$instance"'
STEPS = {"mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}]}
WORDS = [
    {
        "type": "value",
        "options": {
            "0": {"text": "silent", "color": "red", "index": 0},
            "1": {"text": "answers", "color": "green", "index": 1},
        },
    }
]


def panel(number, kind, title, *exprs, place=(0, 0, 12, 8), defaults=None, legend="{{instance}}", **more):
    """Return the JSON of a panel; its queries are instant where `instant` is given."""
    instant = more.pop("instant", False)
    left, top, width, height = place
    return {
        "id": number,
        "type": kind,
        "title": title,
        "gridPos": {"x": left, "y": top, "w": width, "h": height},
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults or {}, "overrides": more.pop("overrides", [])},
        "options": more.pop("options", {}),
        "targets": [
            {
                "refId": chr(65 + at), "expr": expr, "legendFormat": legend, "instant": instant, "range": not instant,
                "format": "table" if kind == "table" else "time_series",
            }
            for at, expr in enumerate(exprs)
        ],
        **more,
    }  # fmt: skip


def choice(name, label, query, **more):
    """Return the JSON of a variable."""
    return {"name": name, "label": label, "type": "query", "query": {"query": query, "refId": "v"}, "sort": 1} | more


def row(number, title, *, top, panels=(), collapsed=False):
    """Return the JSON of a row."""
    place = {"x": 0, "y": top, "w": 24, "h": 1}
    return {
        "id": number,
        "type": "row",
        "title": title,
        "gridPos": place,
        "collapsed": collapsed,
        "panels": list(panels),
    }


def stacked(mode):
    return {"custom": {"stacking": {"mode": mode, "group": "A"}, "fillOpacity": 30}, "unit": "bytes"}


PANELS = [
    row(1, "Now", top=0),
    panel(2, "stat", "Answer in $cluster", f"sum(demo_up{{{WHERE}}})", place=(0, 1, 4, 4), instant=True,
          defaults={"thresholds": STEPS, "unit": "short", "noValue": "nobody"},
          options={"colorMode": "background", "textMode": "value", "reduceOptions": {"calcs": ["lastNotNull"]}}),
    panel(3, "stat", "Nobody", 'demo_up{cluster="none"}', place=(4, 1, 4, 4), instant=True,
          defaults={"thresholds": STEPS, "noValue": "nobody"}, options={"colorMode": "background"}),
    panel(4, "gauge", "Share", f"avg by (instance) (demo_share{{{WHERE}}})", place=(8, 1, 8, 4), instant=True,
          defaults={"unit": "percentunit", "min": 0, "max": 1}),
    panel(5, "bargauge", "Memory", f"demo_bytes{{{WHERE}}}", place=(16, 1, 8, 4), instant=True, defaults={"unit": "bytes"}),
    row(6, "Over time", top=5),
    panel(7, "timeseries", "Calls", f"rate(demo_calls_total{{{WHERE}}}[$__rate_interval])", place=(0, 6, 12, 8),
          defaults={"unit": "reqps", "custom": {"fillOpacity": 10}},
          options={"legend": {"displayMode": "table", "calcs": ["max", "lastNotNull"]}}),
    panel(8, "timeseries", "Memory, stacked", f"demo_bytes{{{WHERE}}}", place=(12, 6, 12, 8), defaults=stacked("normal")),
    panel(9, "state-timeline", "Who answers", f"demo_up{{{WHERE}}}", place=(0, 14, 12, 6), defaults={"mappings": WORDS}),
    panel(10, "timeseries", "Refused", "demo_up{", place=(12, 14, 12, 6)),
    panel(11, "table", "Servers", f"sum by (instance) (demo_up{{{WHERE}}})", f"sum by (instance) (demo_bytes{{{WHERE}}})", place=(0, 20, 12, 6), instant=True,
          transformations=[
              {"id": "merge", "options": {}},
              {"id": "organize", "options": {
                  "excludeByName": {"Time": True},
                  "renameByName": {"instance": "Server", "Value #A": "State", "Value #B": "Memory"}}},
          ],
          overrides=[
              {"matcher": {"id": "byName", "options": "Memory"}, "properties": [{"id": "unit", "value": "bytes"}]},
              {"matcher": {"id": "byName", "options": "State"}, "properties": [
                  {"id": "mappings", "value": WORDS}, {"id": "custom.cellOptions", "value": {"type": "color-background"}}]},
              {"matcher": {"id": "byName", "options": "Server"}, "properties": [
                  {"id": "links", "value": [{"title": "more", "url": "/d/other?var-instance=${__data.fields.Server}&${__url_time_range}"}]}]},
          ]),
    panel(12, "text", "About", place=(12, 20, 12, 6),
          options={"mode": "markdown", "content": "## What this is\n\nOf **$cluster** <script>alert(1)</script>\n\n| a | b |\n|---|---|\n| 1 | 2 |"}),
    panel(13, "heatmap", "Not drawn", f"demo_up{{{WHERE}}}", place=(0, 26, 12, 4)),
    row(14, "More", top=30, collapsed=True, panels=[
        panel(15, "timeseries", "One of $instance", f"demo_share{{{WHERE}}}", place=(0, 31, 12, 8), repeat="instance",
              defaults={"unit": "percentunit"}),
    ]),
]  # fmt: skip

EVERY_KIND = {
    "uid": "every-kind",
    "title": "Every kind",
    "description": "A panel of every kind.",
    "tags": ["outrider"],
    "time": {"from": "now-1h", "to": "now"},
    "templating": {
        "list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
            choice("cluster", "Cluster", "label_values(demo_up, cluster)"),
            choice("instance", "Server", 'label_values(demo_up{cluster="$cluster"}, instance)', multi=True, includeAll=True),
            {"name": "window", "label": "Window", "type": "custom", "query": "1m,5m"},
        ]
    },
    "annotations": {
        "list": [
            {
                "name": "Alerts", "enable": True, "expr": 'ALERTS{alertstate="firing", cluster="$cluster"}',
                "titleFormat": "{{alertname}}", "textFormat": "{{severity}}", "iconColor": "red",
            }
        ]
    },
    "panels": PANELS,
}  # fmt: skip

OTHER = {"uid": "other", "title": "Other", "panels": [], "templating": {"list": EVERY_KIND["templating"]["list"][:2]}}


def write_folder(folder):
    """Write both dashboards into *folder* and return it."""
    for board in (EVERY_KIND, OTHER):
        (folder / f"{board['uid']}.json").write_text(json.dumps(board))
    return folder


def openmetrics(end):
    """Return the series, an hour until Unix seconds *end*; server-2 is silent in the fourth quarter, and an alert says so."""
    lines = []
    times = range(int(end) - SECONDS, int(end) + 1, STEP_SECONDS)
    silent = range(int(end) - SECONDS // 4, int(end) + 1)

    def family(name, kind, value):
        lines.append(f"# TYPE {name.removesuffix('_total')} {kind}")
        for cluster, instances in CLUSTERS.items():
            for number, instance in enumerate(instances):
                labels = f'cluster="{cluster}",instance="{instance}",job="demo"'
                lines.extend(f"{name}{{{labels}}} {value(at, number):g} {at}" for at in times)

    family("demo_up", "gauge", lambda at, number: 0 if number == 1 and at in silent else 1)
    family("demo_calls_total", "counter", lambda at, number: (at - times[0]) * (number + 2))
    family("demo_bytes", "gauge", lambda at, number: (80 + 20 * number + 10 * math.sin(at / 300)) * 2**20)
    family("demo_share", "gauge", lambda at, number: 0.4 + 0.1 * number + 0.2 * math.sin(at / 500))
    lines.append("# TYPE ALERTS gauge")
    labels = 'alertname="ServerDown",alertstate="firing",cluster="blue",instance="server-2",severity="warning"'
    lines += [f"ALERTS{{{labels}}} 1 {at}" for at in times if at in silent]
    return "\n".join([*lines, "# EOF", ""])
