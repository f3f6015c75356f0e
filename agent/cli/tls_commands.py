"""`outrider tls`: make a certificate authority, and certificates for servers, clients and the command line.

File names, options and output are those of `nomad tls`. A file that is there is never overwritten.
"""

import os
from pathlib import Path
from typing import Any

import click

from agent.cli.dashes import DashedGroup
from agent.cli.session import fail
from agent.tls.identity import TlsRole
from agent.tls.issue import (
    SUBJECT_FIELDS,
    CertificateRequest,
    Issued,
    IssueError,
    issue_authority,
    issue_certificate,
    outlives,
)
from telemetry.clock import SystemClock

DOMAIN = "nomad"
CA_DAYS = 1825
CERTIFICATE_DAYS = 365

_DOMAIN_PLACE = "#DOMAIN#"
_SERVER_WARNING = (
    "==> WARNING: whoever holds the key of a server's certificate can act as a server and read\n"
    "    all that the cluster knows. Keep it off every other machine, and as safe as the CA's key."
)


@click.group(cls=DashedGroup)
def tls() -> None:
    """Make certificates for the tls block."""


@tls.group(cls=DashedGroup)
def ca() -> None:
    """Make a certificate authority."""


@tls.group(cls=DashedGroup)
def cert() -> None:
    """Make certificates that it signs."""


def _described(command: Any) -> Any:
    """Give *command* an option for each field of an authority's subject."""
    for name in reversed(list(SUBJECT_FIELDS)):
        words = name.replace("_", " ")
        command = click.option(f"--{name.replace('_', '-')}", name, default="", help=f"Its {words}.")(command)
    return command


@ca.command("create")
@click.option(
    "--additional-domain",
    "more_domains",
    multiple=True,
    metavar="DOMAIN",
    help="Another domain that it may sign for, with -name-constraint; repeatable.",
)
@click.option("--common-name", default="", help="Its name. [Outrider Agent CA and a number]")
@_described
@click.option("--days", type=int, default=CA_DAYS, help=f"Days that it is valid for. [{CA_DAYS}]")
@click.option("--domain", default=DOMAIN, help=f"Domain of the cluster, with -name-constraint. [{DOMAIN}]")
@click.option("--name-constraint", is_flag=True, help="Let it sign for -domain, nomad and localhost alone.")
def create_ca(
    *, more_domains: tuple[str, ...], common_name: str, days: int, domain: str, name_constraint: bool, **subject: str
) -> None:
    """Make a certificate authority: DOMAIN-agent-ca.pem and DOMAIN-agent-ca-key.pem in this directory.

    The key signs whatever the whole cluster trusts: keep it on none of its machines.
    """
    if (more_domains or domain != DOMAIN) and not name_constraint:
        fail("-domain and -additional-domain say what a CA may sign for: give -name-constraint too")
    if domain == DOMAIN and name_constraint:
        fail(f"-name-constraint needs a -domain other than {DOMAIN}")
    permitted = tuple(dict.fromkeys((domain, "localhost", DOMAIN, *more_domains))) if name_constraint else ()
    certificate, key = Path(f"{domain}-agent-ca.pem"), Path(f"{domain}-agent-ca-key.pem")
    _refuse_existing(certificate, key, "CA certificate", "CA key")
    try:
        issued = issue_authority(
            SystemClock().wall(), days, common_name=common_name, subject=subject, permitted_names=permitted
        )
    except IssueError as error:
        fail(str(error))
    _save(issued, certificate, key)
    click.echo(f"==> CA certificate saved to: {certificate}")
    click.echo(f"==> CA certificate key saved to: {key}")


@cert.command("create")
@click.option(
    "--additional-dnsname",
    "names",
    multiple=True,
    metavar="NAME",
    help="Another name that it is valid for, beside its own and localhost; repeatable.",
)
@click.option(
    "--additional-ipaddress",
    "addresses",
    multiple=True,
    metavar="IP",
    help="Another address that it is valid for, beside 127.0.0.1; repeatable.",
)
@click.option("--ca", "ca_file", default=f"{_DOMAIN_PLACE}-agent-ca.pem", help="The CA. [DOMAIN-agent-ca.pem]")
@click.option("--cli", is_flag=True, help="For the command line.")
@click.option("--client", is_flag=True, help="For clients.")
@click.option("--days", type=int, default=CERTIFICATE_DAYS, help=f"Days that it is valid for. [{CERTIFICATE_DAYS}]")
@click.option("--domain", default=DOMAIN, help=f"Domain of the cluster. [{DOMAIN}]")
@click.option("--key", "ca_key", default=f"{_DOMAIN_PLACE}-agent-ca-key.pem", help="Its key. [DOMAIN-agent-ca-key.pem]")
@click.option("--region", default="", help="Region of the agent. [global; env: NOMAD_REGION]")
@click.option("--server", is_flag=True, help="For servers.")
def create_cert(
    *,
    names: tuple[str, ...],
    addresses: tuple[str, ...],
    ca_file: str,
    ca_key: str,
    days: int,
    domain: str,
    region: str,
    **roles: bool,
) -> None:
    """Make a certificate: REGION-server-DOMAIN.pem (or client, cli) and its key, in this directory.

    Servers of a region may share one; so may clients. A server's is for server.REGION.nomad, by which other agents
    know it for one.
    """
    chosen = [role for role in TlsRole if roles[role.value]]
    if len(chosen) != 1:
        fail("Please provide either -server, -client, or -cli")
    role, region = chosen[0], region or os.environ.get("NOMAD_REGION") or "global"
    prefix = f"{region}-{role.value}-{domain}"
    certificate, key = Path(f"{prefix}.pem"), Path(f"{prefix}-key.pem")
    _refuse_existing(certificate, key, "Certificate", "Key")
    authority_files = [Path(text.replace(_DOMAIN_PLACE, domain)) for text in (ca_file, ca_key)]
    authority = Issued(_read(authority_files[0], "CA"), _read(authority_files[1], "CA key"))
    request = CertificateRequest(
        role=role, region=region, domain=domain, names=_given(names), addresses=_given(addresses)
    )
    if role is TlsRole.SERVER:
        click.echo(_SERVER_WARNING, err=True)
    click.echo(f"==> Using CA file {authority_files[0]} and CA key {authority_files[1]}")
    try:
        issued = issue_certificate(SystemClock().wall(), days, request, authority)
    except IssueError as error:
        fail(str(error))
    if outlives(issued, authority):
        click.echo(
            f"==> WARNING: the CA ends before these {days} days are over, and all that it signed with it", err=True
        )
    _save(issued, certificate, key)
    word = role.value.capitalize()
    click.echo(f"==> {word} Certificate saved to {certificate}")
    click.echo(f"==> {word} Certificate key saved to {key}")


def _given(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text.strip() for text in texts if text.strip())


def _refuse_existing(certificate: Path, key: Path, certificate_word: str, key_word: str) -> None:
    for path, word in ((certificate, certificate_word), (key, key_word)):
        if path.exists():
            fail(f"{word} file '{path}' already exists")


def _read(path: Path, word: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fail(f"Error reading {word}: {path}: {error.strerror}")


def _save(issued: Issued, certificate: Path, key: Path) -> None:
    """Write both files, the key readable by its owner alone; leaves neither when one cannot be written."""
    try:
        _write_new(key, issued.key, 0o600)
        try:
            _write_new(certificate, issued.certificate, 0o644)
        except OSError:
            key.unlink()
            raise
    except OSError as error:
        fail(f"{error.filename or certificate}: cannot be written: {error.strerror}")


def _write_new(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
