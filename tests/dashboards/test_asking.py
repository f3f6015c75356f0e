"""How queries are asked as Grafana asks them, and which a healthy cluster must answer."""

import pytest

from dashboards.clients_work import CLIENTS_WORK
from dashboards.raft_quorum import RAFT_QUORUM
from tests.dashboards.asking import Asked, _is_sure, filled, report


def test_variables_are_filled_the_longer_name_first():
    """
    One name may begin with another, and one that nobody fills is an error.
    """
    assert 'up{a="x", b="y"}[4s]' == filled(
        'up{a="$in", b="$instance"}[$__r]', {"$in": "x", "$instance": "y", "$__r": "4s"}
    )
    with pytest.raises(AssertionError, match="host"):
        filled('up{a="$host"}', {"$instance": "y"})


@pytest.mark.parametrize(
    ("dashboard", "title", "is_ours", "expected"),
    [
        (RAFT_QUORUM, "How far is each log?", True, True),
        (RAFT_QUORUM, "How far is each log?", False, True),
        (RAFT_QUORUM, "Who stands for election?", True, False),
        (RAFT_QUORUM, "How late is the Raft thread?", False, False),
        (CLIENTS_WORK, "How busy is each host?", True, False),
    ],
)
def test_what_a_healthy_cluster_must_answer(dashboard, title, is_ours, expected):
    """
    What is always there; not events, not what is configured, and not ours on a real Nomad.
    """
    row, panel = next((row, panel) for row in dashboard.rows for panel in row.panels if panel.title == title)

    assert expected is _is_sure(row, panel, panel.series[0].expr, is_ours)


def test_the_report_names_errors_and_what_nothing_answered():
    """
    First the errors, then what is missing or empty, then the sums.
    """
    found = {
        "a": Asked("a", "up", is_sure=True, times=2, values=4, moving=True),
        "b": Asked("b", "up", is_sure=True, times=2),
        "c": Asked("c", "up", is_sure=False, times=2, errors=["bad", "bad"]),
    }

    assert [
        "error: c: bad",
        "missing: b",
        "empty: c",
        "3 queries, asked 6 times: 2 valid, 1 answered, 1 with a value other than 0, 1 errors",
    ] == list(report(found))
