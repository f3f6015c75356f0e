import pytest

from alert_rules.promql import QueryError
from dashboards.panel import Choice, Dashboard, Note, Panel, PanelError, Row, Series, substituted
from telemetry.catalogue import external, heartbeat, raft
from telemetry.catalogue.metric import Unit


def panel(expr: str = "up", legend: str = "{{instance}}", **changes: object) -> Panel:
    return Panel(
        **{"title": "Up", "about": external.UP, "series": (Series(expr, legend),), "width": 12, "height": 8} | changes
    )


@pytest.mark.parametrize(
    ("expr", "complaint"),
    [
        ("upp", "unknown metric 'upp'"),
        ("up{", "not PromQL"),
        ('up{rule="server"}', "no label 'rule'"),
        ("rate(up[$__rate_interval])", r"rate\(\) of up"),
        ('up{cluster="$clustre"}', r"unknown variable \$clustre"),
    ],
)
def test_a_query_that_cannot_be_right_is_refused(expr, complaint):
    """
    A panel with a query that does not resolve against the catalogue cannot be made, and the message names both.
    """
    with pytest.raises(PanelError, match=f"'Up'.*{complaint}"):
        panel(expr)


def test_a_legend_names_only_labels_that_are_there():
    """
    A legend with a label that an aggregation dropped is refused.
    """
    with pytest.raises(PanelError, match="'instance'"):
        panel("sum by (region) (up)", "{{instance}}")


def test_a_query_in_another_unit_than_the_axis_is_refused():
    """
    A panel cannot show milliseconds on an axis of bytes.
    """
    with pytest.raises(PanelError, match=r"shows BYTES, .* is in MILLISECONDS"):
        panel('nomad_raft_commitTime{quantile="0.5"}', about=external.PROCESS_RESIDENT_MEMORY_BYTES)


def test_unit_and_meaning_come_from_the_catalogue():
    """
    Unless it says otherwise a panel has its metric's unit, and its text ends with the metric's meaning.
    """
    made = panel('nomad_raft_commitTime{quantile="0.5"}', about=raft.COMMIT_TIME, description="Look here.")

    assert Unit.MILLISECONDS is made.shown_unit
    assert f"Look here. {raft.COMMIT_TIME.meaning}" == made.text


def test_a_count_of_a_summary_may_stand_on_an_axis_of_counts():
    """
    A panel may show another part of its metric by saying the unit.
    """
    made = panel("nomad_nomad_heartbeat_invalidate_count", about=heartbeat.INVALIDATE, unit=Unit.COUNT)

    assert Unit.COUNT is made.shown_unit


@pytest.mark.parametrize("changes", [{"width": 25}, {"height": 1}, {"series": ()}, {"title": ""}])
def test_a_panel_that_does_not_fit_is_refused(changes):
    """
    A panel wider than the grid, without height, query or title cannot be made.
    """
    with pytest.raises(PanelError):
        panel(**changes)


def test_two_panels_of_one_name_are_refused():
    """
    Titles are unique within a dashboard, so that a person can say which panel is meant.
    """
    with pytest.raises(PanelError, match="twice"):
        Dashboard(uid="x", title="X", description="", choices=(), notes=(), rows=(Row("Row", (panel(), panel())),))


def test_a_variable_is_filled_from_a_label_that_exists():
    """
    A variable over a label its series does not have is refused, and so is one that queries are not checked with.
    """
    with pytest.raises(PanelError, match="no label 'rack'"):
        Choice("cluster", "Cluster", "up", "rack")
    with pytest.raises(PanelError, match="'rack'"):
        Choice("rack", "Rack", "up", "region")


def test_an_annotation_resolves_too():
    """
    An annotation with an unknown series or label is refused.
    """
    with pytest.raises(PanelError, match="unknown metric"):
        Note("Alerts", "ALERT", "", "")
    with pytest.raises(PanelError, match="'rack'"):
        Note("Alerts", "ALERTS", "{{alertname}}", "{{rack}}")


def test_every_variable_is_substituted():
    """
    A query is checked as Grafana would send it, and an unknown variable is an error.
    """
    assert 'up{cluster="cluster"}[1m]' == substituted('up{cluster="$cluster"}[$__rate_interval]')
    with pytest.raises(QueryError, match="nope"):
        substituted("up[${nope}]")
