"""Which sinks a telemetry block asks for, and what an address may be."""

import pytest

from telemetry.catalogue import raft
from telemetry.sinks.address import split_address
from telemetry.sinks.choose import check_datadog, lost, senders
from telemetry.sinks.lines import Series
from telemetry.sinks.sender import QUEUE_MAX
from telemetry.stanza import TelemetryConfig

HERE = "127.0.0.1:8125"


def test_no_address_is_no_sink():
    """
    By default nothing is pushed.
    """
    assert () == senders(TelemetryConfig())


@pytest.mark.parametrize(
    ("key", "name", "line"),
    [
        ("statsd_address", "statsd", "nomad.raft.apply:1.000000|c\n"),
        ("statsite_address", "statsite", "nomad.raft.apply:1.000000|c\n"),
        ("datadog_address", "dogstatsd", "nomad.raft.apply:1|c|#env:prod\n"),
    ],
)
def test_an_address_is_a_sink(key, name, line):
    """
    Each key makes the sink of its protocol; datadog_tags are for dogstatsd alone.
    """
    (sink,) = senders(TelemetryConfig(**{key: HERE}, datadog_tags=("env:prod",)))

    assert name == sink.name
    assert line == sink.line(Series(raft.APPLY, "", ())).text(1.0)


def test_all_three_may_be_there():
    """
    Sinks do not exclude each other.
    """
    config = TelemetryConfig(statsd_address=HERE, statsite_address=HERE, datadog_address=HERE)

    assert ["statsite", "statsd", "dogstatsd"] == [sink.name for sink in senders(config)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:8125", ("127.0.0.1", 8125)),
        ("[::1]:8125", ("::1", 8125)),
        ("statsd.company.local:1", ("statsd.company.local", 1)),
    ],
)
def test_an_address_has_host_and_port(text, parts):
    """
    Names, IPv4 and bracketed IPv6 addresses, each with a port.
    """
    assert parts == split_address(text)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("localhost", "is no address: write host:port"),
        (":8125", "is no address: write host:port"),
        ("::1:8125", "is no address: write host:port"),
        ("[]:8125", "is no address: write host:port"),
        ("localhost:", 'has the port "": write a number from 1 to 65535'),
        ("localhost:http", 'has the port "http": write a number'),
        ("localhost:0", 'has the port "0": write a number'),
        ("localhost:65536", 'has the port "65536": write a number'),
        ("[localhost]:8125", "has brackets around what is no IPv6 address"),
    ],
)
@pytest.mark.parametrize("key", ["statsd_address", "statsite_address", "datadog_address"])
def test_an_address_that_can_never_be_reached_is_refused(key, text, wrong):
    """
    A Nomad tries such an address for ever; here the key, the value and what to write are said at the start.
    """
    ((found, problem),) = TelemetryConfig(**{key: text}).problems()

    assert key == found
    assert problem.startswith(f'= "{text}" {wrong}')


def test_a_unix_socket_is_for_dogstatsd_alone():
    """
    unix:///path is an address of datadog_address and of no other.
    """
    unix = "unix:///run/dsd.sock"

    assert () == TelemetryConfig(datadog_address=unix).problems()
    check_datadog(TelemetryConfig(datadog_address=unix))
    assert ["statsd_address"] == [key for key, _ in TelemetryConfig(statsd_address=unix).problems()]
    assert ["datadog_address"] == [key for key, _ in TelemetryConfig(datadog_address="unix://").problems()]


def test_a_name_for_dogstatsd_must_resolve():
    """
    As on a Nomad a name that nobody knows is an error at the start, with key, value and remedy.
    """
    check_datadog(TelemetryConfig())
    check_datadog(TelemetryConfig(datadog_address="localhost:8125"))
    with pytest.raises(ValueError, match=r'^telemetry\.datadog_address = "no\.invalid:8125" cannot be resolved: .+: '):
        check_datadog(TelemetryConfig(datadog_address="no.invalid:8125"))


def test_what_a_sink_lost_is_always_said():
    """
    0 for a sink that is off and for one that lost nothing, so that a first loss is an increase.
    """
    (sink,) = senders(TelemetryConfig(statsd_address=HERE))
    for _ in range(QUEUE_MAX + 2):
        sink.push(sink.line(Series(raft.APPLY, "", ())), 1.0)

    said = {sampled.labels: sampled.value for sampled in lost([sink])}

    assert {("statsite",): 0.0, ("statsd",): 2.0, ("dogstatsd",): 0.0} == said
