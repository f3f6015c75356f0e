"""Who a certificate speaks for: the names by which servers and clients of a region are known. Pure.

Source: Nomad's reference of `tls.verify_server_hostname`, and of `nomad tls cert create`.
"""

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any


class TlsRole(Enum):
    """Whose certificate it is; the value is the first word of its name."""

    SERVER = "server"
    CLIENT = "client"
    CLI = "cli"


def name_of(role: TlsRole, region: str, domain: str = "nomad") -> str:
    """Return the name of *role* in *region*: `server.global.nomad`."""
    return f"{role.value}.{region}.{domain}"


def is_server(names: Collection[str], region: str) -> bool:
    """Tell whether a certificate for *names* may act as a server of *region*; no wildcard stands for a server."""
    return name_of(TlsRole.SERVER, region) in names


def is_agent(names: Collection[str], region: str) -> bool:
    """Tell whether a certificate for *names* may act as a server or a client of *region*."""
    return is_server(names, region) or name_of(TlsRole.CLIENT, region) in names


def names_in(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the DNS names in what `ssl.SSLSocket.getpeercert` says; the common name is none."""
    return tuple(value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS")
