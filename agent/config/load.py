"""Read an agent's configuration: files and directories in order, then the environment, then flags.

Later ones win: scalars replace, blocks and maps merge, and lists replace or append as Nomad's do. What the machine
must be asked (its name, its interfaces, its cores) is asked here and nowhere below.
"""

import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config.addresses import Host, ServerAddress, client_servers, server_addresses
from agent.config.build import build, without_effect
from agent.config.hcl_ast import HclError, Position
from agent.config.hcl_parser import Dialect, parse, parse_json_object
from agent.config.reader import Problem, Reading, Setting, Value, nearest, read_body
from agent.config.schema import AgentConfig
from agent.config.schema_agent import AGENT, LOG_LEVELS
from agent.config.schema_keys import Merge
from agent.errors import ConfigError
from agent.tls.identity import TlsRole
from telemetry.clock import SystemClock

if TYPE_CHECKING:
    from agent.tls.contexts import Tls

__all__ = ["AgentFlags", "LoadedConfig", "ServerAddress", "client_servers", "load", "server_addresses", "this_host"]

MAX_FILE_BYTES = 4 * 1024 * 1024
ENVIRONMENT_PREFIX = "OUTRIDER_AGENT_"


@dataclass(frozen=True, slots=True)
class AgentFlags:
    """The flags of `outrider agent` that set something; None means "not given".

    As in Nomad, servers are added to those of files, join and retry_join replace theirs, meta merges key by key.
    """

    dev: bool | None = None
    server: bool | None = None
    client: bool | None = None
    region: str | None = None
    dc: str | None = None
    node: str | None = None
    data_dir: str | None = None
    bind: str | None = None
    log_level: str | None = None
    log_json: bool | None = None
    bootstrap_expect: int | None = None
    join: tuple[str, ...] | None = None
    retry_join: tuple[str, ...] | None = None
    encrypt: str | None = None
    servers: tuple[str, ...] | None = None
    node_class: str | None = None
    node_pool: str | None = None
    meta: Mapping[str, str] | None = None


_FLAG_PATHS = {
    "server": "server.enabled",
    "client": "client.enabled",
    "region": "region",
    "dc": "datacenter",
    "node": "name",
    "data_dir": "data_dir",
    "bind": "bind_addr",
    "log_level": "log_level",
    "log_json": "log_json",
    "bootstrap_expect": "server.bootstrap_expect",
    "join": "server.server_join.start_join",
    "retry_join": "server.server_join.retry_join",
    "encrypt": "server.encrypt",
    "servers": "client.servers",
    "node_class": "client.node_class",
    "node_pool": "client.node_pool",
    "meta": "client.meta",
}

