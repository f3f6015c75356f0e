"""The sockets of gossip: packets over UDP, full exchanges over TCP, on one port. Shell.

Every byte that leaves or arrives goes through the seal. Whatever cannot be opened is refused with a word in the log,
one a minute for each sender, and a connection that is slow, long or one too many is closed.
"""

import asyncio
import logging
import os
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

from agent.errors import ConfigError
from agent.gossip.sealing import NONCE_BYTES, Purpose, Seal
from agent.gossip.wire import PACKET_BYTES_MAX, Address, WireError
from telemetry.catalogue import memberlist
from telemetry.clock import Clock
from telemetry.recorder import Recorder

STREAM_SECONDS = 10.0
"""For everything that one accepted connection does. Source: memberlist's `TCPTimeout`."""

STREAMS_MAX = 32
"""Accepted connections at one time: each may hold a megabyte."""

STREAMS_OF_HOST_MAX = 8
"""Of them from one address: a stranger that holds connections must not keep the members out."""

PACKETS_MAX = 1024
"""Packets that wait for the state machine; more are dropped, as a network would."""

REFUSAL_SECONDS = 60.0
"""Between two lines of the log about the same sender for the same reason."""

_REFUSALS_MAX = 256
_LENGTH = struct.Struct(">I")

OnStream = Callable[[bytes], Awaitable[bytes | None]]


