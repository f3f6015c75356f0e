"""The tls block of an agent's file, with the files that it names."""

import subprocess
from pathlib import Path

from tests.agent.config.test_config_load import CLIENT, LONE_SERVER, error_of, load_text
from tests.certificates import Authority, Files


def tls_file(tmp_path: Path, role: str, **keys: bool) -> str:
    """Return a tls block of fresh certificates, lines 5 and on of a file that begins with LONE_SERVER or CLIENT."""
    return Authority(tmp_path / "pki").certificate(role).stanza(**keys)


def test_a_tls_block_is_read_with_its_files(tmp_path):
    """
    Settings and files are at hand; with every check on there is nothing to warn of.
    """
    text = LONE_SERVER + tls_file(tmp_path, "server", verify_https_client=True)

    loaded = load_text(tmp_path, text)

    tls = loaded.config.tls
    assert [True] * 4 == [tls.http, tls.rpc, tls.verify_server_hostname, tls.verify_https_client]
    assert loaded.tls is not None
    assert "server.global.nomad" in loaded.tls.material.names
    assert () == loaded.warnings


def test_files_of_a_tls_block_that_is_off_are_not_read(tmp_path):
    """
    They may not even be there.
    """
    loaded = load_text(tmp_path, LONE_SERVER + 'tls {\n  verify_https_client = true\n  ca_file = "/gone.pem"\n}\n')

    assert loaded.tls is None


def test_unchecked_names_are_warned_of(tmp_path):
    """
    As any client could act as a server; that nobody checks is what a Nomad's default is, too.
    """
    loaded = load_text(tmp_path, LONE_SERVER + tls_file(tmp_path, "server", verify_server_hostname=False))

    assert any(warning.startswith("tls.verify_server_hostname = false: ") for warning in loaded.warnings)


def test_an_expired_certificate_is_a_warning_with_its_line(tmp_path):
    """
    The agent starts, for a renewal is a SIGHUP away.
    """
    files = Authority(tmp_path / "pki").expired("server")

    loaded = load_text(tmp_path, LONE_SERVER + files.stanza())

    (warning,) = [warning for warning in loaded.warnings if "has expired" in warning]
    assert warning.startswith(f"{tmp_path}/0.hcl:11: tls.cert_file: ")


def test_bad_files_of_a_tls_block_are_told_with_their_lines(tmp_path):
    """
    Each where its key stands; one that is not set where the file begins.
    """
    authority = Authority(tmp_path / "pki")
    files = authority.certificate("server")
    stanza = files.stanza().replace(str(files.key), str(authority.certificate("client").key))

    message = error_of(tmp_path, LONE_SERVER + stanza)
    assert message.startswith("0.hcl:12: tls.key_file: "), message
    assert "is not the key of" in message
    message = error_of(tmp_path, LONE_SERVER + "tls { rpc = true }\n")
    assert ["0.hcl: tls.ca_file", "0.hcl: tls.cert_file", "0.hcl: tls.key_file"] == [
        line.rpartition(": ")[0].partition(": tls")[0] + ": tls" + line.partition(": tls")[2].partition(":")[0]
        for line in message.splitlines()
    ]


def test_a_client_needs_no_server_s_certificate(tmp_path):
    """
    Its own name is enough, and a command line's is not.
    """
    assert load_text(tmp_path, CLIENT + tls_file(tmp_path, "client")).tls is not None
    assert "is not for client.global.nomad" in error_of(tmp_path, CLIENT + tls_file(tmp_path, "cli"))


def test_a_certificate_that_openssl_finds_too_weak_is_told(tmp_path):
    """
    At the start, and not at the first connection.
    """
    command = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "2", "-subj", "/CN=x"]
    subprocess.run(
        [*command, "-keyout", tmp_path / "key.pem", "-out", tmp_path / "weak.pem"], check=True, capture_output=True
    )
    files = Files(tmp_path / "weak.pem", tmp_path / "weak.pem", tmp_path / "key.pem")

    message = error_of(tmp_path, LONE_SERVER + files.stanza(rpc=False))

    assert message == "0.hcl:11: tls.cert_file: OpenSSL takes it for no good (ee key too small): make a P-256 one."
