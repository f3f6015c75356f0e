"""Frames between the servers of a group, over TCP, without blocking: polled in the Raft thread.

Each server dials every configured peer; it sends on the connections it dialled and listens on those it accepted, so
each direction of a link lives and dies alone. On a new connection the listening side says hello first and the dialling
side answers with its own; the listening side then accepts or refuses. A peer is configured by the address to dial and
nothing else: who it is is learnt from its hello on the dialled connection, and an accepted connection is matched to a
peer by the server id in its hello, or by the Raft address it advertises. One accepted connection a peer: a newer one
replaces the older, whose unread bytes are dropped, so messages never overtake each other.

Whoever is not a peer is told so and closed, with one line in the log, unless the listener admits it: to a server
without a leader, or one that waits to be taken into a group, others may speak whose place it does not know yet. Bytes
that are no message close the connection. What a peer does not read is held up to a limit, then its connection is dropped.

With TLS, a connection is handed to `Handshakes` before anything is said on it, and comes back when both sides have
proved to be servers of the region: until then no frame is sent, and none is decoded.
"""

import errno
import logging
import random
import selectors
import socket
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass

import msgspec

from agent.consensus.codec import (
    FRAME_BYTES_MAX,
    Accepted,
    CodecError,
    FrameReader,
    Handshake,
    Hello,
    Message,
    Refused,
    decode_handshake,
    decode_message,
    encode_frame,
)
from agent.consensus.connections import Dial, Incoming, Listener, Outgoing
from agent.consensus.greeting import trouble_with
from agent.consensus.handshakes import Handshakes, Outcome
from agent.consensus.resolver import Resolver, split_address
from agent.consensus.streams import Stream, TlsStream
from agent.errors import ConfigError
from agent.tls.contexts import TlsKeeper
from agent.tls.reasons import reason_of
from agent.tls.refusals import Refusals
from telemetry.clock import Clock

SEND_BUFFER_BYTES_MAX = 32 * 1024 * 1024
"""What a peer may leave unread here before its connection is dropped: several of the largest appends."""

INCOMING_MAX = 64
"""Accepted connections at a time, unknown ones included; above it new ones are closed at once."""

_HANDSHAKE_SECONDS = 2.0
_OUTCOME_SECONDS = 1.0
"""How much later than a handshake's end its outcome is given up, should the thread that makes it be stuck."""

_UNREAD_TIMEOUT_MS = 4_000
"""TCP gives a connection up when sent bytes stay unacknowledged for this long: a healed network must not wait for
the retransmission timer, which may have grown to minutes."""

