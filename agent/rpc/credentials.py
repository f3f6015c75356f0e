"""TLS for gRPC: what each end shows and whom it believes.

gRPC checks chain and time of both certificates in the handshake, and on the calling side the name. Which role a caller
has is judged here from the names that its handshake proved, before any byte of its call is decoded.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import grpc

from agent.rpc.methods import SERVER_ONLY, Method
from agent.tls.contexts import Tls, TlsKeeper
from agent.tls.identity import is_agent, is_server

NAME_OPTION = "grpc.ssl_target_name_override"
"""The channel option with the name that a server's certificate must have."""

_NAMES_KEY = "x509_subject_alternative_name"
"""Where gRPC keeps the names of a peer's certificate."""


def server_credentials(keeper: TlsKeeper) -> "grpc.ServerCredentials":
    """Return what a server listens with: mutual TLS, with the newest files at each handshake."""
    used = keeper.current

    def newest() -> "grpc.ServerCertificateConfiguration | None":
        # Called by gRPC at each handshake; None is "as before".
        nonlocal used
        current = keeper.current
        if current is used:
            return None
        used = current
        return _configuration(current)

    return grpc.dynamic_ssl_server_credentials(_configuration(used), newest, require_client_authentication=True)


def channel_credentials(tls: Tls) -> "grpc.ChannelCredentials":
    """Return what a caller dials with; a channel keeps them for as long as it lives."""
    material = tls.material
    return grpc.ssl_channel_credentials(material.authority, material.key, material.certificate)


def _configuration(tls: Tls) -> "grpc.ServerCertificateConfiguration":
    material = tls.material
    return grpc.ssl_server_certificate_configuration(((material.key, material.certificate),), material.authority)


def names_of_peer(auth_context: Mapping[str, Iterable[bytes]]) -> tuple[str, ...]:
    """Return the names that the handshake of a call proved; empty without TLS."""
    return tuple(name.decode("utf-8", "replace") for name in auth_context.get(_NAMES_KEY, ()))


def refusal(tls: Tls, names: tuple[str, ...], method: Method[Any, Any]) -> str:
    """Say why a caller with a certificate for *names* may not call *method*; an empty text when it may.

    Without verify_server_hostname whoever has a certificate of the CA may call everything, as on a Nomad.
    """
    if not tls.settings.verify_server_hostname or is_server(names, tls.region):
        return ""
    listed = ", ".join(names) or "nobody"
    if method.name in SERVER_ONLY:
        return f"its certificate is for {listed}, and only {tls.server_name} may call {method.name}"
    if not is_agent(names, tls.region):
        return f"its certificate is for {listed}, not for an agent of region {tls.region}"
    return ""
