"""Which sinks a telemetry block asks for."""

from collections.abc import Iterator, Sequence
from functools import partial

from telemetry.catalogue import outrider
from telemetry.registry import Sampled
from telemetry.sinks.address import UNIX
from telemetry.sinks.channel import datagrams, resolve, stream
from telemetry.sinks.lines import dogstatsd_line, statsd_line
from telemetry.sinks.sender import Sender
from telemetry.stanza import TelemetryConfig

STATSITE, STATSD, DOGSTATSD = "statsite", "statsd", "dogstatsd"


def senders(config: TelemetryConfig) -> tuple[Sender, ...]:
    """Return a sender, not yet started, for each address of *config*."""
    found = []
    if config.statsite_address:
        found.append(Sender(STATSITE, partial(stream, config.statsite_address), statsd_line))
    if config.statsd_address:
        found.append(Sender(STATSD, partial(datagrams, config.statsd_address), statsd_line))
    if config.datadog_address:
        line = partial(dogstatsd_line, tags=config.datadog_tags)
        found.append(Sender(DOGSTATSD, partial(datagrams, config.datadog_address), line))
    return tuple(found)


def lost(running: Sequence[Sender]) -> Iterator[Sampled]:
    """Say how many values each kind of sink lost, 0 for one that is not *running*: series of ours are always there."""
    dropped = {sink.name: sink.dropped for sink in running}
    for name in (STATSITE, STATSD, DOGSTATSD):
        yield Sampled(outrider.SINK_DROPPED_TOTAL, float(dropped.get(name, 0)), (name,))


def check_datadog(config: TelemetryConfig) -> None:
    """Resolve the address of dogstatsd, as a Nomad does when it starts; those of the others are tried for ever.

    Raises ValueError naming the address and what to do.
    """
    address = config.datadog_address
    if not address or address.startswith(UNIX):
        return
    try:
        resolve(address)
    except OSError as error:
        raise ValueError(
            f'telemetry.datadog_address = "{address}" cannot be resolved: {error.strerror or error}: '
            "correct the name, or write an IP address"
        ) from error
