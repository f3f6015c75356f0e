"""`outrider tls`: the files it writes, what it says, and what it does not touch."""

import stat

import pytest
from click.testing import CliRunner

from agent.tls.identity import names_in
from compose.cli import outrider
from tests.certificates import Files, plain_context, shake_hands


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty directory; a test says what must come out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOMAD_REGION", raising=False)

    def command(*words):
        done = CliRunner().invoke(outrider, ["tls", *words])
        return done.exit_code, done.stdout.splitlines(), done.stderr

    return command


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_cluster_s_certificates_are_made(run, tmp_path):
    """
    File names and lines are Nomad's, keys are their owner's alone, and a handshake between the two succeeds.
    """
    assert (
        0,
        [
            "==> CA certificate saved to: nomad-agent-ca.pem",
            "==> CA certificate key saved to: nomad-agent-ca-key.pem",
        ],
        "",
    ) == run("ca", "create")
    code, lines, warned = run(
        "cert", "create", "-server", "-additional-dnsname=a.example", "-additional-ipaddress", "::1"
    )

    assert 0 == code
    assert [
        "==> Using CA file nomad-agent-ca.pem and CA key nomad-agent-ca-key.pem",
        "==> Server Certificate saved to global-server-nomad.pem",
        "==> Server Certificate key saved to global-server-nomad-key.pem",
    ] == lines
    assert warned.startswith("==> WARNING: ")
    assert 0 == run("cert", "create", "-client")[0]
    assert 0 == run("cert", "create", "-cli")[0]
    assert {"global-client-nomad.pem", "global-cli-nomad-key.pem"} <= {path.name for path in tmp_path.iterdir()}
    assert {0o600} == {mode(path) for path in tmp_path.glob("*-key.pem")}
    server, client = (
        Files(
            *(
                tmp_path / name
                for name in ("nomad-agent-ca.pem", f"global-{role}-nomad.pem", f"global-{role}-nomad-key.pem")
            )
        )
        for role in ("server", "client")
    )
    seen, _ = shake_hands(
        plain_context(server, server_side=True), plain_context(client, server_side=False), "a.example"
    )
    assert ("a.example", "server.global.nomad", "localhost") == names_in(seen)
    assert ("IP Address", "127.0.0.1") in seen["subjectAltName"]


def test_region_and_domain_are_in_name_and_file(run, tmp_path, monkeypatch):
    """
    The name that peers check ends with .nomad whatever the domain; the region comes from the flag, else NOMAD_REGION.
    """
    run("ca", "create", "-name-constraint", "-domain", "example.org")
    monkeypatch.setenv("NOMAD_REGION", "us")

    assert 0 == run("cert", "create", "-server", "-region", "eu", "-domain", "example.org")[0]
    assert 0 == run("cert", "create", "-client", "-domain", "example.org")[0]

    assert (tmp_path / "us-client-example.org.pem").exists()
    files = Files(
        *(
            tmp_path / name
            for name in ("example.org-agent-ca.pem", "eu-server-example.org.pem", "eu-server-example.org-key.pem")
        )
    )
    contexts = plain_context(files, server_side=True), plain_context(files, server_side=False)
    assert ("server.eu.example.org", "server.eu.nomad", "localhost") == names_in(
        shake_hands(*contexts, "server.eu.nomad")[0]
    )


def test_nothing_is_overwritten(run, tmp_path):
    """
    Whichever of the two files is there, neither is touched and the other is not made.
    """
    run("ca", "create")
    run("cert", "create", "-client")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert (1, [], "CA certificate file 'nomad-agent-ca.pem' already exists\n") == run("ca", "create")
    assert (1, [], "Certificate file 'global-client-nomad.pem' already exists\n") == run("cert", "create", "-client")
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "global-client-nomad.pem").unlink()
    assert (1, [], "Key file 'global-client-nomad-key.pem' already exists\n") == run("cert", "create", "-client")
    assert not (tmp_path / "global-client-nomad.pem").exists()


def test_a_ca_that_ends_first_is_told(run):
    """
    A certificate of a year is worth nothing after the ten days of its CA.
    """
    run("ca", "create", "-days", "10")

    assert "the CA ends before these 365 days are over" in run("cert", "create", "-client")[2]
    assert "" == run("cert", "create", "-cli", "-days", "9")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cert", "create"), "Please provide either -server, -client, or -cli\n"),
        (("cert", "create", "-server", "-cli"), "Please provide either -server, -client, or -cli\n"),
        (("cert", "create", "-cli"), "Error reading CA: nomad-agent-ca.pem: No such file or directory\n"),
        (("ca", "create", "-days", "0"), "0 days are too few: a certificate is valid for one at least\n"),
        (("ca", "create", "-name-constraint"), "-name-constraint needs a -domain other than nomad\n"),
        (("ca", "create", "-country", "nowhere"), "the authority cannot be named so"),
        (
            ("ca", "create", "-domain", "example.org"),
            "-domain and -additional-domain say what a CA may sign for: give -name-constraint too\n",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run, tmp_path, words, said):
    """
    Exit code 1, and no file.
    """
    code, lines, error = run(*words)

    assert (1, []) == (code, lines)
    assert error.startswith(said.rstrip("\n"))
    assert 1 == len(error.splitlines())
    assert [] == list(tmp_path.iterdir())
