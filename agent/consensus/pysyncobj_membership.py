"""Changes of a group's servers, on the leader: one at a time, each an entry of the log, and who is gone is told.

pysyncobj's own change of membership is not used: its entry is a pickle, it takes effect when it is applied and not when
it is appended, is not taken back when its entry is, and is in no snapshot.

Source: Raft dissertation (Ongaro), section 4.
"""

import math
from collections.abc import Callable
from typing import Any

from agent.consensus.codec import CommandKind
from agent.consensus.configuration import Configuration, ConfiguredServer, encode_configuration
from agent.consensus.engine_parts import Proposal
from agent.consensus.pysyncobj_adapters import PeerNode
from agent.consensus.pysyncobj_core import Core
from agent.consensus.quorum import majority
from agent.consensus.replicator import Peer, RaftState
from agent.errors import NotLeader, OutriderError, Overloaded, RequestRefused
from telemetry.catalogue import raft

_PARTING_SECONDS = 5.0
"""How long the leader tries to tell a server that it was removed."""


class MembershipCore(Core):
    """A `Core` whose leader changes the configuration; takes its arguments."""

    def __init__(self, me: Peer, nodes: tuple[str, ...], **parts: Any) -> None:
        self._removed: dict[str, int] = {}
        """By node, the index of the entry that removed it, until that is committed."""
        super().__init__(me, nodes, **parts)

    def reconfigure(
        self, change: Callable[[Configuration], Configuration], finish: Callable[[bytes | OutriderError], None]
    ) -> None:
        """Append the configuration that *change* makes of the newest one; *finish* is called once it is committed.

        In the thread that steps, by `run_soon`. *finish* gets NotLeader, Overloaded while another change is under way,
        and RequestRefused for one that takes this leader's vote or that too few servers answer for.
        """
        try:
            changed = self._changed(change)
        except OutriderError as error:
            finish(error)
            return
        proposal = Proposal(CommandKind.CONFIGURATION, encode_configuration(changed), finish)
        proposal.enter()
        index = self.last_index + 1
        self._log.append(proposal.command, index, self.term)
        self._stored += 1
        self._waiting[index] = proposal
        self._configurations.append(index, changed)
        nodes = {self._node_of(server) for server in changed.servers}
        self._removed |= dict.fromkeys(set(self._configured) - nodes, index)
        for node in nodes:
            self._parting.pop(node, None)
            self._removed.pop(node, None)
        self._configure()
        self._recorder.set(raft.PEERS, len(changed.servers))
        self._SyncObj__newAppendEntriesTime = self._clock.monotonic()

    def _changed(self, change: Callable[[Configuration], Configuration]) -> Configuration:
        if self.state is not RaftState.LEADER:
            raise NotLeader(self._leader_rpc_address())
        # A leader changes nothing before an entry of its own term is committed: a change of its predecessor that it
        # does not know could overlap with none of its majorities. Source: Ongaro, "bug in single-server membership
        # changes", raft-dev, 2015.
        settled = self._entry(self.commit_index)[2] == self.term
        if not settled or self._configurations.newest_index > self.commit_index:
            raise Overloaded("a change of the Raft configuration is under way; try again")
        newest = self._configurations.newest
        known = Configuration(
            tuple(
                server if server.server_id else self._named(server.raft_address, voter=server.voter)
                for server in newest.servers
            )
        )
        changed = change(known)
        own = changed.of(self._me)
        if own is None or not own.voter:
            raise RequestRefused("the leader cannot take its own vote; hand the leadership over first")
        now = self._clock.monotonic()
        contacts = self._SyncObj__lastResponseTime
        voters = [server for server in changed.voters if server != own]
        answering = sum(
            now - contacts.get(PeerNode(self._node_of(server)), -math.inf) <= self._timing.lease_seconds
            for server in voters
        )
        needed = majority(len(voters) + 1)
        if answering + 1 < needed:
            raise RequestRefused(
                f"{answering + 1} of the {len(voters) + 1} servers that would vote answer, {needed} are needed; "
                "start one of the others first"
            )
        return changed

    def _named(self, node: str, *, voter: bool) -> ConfiguredServer:
        peer = self.peer_of(node)
        return ConfiguredServer(peer.server_id, peer.name, peer.raft_address, peer.rpc_address, voter)

    def _part(self, now: float) -> None:
        """Tell servers whose removal is committed, for a while; before, it could cost them a vote that is needed.

        A server that held an uncommitted removal of its own would neither stand nor, with the longer log, let another
        be elected.
        """
        for node, index in [pair for pair in self._removed.items() if pair[1] <= self.commit_index]:
            del self._removed[node]
            self._parting[node] = (index, now + _PARTING_SECONDS)
            self._configure()
        matches = self._SyncObj__raftMatchIndex
        told = [
            node
            for node, (index, until) in self._parting.items()
            if matches.get(PeerNode(node), 0) >= index or now >= until
        ]
        for node in told:
            del self._parting[node]
        if told:
            self._configure()

    def _part_no_more(self) -> None:
        """Leave it to the next leader to tell: this one is none any more."""
        if self._removed or self._parting:
            self._removed.clear()
            self._parting.clear()
            self._configure()

    def _remembered(self) -> set[str]:
        return {*self._removed, *super()._remembered()}
