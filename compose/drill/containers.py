"""The containers of compose.yaml as a stage.

They have a project name, ports and volumes of their own, so that a demonstration that runs beside is not touched. Only
the core faults are made here: the relays of the processes have no counterpart, but a container can be unplugged.
"""

import json
import random
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from alert_rules.settings import RuleSettings, Times
from compose.drill.fault import Setup, Unable
from compose.drill.observe import Observer, RecordTail
from compose.drill.pause import Pause
from compose.drill.runner import Watched
from compose.generate import build
from compose.local import LocalError
from compose.local_settings import LOOPBACK
from compose.settings import load_settings
from telemetry.clock import Clock
from telemetry.scrape.duration import format_duration

SERVERS = ("server-1", "server-2", "server-3")
CLIENTS = ("client-1", "client-2")
_WATCHERS = ("prometheus", "alertmanager")
_COMPOSE_FOLDER = Path(__file__).resolve().parents[1]
_CONTAINER_PORTS = {"prometheus": 9090, "alertmanager": 9093, "receiver": 9095, "grafana": 3000}
_AGENT_PORT = 4646
_UP_SECONDS = 600.0
_RUN_SECONDS = 120.0
_WELL_SECONDS = 120.0
_LEADER_SECONDS = 30.0
_ASK_SECONDS = 2.0
_PROJECT_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def check_docker() -> None:
    """Raise Unable in one sentence where containers cannot be run."""
    if shutil.which("docker") is None:
        raise Unable("docker is not on this machine: make the faults on processes, without --via compose")
    for question in (("docker", "info"), ("docker", "compose", "version")):
        asked = subprocess.run(question, capture_output=True, check=False, timeout=_RUN_SECONDS)
        if asked.returncode != 0:
            raise Unable(f"`{' '.join(question)}` fails here: make the faults on processes, without --via compose")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSettings:
    """What a stage of containers is made of."""

    directory: Path
    times: Times
    keep: bool = False