# Source: Nomad's DevConfig. The temporary data directory is made by whoever starts the agent.
_DEV: Mapping[str, Value] = {
    "bind_addr": "127.0.0.1",
    "log_level": "DEBUG",
    "enable_debug": True,
    "server.enabled": True,
    "server.bootstrap_expect": 1,
    "client.enabled": True,
    "client.options": {"driver.raw_exec.enable": "true"},
    "telemetry.prometheus_metrics": True,
    "telemetry.publish_allocation_metrics": True,
    "telemetry.publish_node_metrics": True,
    "telemetry.include_alloc_metadata_in_metrics": True,
}


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration fit for use, the files it came from in the order read, and what the operator should know.

    `tls` holds the files of the tls block as they were read; None where it is off.
    """

    config: AgentConfig
    files: tuple[Path, ...]
    warnings: tuple[str, ...]
    tls: "Tls | None" = None


def load(
    paths: Sequence[Path], flags: AgentFlags, environ: Mapping[str, str], host: Host | None = None
) -> LoadedConfig:
    """Return the configuration of an agent.

    *paths* are files, or directories whose *.hcl and *.json files are read in the order of their names. Variables
    OUTRIDER_AGENT_<FLAG> of *environ* stand for flags that are not given. *host* is this machine unless a test says
    otherwise. Raises ConfigError, one line for each problem, with file, line, key, value and remedy.
    """
    files = _files(paths)
    reading = Reading()
    asked, flag_reading = _flag_settings(flags, environ)
    if asked:
        source = Position("-dev")
        reading.settings.update({path: Setting(value, source) for path, value in _DEV.items()})
    for file in files:
        reading.merge(_read_file(file))
    reading.merge(flag_reading)
    if reading.problems:
        raise _error(reading.problems)
    whole = Position(_describe(files))
    config, problems, warnings = build(reading.settings, host or this_host(), whole, dev=asked)
    tls = None
    if config.tls.is_on and not problems:
        tls, problems, told_of_tls = _read_tls(config, reading.settings, whole)
        warnings += told_of_tls
    if problems:
        raise _error(problems)
    later = without_effect(reading.later, reading.settings)
    told = [_later_warning(later)] if later else []
    return LoadedConfig(config, files, (*told, *reading.ignored, *warnings), tls)


def _read_tls(
    config: AgentConfig, settings: Mapping[str, Setting], whole: Position
) -> "tuple[Tls | None, list[Problem], list[str]]":
    """Read the files of the tls block; return what they are, their problems where the keys stand, and warnings."""
    from agent.tls.contexts import Tls  # noqa: PLC0415 - an agent without TLS loads no library for it
    from agent.tls.material import read_material  # noqa: PLC0415
    from agent.tls.reasons import reason_of  # noqa: PLC0415

    role = TlsRole.SERVER if config.server.enabled else TlsRole.CLIENT
    material, findings = read_material(config.tls, role, config.region, SystemClock().wall())
    problems, warnings = [], []
    for finding in findings:
        setting = settings.get(f"tls.{finding.key}")
        found = Problem(setting.position if setting else whole, f"tls.{finding.key}: {finding.message}.")
        if finding.is_fatal:
            problems.append(found)
        else:
            warnings.append(str(found))
    if material is None:
        return None, problems, warnings
    tls = Tls(config.tls, config.region, material)
    try:
        tls.prepare()
    except ssl.SSLError as error:
        place = settings["tls.cert_file"].position
        problems.append(
            Problem(place, f"tls.cert_file: OpenSSL takes it for no good ({reason_of(error)}): make a P-256 one.")
        )
    return tls, problems, warnings


def this_host() -> Host:
    """Return what this machine says of itself; its interfaces are asked only when an address depends on them."""
    return Host(socket.gethostname(), os.cpu_count() or 1, _interface_addresses)


def _interface_addresses() -> tuple[tuple[str, str], ...]:
    """Return (interface, IP) of every address: the default route's interface first, IPv4 before IPv6."""
    import psutil  # noqa: PLC0415 - costs 20 ms, and most configurations name their address

    pairs = [
        (name, address.address.partition("%")[0], address.family)
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
    ]
    default = _default_route_interface()
    pairs.sort(key=lambda pair: (pair[0] != default, pair[2] != socket.AF_INET))
    return tuple((name, text) for name, text, family in pairs if family in {socket.AF_INET, socket.AF_INET6})


def _default_route_interface() -> str:
    """Return the interface of the default route, without which docker0 may come first; "" where it is not known."""
    try:
        lines = Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return ""  # not Linux, or no /proc: the system's order has to do
    routes = (line.split() for line in lines)
    return next((route[0] for route in routes if len(route) > 1 and route[1] == "00000000"), "")


def _error(problems: Sequence[Problem]) -> ConfigError:
    return ConfigError("\n".join(dict.fromkeys(str(problem) for problem in problems)))


def _describe(files: Sequence[Path]) -> str:
    """Return what to call the configuration as a whole."""
    return ", ".join(str(file) for file in files) if files else "no configuration file"


def _later_warning(later: Mapping[str, Position]) -> str:
    listed = ", ".join(f"{path} ({position})" for path, position in later.items())
    return f"these keys of Nomad have no effect in Outrider yet: {listed}."


def _files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files behind *paths*. Raises ConfigError for a path that is not there."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += _directory(path)
        elif path.is_file():
            files.append(path)
        else:
            raise ConfigError(f"{path}: there is no such file or directory: check the path given to -config.")
    return tuple(files)


def _directory(path: Path) -> list[Path]:
    """Return the files of a directory in the order of their names, without what an editor leaves behind.

    Source: Nomad's LoadConfigDir.
    """
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): check its owner and mode.") from None
    return [
        entry
        for entry in entries
        if entry.suffix in {".hcl", ".json"} and not entry.name.startswith((".", "#")) and entry.is_file()
    ]


