"""Gossip as the server runs it: sockets, timers, joining, and the keyring of the whole cluster. Shell.

Belongs to one event loop. What happens to members is logged here, once, and handed to whoever listens.
"""

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.config.addresses import split_host_port
from agent.config.gossip_keys import BadKey, key_text, parse_key
from agent.errors import ConfigError, RequestRefused
from agent.gossip import wire
from agent.gossip.effects import Departed, Effect, Exchanged, OpenStream, SendPacket
from agent.gossip.keyring_file import read_keys, write_keys
from agent.gossip.known_members import KnownMembers
from agent.gossip.members import Change, Event, MemberView, Status
from agent.gossip.sealing import Keyring, Seal
from agent.gossip.swim import TICK_SECONDS_MAX, Swim, SwimSettings
from agent.gossip.timings import LAN, WAN, Timings
from agent.gossip.udp import PACKETS_MAX, GossipSockets
from agent.gossip.wire import Address, WireError
from agent.tasks import Tasks
from telemetry.catalogue import memberlist, outrider, serf
from telemetry.clock import Clock
from telemetry.recorder import Recorder
from telemetry.registry import Sampled

SERF_PORT = 4648
JOIN_SECONDS = 10.0
RESOLVE_SECONDS = 5.0

FIRST_RETRY_SECONDS = 0.5
"""Servers that start together do not find each other at the first try; the pause doubles up to the interval asked for."""

KEYRING_SECONDS = 5.0

REMEMBER_SECONDS = 1.0
"""Between two writes of the members that are known."""

FORGOTTEN_MAX = 1024
"""Ids of servers that were pruned or reaped."""

REPEATED_SECONDS = 60.0
"""Between two lines of the same kind about one member, where it may go on and on."""


@dataclass(frozen=True, slots=True)
class GossipSettings:
    """How a server gossips. `join` are addresses of others, as an operator writes them.

    `known_file` keeps those that were met; a graceful leave empties it, unless `rejoin_after_leave`.
    """

    name: str
    region: str
    bind_host: str
    bind_port: int
    advertise: str
    tags: Mapping[str, str]
    join: tuple[str, ...] = ()
    retry_interval_seconds: float = 30.0
    retry_max: int = 0
    near: Timings = LAN
    far: Timings = WAN
    label: str = ""
    encrypt: str = ""
    keyring_file: Path | None = None
    known_file: Path | None = None
    rejoin_after_leave: bool = False


@dataclass(slots=True)
class KeyringAnswers:
    """What the members say to an operation on the keyring: errors by name, and how many have each key."""

    asked: int = 0
    messages: dict[str, str] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    primary_keys: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, told: "wire.KeyringAnswer | str") -> None:
        """Count the answer of the member *name*, or why there is none."""
        if isinstance(told, str) or told.error:
            self.messages[name] = told if isinstance(told, str) else told.error
            return
        texts = [key_text(key) for key in told.keys]
        for counts, found in ((self.keys, texts), (self.primary_keys, texts[:1])):
            for text in found:
                counts[text] = counts.get(text, 0) + 1

    def body(self) -> dict[str, Any]:
        """Return it in Nomad's shape, the keys in base64."""
        return {
            "Messages": self.messages, "Keys": self.keys, "PrimaryKeys": self.primary_keys, "NumNodes": self.asked,
        }  # fmt: skip


