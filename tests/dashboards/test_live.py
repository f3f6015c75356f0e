import threading

import pytest
import requests

from compose.local import LocalCluster
from compose.local_settings import LocalSettings
from dashboards.panel import Panel
from dashboards.render import DASHBOARDS
from telemetry.catalogue.metric import Presence
from tests.compose.free_ports import free_base

pytestmark = pytest.mark.integration

SETTLE_SECONDS = 15.0
SURE = {Presence.ALWAYS, Presence.LEADER_ONLY}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, prometheus_tools):
    """A healthy cluster of real agents, watched long enough for rates."""
    base = free_base(25_100)
    cluster = LocalCluster(
        LocalSettings(
            directory=tmp_path_factory.mktemp("cluster"),
            tools=prometheus_tools,
            port_base=base,
            prometheus_port=base + 90,
            alertmanager_port=base + 93,
            receiver_port=base + 95,
            scrape_interval_seconds=1.0,
            evaluation_interval_seconds=1.0,
        )
    )
    cluster.start()
    try:
        cluster.wait_ready()
        threading.Event().wait(SETTLE_SECONDS)
        yield cluster
    finally:
        cluster.stop()


def must_have_data(panel: Panel) -> bool:
    """Tell whether a healthy cluster fills the panel: its metric is there and emptiness is not said to mean something."""
    return panel.about.present in SURE and panel.when_empty == "no data"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_every_query_works_on_a_live_cluster(cluster, dashboard):
    """
    Prometheus answers every query of every panel, and those whose series are always there with data.
    """
    url = f"http://127.0.0.1:{cluster.settings.prometheus_port}/api/v1/query"
    answers = {}
    for panel in dashboard.panels:
        for series in panel.series:
            expr = series.expr.replace("$cluster", "local").replace("$region", "global")
            expr = expr.replace("$__rate_interval", "10s")
            answer = requests.get(url, params={"query": expr}, timeout=5).json()
            assert "success" == answer["status"], (panel.title, expr, answer)
            answers[panel.title, series.legend] = (must_have_data(panel), len(answer["data"]["result"]))

    assert [] == [name for name, (is_sure, count) in answers.items() if is_sure and not count]
    assert 15 < sum(is_sure for is_sure, _ in answers.values())
