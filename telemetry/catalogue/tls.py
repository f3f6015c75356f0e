"""Certificates of an agent that has a `tls` block, on a Nomad from 1.11.3 on and on ours where TLS is switched on.

They are read when the agent loads its configuration: a certificate that was renewed on disk shows only once the agent
was told to reload.
"""

from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit


def _seconds_left(name: str, key: str, what: str) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=Unit.SECONDS,
        exporter=Role.AGENT,
        present=Presence.WHEN_CONFIGURED,
        meaning=f"Time until {what} expires, negative once it has; float32, so in steps of 2 s a year ahead.",
        source="command/agent/tls_metrics.go",
        key=key,
    )


CERT_EXPIRATION_SECONDS = _seconds_left(
    "nomad_agent_tls_cert_expiration_seconds",
    "nomad.agent.tls.cert.expiration_seconds",
    "the certificate in cert_file",
)
CA_EXPIRATION_SECONDS = _seconds_left(
    "nomad_agent_tls_ca_expiration_seconds",
    "nomad.agent.tls.ca.expiration_seconds",
    "the first certificate in ca_file",
)
