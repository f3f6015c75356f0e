import threading
import time

import pytest
import requests

from compose.drill.jobs import job, unplaceable_job
from compose.local import LocalCluster
from compose.local_settings import LocalSettings
from dashboards.render import DASHBOARDS
from tests.compose.free_ports import free_base
from tests.dashboards.asking import Asker, report

pytestmark = pytest.mark.integration

SETTLE_SECONDS = 15.0
LEAST_SURE = 60
"""How many queries a healthy cluster must answer, at least: fewer would say that the test lost its subject."""


@pytest.fixture(scope="module")
def asked(tmp_path_factory, prometheus_tools):
    """What a healthy cluster of real agents with two jobs answers, watched long enough for rates."""
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
        server = f"http://127.0.0.1:{cluster.settings.server_agents[0].http}"
        # Twice, so that counts of what is done for them grow: at the first time they are only born.
        for body in (job("web"), unplaceable_job("huge"), job("web", count=2)):
            requests.put(f"{server}/v1/jobs", json=body, timeout=10).raise_for_status()
            threading.Event().wait(SETTLE_SECONDS / 3)
        asker = Asker(f"http://127.0.0.1:{cluster.settings.prometheus_port}", 1.0, is_ours=True)
        for dashboard in DASHBOARDS:
            asker.ask(dashboard, "local", "global", time.time())
        yield asker.found
    finally:
        cluster.stop()


def test_every_query_is_valid(asked):
    """
    Prometheus takes every query of every panel, variable and mark as Grafana asks it, without a warning.
    """
    print("\n".join(report(asked)))

    assert len(asked) > 200
    assert {} == {each.place: each.errors for each in asked.values() if each.errors}


def test_what_is_always_there_is_answered(asked):
    """
    Where the catalogue says that the series are there, a healthy cluster fills the panel with numbers.
    """
    sure = [each for each in asked.values() if each.is_sure]

    assert len(sure) > LEAST_SURE
    assert [] == [each.place for each in sure if not each.values]


def test_most_queries_say_more_than_zero(asked):
    """
    A value other than 0 comes from most of what answers: no query is true of an empty cluster only.
    """
    answered = [each for each in asked.values() if each.values]

    assert sum(each.moving for each in answered) > 0.6 * len(answered)
