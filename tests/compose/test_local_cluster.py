import signal
import socket
import sys
import threading
from pathlib import Path

import psutil
import pytest
import requests
from click.testing import CliRunner

from compose.local import LocalCluster, LocalError, holder_of
from compose.local_commands import down_command, ps_command, screen
from compose.local_settings import LocalRole, LocalSettings
from compose.processes import Running
from compose.receiver import read_records
from compose.tools import Tool, ToolError, find_tool
from tests.compose.free_ports import free_base

pytestmark = pytest.mark.integration

FAKE_AGENT = (sys.executable, str(Path(__file__).with_name("fake_agent.py")))
READY_SECONDS = 60.0


def settings_in(folder: Path) -> LocalSettings:
    base = free_base()
    return LocalSettings(
        directory=folder,
        port_base=base,
        prometheus_port=base + 90,
        alertmanager_port=base + 93,
        receiver_port=base + 95,
        scrape_interval_seconds=1.0,
        evaluation_interval_seconds=1.0,
        group_wait_seconds=1.0,
        group_interval_seconds=2.0,
        agent_command=FAKE_AGENT,
    )


@pytest.fixture
def cluster(tmp_path):
    """A cluster of stand-in agents with real Prometheus and Alertmanager, not started."""
    try:
        find_tool(Tool.PROMETHEUS)
        find_tool(Tool.ALERTMANAGER)
    except ToolError as error:
        pytest.skip(str(error))
    cluster = LocalCluster(settings_in(tmp_path))
    yield cluster
    cluster.stop()


def test_a_cluster_starts_is_watched_and_ends(cluster):
    """
    From one call every process runs and is watched; from another nothing of it is left.
    """
    started = cluster.start()
    cluster.wait_ready(READY_SECONDS)

    rows = cluster.ps()
    ended = cluster.stop()

    assert set(cluster.settings.ports) == set(started) == set(ended)
    assert {Running.RUNNING} == {row.state for row in rows}
    assert ["server-1"] == [row.name for row in rows if row.is_leader]
    assert not any(psutil.pid_exists(row.pid) and psutil.Process(row.pid).status() != "zombie" for row in rows)


def test_a_notification_goes_through_the_whole_chain(cluster):
    """
    An alert given to the cluster's Alertmanager arrives at its receiver and is recorded.
    """
    cluster.start()
    cluster.wait_ready(READY_SECONDS)
    alert = {"labels": {"alertname": "Test", "severity": "critical", "cluster": "local"}}

    url = f"http://127.0.0.1:{cluster.settings.alertmanager_port}/api/v2/alerts"
    requests.post(url, json=[alert], timeout=5).raise_for_status()

    def arrived() -> bool:
        alerts = [each for record in read_records(cluster.record) for each in record.notification.alerts]
        return "Test" in {each.labels["alertname"] for each in alerts}

    pause = threading.Event()
    assert any(arrived() or pause.wait(0.1) for _ in range(150))


def test_the_dead_are_brought_back_by_the_same_command(cluster):
    """
    Starting a cluster of which one process was killed starts that one alone.
    """
    cluster.start()
    cluster.wait_ready(READY_SECONDS)
    before = cluster.pid("server-2")
    cluster.kill("server-2")
    while cluster.pid("server-2") is not None:
        threading.Event().wait(0.02)

    started = cluster.start()

    assert ["server-2"] == started
    assert cluster.pid("server-2") not in {None, before}


def test_other_options_are_refused_while_a_cluster_runs(cluster):
    """
    Starting with other options where a cluster runs says which differ, and changes nothing.
    """
    cluster.start()
    other = LocalSettings(directory=cluster.settings.directory, servers=5, agent_command=FAKE_AGENT)

    with pytest.raises(LocalError, match=r"alertmanager_port=\d+.*outrider down"):
        LocalCluster(other).start()


def test_a_taken_port_names_holder_and_remedy(cluster):
    """
    A port in use is named with who holds it and how to choose another, and nothing is started.
    """
    with (
        socket.create_server(("127.0.0.1", cluster.settings.alertmanager_port)),
        pytest.raises(LocalError, match=r"port \d+ of alertmanager .* holds it .*--alertmanager-port"),
    ):
        cluster.start()

    assert not cluster.is_running()


def test_a_process_that_ends_is_named_with_its_log(tmp_path):
    """
    When an agent does not start, waiting fails at once with its name and what it printed.
    """
    folder = tmp_path / "explode"
    cluster = LocalCluster(settings_in(folder))
    try:
        cluster.start()
        with pytest.raises(LocalError, match=r"(?s)(server|client)-\d ended.*nothing to see here"):
            cluster.wait_ready(READY_SECONDS)
    finally:
        cluster.stop()


def test_paused_and_dead_processes_are_told_apart(cluster):
    """
    `ps` shows what runs, what is paused and what is dead.
    """
    cluster.start()
    cluster.wait_ready(READY_SECONDS)
    cluster.kill("server-2", signal.SIGSTOP)
    cluster.kill("client-1")
    threading.Event().wait(0.2)

    states = {row.name: row.state for row in cluster.ps()}

    assert [Running.PAUSED, Running.DEAD] == [states["server-2"], states["client-1"]]
    assert Running.RUNNING is states[LocalRole.PROMETHEUS.value]


def test_the_commands_list_and_end_a_running_cluster(cluster):
    """
    `ps` and `down` find a cluster by its folder alone, and the screen tells where to look.
    """
    cluster.start()
    cluster.wait_ready(READY_SECONDS)
    folder = str(cluster.settings.directory)
    text = screen(cluster)

    listed = CliRunner().invoke(ps_command, ["--dir", folder])
    ended = CliRunner().invoke(down_command, ["--dir", folder])
    again = CliRunner().invoke(ps_command, ["--dir", folder])

    assert f"kill -9 {cluster.settings.port_base}" not in text
    assert "kill -9 " in text
    assert f"down --dir {folder}\n" in f"{text}\n"
    prometheus = f"http://127.0.0.1:{cluster.settings.prometheus_port}"
    assert f"dashboards preview --dir {folder}/config/dashboards --prometheus {prometheus}\n" in text
    assert list(cluster.settings.directory.glob("config/dashboards/*.json"))
    assert f"ps --dir {folder}\n{' ' * 26}shows the new leader" in text
    assert "server-1" in listed.output
    assert "leader" in listed.output
    assert "ended receiver, alertmanager, server-1" in ended.output
    assert "no cluster runs" in again.output


def test_a_port_without_a_holder_says_so():
    """
    Where nobody is seen on a port, that is said.
    """
    assert "may not see" in holder_of(1)
