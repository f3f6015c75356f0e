"""Which servers form the first Raft group, where the configuration does not list them all. Pure.

Each server waits until gossip shows as many live servers as are expected, takes them for its choice, keeps it for good,
and tells it in a tag. The group is formed once all of the choice tell the same. No server ever changes its choice, so two
groups that are formed have no member in common that chose differently: with the same expected size there is one group.
Where more servers than expected are there, nobody chooses. Source: the idea of `bootstrap_expect` is Nomad's, which asks
the others for their Raft peers instead.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.gossip.members import MemberView, Status

TAG = "boot"
"""What a server chose, as a digest; with FORMED behind it once it has begun."""

RAFT_TAG = "raft"
"""host:port of a server's Raft listener; a Nomad has it on the port of the RPC."""

GROUP_TAG = "group"
"""Not empty while a server is of a group that has a leader: others that look for a group wait to be taken in."""

CLUSTER_TAG = "cluster"
"""The id of a server's cluster, from when it is known, whether or not there is a leader."""

_FORMED = ":formed"


@dataclass(frozen=True, slots=True)
class Choice:
    """The servers of a group, Raft addresses by id; `formed` once the group has begun.

    None of them is the choice to be taken into a group that there is.
    """

    peers: Mapping[str, str]
    formed: bool = False

    @property
    def tag(self) -> str:
        """What is told of it."""
        digest = hashlib.sha256("\n".join(sorted(self.peers)).encode()).hexdigest()[:32]
        return digest + (_FORMED if self.formed else "")


@dataclass(frozen=True, slots=True)
class Waiting:
    """There is no group yet; `reason` is for the log."""

    reason: str


def choose(views: Sequence[MemberView], region: str, expect: int) -> Choice | Waiting:
    """Return the group of the live servers of *region* that expect to be as many as they are."""
    found = [
        view
        for view in views
        if view.status is Status.ALIVE
        and not view.suspected
        and view.tags.get("region") == region
        and view.tags.get("expect") == str(expect)
        and view.tags.get("id")
        and view.tags.get(RAFT_TAG)
    ]
    names = ", ".join(view.name for view in found)
    if len(found) < expect:
        return Waiting(f"{len(found)} of {expect} servers are there: {names}")
    if len(found) > expect:
        return Waiting(f"{len(found)} servers expect to be {expect}: {names}; stop those that are too many")
    peers = {view.tags["id"]: view.tags[RAFT_TAG] for view in found}
    if len(peers) < expect:
        return Waiting(f"two servers have the same id: {names}; was a data_dir copied?")
    return Choice(peers)


def joinable(choice: Choice | None, own_id: str, region: str, views: Sequence[MemberView]) -> bool:
    """Tell whether to wait for a group that there is, instead of forming one.

    Without a choice, when a live server of the region is of a group; else only when one of the chosen is, of another:
    no server ever changes its choice, so that the one made here can become no group any more.
    """
    for view in views:
        if (
            view.status is not Status.ALIVE
            or view.tags.get("region") != region
            or view.tags.get("id") in {None, own_id}
        ):
            continue
        chosen = choice is None or (
            view.tags["id"] in choice.peers and view.tags.get(TAG) != Choice(choice.peers, formed=True).tag
        )
        if chosen and view.tags.get(GROUP_TAG):
            return True
    return False


def agreed(choice: Choice, own_id: str, views: Sequence[MemberView]) -> Choice | Waiting:
    """Return *choice* as formed once all others of it chose the same, or one of them says that it has begun."""
    told = {view.tags["id"]: view.tags.get(TAG, "") for view in views if view.tags.get("id") in choice.peers}
    others = sorted(set(choice.peers) - {own_id})
    formed = Choice(choice.peers, formed=True)
    if any(told.get(peer) == formed.tag for peer in others):
        return formed
    missing = [peer for peer in others if told.get(peer, "") != Choice(choice.peers).tag]
    if not missing:
        return formed
    differing = [peer for peer in missing if told.get(peer)]
    if differing:
        return Waiting(f"other servers chose another group: {', '.join(differing)}; see bootstrap.json of each")
    return Waiting(f"others have not chosen yet: {', '.join(missing)}")
