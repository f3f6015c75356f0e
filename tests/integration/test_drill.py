"""The drill for real: a verdict that is ok, one that is missing on purpose, and an interrupt that leaves nothing behind."""

import json
import os
import random
import signal
import subprocess
from dataclasses import replace
from itertools import count

import psutil
import pytest
import requests
from click.testing import CliRunner

from compose.check.command import check_group
from compose.discovery_command import discovery_group
from compose.drill.churn import Churn
from compose.drill.command import exit_code
from compose.drill.drill import Drill, DrillSettings, jobs_of
from compose.drill.fault import Setup, one
from compose.drill.jobs import job
from compose.drill.judge import Verdict
from compose.drill.local_stage import LocalStage, StageSettings
from compose.drill.matrix import find
from compose.drill.observe import active_alerts
from compose.drill.pause import Pause
from compose.drill.ports import PortBlocks
from compose.drill.runner import times_of
from compose.drill.scoreboard import from_json
from compose.local_settings import default_agent_command
from telemetry.clock import SystemClock
from tests.figures import record
from tests.integration.watch import wait_until
from tests.ports import lane

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PORT_BASE = lane(32_000)
SEED = 3
CLIENTS = 3
DRAIN_SECONDS_MAX = 60


def command(*arguments, out, tools):
    """Return the command of a fast drill on three servers whose results are in *out*."""
    fixed = ["--fast", "--servers", "3", "--clients", str(CLIENTS), "--seed", str(SEED), "--port-base", str(PORT_BASE)]
    return [*default_agent_command(), "drill", *arguments, *fixed, "--out", str(out), "--tools", str(tools)]


