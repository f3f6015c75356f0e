"""What the parts of a local cluster say of themselves over HTTP: the leader, the clients, the targets.

Every question has a short deadline and every answer is a value: a part that does not answer is one that is not ready.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import requests

from compose.local_settings import LOOPBACK, LocalAgent, LocalRole, LocalSettings

ASK_TIMEOUT_SECONDS = 1.0
_T = TypeVar("_T")


class _Node(msgspec.Struct, frozen=True, rename="pascal"):
    name: str
    status: str


class _Target(msgspec.Struct, frozen=True, rename="camel"):
    scrape_url: str
    health: str


class _Targets(msgspec.Struct, frozen=True, rename="camel"):
    active_targets: list[_Target]


class _Alertmanagers(msgspec.Struct, frozen=True, rename="camel"):
    active_alertmanagers: list[dict[str, str]]


class _TargetsAnswer(msgspec.Struct, frozen=True):
    data: _Targets


class _AlertmanagersAnswer(msgspec.Struct, frozen=True):
    data: _Alertmanagers


def _loopback_session() -> requests.Session:
    """Return a session that goes past any proxy the environment names."""
    session = requests.Session()
    session.trust_env = False
    return session


@dataclass(frozen=True, slots=True)
class Probes:
    """Questions to a local cluster; none of them raises."""

    settings: LocalSettings
    session: requests.Session = field(default_factory=_loopback_session)

    def leader(self, among: tuple[LocalAgent, ...] | None = None) -> LocalAgent | None:
        """Return the server that the others take for the leader, asking *among* in turn; None when none says.

        A server that was paused or cut off may still name a former leader; with *stale* each answers for itself,
        and the answer that most give wins.
        """
        by_name = {agent.name: agent for agent in self.settings.agents if agent.role is LocalRole.SERVER}
        by_port = {server.rpc: server for server in by_name.values()}
        # Behind relays a server names its peer by the port that this one advertises.
        by_port |= {port: by_name[name] for name, port in self.settings.rpc_routes.items()}
        votes: Counter[LocalAgent] = Counter()
        for server in among if among is not None else self.settings.server_agents:
            address = self._ask(f"{self.settings.url(server)}/v1/status/leader?stale", str)
            named = by_port.get(_port_of(address or "") or 0)
            if named is not None:
                votes[named] += 1
        return votes.most_common(1)[0][0] if votes else None

    def ready_clients(self) -> frozenset[str]:
        """Return the names of the clients that the cluster calls ready; empty without a leader."""
        for server in self.settings.server_agents:
            nodes = self._ask(f"{self.settings.url(server)}/v1/nodes", list[_Node])
            if nodes is not None:
                return frozenset(node.name for node in nodes if node.status == "ready")
        return frozenset()

    def missing_targets(self) -> frozenset[int]:
        """Return the ports of agents and exporter that Prometheus has not scraped with success at its last try."""
        answer = self._ask(f"http://{LOOPBACK}:{self.settings.prometheus_port}/api/v1/targets", _TargetsAnswer)
        targets = answer.data.active_targets if answer is not None else []
        up = {_port_of(target.scrape_url) for target in targets if target.health == "up"}
        routes = self.settings.scrape_routes
        wanted = {routes.get(agent.name, agent.http) for agent in self.settings.agents}
        exporter = self.settings.exporter_port
        return frozenset(wanted if exporter is None else wanted | {exporter}) - up

    def has_alertmanager(self) -> bool:
        """Tell whether Prometheus has discovered Alertmanager: alerts fired before are sent to nobody."""
        url = f"http://{LOOPBACK}:{self.settings.prometheus_port}/api/v1/alertmanagers"
        answer = self._ask(url, _AlertmanagersAnswer)
        return answer is not None and bool(answer.data.active_alertmanagers)

    def alerts_page(self) -> str:
        """Return the address of Prometheus' page of alerts; Debian's package has it under /classic."""
        base = f"http://{LOOPBACK}:{self.settings.prometheus_port}"
        for path in ("/alerts", "/classic/alerts"):
            try:
                if self.session.get(base + path, timeout=ASK_TIMEOUT_SECONDS).ok:
                    return base + path
            except requests.RequestException:
                break
        return f"{base}/"

    def is_alive(self, role: LocalRole) -> bool:
        """Tell whether Prometheus, Alertmanager or the receiver answers."""
        paths = {
            LocalRole.PROMETHEUS: f"{self.settings.prometheus_port}/-/ready",
            LocalRole.ALERTMANAGER: f"{self.settings.alertmanager_port}/-/ready",
            LocalRole.RECEIVER: f"{self.settings.receiver_port}/healthz",
        }
        try:
            return self.session.get(f"http://{LOOPBACK}:{paths[role]}", timeout=ASK_TIMEOUT_SECONDS).ok
        except requests.RequestException:
            return False

    def _ask(self, url: str, kind: type[_T]) -> _T | None:
        """Return the decoded answer, None when there is none or it is not of that *kind*."""
        try:
            answer = self.session.get(url, timeout=ASK_TIMEOUT_SECONDS, **self._shown())
            return msgspec.json.decode(answer.content, type=kind) if answer.ok else None
        except (OSError, msgspec.MsgspecError):  # what requests raises is an OSError, as a file that is missing is
            return None

    def _shown(self) -> dict[str, Any]:
        """Return whom to trust and what to show where agents speak TLS."""
        files = self.settings.tls_files
        if files is None:
            return {}
        pair = str(files.certificate(files.command_line)), str(files.key(files.command_line))
        return {"verify": str(files.authority), "cert": pair}


def _port_of(address: str) -> int | None:
    """Return the port of `host:port` or of an URL with one, None where there is none."""
    host_and_port = address.partition("://")[2].partition("/")[0] or address
    port = host_and_port.rpartition(":")[2]
    return int(port) if port.isdigit() else None
