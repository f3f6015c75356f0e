import pytest

from alert_rules.promql import QueryError
from alert_rules.raft import COMMIT_SLOW, FLAPPING
from alert_rules.settings import Choice as AlertChoice
from alert_rules.settings import ExpectedRegion, RuleSettings
from alert_rules.trust import CERTIFICATE_ALMOST_EXPIRED, CERTIFICATE_EXPIRING
from alert_rules.views import View
from dashboards.elections import more_than_servers
from dashboards.panel import (
    Choice,
    Color,
    Dashboard,
    Limit,
    Note,
    Panel,
    PanelError,
    PanelKind,
    Row,
    Series,
    substituted,
)
from telemetry.catalogue import external, heartbeat, outrider, raft, tls
from telemetry.catalogue.metric import Unit


def panel(expr: str = "up", legend: str = "{{instance}}", **changes: object) -> Panel:
    made = {"title": "Up", "about": external.UP, "series": (Series(expr, legend),), "width": 12, "height": 8}
    return Panel(**made | {"good": "1.", "bad": "0."} | changes)


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
    assert f"Look here. {raft.COMMIT_TIME.meaning} Good: 1. Bad: 0." == made.text


def test_a_count_of_a_summary_may_stand_on_an_axis_of_counts():
    """
    A panel may show another part of its metric by saying the unit.
    """
    made = panel("nomad_nomad_heartbeat_invalidate_count", about=heartbeat.INVALIDATE, unit=Unit.COUNT)

    assert Unit.COUNT is made.shown_unit


def settings(**changes) -> RuleSettings:
    return RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=5),), **changes)


def commit(**changes: object) -> Panel:
    expr = 'nomad_raft_commitTime{quantile="0.5"}'
    return panel(expr, about=raft.COMMIT_TIME, limits=(Limit(COMMIT_SLOW, "limit"),), **changes)


def test_the_red_line_is_the_alerts():
    """
    A limit is read from the settings of the rule: as shipped, as an operator chose it, and not there when it is off.
    """
    chosen = AlertChoice(numbers={"limit": 40.0})

    assert ((None, Color.GOOD), (100.0, Color.BAD)) == commit().steps_by(settings())
    assert ((None, Color.GOOD), (40.0, Color.BAD)) == commit().steps_by(settings(choices={"NomadCommitSlow": chosen}))
    assert ((None, Color.PLAIN),) == commit().steps_by(
        settings(choices={"NomadCommitSlow": AlertChoice(enabled=False)})
    )


def test_a_limit_may_be_reckoned_with():
    """
    More elections than the number and than there are servers: from the sixth on with five of them, the fourth with three.
    """
    elections = Limit(FLAPPING, "elections", at=more_than_servers)
    three = RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))

    assert (6.0, 4.0) == (elections.value(settings()), elections.value(three))


def test_below_a_floor_is_bad():
    """
    Of two floors the lower one is the worse, and only above both all is well.
    """
    floors = (
        Limit(CERTIFICATE_EXPIRING, "left", color=Color.CAUTION, is_floor=True),
        Limit(CERTIFICATE_ALMOST_EXPIRED, "left", is_floor=True),
    )
    made = panel("nomad_agent_tls_cert_expiration_seconds", about=tls.CERT_EXPIRATION_SECONDS, limits=floors)

    assert ((None, Color.BAD), (86_400.0, Color.CAUTION), (14 * 86_400.0, Color.GOOD)) == made.steps_by(settings())


def test_a_limit_in_another_unit_is_refused():
    """
    A limit in milliseconds is no line on an axis of bytes.
    """
    with pytest.raises(PanelError, match="limit of NomadCommitSlow is in MILLISECONDS"):
        panel(
            "process_resident_memory_bytes",
            about=external.PROCESS_RESIDENT_MEMORY_BYTES,
            limits=(Limit(COMMIT_SLOW, "limit"),),
        )


@pytest.mark.parametrize("expr", ["up", "max by (instance) (up)", "max by (cluster, region) (up) > 0"])
def test_a_query_of_a_table_is_an_aggregation_by_its_columns(expr):
    """
    What keeps its name, or has other labels than the columns, makes rows of its own.
    """
    with pytest.raises(PanelError, match="aggregate it by the columns cluster, region"):
        panel(expr, "up", kind=PanelKind.TABLE, columns=("cluster", "region"))

    assert panel("max by (cluster, region) (up)", "up", kind=PanelKind.TABLE, columns=("cluster", "region")).columns


def test_what_no_nomad_exports_stands_in_a_row_that_says_so():
    """
    A panel on series of ours is refused in any other row, unless a Nomad's own stand in for them.
    """
    ours = panel("outrider_raft_term", about=outrider.RAFT_TERM)

    with pytest.raises(PanelError, match="outrider_raft_term"):
        Row("Terms", (ours,))
    either = panel("max by (instance) (outrider_raft_term) or max by (instance) (up)")
    assert "Terms" == Row("Terms", (either,)).heading
    assert "Terms (only with Outrider's agent or exporter)" == Row("Terms", (ours,), is_ours=True).heading


def test_a_dashboard_has_the_variables_that_links_fill():
    """
    An address that fills a variable which the dashboard lacks is refused.
    """
    with pytest.raises(PanelError, match="'instance'"):
        Dashboard(view=View("x", "X", ("instance",)), description="", choices=(), notes=(), rows=())


@pytest.mark.parametrize(
    "changes",
    [{"width": 25}, {"height": 1}, {"series": ()}, {"title": ""}, {"good": ""}, {"bad": "no sentence"}],
)
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
        Dashboard(view=View("x", "X"), description="", choices=(), notes=(), rows=(Row("Row", (panel(), panel())),))


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
