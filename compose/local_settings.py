"""What a cluster of local processes looks like: its size, ports and intervals, and the agents' configuration.

Pure: says what the files hold, writes none.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from compose.tools import TOOLS_FOLDER

LOOPBACK = "127.0.0.1"
LOCAL_FOLDER = Path(".outrider/local")
"""Where a cluster keeps its files, relative to the folder the command is run in."""

PORTS_PER_AGENT = 10
"""From one agent's first port to the next one's; HTTP, RPC, serf and Raft are the first four, as Nomad numbers them."""
SERVERS_MAX = 9
CLIENTS_MAX = 20
PORT_MAX = 65_535


class LocalRole(Enum):
    """What a local process is; the value is the word in its name and on the screen."""

    SERVER = "server"
    CLIENT = "client"
    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"
    RECEIVER = "receiver"


@dataclass(frozen=True, slots=True)
class LocalAgent:
    """One agent of the cluster and its ports on loopback."""

    name: str
    role: LocalRole
    http: int

    @property
    def rpc(self) -> int:
        """The port servers and clients call."""
        return self.http + 1

    @property
    def serf(self) -> int:
        """The port other servers join by."""
        return self.http + 2

    @property
    def raft(self) -> int:
        """The port of the replicated log."""
        return self.http + 3

    @property
    def ports(self) -> dict[str, int]:
        """The ports this agent listens on, by the word its configuration uses."""
        if self.role is LocalRole.CLIENT:
            return {"http": self.http}
        return {"http": self.http, "rpc": self.rpc, "serf": self.serf, "raft": self.raft}


def default_agent_command() -> tuple[str, ...]:
    """Return how the installed `outrider` is run: by its script beside the interpreter, else through the module."""
    script = Path(sys.executable).with_name("outrider")
    if script.exists():
        return (str(script),)
    return (sys.executable, "-c", "from compose.cli import main; main()")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """Everything that decides a local cluster; ports are on 127.0.0.1.

    Servers take blocks of `PORTS_PER_AGENT` from *port_base*, clients the blocks after them. *routes* names, for a
    pair (from, to), the serf port by which the first server reaches the second; the RPC and Raft ports lie one below
    and one above, so that relays can stand between them. Raises ValueError for sizes and ports that cannot be.
    """

    directory: Path = LOCAL_FOLDER
    tools: Path = TOOLS_FOLDER
    cluster: str = "local"
    region: str = "global"
    datacenter: str = "dc1"
    servers: int = 3
    clients: int = 2
    port_base: int = 4646
    prometheus_port: int = 9090
    alertmanager_port: int = 9093
    receiver_port: int = 9095
    scrape_interval_seconds: float = 5.0
    evaluation_interval_seconds: float = 5.0
    group_wait_seconds: float = 5.0
    group_interval_seconds: float = 60.0
    resend_delay_seconds: float | None = None
    """How soon Prometheus repeats a firing alert to Alertmanager; None leaves Prometheus' own minute."""
    log_level: str = "INFO"
    routes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    agent_command: tuple[str, ...] = field(default_factory=default_agent_command)

    def __post_init__(self) -> None:
        if not 1 <= self.servers <= SERVERS_MAX:
            raise ValueError(f"--servers {self.servers}: write 1 to {SERVERS_MAX}")
        if not 0 <= self.clients <= CLIENTS_MAX:
            raise ValueError(f"--clients {self.clients}: write 0 to {CLIENTS_MAX}")
        taken: dict[int, str] = {}
        for name, ports in self.ports.items():
            for port in ports:
                if not 0 < port <= PORT_MAX:
                    raise ValueError(f"{name} would listen on port {port}: choose a lower one, {port_option(name)}")
                if port in taken:
                    raise ValueError(f"{taken[port]} and {name} would both listen on port {port}: {port_option(name)}")
                taken[port] = name

    @property
    def agents(self) -> tuple[LocalAgent, ...]:
        """Servers first, then clients, in the order of their ports."""
        roles = [LocalRole.SERVER] * self.servers + [LocalRole.CLIENT] * self.clients
        numbers = [*range(1, self.servers + 1), *range(1, self.clients + 1)]
        return tuple(
            LocalAgent(f"{role.value}-{number}", role, self.port_base + PORTS_PER_AGENT * place)
            for place, (role, number) in enumerate(zip(roles, numbers, strict=True))
        )

    @property
    def server_agents(self) -> tuple[LocalAgent, ...]:
        """The servers alone."""
        return tuple(agent for agent in self.agents if agent.role is LocalRole.SERVER)

    @property
    def client_agents(self) -> tuple[LocalAgent, ...]:
        """The clients alone."""
        return tuple(agent for agent in self.agents if agent.role is LocalRole.CLIENT)

    @property
    def ports(self) -> dict[str, tuple[int, ...]]:
        """Every port on loopback that the cluster needs, by the name of the process that listens on it."""
        return {
            **{agent.name: tuple(agent.ports.values()) for agent in self.agents},
            LocalRole.PROMETHEUS.value: (self.prometheus_port,),
            LocalRole.ALERTMANAGER.value: (self.alertmanager_port,),
            LocalRole.RECEIVER.value: (self.receiver_port,),
        }


