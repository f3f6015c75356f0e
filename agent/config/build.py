"""From merged settings to an AgentConfig, and the relations between fields that must hold.

Every problem is collected; the one who asked raises them together.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.config.addresses import (
    Host,
    advertised,
    client_servers,
    join_host_port,
    resolve_template,
    server_addresses,
    split_host_port,
)
from agent.config.gossip_keys import LABEL_BYTES_MAX, BadKey, parse_key
from agent.config.hcl_ast import Position
from agent.config.options import read_options
from agent.config.reader import Problem, Setting, Value, show_value
from agent.config.schema import (
    ALL_SCHEDULERS,
    Addresses,
    Advertise,
    AgentConfig,
    AutopilotSettings,
    ClientConfig,
    Ports,
    Reserved,
    ServerConfig,
    ServerJoin,
)
from agent.config.schema_agent import AGENT
from agent.config.schema_client import CLIENT, RAW_EXEC, RESERVED
from agent.config.schema_keys import BlockSpec, Key, Kind
from agent.config.schema_server import AUTOPILOT, SERVER, SERVER_JOIN
from agent.config.schema_telemetry import TELEMETRY
from agent.tls.settings import TlsSettings
from telemetry.stanza import TelemetryConfig

_RAW_EXEC_PATH = "plugin.raw_exec.config.enabled"
_LISTENERS = ("http", "rpc", "serf", "raft")
_JOIN_PREFIX = "server.server_join."
_JOIN_FIELDS = ("retry_join", "start_join", "retry_interval", "retry_max")

Settings = Mapping[str, Setting]


class Problems:
    """Collects problems, each at the place where the value it is about was set."""

    def __init__(self, settings: Settings, source: Position) -> None:
        self.settings = settings
        self.source = source
        self.found: list[Problem] = []

    def add(self, path: str, message: str) -> None:
        """Note a problem with the value at *path*; where none was set, with the configuration as a whole."""
        setting = self.settings.get(path)
        self.found.append(Problem(setting.position if setting else self.source, f"{message}."))

    def where(self, path: str, value: Value | Path | None) -> str:
        """Return "path = value", and whether that is the default."""
        shown = show_value(str(value) if isinstance(value, Path) else value)
        return f"{path}{shown}" if path in self.settings else f"{path}{shown} (the default)"


def build(
    settings: Settings, host: Host, source: Position, *, dev: bool
) -> tuple[AgentConfig, list[Problem], list[str]]:
    """Return the configuration, its problems and warnings; with problems the configuration must not be used.

    *source* is what problems name that belong to no one line.
    """
    problems = Problems(settings, source)
    ports = Ports(**_fields(settings, "ports.", _block(AGENT, "ports")))
    config = AgentConfig(
        hostname=host.hostname,
        dev=dev,
        ports=ports,
        server=_server(settings, host, problems),
        client=ClientConfig(
            server_join=ServerJoin(**_fields(settings, "client.server_join.", SERVER_JOIN)),
            reserved=Reserved(**_fields(settings, "client.reserved.", RESERVED)),
            **_fields(settings, "client.", CLIENT),
        ),
        autopilot=_autopilot(settings),
        telemetry=TelemetryConfig(**_fields(settings, "telemetry.", TELEMETRY)),
        tls=TlsSettings(**_fields(settings, "tls.", _block(AGENT, "tls"))),
        **_fields(settings, "plugin.raw_exec.config.", _block(RAW_EXEC, "config")),
        **_fields(settings, "", AGENT),
    )
    options = read_options(config.client.options)
    enabled = config.raw_exec_enabled if _RAW_EXEC_PATH in settings else options.raw_exec_enabled
    config = replace(config, name=config.name or host.hostname, raw_exec_enabled=enabled and options.raw_exec_allowed)
    for name in options.protective:
        problems.add(
            "client.options",
            f'client.options "{name}" is set: this restriction is not there yet; remove the key, '
            "or do without the raw_exec driver",
        )
    if "{{" in config.client.network_interface:
        problems.add(
            "client.network_interface", "client.network_interface takes no template here: write a name such as eth0"
        )
    config = _with_addresses(config, settings, host, problems)
    if not problems.found:
        _check_relations(config, problems)
    return config, problems.found, _warnings(config)


def without_effect(later: Mapping[str, Position], settings: Settings) -> dict[str, Position]:
    """Return *later*, keys that Outrider passes over, and the client options that are as good as such keys."""
    asked = dict(later)
    options = settings.get("client.options")
    if options is not None and isinstance(options.value, dict):
        for name in read_options(options.value).without_effect:
            asked[f'client.options "{name}"'] = options.position
    return asked


def _block(spec: BlockSpec, name: str) -> BlockSpec:
    """Return the inner block of that name, which the schema is known to have."""
    found = spec.find(name)
    assert isinstance(found, BlockSpec)
    return found


def _fields(settings: Settings, prefix: str, spec: BlockSpec) -> dict[str, Any]:
    """Return the keyword arguments for a block's dataclass: only what was set, under the fields' names."""
    return {
        key.field: _as_field(settings[prefix + key.name].value, key)
        for key in spec.keys
        if key.field and prefix + key.name in settings
    }


def _as_field(value: Value, key: Key) -> Value | Path | None:
    if key.kind is Kind.PATH:
        return Path(value) if isinstance(value, str) and value else None
    return value


def _server(settings: Settings, host: Host, problems: Problems) -> ServerConfig:
    """Build the server block, with the join settings of either place."""
    join = _fields(settings, _JOIN_PREFIX, SERVER_JOIN)
    legacy = {name for name in _JOIN_FIELDS if f"server.{name}" in settings}
    if legacy and any(setting.position.line for path, setting in settings.items() if path.startswith(_JOIN_PREFIX)):
        name = min(legacy)
        problems.add(
            f"server.{name}",
            f"server.{name} and the server_join block are both set: move {name} into server_join",
        )
    for key in SERVER_JOIN.keys:
        if key.name in legacy and f"{_JOIN_PREFIX}{key.name}" not in settings:  # a flag wins over the old key too
            join[key.field] = settings[f"server.{key.name}"].value
    server = ServerConfig(server_join=ServerJoin(**join), **_fields(settings, "server.", SERVER))
    workers = host.cpu_count if server.num_schedulers is None else server.num_schedulers
    return replace(
        server,
        num_schedulers=workers,
        enabled_schedulers=server.enabled_schedulers or ALL_SCHEDULERS,
        raft_multiplier=server.raft_multiplier or 1,
    )


def _autopilot(settings: Settings) -> AutopilotSettings:
    """Return the block with defaults; a number or a time of 0 counts as not given, as in Nomad."""
    given = _fields(settings, "autopilot.", AUTOPILOT)
    return AutopilotSettings(**{name: value for name, value in given.items() if value or isinstance(value, bool)})


def _with_addresses(config: AgentConfig, settings: Settings, host: Host, problems: Problems) -> AgentConfig:
    """Fill in the bound and the advertised addresses."""

    def resolved(path: str, text: str) -> str:
        try:
            return resolve_template(text, host)
        except ValueError as error:
            problems.add(path, f"{path}: {error}")
            return ""

    def given(path: str) -> str:
        value = settings[path].value if path in settings else ""
        return value if isinstance(value, str) else ""

    bind = resolved("bind_addr", config.bind_addr)
    bound = {name: resolved(f"addresses.{name}", given(f"addresses.{name}")) or bind for name in _LISTENERS}
    if not given("addresses.raft"):
        bound["raft"] = bound["rpc"]
    http = tuple(bound["http"].split()) or (bind,)
    told: dict[str, str] = {}
    for name in _LISTENERS:
        if name in {"serf", "raft"} and not config.server.enabled:
            told[name] = ""
            continue
        port = getattr(config.ports, name)
        wanted = given(f"advertise.{name}")
        if name == "raft" and not wanted and given("advertise.rpc") and told["rpc"]:
            wanted = split_host_port(told["rpc"], 0)[0]
            wanted = f"[{wanted}]" if ":" in wanted else wanted
        try:
            told[name] = advertised(wanted, http[0] if name == "http" else bound[name], port, host, dev=config.dev)
        except ValueError as error:
            told[name] = ""
            problems.add(f"advertise.{name}", f"advertise.{name}: {error}")
    return replace(
        config,
        bind_addr=bind,
        addresses=Addresses(http=http, rpc=bound["rpc"], serf=bound["serf"], raft=bound["raft"]),
        advertise=Advertise(**told),
    )


def _check_relations(config: AgentConfig, problems: Problems) -> None:
    """Note every pair of values that cannot stand together."""
    _check_gossip(config, problems)
    if not (config.server.enabled or config.client.enabled):
        problems.add(
            "",
            "Must specify either server, client or dev mode for the agent: set server { enabled = true } or "
            "client { enabled = true } in a file, or start with -dev",
        )
    _check_directories(config, problems)
    _check_ports(config, problems)
    for key, problem in config.telemetry.problems():
        problems.add(f"telemetry.{key}", f"telemetry.{key} {problem}")
    if config.server.enabled:
        _check_servers(config, problems)
    elif config.server.bootstrap_expect:
        problems.add(
            "server.bootstrap_expect",
            f"server.bootstrap_expect = {config.server.bootstrap_expect}, but server.enabled = false: "
            "enable the server or remove bootstrap_expect",
        )
    if config.client.enabled:
        _check_client(config, problems)


def _check_directories(config: AgentConfig, problems: Problems) -> None:
    if config.data_dir is None and not config.dev:
        problems.add("data_dir", 'Must specify "data_dir": set it to an absolute path, or start with -dev')
    for path, directory in (
        ("data_dir", config.data_dir),
        ("server.data_dir", config.server.data_dir),
        ("client.alloc_dir", config.client.alloc_dir),
        ("client.state_dir", config.client.state_dir),
    ):
        if directory is not None and not directory.is_absolute():
            problems.add(path, f'{path} = "{directory}" must be an absolute path: begin it with /')


def _check_ports(config: AgentConfig, problems: Problems) -> None:
    """Ports that are used must differ; serf listens on no port of a lone client."""
    used = ("http", "rpc", "serf", "raft") if config.server.enabled else ("http", "rpc")
    seen: dict[int, str] = {}
    for name in used:
        port = getattr(config.ports, name)
        if port and port in seen:
            first = problems.where(f"ports.{seen[port]}", port)
            problems.add(
                f"ports.{name}", f"{problems.where(f'ports.{name}', port)} and {first} are the same: choose two ports"
            )
        seen.setdefault(port, name)


def _check_gossip(config: AgentConfig, problems: Problems) -> None:
    if config.server.encrypt:
        try:
            parse_key(config.server.encrypt)
        except BadKey as error:
            problems.add("server.encrypt", f"server.encrypt: {error}")
    size = len(config.server.gossip_label.encode())
    if size > LABEL_BYTES_MAX:
        problems.add(
            "server.gossip_label", f"server.gossip_label has {size} bytes, more than {LABEL_BYTES_MAX}: shorten it"
        )


def _check_servers(config: AgentConfig, problems: Problems) -> None:
    """The voters are those configured, or as many as are expected, found by gossip: more cannot be meant."""
    path = "server.server_join.retry_join"
    if path not in problems.settings and "server.retry_join" in problems.settings:
        path = "server.retry_join"
    entries = (*config.server.server_join.retry_join, *config.server.server_join.start_join)
    discovered = [entry for entry in entries if "=" in entry]
    if discovered:
        problems.add(path, f'{path} has "{discovered[0]}": discovery is not there yet; list the servers\' addresses')
        return
    try:
        servers = server_addresses(config)
    except ValueError as error:
        problems.add(path, f"{path}: {error}")
        return
    expected, names = config.server.bootstrap_expect, ", ".join(server.serf for server in servers)
    if expected == 0 and len(servers) == 1:
        problems.add(
            "server.bootstrap_expect",
            "server.bootstrap_expect is not set and retry_join names no other server: this one would wait for ever; "
            "set bootstrap_expect = 1 for a cluster of one, or list the others in retry_join",
        )
    elif expected and len(servers) > expected:
        me = config.advertise.serf
        remedy = (
            f'where the list names this server, write it as {me}, as its host name "{config.hostname}" or as '
            f'name = "{config.name}", and otherwise set bootstrap_expect = {len(servers)}'
        )
        problems.add(
            "server.bootstrap_expect",
            f"server.bootstrap_expect = {expected}, but {path} and this server, {me}, together are {len(servers)} "
            f"({names}): {remedy}",
        )
    elif 1 < len(servers) >= expected:
        _check_adjacent(config, problems)


def _check_adjacent(config: AgentConfig, problems: Problems) -> None:
    """Others derive this server's ports from its serf port: they must lie as they think, advertised or bound."""
    host, serf = split_host_port(config.advertise.serf, config.ports.serf)
    if (config.ports.rpc, config.ports.raft) == (config.ports.serf - 1, config.ports.serf + 1):
        return  # what is advertised besides may be relays of its own
    for name, port in (("rpc", serf - 1), ("raft", serf + 1)):
        _, actual = split_host_port(getattr(config.advertise, name), 0)
        if actual != port:
            problems.add(
                f"ports.{name}",
                f"the advertised {name} port is {actual}, but the other servers expect {port}, next to the serf port "
                f"{serf} of {join_host_port(host, serf)}: set ports.{name} = {port}",
            )


