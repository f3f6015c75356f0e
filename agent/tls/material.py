"""Reads the files of the tls block and says what is wrong with them, each finding under the key it belongs to.

All three are read once, so that what was checked is what is used, also when they are replaced meanwhile. Whoever reads
passes the time; what has ended is told and not refused: a renewal is a SIGHUP away, and a clock may be wrong.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from agent.tls.identity import TlsRole, is_agent, is_server, name_of
from agent.tls.issue import signed_by
from agent.tls.settings import TlsMaterial, TlsSettings

FILE_BYTES_MAX = 1024 * 1024
"""A bundle of all public authorities is 220 KB."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the file that *key* names; with `is_fatal` TLS cannot be spoken."""

    key: str
    message: str
    is_fatal: bool = True


def read_material(
    settings: TlsSettings, role: TlsRole, region: str, now: float
) -> tuple[TlsMaterial | None, list[Finding]]:
    """Return what the files of *settings* hold, None when it cannot be used, and everything worth telling.

    *role* is what the agent is: a server's certificate must say so where others check it.
    """
    data, findings = _read_files(settings)
    chain = _certificates("cert_file", settings.cert_file, data, findings)
    authorities = _certificates("ca_file", settings.ca_file, data, findings)
    if findings or not chain:
        return None, findings
    own = chain[0]
    _check_key(settings, data["key_file"], own, findings)
    if settings.rpc:
        if not any(signed_by(own, issuer) for issuer in (*authorities, *chain[1:])):
            findings.append(
                Finding("cert_file", f"no authority in {settings.ca_file} signed {settings.cert_file}: name its own CA")
            )
        _check_names(settings, _names(own), role, region, findings)
    for key, path, certificate in (
        ("cert_file", settings.cert_file, own),
        *(("ca_file", settings.ca_file, authority) for authority in authorities[:1]),
    ):
        _check_time(key, path, certificate, now, findings)
    if any(finding.is_fatal for finding in findings):
        return None, findings
    material = TlsMaterial(
        certificate=data["cert_file"],
        key=data["key_file"],
        authority=data.get("ca_file", b""),
        names=_names(own),
        certificate_expires=own.not_valid_after_utc.timestamp(),
        authority_expires=authorities[0].not_valid_after_utc.timestamp() if authorities else None,
    )
    return material, findings


def _read_files(settings: TlsSettings) -> tuple[dict[str, bytes], list[Finding]]:
    data: dict[str, bytes] = {}
    findings: list[Finding] = []
    for key, path in (
        ("ca_file", settings.ca_file),
        ("cert_file", settings.cert_file),
        ("key_file", settings.key_file),
    ):
        if path is None:
            if key in settings.needed_files:
                on = "rpc" if settings.rpc else "verify_https_client" if key == "ca_file" else "http"
                findings.append(Finding(key, f"{key} is not set, and tls.{on} = true needs it: name the file"))
            continue
        try:
            with path.open("rb") as file:
                data[key] = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            findings.append(Finding(key, f"{path} cannot be read ({error.strerror}): check its name, owner and mode"))
            continue
        if len(data[key]) > FILE_BYTES_MAX:
            del data[key]
            findings.append(Finding(key, f"{path} has more than {FILE_BYTES_MAX} bytes: is it the right file?"))
    return data, findings


def _certificates(
    key: str, path: Path | None, data: dict[str, bytes], findings: list[Finding]
) -> list[x509.Certificate]:
    if key not in data:
        return []
    try:
        return x509.load_pem_x509_certificates(data[key])
    except ValueError:
        findings.append(Finding(key, f"{path} holds no certificate in PEM: is it the right file?"))
        return []


def _check_key(settings: TlsSettings, data: bytes, own: x509.Certificate, findings: list[Finding]) -> None:
    path = settings.key_file
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        findings.append(Finding("key_file", f"{path} is encrypted: decrypt it, nobody can be asked for its password"))
        return
    except ValueError:
        findings.append(Finding("key_file", f"{path} holds no private key in PEM: is it the right file?"))
        return
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        findings.append(Finding("key_file", f"{path} is a key of a kind that TLS here does not use: make an ECDSA one"))
    elif key.public_key() != own.public_key():
        findings.append(
            Finding("key_file", f"{path} is not the key of {settings.cert_file}: name the two files of one certificate")
        )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(found.value.get_values_for_type(x509.DNSName))


def _check_names(
    settings: TlsSettings, names: Collection[str], role: TlsRole, region: str, findings: list[Finding]
) -> None:
    if not settings.verify_server_hostname:
        return
    fits = is_server(names, region) if role is TlsRole.SERVER else is_agent(names, region)
    if not fits:
        listed = ", ".join(sorted(names)) or "none at all"
        findings.append(
            Finding(
                "cert_file",
                f"{settings.cert_file} is not for {name_of(role, region)}, by which others know a {role.value} of this "
                f"region; its names are {listed}: make one with outrider tls cert create -{role.value} -region {region}",
            )
        )


def _check_time(
    key: str, path: Path | None, certificate: x509.Certificate, now: float, findings: list[Finding]
) -> None:
    starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    moment = datetime.fromtimestamp(now, UTC)
    if moment > ends:
        told = f"{path} has expired ({ends:%Y-%m-%d %H:%M} UTC): others refuse it; renew it and send SIGHUP"
        findings.append(Finding(key, told, is_fatal=False))
    elif moment < starts:
        told = f"{path} is not valid before {starts:%Y-%m-%d %H:%M} UTC: others refuse it until then"
        findings.append(Finding(key, told, is_fatal=False))
