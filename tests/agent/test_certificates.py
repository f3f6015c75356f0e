"""What SIGHUP does to the certificates of an agent, and what is measured of them."""

import asyncio
import logging
import time

import pytest

from agent.certificates import CertificateReload, emit
from agent.config.addresses import Host
from agent.config.load import AgentFlags, load
from agent.tls.contexts import TlsKeeper
from telemetry.catalogue import tls as catalogue
from telemetry.clock import ManualClock
from tests.certificates import DAY_SECONDS, Authority

HOST = Host("box", 2, lambda: (("eth0", "10.0.0.5"),))
SERVER = 'data_dir = "/d"\nserver {\n  enabled = true\n  bootstrap_expect = 1\n}\n'


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "pki")


@pytest.fixture
def session(tmp_path, caplog):
    """Start with one text, let another be reloaded; return what is used before and after, and what was logged."""
    caplog.set_level(logging.INFO)

    def run(before, after):
        file = tmp_path / "a.hcl"

        def read():
            return load([file], AgentFlags(), {}, HOST)

        async def hang_up():
            file.write_text(before)
            loaded = read()
            keeper = TlsKeeper(loaded.tls) if loaded.tls else None
            file.write_text(after)
            await CertificateReload(loaded, keeper, read, logging.getLogger("t")).run()
            return loaded.tls, keeper.current if keeper else None

        return *asyncio.run(hang_up()), caplog.messages

    return run


def test_renewed_files_are_used(session, authority):
    """
    With a line that says for whom and until when.
    """
    stanzas = [authority.certificate("server", as_name=name, days=days).stanza() for name, days in (("a", 1), ("b", 5))]

    old, new, told = session(*(SERVER + stanza for stanza in stanzas))

    assert new is not old
    assert 4 * DAY_SECONDS == pytest.approx(new.material.certificate_expires - old.material.certificate_expires, abs=60)
    assert ["certificates reloaded: names=server.global.nomad,localhost expires="] == [
        line.partition("20")[0] for line in told
    ]


def test_what_is_verified_is_reloaded_too(session, authority):
    """
    Stricter or not; it is of the next handshakes.
    """
    files = authority.certificate("server")

    _, new, _ = session(SERVER + files.stanza(), SERVER + files.stanza(verify_https_client=True))

    assert new.settings.verify_https_client


def test_where_tls_is_spoken_is_not(session, authority):
    """
    That takes a restart, as does another region, and nothing else of the block is used either.
    """
    files, abroad = authority.certificate("server"), authority.certificate("server", "eu")
    before = SERVER + files.stanza()

    for after in (SERVER + files.stanza(rpc=False), 'region = "eu"\n' + SERVER + abroad.stanza()):
        old, new, told = session(before, after)

        assert new is old
        assert told[-1].startswith(
            "configuration not reloaded: tls.http, tls.rpc and region change with a restart alone: "
        )


def test_other_changes_are_told(session, authority):
    """
    The tls block is reloaded all the same.
    """
    text = SERVER + authority.certificate("server").stanza()

    old, new, told = session(text, text + 'log_level = "WARN"\n')

    assert new is not old
    assert "only the tls block is reloaded: restart the agent for the other changes" == told[0]


def test_a_broken_file_changes_nothing(session, authority):
    """
    What is wrong is said with its line.
    """
    text = SERVER + authority.certificate("server").stanza()

    old, new, told = session(text, text + "nonsense = 1\n")

    assert new is old
    assert told[0].startswith("configuration not reloaded, the agent goes on as it is: reason=")
    assert "a.hcl:14" in told[0]


def test_without_tls_there_is_nothing_to_reload(session):
    """
    And the log says so.
    """
    _, _, told = session(SERVER, SERVER)

    assert ["nothing to reload: tls is off; restart the agent for changes elsewhere"] == told


class Gauges:
    def __init__(self):
        self.values = {}

    def set(self, metric, value, labels=(), expansion=""):
        self.values[metric] = value


def test_the_time_left_is_measured(tmp_path, authority):
    """
    In seconds, negative once it is over.
    """
    file = tmp_path / "a.hcl"
    file.write_text(SERVER + authority.certificate("server", days=1).stanza())
    tls, gauges, clock = load([file], AgentFlags(), {}, HOST).tls, Gauges(), ManualClock(time.time() + 3 * DAY_SECONDS)

    emit(gauges, tls, clock)

    assert -2 * DAY_SECONDS == pytest.approx(gauges.values[catalogue.CERT_EXPIRATION_SECONDS], abs=60)
    assert 27 * DAY_SECONDS == pytest.approx(gauges.values[catalogue.CA_EXPIRATION_SECONDS], abs=60)
