"""The telemetry block of an agent's file becomes the value that telemetry works with."""

from dataclasses import asdict

import pytest

from agent.config.addresses import Host
from agent.config.load import AgentFlags, load
from agent.errors import ConfigError
from telemetry.stanza import TelemetryConfig

HOST = Host("host-1", 4, lambda: (("eth0", "10.1.2.3"), ("lo", "127.0.0.1")))
LONE_SERVER = 'data_dir = "/d"\nserver {\n  enabled = true\n  bootstrap_expect = 1\n}\n'

FULL_TELEMETRY = """
telemetry {
  disable_hostname = true
  use_node_name = true
  collection_interval = "2s"
  in_memory_collection_interval = "5s"
  in_memory_retention_period = "25s"
  publish_allocation_metrics = true
  publish_node_metrics = true
  include_alloc_metadata_in_metrics = true
  allowed_metadata_keys_in_metrics = ["owner"]
  filter_default = false
  prefix_filter = ["+nomad.raft"]
  disable_dispatched_job_summary_metrics = true
  disable_quota_utilization_metrics = true
  disable_allocation_hook_metrics = true
  disable_rpc_rate_metrics_labels = true
  prometheus_metrics = true
  statsd_address = "127.0.0.1:8125"
  statsite_address = "[::1]:8126"
  datadog_address = "unix:///run/dsd.sock"
  datadog_tags = ["env:prod"]
}
"""


def loaded_from(tmp_path, text, **flags):
    """Return what a file with *text* is loaded as."""
    file = tmp_path / "0.hcl"
    file.write_text(text, encoding="utf-8")
    return load([file], AgentFlags(**flags), {}, HOST)


def test_every_key_of_the_telemetry_block_is_read(tmp_path):
    """
    A file that sets each to another value than its default changes each, and none is worth a warning.
    """
    loaded = loaded_from(tmp_path, LONE_SERVER + FULL_TELEMETRY)

    assert () == loaded.warnings
    given, defaults = asdict(loaded.config.telemetry), asdict(TelemetryConfig())
    assert [] == [name for name, value in given.items() if value == defaults[name]]
    assert ("127.0.0.1:8125", 5.0, ("owner",)) == (
        given["statsd_address"],
        given["in_memory_collection_interval_seconds"],
        given["allowed_metadata_keys_in_metrics"],
    )


def test_telemetry_that_does_less_than_it_seems_is_a_warning(tmp_path):
    """
    The agent starts, and its banner says what will not happen.
    """
    loaded = loaded_from(tmp_path, LONE_SERVER + 'telemetry { datadog_tags = ["env:prod"] }')

    assert (
        'telemetry.datadog_tags is "env:prod", but datadog_address is empty: nothing is sent that could carry them.',
    ) == loaded.warnings


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (
            LONE_SERVER + 'telemetry { in_memory_retention_period = "5s" }',
            "0.hcl:6: telemetry.in_memory_retention_period is 5 s, shorter than in_memory_collection_interval, 10 s: ",
        ),
        (
            LONE_SERVER + 'telemetry { statsd_address = "localhost" }',
            '0.hcl:6: telemetry.statsd_address = "localhost" is no address: write host:port, such as 127.0.0.1:8125',
        ),
        (
            LONE_SERVER + 'telemetry { disable_quota_utilization_metrics = "maybe" }',
            '0.hcl:6: telemetry.disable_quota_utilization_metrics = "maybe": ',
        ),
    ],
)
def test_values_that_cannot_work_name_their_line(tmp_path, text, start):
    """
    File, line, key, both values of a relation and the remedy; a key that does nothing is checked all the same.
    """
    with pytest.raises(ConfigError) as raised:
        loaded_from(tmp_path, text)

    assert start in str(raised.value)


def test_dev_publishes_all_there_is(tmp_path):
    """
    Under -dev Prometheus, allocations, hosts and metadata are on, and false in a file leaves them on, as on a Nomad.
    """
    switched_on = loaded_from(tmp_path, "", dev=True).config.telemetry
    denied = loaded_from(tmp_path, "telemetry { include_alloc_metadata_in_metrics = false }", dev=True).config

    given, defaults = asdict(switched_on), asdict(TelemetryConfig())
    assert {
        "prometheus_metrics",
        "publish_allocation_metrics",
        "publish_node_metrics",
        "include_alloc_metadata_in_metrics",
    } == {name for name, value in given.items() if value != defaults[name]}
    assert denied.telemetry.include_alloc_metadata_in_metrics
