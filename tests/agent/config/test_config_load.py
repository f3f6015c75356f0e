from pathlib import Path

import pytest

from agent.config.addresses import Host
from agent.config.load import AgentFlags, LoadedConfig, load
from agent.errors import ConfigError

HOST = Host("host-1", 4, lambda: (("lo", "127.0.0.1"), ("eth0", "10.1.2.3"), ("eth1", "198.51.100.7")))


def load_text(tmp_path: Path, text: str, flags: AgentFlags | None = None, name: str = "agent.hcl") -> LoadedConfig:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load([path], flags or AgentFlags(), {}, HOST)


def error_of(tmp_path: Path, text: str, flags: AgentFlags | None = None) -> str:
    with pytest.raises(ConfigError) as raised:
        load_text(tmp_path, text, flags)
    return str(raised.value).replace(f"{tmp_path}/", "")


def test_dev_mode_is_server_and_client_on_loopback():
    """
    -dev alone gives Nomad's development agent: both parts, loopback, raw_exec, DEBUG, Prometheus metrics.
    """
    loaded = load([], AgentFlags(dev=True), {}, HOST)

    config = loaded.config
    assert ((), ()) == (loaded.files, loaded.warnings)
    assert (True, True, 1) == (config.server.enabled, config.client.enabled, config.server.bootstrap_expect)
    assert ("127.0.0.1", "DEBUG", None) == (config.bind_addr, config.log_level, config.data_dir)
    assert (True, True) == (config.raw_exec_enabled, config.telemetry.prometheus_metrics)
    assert "127.0.0.1:4648" == config.advertise.serf