class Gossip:
    """One server's gossip, from `start` to `stop`."""

    def __init__(
        self,
        settings: GossipSettings,
        rng: random.Random,
        clock: Clock,
        recorder: Recorder,
        *,
        on_change: Callable[[Change], None] = lambda _: None,
        on_given_up: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Read the keyring; raises ConfigError. *on_given_up* is called once `retry_max` joins failed."""
        self._settings = settings
        self._rng = rng
        self._clock = clock
        self._recorder = recorder
        self._on_change = on_change
        self._on_given_up = on_given_up
        self._logger = logging.getLogger("nomad.serf")
        self._keyring = _keyring(settings)
        seal = self._seal = Seal(self._keyring, settings.label)
        self._sockets = GossipSockets(seal, self._on_stream, clock, recorder, self._logger)
        self._tasks = Tasks(self._logger, recorder)
        self._swim: Swim | None = None
        self._joins: dict[int, asyncio.Future[str]] = {}
        self._departed = asyncio.Event()
        self._forgotten: set[str] = set()
        self._told: dict[tuple[Event, str], float] = {}
        self._known = KnownMembers(settings.known_file, self._logger)
        self._known_changed = asyncio.Event()
        self._writing_known = asyncio.Lock()
        self._leaving = False

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen and begin to look for the others; raises ConfigError when the address cannot be had."""
        settings = self._settings
        await self._sockets.start(settings.bind_host, settings.bind_port)
        host, port = split_host_port(settings.advertise, SERF_PORT)
        try:
            (ip, *_) = await _resolve(host)
        except OSError as error:
            await self._sockets.stop()
            raise ConfigError(f"the advertised gossip address {host} cannot be resolved: {error}") from error
        now = self._clock.monotonic()
        own = SwimSettings(
            settings.name, Address(ip, port if settings.bind_port else self._sockets.port), settings.tags,
            settings.region, max(1, int(self._clock.wall())), settings.near, settings.far,
            self._seal.packet_payload_max,
        )  # fmt: skip
        self._swim = Swim(own, self._rng, self._recorder, now)
        self._carry_out(self._swim.on_tick(now))
        self._tasks.spawn("gossip-ticks", self._tick_loop, restart=True)
        self._tasks.spawn("gossip-packets", self._packet_loop, restart=True)
        self._known.forget_self(settings.name, _text(own.address))
        if settings.join or self._known.addresses:
            self._tasks.spawn("gossip-join", self._join_loop, restart=True)
        self._tasks.spawn("gossip-remember", self._remember_loop, restart=True)

    async def stop(self) -> None:
        """Stop without a word; harmless when not started."""
        await self._tasks.cancel()
        await self._sockets.stop()

    async def leave(self) -> None:
        """Tell the others that this server leaves, and return once they had time to hear it."""
        self._leaving = True
        if not self._settings.rejoin_after_leave:
            async with self._writing_known:
                await self._write_known({})
        self._carry_out(self._core.leave(self._clock.monotonic()))
        await self._departed.wait()

    # --- asking ---------------------------------------------------------------------------------------------------

    @property
    def address(self) -> Address:
        """Where this server is reached, as the others know it."""
        return self._core.members.own.address

    @property
    def encrypted(self) -> bool:
        """Whether gossip is encrypted."""
        return self._keyring.enabled

    def members(self) -> list[MemberView]:
        """Return all members by name."""
        return self._core.listed()

    def sample(self, server: str) -> Iterator[Sampled]:
        """Yield the present values of the `outrider_*` series about gossip; *server* is the node's name."""
        yield Sampled(outrider.QUEUE_DEPTH, float(self._sockets.packets.qsize()), (server, "gossip"))
        yield Sampled(outrider.QUEUE_CAPACITY, float(PACKETS_MAX), (server, "gossip"))

    def known_ids(self) -> set[str]:
        """Return the ids of all servers that are members, and of those that were and are forgotten."""
        return {view.tags.get("id", "") for view in self.members()} - {""} | self._forgotten

    def stats(self) -> dict[str, str]:
        """Return the body of `stats.serf` of /v1/agent/self, in Nomad's words."""
        views = self.members()
        return {
            "members": str(len(views)),
            "failed": str(sum(view.status is Status.FAILED for view in views)),
            "left": str(sum(view.status is Status.LEFT for view in views)),
            "health_score": str(self._core.awareness.score),
            "member_time": str(self._core.members.clock),
            "encrypted": str(self.encrypted).lower(),
        }

    # --- what an operator asks ------------------------------------------------------------------------------------

    async def join(self, texts: Sequence[str]) -> tuple[int, list[str]]:
        """Join every address; return how many succeeded and why others did not. A name stands for all its addresses."""
        joined, errors = 0, []
        for text in texts:
            try:
                host, port = split_host_port(text, SERF_PORT)
                addresses = [Address(ip, port) for ip in await _resolve(host)]
            except (ValueError, OSError, TimeoutError) as error:
                errors.append(f"{text}: cannot be resolved: {error or 'no answer'}")
                continue
            for address in addresses:
                if address == self.address:
                    continue
                refused = await self._join_one(address)
                if refused:
                    errors.append(f"{text}: {refused}")
                else:
                    joined += 1
        return joined, errors

    def add_tags(self, tags: Mapping[str, str]) -> None:
        """Say more of this server than at its start."""
        known = self._core.members.own.tags
        self._carry_out(self._core.set_tags({**known, **tags}, self._clock.monotonic()))

    def force_leave(self, name: str, *, prune: bool) -> bool:
        """Say that the failed *name* has left; return whether it is known."""
        known, effects = self._core.force_leave(name, self._clock.monotonic(), prune=prune)
        self._carry_out(effects)
        return known

    async def keyring(self, operation: str, text: str = "") -> KeyringAnswers:
        """Carry *operation* (list, install, use, remove) out on all members that live, this one included.

        Raises RequestRefused for a key that is none, and where gossip is not encrypted.
        """
        if not self._keyring.enabled:
            raise RequestRefused("gossip is not encrypted: there is no keyring; set encrypt on all servers", 500)
        try:
            key = parse_key(text) if operation != "list" else b""
        except BadKey as error:
            raise RequestRefused(str(error), 400) from error
        views = [view for view in self.members() if view.status in {Status.ALIVE, Status.LEAVING}]
        answers = KeyringAnswers(asked=len(views))
        told = await asyncio.gather(*(self._ask_keyring(view, operation, key) for view in views))
        for view, answer in zip(views, told, strict=True):
            answers.add(view.name, answer)
        return answers

    async def _ask_keyring(self, view: MemberView, operation: str, key: bytes) -> "wire.KeyringAnswer | str":
        ask = wire.KeyringAsk(self._rng.getrandbits(61), operation, key)
        if view.name == self._settings.name:
            return self._do_keyring(ask)
        try:
            payload = await self._sockets.ask(view.address, wire.encode(ask), KEYRING_SECONDS)
            answer = wire.decode_stream(payload)
        except WireError as error:
            return str(error)
        if not isinstance(answer, wire.KeyringAnswer) or answer.token != ask.token:
            return "it gave another answer than was asked for"
        return answer

    def _do_keyring(self, ask: wire.KeyringAsk) -> wire.KeyringAnswer:
        before = self._keyring.keys
        try:
            match ask.operation:
                case "list":
                    return wire.KeyringAnswer(ask.token, "", before)
                case "install":
                    self._keyring.install(ask.key)
                case "use":
                    self._keyring.use(ask.key)
                case "remove":
                    self._keyring.remove(ask.key)
                case _:
                    return wire.KeyringAnswer(ask.token, "no such operation", [])
            if self._settings.keyring_file is not None and self._keyring.keys != before:
                write_keys(self._settings.keyring_file, self._keyring.keys)
        except (BadKey, OSError) as error:
            return wire.KeyringAnswer(ask.token, str(error)[:200], [])
        self._logger.info("keyring changed: operation=%s keys=%d", ask.operation, len(self._keyring.keys))
        return wire.KeyringAnswer(ask.token, "", [])

    # --- loops ----------------------------------------------------------------------------------------------------

    async def _tick_loop(self) -> None:
        while True:
            delay = self._core.next_deadline() - self._clock.monotonic()
            await asyncio.sleep(min(max(delay, 0.0), TICK_SECONDS_MAX))
            began, rounds = self._clock.monotonic(), self._core.rounds
            self._carry_out(self._core.on_tick(began))
            if self._core.rounds != rounds:
                self._recorder.observe(memberlist.GOSSIP, (self._clock.monotonic() - began) * 1000)

    async def _packet_loop(self) -> None:
        while True:
            source, payload = await self._sockets.packets.get()
            self._carry_out(self._core.on_packet(source, payload, self._clock.monotonic()))

    async def _join_loop(self) -> None:
        """Join until one of the addresses answers, with growing pauses at first."""
        settings, tries, said = self._settings, 0, ""
        # As they were at the start: who is met later is no more to be looked for.
        addresses = tuple(dict.fromkeys((*settings.join, *self._known.addresses.values())))
        pause = min(FIRST_RETRY_SECONDS, settings.retry_interval_seconds)
        while not any(view.name != settings.name and view.status is Status.ALIVE for view in self.members()):
            joined, errors = await self.join(addresses)
            if joined:
                self._logger.info("joined: addresses=%d of=%d", joined, len(addresses))
                return
            # The early ones are extra: who allows three tries means three intervals.
            tries += pause >= settings.retry_interval_seconds
            if settings.join and settings.retry_max and tries >= settings.retry_max:
                reason = f"joining failed {tries} times at retry_interval, which is retry_max: {'; '.join(errors)}"
                self._logger.error("join given up: reason=%r", reason)
                self._on_given_up(reason)
                return
            told = "; ".join(errors)
            if told != said and pause >= settings.retry_interval_seconds:
                self._logger.warning("join failed: retry_interval=%.1fs reason=%r", pause, told)
                said = told
            await asyncio.sleep(pause)
            pause = min(2 * pause, settings.retry_interval_seconds)

    async def _remember_loop(self) -> None:
        """Keep the members that were met in the file, one write for all that changes together."""
        while True:
            await self._known_changed.wait()
            self._known_changed.clear()
            async with self._writing_known:
                if not self._leaving:
                    await self._write_known(dict(self._known.addresses))
            await asyncio.sleep(REMEMBER_SECONDS)

    async def _write_known(self, addresses: dict[str, str]) -> None:
        began = self._clock.monotonic()
        await asyncio.to_thread(self._known.write, addresses)
        if self._settings.known_file is not None:
            self._recorder.observe(serf.SNAPSHOT_APPEND_LINE, (self._clock.monotonic() - began) * 1000)

    async def _join_one(self, address: Address) -> str:
        """Return why *address* could not be joined, empty when it could."""
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        token, effects = self._core.join(address, self._clock.monotonic())
        self._joins[token] = ended
        try:
            self._carry_out(effects)
            async with asyncio.timeout(JOIN_SECONDS):
                return await ended
        except TimeoutError:
            return "no answer"
        finally:
            self._joins.pop(token, None)

    # --- effects --------------------------------------------------------------------------------------------------

    @property
    def _core(self) -> Swim:
        assert self._swim is not None, "gossip is not started"
        return self._swim

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendPacket(to, payload):
                    self._sockets.send(to, payload)
                case OpenStream():
                    self._tasks.spawn(f"gossip-stream: {effect.to.host}", lambda effect=effect: self._exchange(effect))  # type: ignore[misc]
                case Exchanged(token, error):
                    if (ended := self._joins.get(token)) is not None and not ended.done():
                        ended.set_result(error)
                case Departed():
                    self._departed.set()
                case Change():
                    self._changed(effect)

    async def _exchange(self, effect: OpenStream) -> None:
        core, clock = self._core, self._clock
        try:
            answer = await self._sockets.ask(effect.to, effect.payload, effect.timeout_seconds)
        except WireError as error:
            self._carry_out(core.on_stream_failed(effect.token, str(error), clock.monotonic()))
        else:
            self._carry_out(core.on_answer(effect.token, answer, clock.monotonic()))

    async def _on_stream(self, payload: bytes) -> bytes | None:
        if self._swim is None:
            return None  # the socket is there before the state machine
        if wire.is_keyring_ask(payload):
            ask = wire.decode_stream(payload)
            # Without encryption anybody could ask, and read the answer.
            if isinstance(ask, wire.KeyringAsk) and self._keyring.enabled:
                return wire.encode(self._do_keyring(ask))
            return None
        answer, effects = self._core.on_stream(payload, self._clock.monotonic())
        self._carry_out(effects)
        return answer

    def _changed(self, change: Change) -> None:
        member, event = change.member, change.event
        self._on_change(change)
        self._remember(change)
        if event is Event.REAP and len(self._forgotten) < FORGOTTEN_MAX and "id" in member.tags:
            self._forgotten.add(member.tags["id"])
        if event in _REPEATED:
            now = self._clock.monotonic()
            if now - self._told.get((event, member.name), float("-inf")) < REPEATED_SECONDS:
                return
            if len(self._told) > 1000:
                self._told.clear()
            self._told[event, member.name] = now
        self._logger.log(
            _LEVELS.get(event, logging.INFO), "server event: type=%s name=%s addr=%s:%d%s",
            event.value, member.name, *member.address, f" by={change.by}" if change.by else "",
        )  # fmt: skip

    def _remember(self, change: Change) -> None:
        """Know whoever is a member, failed ones too; one that left or was forgotten is looked for no more."""
        member = change.member
        if member.name == self._settings.name:
            return
        if change.event is Event.REAP or member.status in {Status.LEAVING, Status.LEFT}:
            news = self._known.drop(member.name)
        else:
            news = self._known.add(member.name, _text(member.address))
        if news:
            self._known_changed.set()


_REPEATED = frozenset({Event.CONFLICT, Event.NO_PACKETS, Event.REFUTED, Event.SUSPECTED})
"""What a bad link, or somebody who means ill, can make happen again and again."""

_LEVELS = {
    Event.CONFLICT: logging.ERROR,
    Event.NO_PACKETS: logging.WARNING,
    Event.REFUTED: logging.WARNING,
    Event.FAILED: logging.WARNING,
}


def _keyring(settings: GossipSettings) -> Keyring:
    """Return the keys of the file; where there is none, `encrypt`, which then begins the file."""
    keys = read_keys(settings.keyring_file) if settings.keyring_file is not None else []
    try:
        if not keys and settings.encrypt:
            keys = [parse_key(settings.encrypt)]
            if settings.keyring_file is not None:
                write_keys(settings.keyring_file, keys)
        return Keyring(keys)
    except (BadKey, OSError) as error:
        raise ConfigError(f"server.encrypt: {error}") from error


def _text(address: Address) -> str:
    """Return *address* as an operator writes it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _resolve(host: str) -> list[str]:
    """Return the IP addresses of *host*, IPv4 first; raises OSError or TimeoutError."""
    async with asyncio.timeout(RESOLVE_SECONDS):
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return sorted(addresses, key=lambda ip: ":" in ip)
