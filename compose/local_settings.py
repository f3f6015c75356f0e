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
RAFT_MULTIPLIER_MAX = 10
"""What the configuration of an agent allows."""
CLIENTS_MAX = 20
PORT_MAX = 65_535


class LocalRole(Enum):
    """What a local process is; the value is the word in its name and on the screen."""

    SERVER = "server"
    CLIENT = "client"
    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"
    RECEIVER = "receiver"
    EXPORTER = "exporter"


@dataclass(frozen=True, slots=True)
class LocalAgent:
    """One agent of the cluster and its ports on loopback."""

    name: str
    role: LocalRole
    http: int
    region: str
    datacenter: str

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


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificates of a cluster that speaks TLS lie: those of each agent by its name, keys beside them.

    The authority and the pair of people and Prometheus have the names that `outrider tls` gives them.
    """

    folder: Path
    region: str

    @property
    def authority(self) -> Path:
        """The certificate of the authority that signed all others."""
        return self.folder / "nomad-agent-ca.pem"

    @property
    def authority_key(self) -> Path:
        """Its key, for renewals; whoever has it can join the cluster."""
        return self.folder / "nomad-agent-ca-key.pem"

    @property
    def command_line(self) -> str:
        """The name of the pair that people and Prometheus show."""
        return f"{self.region}-cli-nomad"

    def certificate(self, name: str) -> Path:
        """Return the file of the certificate of the agent *name*, or of `command_line`."""
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        """Return the file of its key."""
        return self.folder / f"{name}-key.pem"


def default_agent_command() -> tuple[str, ...]:
    """Return how the installed `outrider` is run: by its script beside the interpreter, else through the module."""
    script = Path(sys.executable).with_name("outrider")
    if script.exists():
        return (str(script),)
    return (sys.executable, "-c", "from compose.cli import main; main()")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """Everything that decides a local cluster; ports are on 127.0.0.1.

    Servers take blocks of `PORTS_PER_AGENT` from *port_base*, clients the blocks after them, servers of a second
    region the last. Agents are spread over *zones*, their datacenters, in turn. Relays can stand between the
    processes: *rpc_routes* names the port that a server advertises for RPC, with the two after it for serf and Raft,
    *scrape_routes* the port by which Prometheus reaches an agent. *environments* are added to those of the agents they
    name. Raises ValueError for sizes and ports that cannot be.
    """

    directory: Path = LOCAL_FOLDER
    tools: Path = TOOLS_FOLDER
    cluster: str = "local"
    region: str = "global"
    zones: tuple[str, ...] = ("dc1",)
    servers: int = 3
    clients: int = 2
    far_servers: int = 0
    """Servers of a second region, watched by the same Prometheus."""
    far_region: str = "far"
    port_base: int = 4646
    prometheus_port: int = 9090
    alertmanager_port: int = 9093
    receiver_port: int = 9095
    exporter_port: int | None = None
    """Where `outrider exporter` stands beside the servers; None for none, as our own agents need none."""
    scrape_interval_seconds: float = 5.0
    evaluation_interval_seconds: float = 5.0
    group_wait_seconds: float = 5.0
    group_interval_seconds: float = 60.0
    resend_delay_seconds: float | None = None
    """How soon Prometheus repeats a firing alert to Alertmanager; None leaves Prometheus' own minute."""
    tls: bool = False
    """Whether agents speak TLS, mutual everywhere, with certificates of the cluster's own."""
    log_level: str = "INFO"
    raft_multiplier: int = 1
    """How much slower Raft's times are: a machine that is used for much else costs a leader its lease of half a second."""
    leave_on_interrupt: bool = False
    rpc_routes: Mapping[str, int] = field(default_factory=dict)
    scrape_routes: Mapping[str, int] = field(default_factory=dict)
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    agent_command: tuple[str, ...] = field(default_factory=default_agent_command)

    def __post_init__(self) -> None:
        if not 1 <= self.servers <= SERVERS_MAX:
            raise ValueError(f"--servers {self.servers}: write 1 to {SERVERS_MAX}")
        if not 0 <= self.clients <= CLIENTS_MAX:
            raise ValueError(f"--clients {self.clients}: write 0 to {CLIENTS_MAX}")
        if not 0 <= self.far_servers <= SERVERS_MAX:
            raise ValueError(f"{self.far_servers} servers of a second region: take 0 to {SERVERS_MAX}")
        if not 1 <= self.raft_multiplier <= RAFT_MULTIPLIER_MAX:
            raise ValueError(f"raft_multiplier {self.raft_multiplier}: take 1 to {RAFT_MULTIPLIER_MAX}")
        if self.far_region == self.region or not self.zones:
            raise ValueError(
                f"regions {self.region!r} and {self.far_region!r}, zones {self.zones}: two names and a zone"
            )
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
        """Servers first, then clients, then the second region's servers, in the order of their ports."""
        kinds = [
            *((f"server-{number + 1}", LocalRole.SERVER, self.region, number) for number in range(self.servers)),
            *((f"client-{number + 1}", LocalRole.CLIENT, self.region, number) for number in range(self.clients)),
            *(
                (f"{self.far_region}-server-{number + 1}", LocalRole.SERVER, self.far_region, number)
                for number in range(self.far_servers)
            ),
        ]
        return tuple(
            LocalAgent(
                name, role, self.port_base + PORTS_PER_AGENT * place, region, self.zones[number % len(self.zones)]
            )
            for place, (name, role, region, number) in enumerate(kinds)
        )

    @property
    def server_agents(self) -> tuple[LocalAgent, ...]:
        """The servers of the first region alone."""
        return self.servers_of(self.region)

    def servers_of(self, region: str) -> tuple[LocalAgent, ...]:
        """Return the servers of *region*."""
        return tuple(agent for agent in self.agents if agent.role is LocalRole.SERVER and agent.region == region)

    @property
    def client_agents(self) -> tuple[LocalAgent, ...]:
        """The clients alone."""
        return tuple(agent for agent in self.agents if agent.role is LocalRole.CLIENT)

    @property
    def tls_files(self) -> TlsFiles | None:
        """Where its certificates lie; None for a cluster without TLS."""
        return TlsFiles(self.directory.absolute() / "tls", self.region) if self.tls else None

    def url(self, agent: LocalAgent) -> str:
        """Return the address of the HTTP API of *agent*."""
        return f"{'https' if self.tls else 'http'}://{LOOPBACK}:{agent.http}"

    @property
    def ports(self) -> dict[str, tuple[int, ...]]:
        """Every port on loopback that the cluster needs, by the name of the process that listens on it."""
        return {
            **{agent.name: tuple(agent.ports.values()) for agent in self.agents},
            LocalRole.PROMETHEUS.value: (self.prometheus_port,),
            LocalRole.ALERTMANAGER.value: (self.alertmanager_port,),
            LocalRole.RECEIVER.value: (self.receiver_port,),
            **({} if self.exporter_port is None else {LocalRole.EXPORTER.value: (self.exporter_port,)}),
        }


