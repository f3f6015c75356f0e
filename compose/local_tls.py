"""The certificates of a local cluster that speaks TLS: made when it begins, renewed, and shown to its agents.

They are signed by an authority of the cluster's own, as `outrider tls` makes one, and lie below the cluster's folder. A
file is replaced whole, so that nobody reads half of one.
"""

import math
import os
from pathlib import Path

from agent.tls.identity import TlsRole
from agent.tls.issue import CertificateRequest, Issued, issue_authority, issue_certificate
from compose.local_settings import LocalAgent, LocalRole, LocalSettings, TlsFiles
from telemetry.nomad_api import ApiSettings

DAY_SECONDS = 86_400.0
AUTHORITY_DAYS = 1_825
CERTIFICATE_SECONDS = 365 * DAY_SECONDS
"""Both as `outrider tls` makes them: no alert about their ends while a cluster is tried out."""

_ROLES = {LocalRole.SERVER: TlsRole.SERVER, LocalRole.CLIENT: TlsRole.CLIENT}


def make_certificates(settings: LocalSettings, now: float) -> None:
    """Make an authority and the certificates of all agents and of the command line; nothing where no TLS is spoken.

    *now* is Unix seconds. Raises OSError when a file cannot be written.
    """
    files = settings.tls_files
    if files is None:
        return
    files.folder.mkdir(mode=0o700, parents=True)
    authority = issue_authority(now, AUTHORITY_DAYS)
    _replace(files.authority_key, authority.key, 0o600)
    _replace(files.authority, authority.certificate, 0o644)
    for name in (*(agent.name for agent in settings.agents), files.command_line):
        renew_certificate(settings, name, now)


def renew_certificate(settings: LocalSettings, name: str, now: float, seconds: float = CERTIFICATE_SECONDS) -> None:
    """Give the agent *name*, or the command line, a new key and a certificate that ends *seconds* after *now*.

    Who runs uses it once told to. Raises ValueError for a cluster without TLS, OSError when a file cannot be written.
    """
    files = files_of(settings)
    agents = {agent.name: agent for agent in settings.agents}
    request = (
        CertificateRequest(role=_ROLES[agents[name].role], region=agents[name].region)
        if name in agents
        else CertificateRequest(role=TlsRole.CLI, region=settings.region)
    )
    authority = Issued(files.authority.read_bytes(), files.authority_key.read_bytes())
    # Certificates are made for whole days: one that ends earlier began earlier.
    days = math.ceil(seconds / DAY_SECONDS)
    issued = issue_certificate(now + seconds - days * DAY_SECONDS, days, request, authority)
    _replace(files.key(name), issued.key, 0o600)
    _replace(files.certificate(name), issued.certificate, 0o644)


def files_of(settings: LocalSettings) -> TlsFiles:
    """Return where the certificates lie; raises ValueError for a cluster without TLS."""
    files = settings.tls_files
    if files is None:
        raise ValueError(f"the cluster in {settings.directory} speaks no TLS")
    return files


def api_of(settings: LocalSettings, agent: LocalAgent, timeout_seconds: float) -> ApiSettings:
    """Return how the API of *agent* is asked, with the certificate of the command line where TLS is spoken."""
    files = settings.tls_files
    if files is None:
        return ApiSettings(address=settings.url(agent), timeout_seconds=timeout_seconds)
    return ApiSettings(
        address=settings.url(agent),
        timeout_seconds=timeout_seconds,
        ca_cert=str(files.authority),
        client_cert=str(files.certificate(files.command_line)),
        client_key=str(files.key(files.command_line)),
    )


def credential_flags(settings: LocalSettings) -> tuple[str, ...]:
    """Return what a command is told so that agents answer it; nothing where no TLS is spoken."""
    files = settings.tls_files
    if files is None:
        return ()
    return (
        f"-ca-cert={files.authority}",
        f"-client-cert={files.certificate(files.command_line)}",
        f"-client-key={files.key(files.command_line)}",
    )


def _replace(path: Path, data: bytes, mode: int) -> None:
    """Write *data* to *path*, readable by whom *mode* says from its first byte on."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    fresh.replace(path)
