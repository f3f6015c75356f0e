import stat

import pytest
from cryptography import x509

from agent.config.load import AgentFlags, load
from agent.tls.issue import signed_by
from compose.local_commands import _asking
from compose.local_config import outrider_yaml, write_configuration
from compose.local_settings import LocalSettings, server_config
from compose.local_tls import (
    CERTIFICATE_SECONDS,
    api_of,
    credential_flags,
    files_of,
    make_certificates,
    renew_certificate,
)
from compose.settings import parse_settings
from telemetry.clock import SystemClock

NOW = 1_795_000_000.0


@pytest.fixture
def settings(tmp_path):
    """
    A cluster of three servers, a client and a second region that speaks TLS, its certificates made at NOW.
    """
    made = LocalSettings(directory=tmp_path, clients=1, far_servers=1, tls=True)
    make_certificates(made, NOW)
    return made


def certificate(settings, name):
    return x509.load_pem_x509_certificate(files_of(settings).certificate(name).read_bytes())


def names(settings, name):
    found = certificate(settings, name).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found.get_values_for_type(x509.DNSName), [str(ip) for ip in found.get_values_for_type(x509.IPAddress)]


def test_each_agent_has_a_certificate_for_what_it_is(settings):
    """
    For server or client of its region, by which others know it, and for 127.0.0.1, at which its API is asked.
    """
    assert (["server.global.nomad", "localhost"], ["127.0.0.1"]) == names(settings, "server-3")
    assert (["client.global.nomad", "localhost"], ["127.0.0.1"]) == names(settings, "client-1")
    assert (["server.far.nomad", "localhost"], ["127.0.0.1"]) == names(settings, "far-server-1")
    assert (["cli.global.nomad", "localhost"], []) == names(settings, "global-cli-nomad")
    assert NOW + CERTIFICATE_SECONDS == certificate(settings, "server-1").not_valid_after_utc.timestamp()


def test_keys_are_their_owners_alone(settings):
    """
    Every key has 0600 and its folder 0700; nothing else lies there.
    """
    files = files_of(settings)
    agents = [agent.name for agent in settings.agents]
    pairs = [*agents, files.command_line, "nomad-agent-ca"]

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files.folder.iterdir()}

    assert {f"{name}-key.pem": 0o600 for name in pairs} | {f"{name}.pem": 0o644 for name in pairs} == modes
    assert 0o700 == stat.S_IMODE(files.folder.stat().st_mode)


def test_the_agent_accepts_its_block_without_a_warning(tmp_path):
    """
    Every agent's file loads with its certificate as the agent loads it, and wants one of whoever speaks to it.
    """
    settings = LocalSettings(directory=tmp_path, tls=True)
    make_certificates(settings, SystemClock().wall())
    write_configuration(settings)

    loaded = [load([tmp_path / "agents" / f"{agent.name}.hcl"], AgentFlags(), {}) for agent in settings.agents]

    assert [()] * 5 == [each.warnings for each in loaded]
    assert {(True, True, True, True)} == {
        (tls.http, tls.rpc, tls.verify_server_hostname, tls.verify_https_client)
        for tls in (each.config.tls for each in loaded)
    }
    assert ["server.global.nomad"] * 3 + ["client.global.nomad"] * 2 == [each.tls.material.names[0] for each in loaded]


@pytest.mark.parametrize("seconds", [CERTIFICATE_SECONDS, 7 * 86_400.0, 43_200.0], ids=["a year", "a week", "12 h"])
def test_a_renewed_certificate_ends_when_it_should(settings, seconds):
    """
    Whole days or not: valid now, for so long, with a key of its own, of the same authority; others keep theirs.
    """
    files = files_of(settings)
    before = {path.name: path.read_bytes() for path in files.folder.iterdir()}
    later = NOW + 1_000.0

    renew_certificate(settings, "server-2", later, seconds)

    renewed = certificate(settings, "server-2")
    changed = {path.name for path in files.folder.iterdir() if path.read_bytes() != before.get(path.name)}
    assert later + seconds == renewed.not_valid_after_utc.timestamp()
    assert renewed.not_valid_before_utc.timestamp() < later
    assert {"server-2.pem", "server-2-key.pem"} == changed
    assert signed_by(renewed, x509.load_pem_x509_certificate(files.authority.read_bytes()))


def test_agents_are_scraped_and_asked_with_a_certificate(settings):
    """
    Prometheus, the exporter and our own commands trust the cluster's authority and show its pair for command lines.
    """
    files = files_of(settings)
    pair = str(files.certificate("global-cli-nomad")), str(files.key("global-cli-nomad"))

    access = parse_settings(outrider_yaml(settings)).description.access
    api = api_of(settings, settings.agents[0], 5.0)

    assert (True, str(files.authority), pair) == (
        access.is_https,
        access.ca_file,
        (access.cert_file, access.key_file),
    )
    assert ("https://127.0.0.1:4646", str(files.authority), pair) == (
        api.address,
        api.ca_cert,
        (api.client_cert, api.client_key),
    )
    assert (f"-ca-cert={files.authority}", f"-client-cert={pair[0]}", f"-client-key={pair[1]}") == credential_flags(
        settings
    )


def test_a_newcomer_is_told_which_certificate_to_show(tmp_path, monkeypatch):
    """
    Nomad's variables with the files as they are seen from here; quoted where the shell would split them.
    """
    monkeypatch.chdir(tmp_path)
    settings = LocalSettings(directory=tmp_path / "a cluster", tls=True)

    lines = [line.strip() for line in _asking(settings, "outrider")]

    assert "export NOMAD_ADDR=https://127.0.0.1:4646" in lines
    assert "export NOMAD_CACERT='a cluster/tls/nomad-agent-ca.pem'" in lines
    assert "export NOMAD_CLIENT_KEY='a cluster/tls/global-cli-nomad-key.pem'" in lines
    assert "members         outrider server members" in lines


def test_a_cluster_without_tls_has_nothing_of_it(tmp_path):
    """
    No file, no block, no section, plain addresses; what needs certificates says that there are none.
    """
    settings = LocalSettings(directory=tmp_path)
    make_certificates(settings, NOW)

    assert [] == list(tmp_path.iterdir())
    assert "tls {" not in server_config(settings, settings.agents[0])
    assert "scrape:" not in outrider_yaml(settings)
    assert () == credential_flags(settings)
    assert ("http://127.0.0.1:4646", "") == (
        api_of(settings, settings.agents[0], 5.0).address,
        api_of(settings, settings.agents[0], 5.0).ca_cert,
    )
    assert any("-address=http://127.0.0.1:4646" in line for line in _asking(settings, "outrider"))
    with pytest.raises(ValueError, match="speaks no TLS"):
        renew_certificate(settings, "server-1", NOW)