def port_option(name: str) -> str:
    """Return the option of `outrider up` that moves the ports of the process *name*."""
    match name:
        case "prometheus" | "alertmanager" | "receiver" | "exporter":
            return f"--{name}-port"
        case _:
            return "--port-base"


def server_config(
    settings: LocalSettings, server: LocalAgent, *, prometheus_metrics: bool = True, schedules: bool = True
) -> str:
    """Return the agent file of *server*.

    Without *prometheus_metrics* it refuses to be scraped; one that does not *schedule* leaves evaluations to others.
    """
    schedulers = "" if schedules else "  num_schedulers   = 0\n"
    raft = "" if settings.raft_multiplier == 1 else f"  raft_multiplier  = {settings.raft_multiplier}\n"
    joins = ", ".join(
        _quote(f"{LOOPBACK}:{settings.rpc_routes[peer.name] + 1 if peer.name in settings.rpc_routes else peer.serf}")
        for peer in settings.servers_of(server.region)
        if peer.name != server.name
    )
    return f"""{_common(settings, server, prometheus_metrics=prometheus_metrics)}
server {{
  enabled          = true
  bootstrap_expect = {len(settings.servers_of(server.region))}
{schedulers}{raft}
  server_join {{
    retry_join     = [{joins}]
    retry_interval = "1s"
  }}
}}
"""


def client_config(settings: LocalSettings, client: LocalAgent) -> str:
    """Return the agent file of *client*; raw_exec is on, because this cluster is a demonstration on loopback."""
    servers = ", ".join(_quote(_rpc_address(settings, server)) for server in settings.server_agents)
    return f"""{_common(settings, client, prometheus_metrics=True)}
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


def _rpc_address(settings: LocalSettings, server: LocalAgent) -> str:
    """Return where clients and the other servers call *server*: past its relay where there is one."""
    return f"{LOOPBACK}:{settings.rpc_routes.get(server.name, server.rpc)}"


def _common(settings: LocalSettings, agent: LocalAgent, *, prometheus_metrics: bool) -> str:
    """Return what the files of servers and clients share."""
    ports = "\n".join(f"  {name} = {port}" for name, port in agent.ports.items())
    # As Nomad, an agent refuses to advertise loopback unless it is told to.
    told = dict.fromkeys(_ADVERTISED[agent.role], LOOPBACK)
    if agent.name in settings.rpc_routes:
        # The others expect an agent's ports beside each other, so all three move.
        rpc = settings.rpc_routes[agent.name]
        told |= {name: f"{LOOPBACK}:{port}" for name, port in (("rpc", rpc), ("serf", rpc + 1), ("raft", rpc + 2))}
    advertised = "\n".join(f"  {name} = {_quote(address)}" for name, address in told.items())
    leave = "leave_on_interrupt = true\n" if settings.leave_on_interrupt else ""
    return f"""# Written by `outrider up`; changes are lost at its next start.
name       = {_quote(agent.name)}
region     = {_quote(agent.region)}
datacenter = {_quote(agent.datacenter)}
data_dir   = {_quote(str(settings.directory.absolute() / "data" / agent.name))}
bind_addr  = {_quote(LOOPBACK)}
log_level  = {_quote(settings.log_level)}
{leave}
ports {{
{ports}
}}

advertise {{
{advertised}
}}

telemetry {{
  prometheus_metrics         = {str(prometheus_metrics).lower()}
  publish_allocation_metrics = true
  publish_node_metrics       = true
  disable_hostname           = true
  collection_interval        = "1s"
}}
{_tls_block(settings, agent)}"""


def _tls_block(settings: LocalSettings, agent: LocalAgent) -> str:
    """Return how *agent* speaks TLS; nothing where none is spoken."""
    files = settings.tls_files
    if files is None:
        return ""
    return f"""
tls {{
  http                   = true
  rpc                    = true
  verify_server_hostname = true
  verify_https_client    = true
  ca_file                = {_quote(str(files.authority))}
  cert_file              = {_quote(str(files.certificate(agent.name)))}
  key_file               = {_quote(str(files.key(agent.name)))}
}}
"""


_ADVERTISED = {
    LocalRole.SERVER: ("http", "rpc", "serf", "raft"),
    LocalRole.CLIENT: ("http", "rpc", "serf"),
}


def _quote(text: str) -> str:
    """Return *text* as an HCL string that is not evaluated further."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
