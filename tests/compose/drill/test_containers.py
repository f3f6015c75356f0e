import subprocess
from pathlib import Path

import pytest
import yaml

from compose.drill.command import drill_command
from compose.drill.containers import CLIENTS, SERVERS, check_docker, override
from compose.drill.fault import Unable
from compose.drill.matrix import FAULTS
from compose.drill.scoreboard import from_json
from compose.local_settings import default_agent_command
from tests.figures import record

CORE = ("kill-leader", "kill-majority", "kill-all", "pause-leader", "pause-majority", "unplug-leader")


class Loader(yaml.SafeLoader):
    """Reads the tag by which compose replaces a list."""


Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


def test_the_override_moves_every_port_and_keeps_a_record():
    """
    Each service listens elsewhere, the watchers read the drill's files, and the receiver writes into its folder.
    """
    ports = dict.fromkeys(("server-1", "prometheus", "alertmanager", "receiver", "grafana"), 0)
    ports = {name: 40_000 + number for number, name in enumerate(ports)}

    services = yaml.load(override(ports, Path("/tmp/x")), Loader)["services"]  # noqa: S506 - a SafeLoader with one tag

    assert ["127.0.0.1:40000:4646"] == services["server-1"]["ports"]
    assert ["127.0.0.1:40001:9090"] == services["prometheus"]["ports"]
    assert (
        ["/tmp/x/generated:/etc/outrider:ro"] == services["alertmanager"]["volumes"] == services["grafana"]["volumes"]
    )
    assert ["/tmp/x/record:/record"] == services["receiver"]["volumes"]
    assert "--record=/record/notifications.jsonl" in services["receiver"]["command"]


def test_the_services_are_those_of_compose_yaml():
    """
    Servers and clients have the names that compose.yaml gives them.
    """
    services = yaml.safe_load(Path("compose/compose.yaml").read_text(encoding="utf-8"))["services"]

    assert set(SERVERS) | set(CLIENTS) == {name for name in services if name.startswith(("server-", "client-"))}


def test_the_core_faults_are_made_in_containers():
    """
    Kills, pauses and a pulled plug, each on the three servers there are.
    """
    core = {fault.name: fault for fault in FAULTS if fault.in_containers}

    assert set(CORE) <= core.keys()
    assert all(len(SERVERS) in fault.sizes for fault in core.values())


def test_a_fault_that_containers_do_not_know_is_refused(tmp_path):
    """
    The message lists those they know.
    """
    from click.testing import CliRunner

    result = CliRunner().invoke(drill_command, ["cut-leader", "--via", "compose", "--out", str(tmp_path)])

    assert 2 == result.exit_code
    assert "cut-leader is not made in containers; these are: kill-leader, " in result.output


def test_without_docker_one_sentence_says_so(tmp_path, monkeypatch):
    """
    Where docker is not there the drill ends with the reason and the remedy, and nothing was started.
    """
    from click.testing import CliRunner

    monkeypatch.setenv("PATH", str(tmp_path))

    result = CliRunner().invoke(drill_command, ["--via", "compose", "--out", str(tmp_path / "out")])

    assert 1 == result.exit_code
    assert result.output.startswith("Error: docker is not on this machine")
    assert not (tmp_path / "out").exists()


@pytest.mark.compose
@pytest.mark.integration
@pytest.mark.timeout(1_200)
def test_a_drill_in_containers_has_its_verdict(tmp_path):
    """
    A majority that is killed pages, in containers as on processes, and nothing of it is left.
    """
    try:
        check_docker()
    except Unable as reason:
        pytest.skip(str(reason))
    command = [*default_agent_command(), "drill", "kill-majority", "--via", "compose", "--fast", "--out", str(tmp_path)]

    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1_100)

    assert 0 == finished.returncode, finished.stdout + finished.stderr
    (run,) = from_json((tmp_path / "scoreboard.json").read_bytes()).runs
    assert "NomadQuorumLost" == run.judgement.lines[0].trace.alert
    listed = ["docker", "ps", "--all", "--quiet", "--filter", "name=outrider-drill-"]
    assert "" == subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    record("drill.compose_quorum_lost", run.judgement.lines[0].trace.received_at[0])
