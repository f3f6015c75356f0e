import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config.schema import AgentConfig, AutopilotSettings, ClientConfig, Ports, Reserved, ServerConfig, ServerJoin
from agent.config.schema_agent import AGENT
from agent.config.schema_keys import BlockSpec, Key, Kind, State
from agent.config.schema_telemetry import TELEMETRY
from agent.tls.settings import TlsSettings
from telemetry.catalogue import CATALOGUE
from telemetry.stanza import TelemetryConfig

# The dataclass that holds the fields of each block; what is not here is put together by hand in build.
HOLDERS = {
    "": AgentConfig,
    "ports": Ports,
    "server": ServerConfig,
    "server.server_join": ServerJoin,
    "autopilot": AutopilotSettings,
    "client": ClientConfig,
    "client.server_join": ServerJoin,
    "client.reserved": Reserved,
    "telemetry": TelemetryConfig,
    "tls": TlsSettings,
    "plugin.raw_exec.config": AgentConfig,
}

PYTHON_TYPES = {
    Kind.STRING: (str,),
    Kind.BOOL: (bool,),
    Kind.INT: (int, type(None)),
    Kind.FLOAT: (float,),
    Kind.DURATION: (float,),
    Kind.STRINGS: (tuple,),
    Kind.STRING_MAP: (dict,),
    Kind.PATH: (Path, type(None)),
}


def keys(spec: BlockSpec = AGENT, path: str = "") -> Iterator[tuple[str, Key]]:
    """Yield every key of the schema with the path of its block."""
    for key in spec.keys:
        yield path, key
    for block in spec.blocks:
        yield from keys(block, f"{path}.{block.name}".lstrip("."))


@pytest.mark.parametrize(("path", "key"), [(path, key) for path, key in keys() if key.field])
def test_a_key_fits_the_field_that_takes_it(path, key):
    """
    Every key with a field has one of that name, whose default has the type of the key.
    """
    defaults = HOLDERS[path]()

    assert isinstance(getattr(defaults, key.field), PYTHON_TYPES[key.kind])


def test_every_field_can_be_set_from_a_file():
    """
    No field of the server, client, autopilot, join, reserved, telemetry or tls block is out of reach of its key.
    """
    reachable = {(HOLDERS[path], key.field) for path, key in keys() if key.field}

    unreachable = {
        f"{holder.__name__}.{field.name}"
        for holder in (
            ServerConfig,
            AutopilotSettings,
            ClientConfig,
            ServerJoin,
            Reserved,
            TelemetryConfig,
            TlsSettings,
            Ports,
        )
        for field in dataclasses.fields(holder)
        if (holder, field.name) not in reachable
    }
    assert {"ServerConfig.server_join", "ClientConfig.server_join", "ClientConfig.reserved"} == unreachable


def test_names_are_unique_in_their_block():
    """
    No name stands twice in a block, as a key or as an inner block.
    """
    pending = [AGENT]
    repeated = []
    while pending:
        spec = pending.pop()
        names = [entry.name for entry in (*spec.keys, *spec.blocks)]
        repeated += [f"{spec.name}.{name}" for name in names if names.count(name) > 1]
        pending += spec.blocks

    assert [] == repeated


def test_what_protects_is_never_passed_over():
    """
    Access control, the limits of raw_exec and a choice of ciphers are errors while they are not there.
    """
    protective = {f"{path}.{key.name}" for path, key in keys() if key.state is State.PROTECTIVE}

    assert {
        "tls.rpc_upgrade_mode",
        "tls.tls_cipher_suites",
        "acl.enabled",
        "plugin.raw_exec.config.denied_envvars",
        "plugin.raw_exec.config.denied_host_gids",
        "plugin.raw_exec.config.denied_host_uids",
    } == protective


def test_every_entry_says_what_it_is_for():
    """
    Keys and blocks all have a word on their purpose.
    """
    assert [] == [key.name for _, key in keys() if len(key.why) < 3]


def test_no_key_of_the_telemetry_block_is_kept_without_an_effect():
    """
    Each works, or says why there is nothing to switch off, or why it is refused.
    """
    states = {state: {key.name for key in TELEMETRY.keys if key.state is state} for state in State}

    assert not states[State.ACCEPTED] | states[State.PROTECTIVE]
    assert {"disable_quota_utilization_metrics", "disable_rpc_rate_metrics_labels"} == states[State.MOOT]
    assert {name for name in states[State.REFUSED] if not name.startswith("circonus_")} == set()
    assert {key.name for key in TELEMETRY.keys if not key.field} == states[State.REFUSED]
    assert 14 == len(states[State.REFUSED])


def test_the_series_that_moot_keys_would_leave_out_are_not_there():
    """
    Quotas are measured nowhere, and no series has the label of a caller's identity.
    """
    exported = [metric for metric in CATALOGUE if metric.exported]

    assert [] == [metric.name for metric in exported if "quota_utilization" in metric.name]
    assert [] == [metric.name for metric in exported if "identity" in metric.labels]