class ContainerStage(Watched):
    """One run of compose.yaml with its observer, from `open` to `close`."""

    def __init__(self, settings: ContainerSettings, rng: random.Random, pause: Pause, clock: Clock) -> None:
        self.settings = settings
        self.setup = Setup.PLAIN
        self.directory = settings.directory
        self.rng = rng
        self._pause = pause
        self._clock = clock
        self._session = requests.Session()
        self._session.trust_env = False
        self._project = "outrider-drill-" + "".join(rng.choices(_PROJECT_LETTERS, k=8))
        self._unplugged: set[str] = set()
        self._ports: dict[str, int] = {}
        self._command: list[str] = []
        self.observer = Observer("", RecordTail(self.directory / "record" / "notifications.jsonl"), clock)

    # --- life -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Build, start and wait until everything is watched; raises Unable or LocalError, with nothing left running."""
        check_docker()
        self._write()
        try:
            self._compose("up", "--detach", "--build", "--wait", seconds=_UP_SECONDS)
            self.wait_well()
            self.observer = Observer(
                self.prometheus_url, RecordTail(self.directory / "record" / "notifications.jsonl"), self._clock
            )
            self.observer.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the containers and their volumes; idempotent."""
        self.observer.stop()
        if self._command:
            self._compose("down", "--volumes", "--timeout", "2", is_checked=False)
        self._session.close()
        if not self.settings.keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def wait_well(self) -> None:
        """Return once there is a leader, every client is ready, every target is up and Alertmanager is discovered."""
        steps: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("the servers have no leader", lambda: self._leader() is not None),
            ("not every client is ready", lambda: set(CLIENTS) <= self._ready_clients()),
            ("Prometheus has not scraped every agent", self._all_scraped),
            ("Prometheus has not discovered Alertmanager", self._has_alertmanager),
        )
        for complaint, is_done in steps:
            if not self._pause.until(is_done, _WELL_SECONDS):
                raise LocalError(f"{complaint} after {_WELL_SECONDS:.0f} s: see docker compose -p {self._project} logs")

    def renew_watchers(self) -> None:
        """Start Prometheus and Alertmanager anew, with empty volumes."""
        self._compose("rm", "--stop", "--force", *_WATCHERS)
        self._docker("volume", "rm", *(f"{self._project}_{name}" for name in _WATCHERS))
        self._compose("up", "--detach", "--no-build", "--wait", *_WATCHERS)

    def restore(self) -> None:
        """Take back whatever is left of a fault."""
        self.mend()
        self.resume()
        self.revive()

    def rule_settings(self) -> RuleSettings:
        """Return what the rules of its Prometheus were generated from."""
        return load_settings(self.directory / "outrider.yaml").rules

    # --- whom there is --------------------------------------------------------------------------------------------

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers."""
        return f"http://{LOOPBACK}:{self._ports['prometheus']}"

    @property
    def alertmanager_url(self) -> str:
        """Where Alertmanager answers."""
        return f"http://{LOOPBACK}:{self._ports['alertmanager']}"

    @property
    def servers(self) -> tuple[str, ...]:
        """The three servers of compose.yaml."""
        return SERVERS

    @property
    def clients(self) -> tuple[str, ...]:
        """Its two clients."""
        return CLIENTS

    def leader(self) -> str:
        """Return the server that leads; raises LocalError when there is none for half a minute."""
        found = self._pause.until(self._leader, _LEADER_SECONDS)
        if found is None:
            raise LocalError(f"no server leads for {_LEADER_SECONDS:.0f} s: see docker compose -p {self._project} logs")
        return found

    # --- what can be done -----------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._pause(seconds)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until *condition* holds, at most *seconds*, and tell whether it did."""
        return bool(self._pause.until(condition, seconds))

    def kill(self, *names: str) -> None:
        """Send SIGKILL to containers."""
        self._compose("kill", *names)

    def revive(self) -> None:
        """Start every container that has ended."""
        ended = self._in_state("exited")
        if ended:
            self._compose("start", *ended)

    def pause(self, *names: str) -> None:
        """Freeze containers."""
        self._compose("pause", *names)

    def resume(self) -> None:
        """Let the frozen go on."""
        frozen = self._in_state("paused")
        if frozen:
            self._compose("unpause", *frozen)

    def isolate(self, *names: str) -> None:
        """Raise Unable: a container's network cannot be cut from some and not from others."""
        raise Unable(f"the containers of {', '.join(names)} cannot be cut from each other alone")

    def unplug(self, *names: str) -> None:
        """Disconnect containers from the network that all share."""
        for name in names:
            self._docker("network", "disconnect", self._network, self._container(name))
            self._unplugged.add(name)

    def mend(self) -> None:
        """Connect again what was unplugged."""
        for name in sorted(self._unplugged):
            self._docker("network", "connect", "--alias", name, self._network, self._container(name))
            self._unplugged.discard(name)

    # --- helpers --------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Write what differs from the shipped files: ports, intervals, and a record of what is received."""
        times, folder = self.settings.times, self.directory
        document = yaml.safe_load((_COMPOSE_FOLDER / "outrider.yaml").read_text("utf-8"))
        document |= {
            "scrape_interval": format_duration(times.scrape_interval_seconds),
            "evaluation_interval": format_duration(times.evaluation_interval_seconds),
            "group_wait": format_duration(times.group_wait_seconds),
            "group_interval": format_duration(times.group_interval_seconds),
        }
        (folder / "record").mkdir(parents=True, exist_ok=True)
        # The receiver's user in its container is another one than ours.
        (folder / "record").chmod(0o777)
        (folder / "outrider.yaml").write_text(yaml.safe_dump(document), "utf-8")
        build(load_settings(folder / "outrider.yaml"), folder / "generated")
        services = yaml.safe_load((_COMPOSE_FOLDER / "compose.yaml").read_text("utf-8"))["services"]
        self._ports = dict(zip(services, _free_ports(len(services)), strict=True))
        (folder / "override.yaml").write_text(override(self._ports, folder.absolute()), "utf-8")
        files = ("-f", str(_COMPOSE_FOLDER / "compose.yaml"), "-f", str(folder / "override.yaml"))
        self._command = ["docker", "compose", "-p", self._project, *files]

    @property
    def _network(self) -> str:
        return f"{self._project}_default"

    def _container(self, name: str) -> str:
        return self._compose("ps", "--all", "--quiet", name).strip()

    def _in_state(self, state: str) -> list[str]:
        listed = self._compose("ps", "--all", "--status", state, "--format", "{{.Service}}")
        return listed.split()

    def _compose(self, *arguments: str, seconds: float = _RUN_SECONDS, is_checked: bool = True) -> str:
        return _run([*self._command, *arguments], seconds, is_checked=is_checked)

    def _docker(self, *arguments: str) -> str:
        return _run(["docker", *arguments], _RUN_SECONDS)

    def _leader(self) -> str | None:
        """Return the server that most agents name; one that is unplugged answers nobody."""
        votes: Counter[str] = Counter()
        for name in (*SERVERS, *CLIENTS):
            named = str(self._ask(f"http://{LOOPBACK}:{self._ports[name]}/v1/status/leader?stale") or "")
            if named.partition(":")[0] in SERVERS:
                votes[named.partition(":")[0]] += 1
        return votes.most_common(1)[0][0] if votes else None

    def _ready_clients(self) -> set[str]:
        for name in SERVERS:
            nodes = self._ask(f"http://{LOOPBACK}:{self._ports[name]}/v1/nodes")
            if nodes is not None:
                return {node["Name"] for node in nodes if node["Status"] == "ready"}
        return set()

    def _all_scraped(self) -> bool:
        answer = self._ask(f"{self.prometheus_url}/api/v1/targets") or {"data": {"activeTargets": []}}
        targets = answer["data"]["activeTargets"]
        up = {target["labels"].get("instance") for target in targets if target["health"] == "up"}
        return {*SERVERS, *CLIENTS} <= up

    def _has_alertmanager(self) -> bool:
        answer = self._ask(f"{self.prometheus_url}/api/v1/alertmanagers") or {"data": {"activeAlertmanagers": []}}
        return bool(answer["data"]["activeAlertmanagers"])

    def _ask(self, url: str) -> Any:
        try:
            answer = self._session.get(url, timeout=_ASK_SECONDS)
            return answer.json() if answer.ok else None
        except (requests.RequestException, ValueError):
            return None


