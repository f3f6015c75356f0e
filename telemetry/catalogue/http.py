"""The agent's HTTP API."""

from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit

CONNECTIONS = Metric(
    name="nomad_nomad_agent_http_connections",
    kind=Kind.GAUGE,
    unit=Unit.COUNT,
    exporter=Role.AGENT,
    present=Presence.ALWAYS,
    meaning="Connections to this agent's HTTP API that are open now.",
    source="command/agent/http.go",
)
