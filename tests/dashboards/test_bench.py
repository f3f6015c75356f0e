"""What `make bench ONLY=dashboards` measures: every query of the overview, over a history in which each has an answer."""

import pytest

from alert_rules.recorded import KNOWN
from dashboards.cluster_overview import CLUSTER_OVERVIEW
from telemetry.catalogue.metric import Role
from tests.bench.dashboards_bench import Asking, Question, measure, prometheus_on, questions
from tests.bench.history import CLUSTER, RANGE_SECONDS, REGION, family, names, write_history
from tests.tools import find, find_or_explain

PROMETHEUSES, ABSENT = find_or_explain("prometheus")
END = 1_800_000_000.0
TARGET = {"cluster", "region", "role", "job", "instance"}
FEW = 12


@pytest.mark.parametrize("name", sorted(names(CLUSTER_OVERVIEW)))
def test_a_family_of_the_history_has_the_labels_that_the_catalogue_says(name):
    """
    A recorded series has its own labels alone, an agent's its own and those of its target.
    """
    metric = KNOWN.find(name).metric

    labels = {frozenset(series.labels) for series in family(name, FEW)}

    if metric.exporter is Role.RULE:
        assert {frozenset(metric.labels)} == labels
    elif name == "ALERTS":
        assert all({*metric.labels, "cluster", "region"} <= each for each in labels)
    else:
        assert {frozenset({*metric.labels, *TARGET})} == labels


def test_every_target_is_scraped_for_six_hours_or_as_far_as_is_looked_back():
    """
    A day more for the time that a leader has led; the lookback of a selector for all others.
    """
    back = names(CLUSTER_OVERVIEW)

    assert 86_400 + RANGE_SECONDS == back["outrider:leader"]
    assert 300 + RANGE_SECONDS == back["outrider:servers_up"]
    assert 5 + FEW == len(family("process_resident_memory_bytes", FEW))


def test_every_query_and_mark_is_asked_with_grafanas_steps():
    """
    Panels of a half and a third of a page of 1,920 pixels have a point every 20 and 30 s, wide ones each scrape.
    """
    asked = questions(CLUSTER_OVERVIEW, END)

    wanted = sum(len(panel.series) for panel in CLUSTER_OVERVIEW.panels) + len(CLUSTER_OVERVIEW.notes)
    steps = {each.name: each.step_seconds for each in asked}
    assert wanted == len(asked) == len(steps)
    assert all(f'cluster="{CLUSTER}", region="{REGION}"' in each.expr and "$" not in each.expr for each in asked)
    assert (None, 20.0, 30.0, 15.0) == (
        steps["who_leads.A"],
        steps["what_was_each_server.A"],
        steps["how_long_does_a_write_take.A"],
        steps["marks.alerts"],
    )


@pytest.mark.integration
@pytest.mark.skipif(not PROMETHEUSES, reason=ABSENT)
def test_every_query_has_an_answer_and_a_bad_one_is_told(tmp_path, capsys):
    """
    On the newest Prometheus, with a dozen clients: no question is left, the sum is held against the 300 ms promised.
    """
    blocks, now = tmp_path / "blocks", END
    end = write_history(CLUSTER_OVERVIEW, FEW, now, find("promtool")[0], blocks)
    asked = questions(CLUSTER_OVERVIEW, end)
    missing = Question("missing", "nothing_of_the_kind", 15.0)

    unanswered = measure(PROMETHEUSES[-1], blocks, tmp_path, [*asked, missing], end)

    printed = {line.split()[0].split(".", 4)[-1]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert ["missing"] == unanswered
    assert str(len(asked) + 1) == printed["queries"][0]
    assert ["ms", "300"] == printed["sum.median"][1:3]
    other = tmp_path / "other"
    other.mkdir()
    with (
        prometheus_on(PROMETHEUSES[-1], blocks, other) as (port, _),
        pytest.raises(RuntimeError, match="bad: up\\(: "),
    ):
        Asking(port, end).ask(Question("bad", "up(", None))