_READ_BYTES = 256 * 1024
_LISTEN_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Where to listen, whom to dial. *retry_seconds* is the range of the pause between two attempts.

    Without *tls* everything is plain text. *decode* reads what a peer says; *taken* is told of each connection of a
    peer that is listened on from then on.
    """

    hello: Hello
    bind_address: str
    peers: tuple[str, ...]
    retry_seconds: tuple[float, float] = (0.3, 0.5)
    tls: TlsKeeper | None = None
    decode: Callable[[bytes], Message] = decode_message
    taken: Callable[[], None] = lambda: None


class TcpTransport:
    """The TCP links of one server. Everything but `wake` belongs to one thread."""

    def __init__(self, settings: TransportSettings, clock: Clock, rng: random.Random, logger: logging.Logger) -> None:
        self._settings = settings
        self._hello = settings.hello
        self._clock = clock
        self._rng = rng
        self._log = logger
        self._listener: Listener | None = None
        self._resolver = Resolver()
        self._selector = selectors.DefaultSelector()
        now = clock.monotonic()
        self._outgoing = {node: Outgoing(node, deadline=now) for node in settings.peers}
        self._incoming: set[Incoming] = set()
        self._identities: dict[str, Hello] = {}
        self._guests: set[str] = set()
        self._admits: Callable[[Hello], bool] = lambda _hello: False
        self._refused: set[str] = set()
        self._refusals = Refusals("raft: refused a connection from", logger)
        self._handshakes = Handshakes(settings.tls, clock, logger, self.wake) if settings.tls is not None else None
        self._server: socket.socket | None = None
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._on_wake)
        self.counters: dict[str, float] = dict.fromkeys(
            ("bytes_sent", "bytes_received", "frames_malformed", "connections_refused", "connections_dropped"), 0.0
        )

    def bind(self, listener: Listener, admits: Callable[[Hello], bool] = lambda _hello: False) -> None:
        """Listen on the bind address and report to *listener*; raises ConfigError when the address is not free.

        *admits* tells whether a server of the region that is no configured peer may speak here: a guest, which is
        dialled back at the address it advertises while its connection lasts.
        """
        self._listener, self._admits = listener, admits
        address = self._settings.bind_address
        try:
            host, port = split_address(address)
            self._server = socket.create_server(
                (host, port),
                family=socket.AF_INET6 if ":" in host else socket.AF_INET,
                backlog=_LISTEN_BACKLOG,
            )
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"cannot listen for Raft on {address}: {error}; free the port or set another in ports.raft"
            ) from error
        self._server.setblocking(False)
        self._selector.register(self._server, selectors.EVENT_READ, self._on_accept)

    @property
    def bound_port(self) -> int:
        """The port that is listened on; useful when port 0 was asked for."""
        return int(self._server.getsockname()[1]) if self._server else 0

    def identity(self, node: str) -> Hello | None:
        """Return what *node* said of itself, None before the first hello."""
        return self._identities.get(node)

    def connected(self, node: str) -> bool:
        """Tell whether messages to *node* are sent."""
        return node in self._outgoing and self._outgoing[node].state is Dial.OPEN

    def keep(self, nodes: Collection[str]) -> None:
        """Dial *nodes* and no others from now on; what is connected to others is closed, guests included."""
        now = self._clock.monotonic()
        for node in [node for node in self._outgoing if node not in nodes]:
            self._send_away(node)
        for node in nodes:
            self._guests.discard(node)
            if node not in self._outgoing:
                self._outgoing[node] = Outgoing(node, deadline=now)
        self._refused.clear()

    def _send_away(self, node: str) -> None:
        for peer in [peer for peer in self._incoming if peer.node == node]:
            peer.node = None  # sent away, not lost: no word to the listener
            self._forget(peer)
        self._remove(node)

    def _remove(self, node: str) -> None:
        link = self._outgoing[node]
        link.complaint = gone = "it is no peer any more"  # no trouble to be logged
        self._drop(link, gone)
        del self._outgoing[node]
        self._identities.pop(node, None)
        self._guests.discard(node)

    def identify(self, cluster_id: str) -> None:
        """Say this id of the cluster from now on, and close what is connected to servers that say another."""
        self._hello = msgspec.structs.replace(self._hello, cluster_id=cluster_id)
        for node, known in list(self._identities.items()):
            trouble = trouble_with(self._hello, known)
            if trouble:
                self._drop(self._outgoing[node], trouble)
                for peer in [peer for peer in self._incoming if peer.node == node]:
                    self._forget(peer)

    def send(self, node: str, message: Message) -> bool:
        """Send *message* if *node* is connected; tells whether it was at least buffered."""
        link = self._outgoing.get(node)
        if link is None or link.state is not Dial.OPEN:
            return False
        frame = encode_frame(message)
        if len(link.unsent) + len(frame) > SEND_BUFFER_BYTES_MAX:
            self._drop(link, f"it left {len(link.unsent)} bytes unread")
            return False
        self._write(link, frame)
        return link.state is Dial.OPEN

    def backlog(self, node: str) -> int:
        """Return the bytes buffered here that *node* has not taken; those in the kernel do not count."""
        link = self._outgoing.get(node)
        return 0 if link is None else len(link.unsent)

    def next_deadline(self) -> float:
        """Return when `poll` has something to do of its own, on the monotonic clock."""
        deadlines = [link.deadline for link in self._outgoing.values() if link.state is not Dial.OPEN]
        deadlines += [peer.deadline for peer in self._incoming if peer.node is None]
        return min(deadlines, default=float("inf"))

    def poll(self, timeout_seconds: float) -> None:
        """Dial what is due, then wait for the network or a `wake`, at most *timeout_seconds*."""
        self._run_deadlines()
        for key, mask in self._selector.select(timeout_seconds):
            # A handler may have closed what a later event of the same batch is about, and its number may be reused.
            current = self._selector.get_map().get(key.fd)
            if current is not None and current.fileobj is key.fileobj:
                current.data(mask)
        if self._handshakes is not None:
            for outcome in self._handshakes.take():
                self._on_handshake(outcome)

    def wake(self) -> None:
        """Make a running or the next `poll` return at once; from any thread."""
        try:
            self._wake_out.send(b"w")
        except (BlockingIOError, OSError):
            return  # full: it wakes anyway; closed: nobody is left to wake

    def close(self) -> None:
        """Close every socket; idempotent."""
        for link in self._outgoing.values():
            self._close_socket(link.stream)
            link.stream, link.state = None, Dial.IDLE
        for peer in self._incoming:
            self._close_socket(peer.stream)
        self._incoming.clear()
        if self._handshakes is not None:
            self._handshakes.close()
        self._close_socket(self._server)
        self._server = None
        self._close_socket(self._wake_in)
        self._wake_out.close()
        self._selector.close()

    # Dialling.

    def _run_deadlines(self) -> None:
        now = self._clock.monotonic()
        for link in list(self._outgoing.values()):
            if link.state is not Dial.OPEN and link.deadline <= now:
                if link.state is Dial.IDLE:
                    self._dial(link, now)
                else:
                    self._drop(link, "no answer")
        for peer in [peer for peer in self._incoming if peer.node is None and peer.deadline <= now]:
            self._forget(peer)

    def _dial(self, link: Outgoing, now: float) -> None:
        host, port = split_address(link.node)
        address = self._resolver.take(host)
        link.deadline = now + self._rng.uniform(*self._settings.retry_seconds)
        if address is None:
            return
        plain = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_TIMEOUT_MS)
        link.stream = plain
        link.reader = FrameReader()
        link.unsent = bytearray()
        status = plain.connect_ex((address, port))
        if status not in {0, errno.EINPROGRESS}:
            self._drop(link, errno.errorcode.get(status, str(status)))
            return
        link.state, link.deadline = Dial.CONNECTING, now + _HANDSHAKE_SECONDS
        self._selector.register(
            plain, selectors.EVENT_READ | selectors.EVENT_WRITE, lambda mask: self._on_connected(link, plain, mask)
        )

    def _on_connected(self, link: Outgoing, plain: socket.socket, mask: int) -> None:
        status = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status:
            self._drop(link, errno.errorcode.get(status, str(status)))
        elif mask & selectors.EVENT_WRITE:
            self._selector.unregister(plain)
            if self._handshakes is None:
                self._greet_dialled(link, plain)
            else:
                link.state, link.stream = Dial.SECURING, None
                link.handshake = self._handshakes.begin(plain, is_server=False, deadline=link.deadline)
                link.deadline += _OUTCOME_SECONDS

    def _greet_dialled(self, link: Outgoing, stream: Stream) -> None:
        """Begin to speak on a connection whose far side is known as far as it can be."""
        link.state, link.stream, link.handshake = Dial.GREETING, stream, 0
        self._selector.register(stream, selectors.EVENT_READ, lambda mask: self._on_dialled(link, mask))
        # In TLS 1.3 the listening side judges last: its hello is its consent, and words before it would hide its reason.
        if self._handshakes is None:
            self._write(link, encode_frame(self._hello))

    def _on_dialled(self, link: Outgoing, mask: int) -> None:
        if mask & selectors.EVENT_WRITE and link.unsent:
            self._write(link, b"")
        # A TLS stream may wait for room before it reads on.
        if link.stream is not None and (mask & selectors.EVENT_READ or _wants_write(link.stream)):
            self._read_dialled(link)

    def _read_dialled(self, link: Outgoing) -> None:
        assert link.stream is not None
        try:
            data = link.stream.recv(_READ_BYTES)
        except BlockingIOError:
            self._watch(link)
            return
        except OSError as error:
            self._drop(link, _text_of(error))
            return
        if not data:
            self._drop(link, "it closed the connection")
            return
        self.counters["bytes_received"] += len(data)
        try:
            for body in link.reader.feed(data):
                self._on_answer(link, decode_handshake(body))
                if link.stream is None:
                    return
        except CodecError as error:
            self.counters["frames_malformed"] += 1
            self._drop(link, f"it does not speak this protocol: {error}")

    def _on_answer(self, link: Outgoing, answer: Handshake) -> None:
        match answer:
            case Hello():
                trouble = trouble_with(self._hello, answer)
                if not trouble and link.node not in self._guests:
                    self._dismiss_guest(answer.server_id)
                if not trouble and self._taken(answer.server_id, link.node):
                    trouble = f"server {answer.server_id} ({answer.name}) is configured under two addresses"
                if trouble:
                    self._drop(link, trouble)
                else:
                    is_first = link.hello is None
                    link.hello = answer
                    self._identities[link.node] = answer
                    if self._handshakes is not None and is_first:
                        self._write(link, encode_frame(self._hello))
            case Refused():
                self._drop(link, f"it refused: {answer.reason}")
            case Accepted() if link.hello is not None and link.state is Dial.GREETING:
                link.state, link.complaint = Dial.OPEN, ""
                self._log.info("raft: connected node=%s name=%s", link.node, link.hello.name)
                self._report().on_connected(link.node)
            case Accepted():
                self._drop(link, "it accepted before it said who it is")

    def _write(self, link: Outgoing, frame: bytes) -> None:
        assert link.stream is not None
        waiting = bool(link.unsent)
        try:
            if waiting:
                link.unsent += frame
                sent = link.stream.send(link.unsent)
                del link.unsent[:sent]
            else:
                sent = link.stream.send(frame)
                if sent < len(frame):
                    link.unsent += frame[sent:]
        except BlockingIOError:
            sent = 0
            if not waiting:
                link.unsent += frame
        except OSError as error:
            self._drop(link, _text_of(error))
            return
        self.counters["bytes_sent"] += sent
        self._watch(link)

    def _watch(self, link: Outgoing) -> None:
        """Let the selector report what *link* waits for."""
        assert link.stream is not None
        waits = bool(link.unsent) or _wants_write(link.stream)
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if waits else 0)
        key = self._selector.get_key(link.stream)
        if key.events != wanted:
            self._selector.modify(link.stream, wanted, key.data)

    def _drop(self, link: Outgoing, why: str) -> None:
        was_open = link.state is Dial.OPEN
        if link.handshake and self._handshakes is not None:
            self._handshakes.abandon(link.handshake)
            link.handshake = 0
        self._close_socket(link.stream)
        link.stream, link.hello, link.state = None, None, Dial.IDLE
        link.unsent = bytearray()
        link.deadline = self._clock.monotonic() + self._rng.uniform(*self._settings.retry_seconds)
        if why != link.complaint:
            link.complaint = why
            self._log.warning("raft: no connection node=%s reason=%r", link.node, why)
        if was_open:
            self.counters["connections_dropped"] += 1
            self._report().on_disconnected(link.node)

    # Listening.

    def _on_accept(self, _mask: int) -> None:
        assert self._server is not None
        try:
            accepted, address = self._server.accept()
        except OSError:
            return  # gone before it was accepted, or no descriptor left: the next event tries again
        accepted.setblocking(False)
        if len(self._incoming) >= INCOMING_MAX:
            self.counters["connections_refused"] += 1
            accepted.close()
            return
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Incoming(accepted, f"{address[0]}:{address[1]}", self._clock.monotonic() + _HANDSHAKE_SECONDS)
        self._incoming.add(peer)
        if self._handshakes is None:
            self._greet_accepted(peer, accepted)
        else:
            peer.stream = None
            peer.handshake = self._handshakes.begin(accepted, is_server=True, deadline=peer.deadline)
            peer.deadline += _OUTCOME_SECONDS

    def _greet_accepted(self, peer: Incoming, stream: Stream) -> None:
        """Say hello to who connected, now that it is known as far as it can be."""
        peer.stream, peer.handshake = stream, 0
        self._selector.register(stream, selectors.EVENT_READ, lambda _mask: self._on_readable(peer))
        self._answer(peer, self._hello)

    def _on_handshake(self, outcome: Outcome) -> None:
        """Go on with a connection whose far side has proved who it is, or give it up."""
        now = self._clock.monotonic()
        for link in self._outgoing.values():
            if link.handshake == outcome.number:
                link.handshake = 0
                if outcome.stream is None:
                    self._drop(link, outcome.reason)
                else:
                    link.deadline = now + _HANDSHAKE_SECONDS
                    self._greet_dialled(link, outcome.stream)
                return
        peer = next((peer for peer in self._incoming if peer.handshake == outcome.number), None)
        if peer is None:
            assert outcome.stream is None, "what is given up is abandoned"
        elif outcome.stream is None:
            peer.handshake = 0
            self.counters["connections_refused"] += 1
            self._refusals.tell(now, peer.address, outcome.reason)
            self._forget(peer)
        else:
            peer.deadline = now + _HANDSHAKE_SECONDS
            self._greet_accepted(peer, outcome.stream)

    def _on_readable(self, peer: Incoming) -> None:
        assert peer.stream is not None
        try:
            data = peer.stream.recv(_READ_BYTES)
        except BlockingIOError:
            wanted = selectors.EVENT_WRITE if _wants_write(peer.stream) else selectors.EVENT_READ
            self._selector.modify(peer.stream, wanted, self._selector.get_key(peer.stream).data)
            return
        except OSError:
            data = b""
        if not data:
            self._forget(peer)
            return
        self.counters["bytes_received"] += len(data)
        try:
            for body in peer.reader.feed(data):
                if peer.node is not None:
                    self._report().on_message(peer.node, self._settings.decode(body))
                elif not self._greet(peer, decode_handshake(body)):
                    return
                if peer not in self._incoming:
                    return
        except CodecError as error:
            self.counters["frames_malformed"] += 1
            self._log.warning(
                "raft: closed a connection from=%s node=%s reason=%r", peer.address, peer.node, str(error)
            )
            self._forget(peer)

    def _greet(self, peer: Incoming, hello: Handshake) -> bool:
        if not isinstance(hello, Hello):
            raise CodecError(f"the first frame is {type(hello).__name__}, not a hello")
        trouble = trouble_with(self._hello, hello)
        node = None if trouble else self._node_of(hello) or self._guest(hello)
        if node is None:
            trouble = trouble or f"{hello.name} ({hello.server_id}, {hello.raft_address}) is not a configured peer"
            self.counters["connections_refused"] += 1
            if trouble not in self._refused and len(self._refused) < INCOMING_MAX:
                self._refused.add(trouble)
                self._log.warning("raft: refused a connection from=%s reason=%r", peer.address, trouble)
            self._answer(peer, Refused(trouble[:255]))
            self._forget(peer)
            return False
        for older in [other for other in self._incoming if other.node == node]:
            older.node = None  # replaced, not lost: no word to the listener
            self._forget(older)
        self._identities.setdefault(node, hello)
        peer.node = node
        peer.reader.limit_bytes = FRAME_BYTES_MAX
        self._answer(peer, Accepted())
        self._settings.taken()
        return peer in self._incoming

    def _answer(self, peer: Incoming, answer: Handshake) -> None:
        # A few hundred bytes into an empty send buffer: it takes them whole or the connection is dead.
        assert peer.stream is not None
        try:
            peer.stream.send(encode_frame(answer))
        except OSError:
            self._forget(peer)

    def _forget(self, peer: Incoming) -> None:
        if peer not in self._incoming:
            return
        self._incoming.discard(peer)
        if peer.handshake and self._handshakes is not None:
            self._handshakes.abandon(peer.handshake)
        self._close_socket(peer.stream)
        if peer.node is not None:
            self._report().on_silent(peer.node)
            if peer.node in self._guests:
                self._remove(peer.node)

    # Who is who.

    def _node_of(self, hello: Hello) -> str | None:
        for node, known in self._identities.items():
            if known.server_id == hello.server_id:
                return node
        # Not dialled yet: the advertised address may be the configured one, or the only one without an identity.
        if hello.raft_address in self._outgoing and hello.raft_address not in self._identities:
            return hello.raft_address
        return None

    def _guest(self, hello: Hello) -> str | None:
        """Take *hello* for that of a guest, if it may be one, and return its node."""
        node = hello.raft_address
        if node in self._outgoing or not self._admits(hello):
            return None
        try:
            split_address(node)
        except ValueError:
            return None
        self._log.info("raft: admitted a server that is no peer yet name=%s node=%s", hello.name, node)
        self._guests.add(node)
        self._outgoing[node] = Outgoing(node, deadline=self._clock.monotonic())
        return node

    def _dismiss_guest(self, server_id: str) -> None:
        """Close what is connected to the guest *server_id*, which is a peer, known by another address.

        It was heard before it was dialled, and advertises another address than the one that is configured here.
        """
        for node in [node for node in self._guests if self._identities[node].server_id == server_id]:
            self._send_away(node)

    def _taken(self, server_id: str, node: str) -> bool:
        return any(known.server_id == server_id for other, known in self._identities.items() if other != node)

    # Plumbing.

    def _report(self) -> Listener:
        assert self._listener is not None
        return self._listener

    def _on_wake(self, _mask: int) -> None:
        try:
            while self._wake_in.recv(4096):
                pass
        except BlockingIOError:
            return

    def _close_socket(self, closing: Stream | None) -> None:
        if closing is None:
            return
        if closing.fileno() >= 0 and closing.fileno() in (self._selector.get_map() or {}):
            self._selector.unregister(closing)
        closing.close()


def _wants_write(stream: Stream) -> bool:
    return isinstance(stream, TlsStream) and stream.wants_write


def _text_of(error: OSError) -> str:
    return reason_of(error) if isinstance(error, ssl.SSLError) else str(error)