class GossipSockets:
    """UDP and TCP on one address. `packets` are those that arrived, opened, with their senders."""

    def __init__(
        self, seal: Seal, on_stream: OnStream, clock: Clock, recorder: Recorder, logger: logging.Logger
    ) -> None:
        self._seal = seal
        self._on_stream = on_stream
        self._clock = clock
        self._recorder = recorder
        self._logger = logger
        self.packets: asyncio.Queue[tuple[Address, bytes]] = asyncio.Queue(PACKETS_MAX)
        self._udp: asyncio.DatagramTransport | None = None
        self._full = False
        self._tcp: asyncio.Server | None = None
        self._streams: dict[asyncio.StreamWriter, str] = {}
        self._refusals: dict[tuple[str, str], float] = {}
        self.dropped = 0
        """Packets dropped because too many waited."""
        self.refused = 0
        """Packets and streams that could not be opened."""

    @property
    def port(self) -> int:
        """The port in use."""
        assert self._tcp is not None, "not started"
        port: int = self._tcp.sockets[0].getsockname()[1]
        return port

    async def start(self, host: str, port: int) -> None:
        """Listen; raises ConfigError that names address and remedy."""
        loop = asyncio.get_running_loop()
        try:
            self._tcp = await asyncio.start_server(self._accepted, host, port, reuse_address=True)
            port = port or self.port
            self._udp, _ = await loop.create_datagram_endpoint(
                lambda: _Packets(self._arrived, self._set_full), local_addr=(host, port)
            )
        except OSError as error:
            await self.stop()
            raise ConfigError(
                f"gossip address {host}:{port}: cannot listen: {error.strerror or error}; stop the process that has it, "
                "or choose another port with ports { serf = ... }"
            ) from error

    async def stop(self) -> None:
        """Close everything; harmless when not started."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for writer in list(self._streams):
            writer.transport.abort()
        self._udp = self._tcp = None

    # --- packets --------------------------------------------------------------------------------------------------

    def send(self, to: Address, payload: bytes) -> None:
        """Send *payload* as a packet; it may be lost, here too."""
        udp = self._udp
        if udp is None or udp.is_closing() or self._full:
            return  # what the kernel does not take is lost: news are sent again, probes repeated
        sealed = self._seal.close(Purpose.PACKET, payload, os.urandom(NONCE_BYTES))
        with suppress(OSError):  # an address without a route is as silent as one without a listener
            udp.sendto(sealed, (to.host, to.port))
            self._recorder.add(memberlist.UDP_SENT, float(len(sealed)))

    def _set_full(self, full: bool) -> None:
        self._full = full

    def _arrived(self, data: bytes, source: Address) -> None:
        self._recorder.add(memberlist.UDP_RECEIVED, float(len(data)))
        if len(data) > PACKET_BYTES_MAX:
            self._refuse("packet", source.host, WireError(f"above the limit of {PACKET_BYTES_MAX} bytes"))
            return
        try:
            payload = self._seal.open(Purpose.PACKET, data)
        except WireError as error:
            self._refuse("packet", source.host, error)
            return
        try:
            self.packets.put_nowait((source, payload))
        except asyncio.QueueFull:
            self.dropped += 1

    # --- streams --------------------------------------------------------------------------------------------------

    async def ask(self, to: Address, payload: bytes, timeout_seconds: float) -> bytes:
        """Send *payload* over a connection of its own and return the answer.

        Raises WireError with the reason when there is none that can be opened in time.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._ask(to, payload)
        except TimeoutError as error:
            raise WireError("no answer") from error
        except asyncio.IncompleteReadError as error:
            raise WireError(
                "it closed the connection without an answer: do both have the same encrypt and gossip_label?"
            ) from error
        except OSError as error:
            raise WireError(error.strerror or str(error)) from error

    async def _ask(self, to: Address, payload: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(to.host, to.port)
        try:
            self._recorder.add(memberlist.TCP_CONNECT)
            await self._write(writer, Purpose.REQUEST, payload)
            return await self._read(reader, Purpose.ANSWER)
        finally:
            writer.transport.abort()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: one request, one answer."""
        host = str((writer.get_extra_info("peername") or ("unknown",))[0])
        self._recorder.add(memberlist.TCP_ACCEPT)
        if len(self._streams) >= STREAMS_MAX or list(self._streams.values()).count(host) >= STREAMS_OF_HOST_MAX:
            writer.transport.abort()
            return
        self._streams[writer] = host
        try:
            async with asyncio.timeout(STREAM_SECONDS):
                payload = await self._read(reader, Purpose.REQUEST)
                answer = await self._on_stream(payload)
                if answer is not None:
                    await self._write(writer, Purpose.ANSWER, answer)
        except WireError as error:
            self._refuse("stream", host, error)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._logger.debug("gossip stream broke: from=%s reason=%r", host, error)
        finally:
            self._streams.pop(writer, None)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, purpose: Purpose) -> bytes:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > self._seal.stream_bytes_max:
            raise WireError(f"a stream of {length} bytes is above the limit {self._seal.stream_bytes_max}")
        return self._seal.open(purpose, await reader.readexactly(length))

    async def _write(self, writer: asyncio.StreamWriter, purpose: Purpose, payload: bytes) -> None:
        sealed = self._seal.close(purpose, payload, os.urandom(NONCE_BYTES))
        writer.write(_LENGTH.pack(len(sealed)) + sealed)
        self._recorder.add(memberlist.TCP_SENT, float(len(sealed) + _LENGTH.size))
        await writer.drain()

    # --- refusals -------------------------------------------------------------------------------------------------

    def _refuse(self, what: str, host: str, error: WireError) -> None:
        self.refused += 1
        now, reason = self._clock.monotonic(), str(error)
        if now - self._refusals.get((host, reason), float("-inf")) < REFUSAL_SECONDS:
            return
        if len(self._refusals) >= _REFUSALS_MAX:
            self._refusals.clear()
        self._refusals[host, reason] = now
        self._logger.warning("gossip refused: %s from=%s reason=%r", what, host, reason)


class _Packets(asyncio.DatagramProtocol):
    def __init__(self, arrived: Callable[[bytes, Address], None], set_full: Callable[[bool], None]) -> None:
        self._arrived = arrived
        self._set_full = set_full

    def pause_writing(self) -> None:
        self._set_full(True)

    def resume_writing(self) -> None:
        self._set_full(False)

    def datagram_received(self, data: bytes, addr: tuple[str, int] | tuple[str, int, int, int]) -> None:
        # The zone of a link-local address is this machine's affair.
        self._arrived(data, Address(addr[0].partition("%")[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """A packet was not taken by the other side: probes notice without it."""
