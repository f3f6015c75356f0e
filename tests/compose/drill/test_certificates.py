"""Renewals of a cluster under drill: against stand-ins that show certificates, and in which order a stage is renewed."""

import random
import signal
import socket
import ssl
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest
from cryptography import x509

from alert_rules.trust import CERTIFICATE_ALMOST_EXPIRED, CERTIFICATE_EXPIRING
from compose.drill.certificates import Certificates
from compose.drill.fault import Setup
from compose.drill.local_stage import LocalStage, StageSettings
from compose.drill.matrix import find
from compose.drill.pause import Pause
from compose.drill.runner import times_of
from compose.local import LocalError
from compose.local_settings import LocalSettings
from compose.local_tls import CERTIFICATE_SECONDS, files_of, make_certificates
from telemetry.clock import ManualClock, SystemClock
from tests.compose.free_ports import free_base

SERVER = "server-1"
DAY_SECONDS = 86_400.0
TRIES = 3


class StandIn:
    """A cluster of one server whose API only makes handshakes, and that reads its certificate when it is told to."""

    def __init__(self, folder):
        self.settings = LocalSettings(directory=folder, servers=1, clients=0, port_base=free_base(), tls=True)
        make_certificates(self.settings, SystemClock().wall())
        self.signals = []
        self.reads = True
        self.read()
        self.listener = socket.create_server(("127.0.0.1", self.settings.agents[0].http))
        self.thread = threading.Thread(target=self.answer)
        self.thread.start()

    def read(self):
        files = files_of(self.settings)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate(SERVER), files.key(SERVER))
        context.load_verify_locations(files.authority)
        context.verify_mode = ssl.CERT_REQUIRED
        self.context = context

    def answer(self):
        with suppress(OSError):
            while True:
                plain, _ = self.listener.accept()
                with suppress(OSError), closing(self.context.wrap_socket(plain, server_side=True)) as secured:
                    secured.recv(1)

    def kill(self, name, number):
        self.signals.append((name, number))
        if self.reads:
            self.read()

    def log(self, name):
        return Path(f"logs/{name}.log")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    @property
    def seconds_left(self):
        """How long the certificate in the file is valid for."""
        pem = files_of(self.settings).certificate(SERVER).read_bytes()
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp() - SystemClock().wall()


@pytest.fixture
def cluster(tmp_path):
    made = StandIn(tmp_path)
    yield made
    made.close()


def certificates_of(cluster):
    def until(condition, seconds):
        return any(condition() for _ in range(TRIES))

    return Certificates(cluster, until, SystemClock())


def test_a_certificate_is_there_once_it_is_shown(cluster):
    """
    The files are replaced, the agent is told by SIGHUP, and a handshake shows the new one.
    """
    certificates = certificates_of(cluster)
    before = certificates.shown(SERVER)

    certificates.give(SERVER, 7 * DAY_SECONDS)

    assert [(SERVER, signal.SIGHUP)] == cluster.signals
    assert 6.9 * DAY_SECONDS < cluster.seconds_left <= 7 * DAY_SECONDS
    assert certificates.shown(SERVER) not in {before, b""}


def test_what_is_short_is_given_back_once(cluster):
    """
    A long one and SIGHUP again; then there is nothing left to heal.
    """
    certificates = certificates_of(cluster)
    certificates.give(SERVER, 43_200.0)

    certificates.give_back()
    certificates.give_back()

    assert [(SERVER, signal.SIGHUP)] * 2 == cluster.signals
    assert cluster.seconds_left > CERTIFICATE_SECONDS - 60.0


def test_an_agent_that_does_not_read_is_an_error_and_healed_all_the_same(cluster):
    """
    The message has its name and its log; the short certificate is not forgotten.
    """
    certificates = certificates_of(cluster)
    cluster.reads = False

    with pytest.raises(LocalError, match=r"server-1 does not show its new certificate .* see logs/server-1.log"):
        certificates.give(SERVER, 43_200.0)
    cluster.reads = True
    certificates.give_back()

    assert cluster.seconds_left > CERTIFICATE_SECONDS - 60.0


def test_nothing_is_shown_where_nobody_answers(tmp_path):
    """
    A server that is dead shows no certificate, which is no error.
    """
    gone = StandIn(tmp_path)
    gone.close()

    assert certificates_of(gone).shown(SERVER) == b""


class Recorder:
    """Certificates that only remember what was asked for."""

    def __init__(self, done):
        self.done = done

    def give(self, name, seconds=CERTIFICATE_SECONDS):
        self.done.append((name, seconds))

    def renew_command_line(self):
        self.done.append("command line")

    def give_back(self):
        self.done.append("back")


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """
    A stage of three servers and three clients that is not open, led by server-2, and what is done to its certificates.
    """
    clock = ManualClock()
    settings = StageSettings(
        directory=tmp_path, ports=20_000, servers=3, clients=3, times=times_of(fast=True), setup=Setup.TLS
    )
    made = LocalStage(settings, random.Random(1), Pause(clock), clock)
    made.done = []
    made.certificates = Recorder(made.done)
    monkeypatch.setattr(made, "leader", lambda: "server-2")
    monkeypatch.setattr(made, "wait_well", lambda: made.done.append("well"))
    yield made
    made.watching.close()


def test_its_cluster_speaks_tls_and_no_other_does(stage, tmp_path):
    """
    The setup decides; relays stand before the ports as they do without TLS.
    """
    plain = LocalStage(
        StageSettings(directory=tmp_path, ports=20_000, servers=3, clients=3, times=times_of(fast=True)),
        random.Random(1),
        Pause(ManualClock()),
        ManualClock(),
    )

    assert (True, False) == (stage.cluster.settings.tls, plain.cluster.settings.tls)
    assert plain.cluster.settings.rpc_routes == stage.cluster.settings.rpc_routes
    plain.watching.close()


def test_all_are_renewed_one_after_the_other_the_leader_last(stage):
    """
    Prometheus' own first; the next agent waits until all are well; nothing is left to heal.
    """
    action = find("certificates-renewed").action

    action.inject(stage)
    action.heal(stage)

    order = ["server-1", "server-3", "client-1", "client-2", "client-3", "server-2"]
    steps = [step for name in order for step in ((name, CERTIFICATE_SECONDS), "well")]
    assert ["command line", *steps] == stage.done


@pytest.mark.parametrize(
    ("fault", "hit", "spec", "worse"),
    [
        (
            "certificate-expiring",
            {"server-1", "server-3"},
            CERTIFICATE_EXPIRING,
            CERTIFICATE_ALMOST_EXPIRED.number("left").default,
        ),
        ("certificate-expires-today", {"server-2"}, CERTIFICATE_ALMOST_EXPIRED, 0.0),
    ],
)
def test_a_short_certificate_is_what_its_alert_is_about(stage, fault, hit, spec, worse):
    """
    Of one server, within the alert's threshold and beyond that of a worse one by hours; healed by what was remembered.
    """
    found = find(fault)

    found.action.inject(stage)
    found.action.heal(stage)

    (name, seconds), back = stage.done
    assert name in hit
    assert worse + 3_600.0 < seconds < spec.number("left").default - 3_600.0
    assert "back" == back
    assert [spec.alert] == [alert for arrivals in found.arrives.values() for each in arrivals for alert in each.alerts]
