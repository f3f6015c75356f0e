"""What an agent prints before its log."""

from dataclasses import replace

import pytest

from agent import banner
from agent.config.addresses import Host
from agent.config.load import AgentFlags, load
from agent.tls.settings import TlsSettings

HOST = Host("box", 2, lambda: (("eth0", "10.0.0.5"),))


def configuration(tmp_path, text="", *, dev=True):
    file = tmp_path / "agent.hcl"
    file.write_text(text)
    return load([file], AgentFlags(dev=dev or None), {}, HOST).config


def test_the_facts_stand_in_nomads_lines(tmp_path):
    """
    Names are right-aligned to the column of Nomad's colons and sorted as there.
    """
    config = configuration(tmp_path)

    lines = banner.configuration(config, "an-id", "1.2.3")

    assert [
        "==> Outrider agent configuration:",
        "",
        "       Advertise Addrs: HTTP: 127.0.0.1:4646; RPC: 127.0.0.1:4647; Serf: 127.0.0.1:4648; Raft: 127.0.0.1:4649",
        "            Bind Addrs: HTTP: [127.0.0.1:4646]; RPC: 127.0.0.1:4647; Serf: 127.0.0.1:4648; Raft: 127.0.0.1:4649",
        "                Client: true",
        "             Log Level: DEBUG",
        "               Node Id: an-id",
        "                Region: global (DC: dc1)",
        "                Server: true",
        "               Version: 1.2.3",
        "",
    ] == lines


def test_a_client_has_no_server_addresses_and_no_id(tmp_path):
    """
    It listens for HTTP alone.
    """
    text = f'bind_addr = "127.0.0.1"\nadvertise {{ http = "127.0.0.1" rpc = "127.0.0.1" serf = "127.0.0.1" }}\ndata_dir = "{tmp_path}"\n'
    config = configuration(tmp_path, text + 'client { enabled = true servers = ["127.0.0.1:4647"] }\n', dev=False)

    text = "\n".join(banner.configuration(config, "", "1.2.3"))

    assert "RPC" not in text
    assert "Node Id" not in text
    assert "Server: false" in text


@pytest.mark.parametrize(("address", "exposed"), [("127.0.0.1", False), ("10.0.0.5", True), ("0.0.0.0", True)])
def test_an_agent_beyond_loopback_is_exposed(tmp_path, address, exposed):
    """
    Whoever can reach it controls it, unless every port asks for a certificate, as there are no ACLs.
    """
    config = configuration(
        tmp_path,
        f'bind_addr = "{address}"\nadvertise {{ http = "10.0.0.5" rpc = "10.0.0.5" serf = "10.0.0.5" raft = "10.0.0.5" }}\n',
    )

    assert exposed is banner.is_exposed(config)
    every = TlsSettings(http=True, rpc=True, verify_server_hostname=True, verify_https_client=True)
    assert not banner.is_exposed(replace(config, tls=every))
    for key in ("http", "rpc", "verify_server_hostname", "verify_https_client"):
        assert exposed is banner.is_exposed(replace(config, tls=replace(every, **{key: False})))


def test_warnings_come_first():
    """
    An operator sees them before anything else.
    """
    assert [
        "==> WARNING: careful",
        "==> No configuration files loaded",
        "==> Starting Outrider agent...",
    ] == banner.opening([], ["careful"], exposed=False)
    assert "controls it" in banner.opening([], [], exposed=True)[0]
