"""The certificates of a running agent: read anew when it is told to, and how long they live."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from agent.config.load import LoadedConfig
from agent.errors import ConfigError
from agent.tls.contexts import Tls, TlsKeeper
from telemetry.catalogue import tls as catalogue
from telemetry.clock import Clock
from telemetry.recorder import Recorder

Read = Callable[[], LoadedConfig]


class CertificateReload:
    """What SIGHUP does: the configuration is read again, and what its tls block says is used from then on.

    Files, `verify_server_hostname` and `verify_https_client` take effect with the next handshake; whoever is connected
    stays so. Where TLS is spoken at all, and everything outside the block, needs a restart, and a warning says so. What
    cannot be read changes nothing.
    """

    def __init__(self, loaded: LoadedConfig, keeper: TlsKeeper | None, read: Read, logger: logging.Logger) -> None:
        self._started_with = loaded.config
        self._keeper = keeper
        self._read = read
        self._logger = logger
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Read and replace; never raises for what an operator wrote."""
        async with self._one_at_a_time:
            try:
                found = await asyncio.to_thread(self._read)
            except ConfigError as error:
                self._logger.error("configuration not reloaded, the agent goes on as it is: reason=%s", error)  # noqa: TRY400 - a sentence, no traceback
                return
            self._apply(found)

    def _apply(self, found: LoadedConfig) -> None:
        fixed, wanted = (
            {"http": config.tls.http, "rpc": config.tls.rpc, "region": config.region}
            for config in (self._started_with, found.config)
        )
        if fixed != wanted:
            self._logger.warning(
                "configuration not reloaded: tls.http, tls.rpc and region change with a restart alone: is=%s wanted=%s",
                fixed,
                wanted,
            )
            return
        if replace(found.config, tls=self._started_with.tls) != self._started_with:
            self._logger.warning("only the tls block is reloaded: restart the agent for the other changes")
        if self._keeper is None or found.tls is None:
            self._logger.warning("nothing to reload: tls is off; restart the agent for changes elsewhere")
            return
        for warning in found.warnings:
            self._logger.warning("%s", warning)
        self._keeper.replace(found.tls)
        material = found.tls.material
        self._logger.info(
            "certificates reloaded: names=%s expires=%s",
            ",".join(material.names),
            datetime.fromtimestamp(material.certificate_expires, UTC).isoformat(),
        )


def emit(recorder: Recorder, tls: Tls, clock: Clock) -> None:
    """Write how long the certificates are valid for, as a Nomad does; for the collection loop."""
    now, material = clock.wall(), tls.material
    recorder.set(catalogue.CERT_EXPIRATION_SECONDS, material.certificate_expires - now)
    if material.authority_expires is not None:
        recorder.set(catalogue.CA_EXPIRATION_SECONDS, material.authority_expires - now)