def _check_client(config: AgentConfig, problems: Problems) -> None:
    join = config.client.server_join
    discovered = [entry for entry in (*join.retry_join, *join.start_join) if "=" in entry]
    if discovered:
        problems.add(
            "client.server_join.retry_join",
            f'client.server_join has "{discovered[0]}": discovery is not there yet; list the servers\' addresses',
        )
        return
    try:
        servers = client_servers(config)
    except ValueError as error:
        problems.add("client.servers", f"client.servers: {error}")
        return
    if not servers:
        problems.add(
            "client.servers",
            "client.enabled = true, but client.servers and client.server_join.retry_join are empty: "
            'name at least one server, such as servers = ["10.0.0.1:4647"]',
        )


def _warnings(config: AgentConfig) -> list[str]:
    """Return what may stand but is seldom meant."""
    found = list(config.telemetry.warnings())
    if config.tls.rpc and not config.tls.verify_server_hostname:
        found.append(
            "tls.verify_server_hostname = false: whoever has any certificate of the CA, a client's too, may act as a "
            "server; set it to true."
        )
    if config.server.enabled and config.server.bootstrap_expect and config.server.bootstrap_expect % 2 == 0:
        expected = config.server.bootstrap_expect
        found.append(
            f"server.bootstrap_expect = {expected} is even: {expected} servers survive no more losses than "
            f"{expected - 1}."
        )
    return found