def _read_file(path: Path) -> Reading:
    """Read one file; whatever is wrong with it ends up in the reading's problems."""
    place = Position(str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        return Reading(problems=[Problem(place, f"cannot be read ({error.strerror}): check its owner and mode.")])
    if len(data) > MAX_FILE_BYTES:
        return Reading(
            problems=[
                Problem(place, f"has {len(data)} bytes, at most {MAX_FILE_BYTES} are read: is it the right file?")
            ]
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Reading(problems=[Problem(Position(str(path), line, 1), "is no UTF-8 text: save the file as UTF-8.")])
    try:
        if path.suffix == ".json" or text.lstrip().startswith("{"):
            body = parse_json_object(text, str(path)) if text.strip() else parse("", str(path), Dialect.AGENT)
        else:
            body = parse(text, str(path), Dialect.AGENT)
        return read_body(body, AGENT)
    except HclError as error:
        return Reading(problems=[Problem(error.position, f"{_without_place(error)}.")])


def _without_place(error: HclError) -> str:
    return str(error).removeprefix(f"{error.position.exact}: ")


def _flag_settings(flags: AgentFlags, environ: Mapping[str, str]) -> tuple[bool, Reading]:
    """Return whether -dev is on, and the settings that environment and flags make."""
    reading = Reading()
    values: dict[str, tuple[object, Position]] = {}
    names = [field.name for field in fields(AgentFlags)]
    for variable in sorted(name for name in environ if name.startswith(ENVIRONMENT_PREFIX)):
        place, name = Position(f"the variable {variable}"), variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if name not in names:
            near = nearest(name, tuple(names))
            hint = f"did you mean {ENVIRONMENT_PREFIX}{near.upper()}?" if near else "unset it."
            reading.problems.append(Problem(place, f"it stands for no flag: {hint}"))
            continue
        try:
            values[name] = (_from_environment(name, environ[variable]), place)
        except ValueError as error:
            reading.problems.append(Problem(place, f'"{environ[variable]}": {error}.'))
    for name in names:
        given = getattr(flags, name)
        if given is not None:
            values[name] = (given, Position(f"the flag -{name.replace('_', '-')}"))
    for name, (value, place) in values.items():
        if name != "dev":
            _set_flag(name, value, place, reading)
    return bool(values.get("dev", (False, None))[0]), reading


def _from_environment(name: str, text: str) -> object:
    """Return the value of a variable in the type of its flag. Raises ValueError."""
    match name:
        case "dev" | "server" | "client" | "log_json":
            if text.lower() not in {"true", "false", "1", "0"}:
                raise ValueError("write true or false")
            return text.lower() in {"true", "1"}
        case "bootstrap_expect":
            if not text.isdecimal():
                raise ValueError("write a whole number")
            return int(text)
        case "join" | "retry_join" | "servers":
            return tuple(part.strip() for part in text.split(",") if part.strip())
        case "meta":
            return dict(_pair(part) for part in text.split(",") if part.strip())
        case _:
            return text


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError("write key=value, key=value")
    return key.strip(), value.strip()


def _set_flag(name: str, value: object, place: Position, reading: Reading) -> None:
    """Keep one flag as the setting it stands for."""
    if name == "log_level" and str(value).upper() not in LOG_LEVELS:
        reading.problems.append(Problem(place, f'log_level = "{value}": it is not one of {", ".join(LOG_LEVELS)}.'))
        return
    if name == "bootstrap_expect" and int(str(value)) < 1:
        reading.problems.append(Problem(place, f"bootstrap_expect = {value}: it must be at least 1."))
        return
    match value:
        case bool() | int():
            reading.settings[_FLAG_PATHS[name]] = Setting(value, place, Merge.ALWAYS)
        case str():
            text = value.upper() if name == "log_level" else value
            reading.settings[_FLAG_PATHS[name]] = Setting(text, place, Merge.ALWAYS)
        case Mapping():
            reading.settings[_FLAG_PATHS[name]] = Setting({str(k): str(v) for k, v in value.items()}, place)
        case Sequence():
            addresses = tuple(part.strip() for entry in value for part in str(entry).split(",") if part.strip())
            reading.settings[_FLAG_PATHS[name]] = Setting(
                addresses, place, Merge.APPEND if name == "servers" else Merge.REPLACE
            )