def processes_below(folder):
    """Return the processes whose command names *folder*."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if process.pid != os.getpid() and any(f"{folder}/clusters" in word for word in words):
            found.append(words)
    return found


def test_a_drill_whose_verdicts_are_ok_ends_with_0(tmp_path, prometheus_tools):
    """
    A reload of Prometheus brings nothing: exit code 0, the scoreboard in every form, and nothing left running.
    """
    arguments = ("prometheus-reloaded", "--json", "--markdown", str(tmp_path / "board.md"))

    finished = subprocess.run(
        command(*arguments, out=tmp_path, tools=prometheus_tools),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert 0 == finished.returncode, finished.stdout + finished.stderr
    assert "\nok         prometheus-reloaded       3 nothing" in finished.stderr
    board = from_json((tmp_path / "scoreboard.json").read_bytes())
    assert board == from_json(finished.stdout)
    assert ([Verdict.OK], SEED) == ([run.verdict for run in board.runs], board.seed)
    assert board.versions.prometheus.startswith(("2.", "3."))
    for name in ("scoreboard.html", "scoreboard.txt", "board.md"):
        assert "prometheus-reloaded" in (tmp_path / name).read_text()
    assert [] == processes_below(tmp_path)
    assert not list((tmp_path / "clusters").glob("*/*"))


def test_a_drill_tells_what_arrived_from_what_did_not(tmp_path, prometheus_tools):
    """
    A killed client brings its warning in time and its end; an expectation that cannot come is missing, exit code 1.
    """
    clock = SystemClock()
    pause, ports, numbers = Pause(clock), PortBlocks(PORT_BASE), count()
    impossible = replace(find("prometheus-reloaded"), name="impossible", arrives={3: (one("NomadQuorumLost"),)})
    said = []

    def make(job):
        settings = StageSettings(
            directory=tmp_path / str(next(numbers)),
            ports=ports.take(),
            servers=job.servers,
            clients=CLIENTS,
            times=times_of(fast=True),
            resend_delay_seconds=1.0,
            tools=prometheus_tools,
        )
        return LocalStage(settings, random.Random(SEED), pause, clock)

    settings = DrillSettings(make=make, via="processes", times=times_of(fast=True), clients=CLIENTS, seed=SEED, lanes=2)

    board = Drill(settings, said.append, pause, clock).run(jobs_of([find("kill-client"), impossible], (3,), 1), ())

    warned, missing = board.runs
    (line,) = warned.judgement.lines
    assert Verdict.OK is warned.verdict, warned
    assert "NomadClientDown" == line.trace.alert
    assert 0 < line.trace.pending_at < line.trace.firing_at < line.trace.received_at[0] < warned.healed_at
    assert warned.healed_at < line.trace.resolved_at
    assert Verdict.MISSING is missing.verdict, missing
    assert 2 == len(said)
    assert [0, 1] == [exit_code(replace_runs(board, runs), len(runs)) for runs in ([warned], [warned, missing])]
    record("drill.client_down_received", line.trace.received_at[0])


def replace_runs(board, runs):
    """Return *board* as it would be with *runs* alone."""
    from compose.drill.scoreboard import overall

    return type(board)(
        **{name: getattr(board, name) for name in board.__struct_fields__}
        | {"runs": tuple(runs), "verdict": overall(runs)}
    )


@pytest.mark.parametrize("number", [signal.SIGINT], ids=lambda number: number.name)
def test_an_interrupted_drill_ends_its_cluster(tmp_path, prometheus_tools, number):
    """
    A signal in the middle of a fault ends every process and writes what there is; the exit code is 130.
    """
    running = subprocess.Popen(
        command("kill-majority", out=tmp_path, tools=prometheus_tools), stdout=subprocess.PIPE, text=True
    )
    wait_until(lambda: len(processes_below(tmp_path)) >= 3 + CLIENTS + 3, 120, "the cluster runs")

    running.send_signal(number)
    said, _ = running.communicate(timeout=120)

    assert 130 == running.returncode, said
    assert "ending the clusters" in said
    assert [] == processes_below(tmp_path)
    assert () == from_json((tmp_path / "scoreboard.json").read_bytes()).runs


def test_healthy_change_is_silent(tmp_path, prometheus_tools):
    """
    Half a minute of churn ends with 0 and a sign of life; its deeds are told with their time.
    """
    finished = subprocess.run(
        command("--churn", "0.5", out=tmp_path, tools=prometheus_tools),
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )

    assert 0 == finished.returncode, finished.stdout + finished.stderr
    assert "ok: 0 alerts and " in finished.stdout
    assert "  0:" in finished.stdout
    assert [] == processes_below(tmp_path)


@pytest.fixture(scope="module")
def stage(tmp_path_factory, prometheus_tools):
    """
    An open stage of three servers and two clients that speak TLS, behind relays; its tests leave it as it was.
    """
    clock = SystemClock()
    settings = StageSettings(
        directory=tmp_path_factory.mktemp("drill") / "stage",
        ports=PortBlocks(PORT_BASE).take(),
        servers=3,
        clients=2,
        times=times_of(fast=True),
        resend_delay_seconds=1.0,
        setup=Setup.TLS,
        tools=prometheus_tools,
    )
    made = LocalStage(settings, random.Random(SEED), Pause(clock), clock)
    made.open()
    try:
        made.wait_well()
        yield made
    finally:
        made.close()


def test_clients_of_a_drill_are_drained_and_given_back(stage):
    """
    A drain that cannot end lasts until it is healed; one of churn ends by itself, and neither is told to anybody.
    """
    before = stage.observer.notifications
    action = find("drained-too-long").action

    action.inject(stage)
    (stuck,) = stage.jobs.clients_of("endless")
    (other,) = set(stage.clients) - {stuck}
    moved = stage.until(lambda: set(stage.jobs.clients_of("web")) == {other}, DRAIN_SECONDS_MAX)
    still = (stage.nodes.drains(stuck), stage.jobs.clients_of("endless"))
    action.heal(stage)
    healed = stage.nodes.drains(stuck)
    Churn(stage, random.Random(SEED), lambda _: None, SystemClock()).drain(other)
    drained = (stage.nodes.drains(other), stage.jobs.clients_of("web"))

    assert moved
    assert (True, (stuck,)) == still
    assert not healed
    assert (False, before) == (drained[0], stage.observer.notifications)
    assert {stuck} == set(drained[1])


def about_certificates(stage):
    """Return the alerts about certificates that are pending or firing."""
    with requests.Session() as session:
        alerts = active_alerts(stage.prometheus_url, session)
    return {alert.labels["alertname"] for alert in alerts or () if "Certificate" in alert.labels["alertname"]}


def test_certificates_of_a_drill_are_seen_to_end_and_renewed(stage):
    """
    A short one makes its alert pending; healed, it is over. All are renewed without a word, and everybody still works.
    """
    short, renewal = find("certificate-expires-today").action, find("certificates-renewed").action
    shown = {name: stage.certificates.shown(name) for name in (*stage.servers, *stage.clients)}
    stage.observer.begin(SystemClock().wall())

    short.inject(stage)
    pending = stage.until(lambda: "NomadCertificateAlmostExpired" in about_certificates(stage), 30)
    short.heal(stage)
    over = stage.until(lambda: not about_certificates(stage), 30)
    renewal.inject(stage)
    stage.jobs.register(job("after", count=1))
    runs = stage.until(lambda: len(stage.jobs.clients_of("after")) == 1, 30)

    assert (True, True, True) == (pending, over, runs)
    assert not {b"", *shown.values()} & {stage.certificates.shown(name) for name in shown}
    assert not about_certificates(stage)
    assert [] == [trace for trace in stage.observer.traces() if "Certificate" in trace.alert and trace.received_at]


def test_the_commands_ask_a_cluster_that_speaks_tls(stage, tmp_path):
    """
    Check and discovery find their certificates in its settings; nobody has to name them.
    """
    file = str(stage.directory / "outrider.yaml")

    checked = CliRunner().invoke(check_group, ["-f", file, "--json"])
    found = CliRunner().invoke(discovery_group, ["write", "--once", "-f", file, "-o", str(tmp_path)])

    body = json.loads(checked.stdout)
    assert 5 == body["agents"]
    assert not {"answers", "targets", "members"} & {finding["check"] for finding in body["findings"]}
    assert 0 == found.exit_code, found.output
