"""How commands reach the agents that outrider.yaml names: as its `scrape` section says, unless they are told otherwise."""

from dataclasses import replace

from telemetry.nomad_api import ApiSettings
from telemetry.scrape.access import Access


def with_access(given: ApiSettings, access: Access) -> ApiSettings:
    """Return *given* with the TLS files of *access* where it names none; what an operator gives comes first."""
    has_authority = bool(given.ca_cert or given.ca_path)
    has_pair = bool(given.client_cert)
    return replace(
        given,
        ca_cert=given.ca_cert if has_authority else access.ca_file,
        client_cert=given.client_cert if has_pair else access.cert_file,
        client_key=given.client_key if has_pair else access.key_file,
    )


def named(given: ApiSettings, server_name: str) -> ApiSettings:
    """Return *given* with the name that the certificate of an agent must have, unless it has one already."""
    return replace(given, tls_server_name=given.tls_server_name or server_name)
