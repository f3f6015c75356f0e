"""Looks at a server of RPC by a handshake of its own: what its certificate says, or why there is no connection.

gRPC neither takes a certificate whatever its name, which tls.verify_server_hostname = false asks for, nor says why a
handshake failed. Both are answered by one connection beside it.
"""

import asyncio
import ssl

from agent.errors import Unreachable
from agent.tls.contexts import Tls
from agent.tls.reasons import reason_of


class TlsRefused(Unreachable):
    """The server is there, and one of the two sides does not want the other's certificate; `reason` says why."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"{address}: {reason}")
        self.reason = reason


async def look(address: str, tls: Tls, timeout_seconds: float) -> str:
    """Return a name of the certificate at *address*, which the CA signed.

    Raises TlsRefused when the handshake fails on either side, Unreachable when there is nobody to make it with.
    """
    host, _, port = address.rpartition(":")
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=tls.rpc_client, server_hostname=tls.server_name
            )
            # In TLS 1.3 the far side judges this side's certificate after the handshake; HTTP/2 speaks without being
            # asked, so there is always a first byte to wait for.
            first = await reader.read(1)
    except ssl.SSLError as error:
        raise TlsRefused(address, reason_of(error)) from error
    except OSError as error:  # TimeoutError is one, too
        raise Unreachable(f"{address}: {reason_of(error)}") from error
    finally:
        if writer is not None:
            writer.transport.abort()
    if not first:
        raise TlsRefused(address, "it closed the connection after the handshake")
    return _any_name(writer.get_extra_info("peercert") or {}) or tls.server_name


def _any_name(certificate: dict[str, object]) -> str:
    alternatives = certificate.get("subjectAltName", ())
    assert isinstance(alternatives, tuple)
    return next((value for kind, value in alternatives if kind in {"DNS", "IP Address"}), "")
