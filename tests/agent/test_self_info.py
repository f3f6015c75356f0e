"""What an agent says of its configuration."""

import json
from pathlib import Path

from agent.config.schema import AgentConfig
from agent.self_info import config_body
from telemetry.stanza import TelemetryConfig

RECORDED = Path(__file__).parent.parent / "golden" / "nomad-2.0.5" / "api" / "agent-self.json"


def test_the_telemetry_block_is_said_as_a_nomad_says_it():
    """
    Configured as the recorded agent was, each key has the recorded value; lists that are empty are not null.
    """
    recorded = json.loads(RECORDED.read_text())["config"]["Telemetry"]
    wanted = {
        key: [] if key in {"AllowedMetadataKeysInMetrics", "DataDogTags", "PrefixFilter"} else value
        for key, value in recorded.items()
        if not key.startswith("Circonus")
    }
    # A Nomad has null for what nobody set and acts on true; its minute has no seconds.
    wanted |= {"FilterDefault": True, "InMemoryRetentionPeriod": "1m0s"}
    telemetry = TelemetryConfig(
        disable_hostname=True, prometheus_metrics=True, publish_allocation_metrics=True, publish_node_metrics=True
    )

    assert wanted == config_body(AgentConfig(telemetry=telemetry), "1.0")["Telemetry"]