def port_option(name: str) -> str:
    """Return the option of `outrider up` that moves the ports of the process *name*."""
    match name:
        case "prometheus" | "alertmanager" | "receiver":
            return f"--{name}-port"
        case _:
            return "--port-base"


def server_config(settings: LocalSettings, server: LocalAgent) -> str:
    """Return the agent file of *server*."""
    joins = ", ".join(
        _quote(f"{LOOPBACK}:{settings.routes.get((server.name, peer.name), peer.serf)}")
        for peer in settings.server_agents
        if peer.name != server.name
    )
    return f"""{_common(settings, server)}
server {{
  enabled          = true
  bootstrap_expect = {settings.servers}

  server_join {{
    retry_join     = [{joins}]
    retry_interval = "1s"
  }}
}}
"""


def client_config(settings: LocalSettings, client: LocalAgent) -> str:
    """Return the agent file of *client*; raw_exec is on, because this cluster is a demonstration on loopback."""
    servers = ", ".join(_quote(f"{LOOPBACK}:{server.rpc}") for server in settings.server_agents)
    return f"""{_common(settings, client)}
client {{
  enabled = true
  servers = [{servers}]
}}

plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}
"""


def _common(settings: LocalSettings, agent: LocalAgent) -> str:
    """Return what the files of servers and clients share."""
    ports = "\n".join(f"  {name} = {port}" for name, port in agent.ports.items())
    # As Nomad, an agent refuses to advertise loopback unless it is told to.
    advertised = "\n".join(f"  {name} = {_quote(LOOPBACK)}" for name in _ADVERTISED[agent.role])
    return f"""# Written by `outrider up`; changes are lost at its next start.
name       = {_quote(agent.name)}
region     = {_quote(settings.region)}
datacenter = {_quote(settings.datacenter)}
data_dir   = {_quote(str(settings.directory.absolute() / "data" / agent.name))}
bind_addr  = {_quote(LOOPBACK)}
log_level  = {_quote(settings.log_level)}

ports {{
{ports}
}}

advertise {{
{advertised}
}}

telemetry {{
  prometheus_metrics         = true
  publish_allocation_metrics = true
  publish_node_metrics       = true
  disable_hostname           = true
  collection_interval        = "1s"
}}
"""


_ADVERTISED = {
    LocalRole.SERVER: ("http", "rpc", "serf", "raft"),
    LocalRole.CLIENT: ("http", "rpc", "serf"),
}


def _quote(text: str) -> str:
    """Return *text* as an HCL string that is not evaluated further."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
