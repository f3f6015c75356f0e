"""The certificates of a cluster under drill, as an operator renews them: new files, SIGHUP, and a look at what is shown."""

import signal
import socket
import ssl
from collections.abc import Callable

from compose.local import LocalCluster, LocalError
from compose.local_settings import LOOPBACK
from compose.local_tls import CERTIFICATE_SECONDS, files_of, renew_certificate
from telemetry.clock import Clock

_READ_SECONDS = 30.0
"""For an agent to read its files and show what is in them, on a busy machine."""
_HANDSHAKE_SECONDS = 5.0

Until = Callable[[Callable[[], bool], float], object]
"""Waits until a condition holds, at most for seconds, and returns what is true when it did."""


class Certificates:
    """Replaces certificates of *cluster*, which speaks TLS; remembers which end soon, so that healing needs no names."""

    def __init__(self, cluster: LocalCluster, until: Until, clock: Clock) -> None:
        self._cluster = cluster
        self._until = until
        self._clock = clock
        self._short: set[str] = set()

    def give(self, name: str, seconds: float = CERTIFICATE_SECONDS) -> None:
        """Give the agent *name* a certificate that ends in *seconds*, and return once it shows it.

        Raises LocalError when it does not, or does not run.
        """
        settings = self._cluster.settings
        if seconds < CERTIFICATE_SECONDS:
            self._short.add(name)
        renew_certificate(settings, name, self._clock.wall(), seconds)
        self._cluster.kill(name, signal.SIGHUP)
        wanted = ssl.PEM_cert_to_DER_cert(files_of(settings).certificate(name).read_text("ascii"))
        if not self._until(lambda: self.shown(name) == wanted, _READ_SECONDS):
            raise LocalError(
                f"{name} does not show its new certificate {_READ_SECONDS:.0f} s after SIGHUP: "
                f"see {self._cluster.log(name)}"
            )
        if seconds >= CERTIFICATE_SECONDS:
            self._short.discard(name)

    def give_back(self) -> None:
        """Give every agent whose certificate ends soon one that does not; raises LocalError as `give`."""
        for name in sorted(self._short):
            self.give(name)

    def renew_command_line(self) -> None:
        """Replace the certificate that Prometheus and our own requests show; they read it when they connect."""
        settings = self._cluster.settings
        renew_certificate(settings, files_of(settings).command_line, self._clock.wall())

    def shown(self, name: str) -> bytes:
        """Return the certificate that the API of the agent *name* shows, DER; nothing where no handshake succeeds."""
        settings = self._cluster.settings
        files = files_of(settings)
        agent = next(agent for agent in settings.agents if agent.name == name)
        try:
            context = ssl.create_default_context(cafile=files.authority)
            context.load_cert_chain(files.certificate(files.command_line), files.key(files.command_line))
            with (
                socket.create_connection((LOOPBACK, agent.http), _HANDSHAKE_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=LOOPBACK) as secured,
            ):
                return secured.getpeercert(binary_form=True) or b""
        except OSError:
            return b""
