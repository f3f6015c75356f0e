"""From files that were read to the contexts of each listener and dialler, and the holder that a reload changes.

TLS 1.2 and 1.3 with forward secrecy and authenticated encryption alone; no compression, no renegotiation. Where a peer
must show a certificate, a handshake without a good one fails, before a byte of what it says is looked at.
"""

import os
import ssl
from collections.abc import Callable
from functools import cached_property

from agent.tls.identity import TlsRole, is_server, name_of, names_in
from agent.tls.settings import TlsMaterial, TlsSettings

_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2; those of 1.3 are all of this kind. Every suite that Nomad speaks by default is among them."""


class Tls:
    """One reading of the tls block: settings, files, and what is made of them; never changes."""

    def __init__(self, settings: TlsSettings, region: str, material: TlsMaterial) -> None:
        self.settings = settings
        self.region = region
        self.material = material

    @property
    def server_name(self) -> str:
        """The name by which a server of this region is known."""
        return name_of(TlsRole.SERVER, self.region)

    def prepare(self) -> None:
        """Make the contexts that are needed; raises ssl.SSLError when OpenSSL finds certificate or key too weak."""
        if self.settings.http:
            _ = self.https_server
        if self.settings.rpc:
            _ = self.raft_server, self.raft_client, self.rpc_client

    @cached_property
    def https_server(self) -> ssl.SSLContext:
        """What the HTTP API listens with."""
        context = self._context(ssl.PROTOCOL_TLS_SERVER, mutual=self.settings.verify_https_client)
        context.set_alpn_protocols(["http/1.1"])
        return context

    @cached_property
    def raft_server(self) -> ssl.SSLContext:
        """What Raft listens with. A ticket would let a peer back in whose certificate is not asked for again."""
        context = self._context(ssl.PROTOCOL_TLS_SERVER, mutual=True)
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
        return context

    @cached_property
    def raft_client(self) -> ssl.SSLContext:
        """What Raft dials with; pass `server_name` as the server's name."""
        return self._dialler()

    @cached_property
    def rpc_client(self) -> ssl.SSLContext:
        """What looks at a server of RPC; gRPC itself makes its own context of the same files."""
        context = self._dialler()
        context.set_alpn_protocols(["h2"])
        return context

    def refusal(self, connection: ssl.SSLSocket | ssl.SSLObject) -> str:
        """Say why the far side of a finished handshake may not act as a server; an empty text when it may."""
        if not self.settings.verify_server_hostname:
            return ""
        names = names_in(connection.getpeercert() or {})
        if is_server(names, self.region):
            return ""
        listed = ", ".join(names) or "nobody"
        return f"its certificate is for {listed}, not for {self.server_name}"

    def _dialler(self) -> ssl.SSLContext:
        context = self._context(ssl.PROTOCOL_TLS_CLIENT, mutual=True)
        context.check_hostname = self.settings.verify_server_hostname
        return context

    def _context(self, protocol: int, *, mutual: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_SUITES)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        # An intermediate authority in ca_file is trusted by itself, as in Nomad and in gRPC.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if mutual:
            context.load_verify_locations(cadata=self.material.authority.decode("ascii", "replace"))
            context.verify_mode = ssl.CERT_REQUIRED
        _load_key_pair(context, self.material)
        return context


class TlsKeeper:
    """The tls block as it stands: what is asked for it at each handshake, and who is told when it changed."""

    def __init__(self, tls: Tls) -> None:
        self._current = tls
        self._listeners: list[Callable[[], None]] = []

    @property
    def current(self) -> Tls:
        """The newest reading; from any thread."""
        return self._current

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call *listener* after each `replace`, in the thread of that."""
        self._listeners.append(listener)

    def replace(self, tls: Tls) -> None:
        """Use *tls* from the next handshake on; what is connected stays so."""
        self._current = tls
        for listener in self._listeners:
            listener()


def _load_key_pair(context: ssl.SSLContext, material: TlsMaterial) -> None:
    """Load what was read: the ssl module takes names of files alone, and the files may be others by now."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(material.certificate.rstrip() + b"\n" + material.key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: "")
    finally:
        os.close(descriptor)
