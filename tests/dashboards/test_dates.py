"""Dates: series have seconds and Grafana's dates are milliseconds, in queries, thresholds and the preview alike."""

import json

from alert_rules import views
from alert_rules.settings import ExpectedRegion, RuleSettings
from dashboards.lint import lint
from dashboards.panel import Color, Dashboard, Panel, PanelKind, Row, Series
from dashboards.preview.asking import ask
from dashboards.preview.model import read_board
from dashboards.preview.page import page
from dashboards.preview.times import Range
from dashboards.render import render
from dashboards.selecting import CLUSTER, NOTES, REGION, SERVERS
from telemetry.catalogue import external
from telemetry.catalogue.metric import Unit
from telemetry.prometheus_api import Result

STARTED = 1_800_000_000.0
EXPR = f"process_start_time_seconds{{{SERVERS}}}"
SETTINGS = RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))
_SAID = {"good": "Long ago.", "bad": "Just now.", "width": 12, "height": 8}
BOARD = Dashboard(
    view=views.CLUSTER,
    description="When processes were started.",
    choices=(CLUSTER, REGION),
    notes=NOTES,
    rows=(
        Row(
            "Starts",
            (
                Panel(
                    title="When was it started?",
                    about=external.PROCESS_START_TIME_SECONDS,
                    kind=PanelKind.STAT,
                    series=(Series(EXPR, "{{instance}}"),),
                    steps=((None, Color.GOOD), (STARTED + 1, Color.BAD)),
                    **_SAID,
                ),
                Panel(
                    title="When was each started, and does it answer?",
                    about=external.UP,
                    kind=PanelKind.TABLE,
                    columns=("instance",),
                    series=(
                        Series(f"max by (instance) (up{{{SERVERS}}})", "answers"),
                        Series(
                            f"max by (instance) ({EXPR})",
                            "started",
                            unit=Unit.UNIX_SECONDS,
                            steps=((None, Color.GOOD), (STARTED + 1, Color.BAD)),
                        ),
                    ),
                    **_SAID,
                ),
            ),
        ),
    ),
)
DOCUMENT = json.loads(render(BOARD, SETTINGS))
STAT, TABLE = (panel for panel in DOCUMENT["panels"] if panel["type"] != "row")


class Reckoning:
    """A Prometheus in which one server was started at `STARTED`, and that can multiply by a thousand."""

    def query(self, expr, at):
        times = 1_000 if expr.startswith("1000 * (") and expr.endswith(")") else 1
        value = STARTED if "process_start" in expr else 1.0
        return [Result({"instance": "server-1"}, ((at, times * value),))]

    def query_range(self, expr, start, end, step):
        return []

    def label_values(self, label, selector, start, end):
        return ["one"]


def test_a_date_is_asked_for_in_milliseconds():
    """
    Queries and thresholds of dates are multiplied, those of all else are as they stand; the linter has nothing to say.
    """
    assert [f"1000 * ({EXPR})"] == [target["expr"] for target in STAT["targets"]]
    assert [None, 1_000 * (STARTED + 1)] == [
        step["value"] for step in STAT["fieldConfig"]["defaults"]["thresholds"]["steps"]
    ]
    assert [f"max by (instance) (up{{{SERVERS}}})", f"1000 * (max by (instance) ({EXPR}))"] == [
        target["expr"] for target in TABLE["targets"]
    ]
    [column] = TABLE["fieldConfig"]["overrides"]
    steps = next(each["value"]["steps"] for each in column["properties"] if each["id"] == "thresholds")
    assert 1_000 * (STARTED + 1) == steps[1]["value"]
    assert [] == [str(finding) for finding in lint(DOCUMENT) if "date" in finding.text]


def test_the_preview_shows_the_date():
    """
    As a single value and in a column, in UTC.
    """
    board = read_board("starts.json", json.dumps(DOCUMENT))

    text = page(
        ask(Reckoning(), board, Range(STARTED, STARTED + 3_600, "now-1h", "now"), {}, 15.0), [board], "", "http://p"
    )

    assert 2 == text.count("2027-01-15 08:00:00")
    assert "1970-01" not in text
