"""Makes a certificate authority, and certificates of servers, clients and command lines, as `nomad tls` does.

Keys are P-256, as Nomad's, unencrypted PEM. What is made here is bytes; who writes them to disk is `agent.cli`.
Source: Nomad's reference of `tls ca create` and `tls cert create`; RFC 5280.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.tls.identity import TlsRole, name_of

CA_NAME = "Outrider Agent CA"
"""The common name of an authority that is given none; its serial number stands behind, as two of one name confuse."""

BACKDATED = timedelta(minutes=5)
"""How long before it is made a certificate begins: a machine whose clock is behind must not refuse a new one."""

_SERIAL_BITS = 127
"""RFC 5280 allows 20 bytes and no negative ones; Nomad draws 128 bits."""

SUBJECT_FIELDS: Mapping[str, x509.ObjectIdentifier] = {
    "country": NameOID.COUNTRY_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "postal_code": NameOID.POSTAL_CODE,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "street_address": NameOID.STREET_ADDRESS,
}
"""What an authority may say of itself beside its common name; Nomad fills these in with its maker's address."""

_SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class IssueError(Exception):
    """What was asked for cannot be made; the message is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """What a certificate shall be for. *addresses* are IP addresses; `localhost` is always among the names."""

    role: TlsRole
    region: str = "global"
    domain: str = "nomad"
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def common_name(self) -> str:
        """The name it is issued to."""
        return name_of(self.role, self.region, self.domain)

    @property
    def dns_names(self) -> tuple[str, ...]:
        """All names it is valid for: those asked for first, then its own; the one with `.nomad` is what peers check."""
        own = (self.common_name, name_of(self.role, self.region), "localhost")
        return tuple(dict.fromkeys((*self.names, *own)))


def issue_authority(
    now: float,
    days: int,
    *,
    common_name: str = "",
    subject: Mapping[str, str] | None = None,
    permitted_names: Collection[str] = (),
) -> Issued:
    """Return a new authority, valid for *days* from *now* (Unix seconds).

    With *permitted_names* it may only sign for these domains and what lies below them. *subject* holds
    SUBJECT_FIELDS. Raises IssueError.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    serial = _serial()
    try:
        described = [x509.NameAttribute(SUBJECT_FIELDS[field], text) for field, text in (subject or {}).items() if text]
        name = x509.Name([*described, x509.NameAttribute(NameOID.COMMON_NAME, common_name or f"{CA_NAME} {serial}")])
        constraints = [x509.DNSName(domain) for domain in permitted_names]
    except ValueError as error:
        raise IssueError(f"the authority cannot be named so: {error}") from error
    builder = _begin(name, name, key.public_key(), serial, now, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_usage("digital_signature", "key_cert_sign", "crl_sign"), critical=True)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
    )
    if constraints:
        builder = builder.add_extension(x509.NameConstraints(constraints, None), critical=True)
    return _finish(builder, key, key)


def issue_certificate(now: float, days: int, request: CertificateRequest, authority: Issued) -> Issued:
    """Return a certificate for *request*, valid for *days* from *now* (Unix seconds), signed by *authority*.

    It may be shown by either side of a connection, as agents are both. Raises IssueError, also when *authority* is
    none, or its key another's.
    """
    parent, signer = _authority(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in request.dns_names]
        alternatives += [x509.IPAddress(address) for address in _addresses(request)]
    except ValueError as error:
        raise IssueError(f"the certificate cannot be for that: {error}") from error
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, request.common_name)])
    builder = _begin(subject, parent.subject, key.public_key(), _serial(), now, days)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage("digital_signature", "key_encipherment"), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (x509.SubjectAlternativeName(alternatives), False),
        (_issuer_identifier(parent), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return _finish(builder, key, signer)


def _addresses(request: CertificateRequest) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return the addresses it is valid for; a command line listens nowhere and has none of its own."""
    own = () if request.role is TlsRole.CLI else ("127.0.0.1",)
    return tuple(dict.fromkeys(ip_address(text) for text in (*request.addresses, *own)))


def _authority(authority: Issued) -> tuple[x509.Certificate, _SigningKey]:
    try:
        certificate = x509.load_pem_x509_certificate(authority.certificate)
    except ValueError as error:
        raise IssueError(f"the certificate of the CA cannot be read: {error}") from error
    try:
        key = serialization.load_pem_private_key(authority.key, password=None)
    except (ValueError, TypeError) as error:
        raise IssueError(f"the key of the CA cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise IssueError(f"the key of the CA is of a kind that is not used here: {type(key).__name__}")
    if key.public_key() != certificate.public_key():
        raise IssueError("the key of the CA is not the one of its certificate: name the two files of one CA")
    try:
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise IssueError("the certificate of the CA is no CA's: it may not sign others")
    except x509.ExtensionNotFound as error:
        raise IssueError("the certificate of the CA is no CA's: it may not sign others") from error
    return certificate, key


def _issuer_identifier(parent: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return what says which key signed; an authority of Nomad's has an identifier of its own making."""
    try:
        own = parent.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        public = parent.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey), "checked with its key"
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _begin(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, serial: int, now: float, days: int
) -> x509.CertificateBuilder:
    """Return a builder with what every certificate has."""
    made = datetime.fromtimestamp(int(now), UTC)
    try:
        ends = made + timedelta(days=days)
    except OverflowError as error:
        raise IssueError(f"{days} days are too many") from error
    if days < 1:
        raise IssueError(f"{days} days are too few: a certificate is valid for one at least")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(made - BACKDATED)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _finish(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: _SigningKey) -> Issued:
    certificate = builder.sign(signer, hashes.SHA256())
    return Issued(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )


def _serial() -> int:
    return x509.random_serial_number() >> (159 - _SERIAL_BITS)


def _usage(*allowed: str) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in allowed for name in every})


def outlives(issued: Issued, authority: Issued) -> bool:
    """Tell whether a certificate is valid for longer than the authority that signed it, which is of no use."""
    certificate, parent = (x509.load_pem_x509_certificate(pair.certificate) for pair in (issued, authority))
    return certificate.not_valid_after_utc > parent.not_valid_after_utc


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether *issuer* signed *certificate*."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
