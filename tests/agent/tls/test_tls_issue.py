"""Authorities and certificates: judged by OpenSSL, in handshakes."""

import ssl
import subprocess
import time

import pytest

from agent.tls.identity import TlsRole, is_agent, is_server, names_in
from agent.tls.issue import CertificateRequest, Issued, IssueError, issue_authority, issue_certificate
from tests.certificates import Authority, plain_context, shake_hands


@pytest.mark.parametrize("role", ["server", "client", "cli"])
def test_openssl_finds_nothing_wrong(tmp_path, role):
    """
    Its strict rules of RFC 5280 hold for the CA and for what it signs.
    """
    files = Authority(tmp_path).certificate(role)

    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", files.ca, files.certificate]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (0, f"{files.certificate}: OK\n") == (checked.returncode, checked.stdout)


def test_two_servers_know_each_other(tmp_path):
    """
    One certificate serves either end of a connection, and says server.REGION.nomad to the other.
    """
    files = Authority(tmp_path).certificate("server", "eu")
    contexts = (plain_context(files, server_side=True), plain_context(files, server_side=False))

    seen_by_client, seen_by_server = shake_hands(*contexts, "server.eu.nomad")

    assert ("server.eu.nomad", "localhost") == names_in(seen_by_client) == names_in(seen_by_server)
    assert is_server(names_in(seen_by_server), "eu")
    assert not is_server(names_in(seen_by_server), "global")


def test_a_client_is_no_server(tmp_path):
    """
    Whoever seeks a server refuses a client's certificate, and its names say that it is none.
    """
    authority = Authority(tmp_path)
    client, server = authority.certificate("client"), authority.certificate("server")

    with pytest.raises(ssl.SSLCertVerificationError, match=r"server\.global\.nomad"):
        shake_hands(
            plain_context(client, server_side=True), plain_context(server, server_side=False), "server.global.nomad"
        )
    _, seen = shake_hands(
        plain_context(server, server_side=True), plain_context(client, server_side=False), "server.global.nomad"
    )

    assert (False, True) == (is_server(names_in(seen), "global"), is_agent(names_in(seen), "global"))


def test_another_ca_is_refused(tmp_path):
    """
    A certificate of a second authority of the same name is worth nothing to the first.
    """
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    stranger = theirs.certificate("server", ca=ours.file)

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(
            plain_context(stranger, server_side=True),
            plain_context(ours.certificate("server"), server_side=False),
            "server.global.nomad",
        )


def test_a_wildcard_is_no_server():
    """
    *.global.nomad, which a name check would let pass, makes nobody a server.
    """
    assert not is_server(("*.global.nomad", "*.nomad"), "global")
    assert not is_agent(("*.global.nomad", "cli.global.nomad"), "global")


def test_a_constrained_ca_signs_for_its_domains_alone(tmp_path):
    """
    OpenSSL refuses what it signs for another domain.
    """
    authority = issue_authority(time.time(), 3, permitted_names=("example.org", "localhost", "nomad"))
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    verdicts = []
    for name in ("a.example.org", "a.example.com"):
        request = CertificateRequest(role=TlsRole.SERVER, names=(name,))
        made = issue_certificate(time.time(), 2, request, authority)
        (tmp_path / "made.pem").write_bytes(made.certificate)
        command = ["openssl", "verify", "-CAfile", tmp_path / "ca.pem", tmp_path / "made.pem"]
        verdicts.append(subprocess.run(command, capture_output=True, check=False).returncode)

    assert 0 == verdicts[0]
    assert 0 != verdicts[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ours, theirs: Issued(ours.certificate, theirs.key), "not the one of its certificate"),
        (lambda ours, theirs: Issued(b"no PEM", ours.key), "certificate of the CA cannot be read"),
        (lambda ours, theirs: Issued(ours.certificate, b"no PEM"), "key of the CA cannot be read"),
        (
            lambda ours, theirs: issue_certificate(time.time(), 2, CertificateRequest(role=TlsRole.SERVER), ours),
            "may not sign others",
        ),
    ],
)
def test_what_is_no_authority_signs_nothing(change, words):
    """
    Files that do not belong together, no PEM, and a certificate that is no CA's are each told in a sentence.
    """
    authority = change(issue_authority(time.time(), 3), issue_authority(time.time(), 3))

    with pytest.raises(IssueError, match=words):
        issue_certificate(time.time(), 2, CertificateRequest(role=TlsRole.CLIENT), authority)


@pytest.mark.parametrize(
    ("days", "request_", "words"),
    [
        (0, {}, "too few"),
        (10**9, {}, "too many"),
        (2, {"addresses": ("10.0.0.300",)}, r"10\.0\.0\.300"),
        (2, {"names": ("b\u00fccher.example",)}, "cannot be for that"),
    ],
)
def test_what_cannot_be_in_a_certificate_is_told(days, request_, words):
    """
    Days out of range, an address that is none and a name that is not ASCII.
    """
    with pytest.raises(IssueError, match=words):
        issue_certificate(
            time.time(), days, CertificateRequest(role=TlsRole.SERVER, **request_), issue_authority(time.time(), 3)
        )