def override(ports: dict[str, int], folder: Path) -> str:
    """Return the file that gives the services of compose.yaml other *ports*, the configuration in *folder*, a record."""
    lines = ["services:"]
    for name, port in ports.items():
        inside = _CONTAINER_PORTS.get(name, _AGENT_PORT)
        lines += [f"  {name}:", f'    ports: !override ["{LOOPBACK}:{port}:{inside}"]']
        if name in {*_WATCHERS, "grafana"}:
            lines.append(f"    volumes: [{json.dumps(f'{folder}/generated:/etc/outrider:ro')}]")
        if name == "receiver":
            lines.append(f"    volumes: [{json.dumps(f'{folder}/record:/record')}]")
            lines.append('    command: [receiver, "--listen=0.0.0.0:9095", "--record=/record/notifications.jsonl"]')
    return "\n".join(lines) + "\n"


def _run(command: Iterable[str], seconds: float, *, is_checked: bool = True) -> str:
    arguments = list(command)
    try:
        finished = subprocess.run(arguments, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise LocalError(f"{arguments[0]} {arguments[-1]} did not end within {seconds:.0f} s") from error
    if is_checked and finished.returncode != 0:
        last = " / ".join((finished.stdout + finished.stderr).strip().splitlines()[-3:])
        raise LocalError(f"{' '.join(arguments[:2])} … {' '.join(arguments[-2:])} fails: {last}")
    return finished.stdout


def _free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody uses now."""
    with ExitStack() as held:
        return [held.enter_context(socket.create_server((LOOPBACK, 0))).getsockname()[1] for _ in range(count)]
