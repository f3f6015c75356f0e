"""Faults of servers: killed, paused, cut off, leaving, lost with their zone or region, and on bad disks.

What arrives follows the rules of the house: back within 15 s is nobody's business; one of three dead is a risk, one of
five a server down; without a majority or a leader there is one page. Everything else is silenced by its cause.
"""

from compose.drill.actions import (
    Again,
    CutGossip,
    For,
    FullDisk,
    Isolate,
    Kill,
    KillInTurn,
    Leave,
    LoseRegion,
    LoseZone,
    OneWay,
    Pause,
    RollingRestart,
    SlowDisk,
    Unplug,
)
from compose.drill.fault import (
    ALL_SERVERS,
    FOLLOWER,
    LEADER,
    MAJORITY,
    MAJORITY_WITH_LEADER,
    MINORITY,
    MINORITY_WITH_LEADER,
    NOTHING,
    SIZES,
    Fault,
    Setup,
    on,
    one,
)
from compose.drill.judge import Arrival

FAR_REGION = "far"
AWAY_SECONDS = 8.0
"""How long is away what comes back before anybody should be told: a restart takes as long, and 15 s are granted."""
_SILENCE_SECONDS = 20.0
_CUT_SECONDS = 4.0
_EVERY_SECONDS = 15.0
_SLOW_MILLISECONDS = 160
"""Well over what NomadCommitSlow allows, and three in a row are shorter than a leader's lease of half a second."""
_WRITE_SECONDS = 200.0
_MEMORY_SECONDS = 840.0
"""Until ten minutes of events are forgotten, what is kept firing ends and the receiver is told."""
_FAILURE_SECONDS = 8.0
"""Until gossip within a region calls a member failed that does not answer."""
_PRUNED_SECONDS = _FAILURE_SECONDS + 32.0
"""Until autopilot has removed a server that does not answer, and so a minority of several."""
_LEFT_SECONDS = 160.0
"""Longer than a server that is down takes to be told of."""
_DEAF_SECONDS = 12.0
_BACK_SECONDS = 18.0
"""For a member that was called failed to be heard of again: it objects as soon as it is told."""
_FLAPS = 5

AT_RISK = one("NomadQuorumAtRisk")
SHRUNK = one("NomadClusterShrunk", needs_seconds=_PRUNED_SECONDS)
"""Five servers are three voters before their risk has lasted long enough to be told."""
DOWN = one("NomadServerDown")
UNHEALTHY = one("NomadServerUnhealthy")
LOST = one("NomadQuorumLost")
LOSS = one("NomadQuorumLost", "NomadNoLeader")
"""Nobody leads while processes live: how many answer a scrape in time decides which of the two it is."""
CLIENTS_DOWN = one("NomadManyClientsDown")


def _one_lost(of_five: Arrival) -> dict[int, tuple[Arrival, ...]]:
    """Return what the loss of one server brings: a risk to three, and what is said of it to five."""
    return {3: (AT_RISK,), 5: (of_five,)}


KILLED = (
    Fault(
        name="kill-leader-returns",
        what="The leader is killed and back after 8 s.",
        action=For(Kill(LEADER), AWAY_SECONDS),
        arrives=on(SIZES),
        lasts_seconds=_SILENCE_SECONDS,
    ),
    Fault(
        name="kill-follower-returns",
        what="A follower is killed and back after 8 s.",
        action=For(Kill(FOLLOWER), AWAY_SECONDS),
        arrives=on(SIZES),
        lasts_seconds=_SILENCE_SECONDS,
    ),
    Fault(
        name="kill-minority-returns",
        what="Two of five servers, the leader among them, are killed and back after 8 s.",
        action=For(Kill(MINORITY_WITH_LEADER), AWAY_SECONDS),
        arrives={5: NOTHING},
        lasts_seconds=_SILENCE_SECONDS,
    ),
    Fault(
        name="rolling-restart",
        what="Each server in turn is stopped for 8 s, the leader last.",
        action=RollingRestart(AWAY_SECONDS),
        arrives=on(SIZES),
        lasts_seconds=_SILENCE_SECONDS,
    ),
    Fault(
        name="kill-leader",
        what="The leader is killed and stays dead.",
        action=Kill(LEADER),
        arrives=_one_lost(DOWN),
        in_containers=True,
    ),
    Fault(
        name="kill-follower",
        what="A follower is killed and stays dead.",
        action=Kill(FOLLOWER),
        arrives=_one_lost(DOWN),
        in_containers=True,
    ),
    Fault(
        name="kill-minority",
        what="Two followers of five servers are killed.",
        action=Kill(MINORITY),
        arrives={5: (SHRUNK,)},
    ),
    Fault(
        name="kill-minority-with-leader",
        what="The leader and a follower of five servers are killed.",
        action=Kill(MINORITY_WITH_LEADER),
        arrives={5: (SHRUNK,)},
    ),
    Fault(
        name="kill-majority",
        what="A majority is killed, the leader survives.",
        action=Kill(MAJORITY),
        arrives=on(SIZES, LOST),
        in_containers=True,
    ),
    Fault(
        name="kill-majority-with-leader",
        what="A majority is killed, the leader with it.",
        action=Kill(MAJORITY_WITH_LEADER),
        arrives=on(SIZES, LOST),
        in_containers=True,
    ),
    Fault(
        name="kill-all",
        what="Every server is killed, the clients live.",
        action=Kill(ALL_SERVERS),
        arrives=on(SIZES, LOST),
        in_containers=True,
    ),
    Fault(
        name="leader-flapping",
        what="The leader is killed and brought back again and again, more often than there are servers.",
        action=Again(For(Kill(LEADER), AWAY_SECONDS / 2), times=2, every_seconds=_EVERY_SECONDS, beyond_size=True),
        # Twenty seconds each; the one that is too many may be the last.
        arrives={
            3: (one("NomadLeaderFlapping", needs_seconds=5 * (_EVERY_SECONDS + AWAY_SECONDS)),),
            5: (one("NomadLeaderFlapping", needs_seconds=7 * (_EVERY_SECONDS + AWAY_SECONDS)),),
        },
        # It fires for as long as the elections are counted.
        quiet_seconds=_MEMORY_SECONDS,
    ),
)

PAUSED = (
    Fault(
        name="pause-leader-returns",
        what="The leader stops in its tracks for 8 s.",
        action=For(Pause(LEADER), AWAY_SECONDS),
        arrives=on(SIZES),
        lasts_seconds=_SILENCE_SECONDS,
    ),
    Fault(
        name="pause-leader",
        what="The leader stops in its tracks.",
        action=Pause(LEADER),
        arrives=_one_lost(DOWN),
        in_containers=True,
    ),
    Fault(
        name="pause-follower",
        what="A follower stops in its tracks.",
        action=Pause(FOLLOWER),
        arrives=_one_lost(DOWN),
        in_containers=True,
    ),
    Fault(
        name="pause-minority",
        what="Two followers of five servers stop in their tracks.",
        action=Pause(MINORITY),
        arrives={5: (SHRUNK,)},
    ),
    Fault(
        name="pause-majority",
        what="A majority of followers stops in its tracks.",
        action=Pause(MAJORITY),
        arrives=on(SIZES, LOSS),
        in_containers=True,
    ),
)

CUT = (
    Fault(
        name="cut-leader",
        what="The leader is cut from all other agents; Prometheus reaches everybody.",
        action=Isolate(LEADER),
        arrives=_one_lost(UNHEALTHY),
    ),
    Fault(
        name="cut-follower",
        what="A follower is cut from all other agents.",
        action=Isolate(FOLLOWER),
        arrives=_one_lost(UNHEALTHY),
    ),
    Fault(
        name="cut-minority",
        what="Two followers of five servers are cut from all other agents.",
        action=Isolate(MINORITY),
        arrives={5: (SHRUNK,)},
    ),
    Fault(
        name="cut-all",
        what="Every server is cut from every other.",
        action=Isolate(ALL_SERVERS),
        arrives=on(SIZES, LOSS),
    ),
    Fault(
        name="leader-unreachable",
        what="What others send to the leader is lost; what it sends arrives.",
        action=OneWay(leader_sends=False),
        arrives=_one_lost(UNHEALTHY),
    ),
    Fault(
        name="leader-mute",
        what="What the leader sends is lost; what others send to it arrives.",
        action=OneWay(leader_sends=True),
        arrives=_one_lost(UNHEALTHY),
    ),
    Fault(
        name="unplug-leader",
        what="The leader is cut from everybody, Prometheus included.",
        action=Unplug(LEADER),
        arrives=_one_lost(DOWN),
        in_containers=True,
    ),
    Fault(
        name="unplug-majority",
        what="A majority of followers is cut from everybody, Prometheus included.",
        action=Unplug(MAJORITY),
        arrives=on(SIZES, LOSS),
        in_containers=True,
    ),
    Fault(
        name="lease-flapping",
        what="The leader is cut off for 4 s, four times.",
        action=Again(For(Isolate(LEADER), _CUT_SECONDS), times=4, every_seconds=_EVERY_SECONDS),
        # Each costs an election, too: more than three servers explain.
        arrives={
            3: (one("NomadLeaseLost", "NomadLeaderFlapping", needs_seconds=4 * (_EVERY_SECONDS + _CUT_SECONDS)),),
            5: (one("NomadLeaseLost", needs_seconds=4 * (_EVERY_SECONDS + _CUT_SECONDS)),),
        },
        quiet_seconds=_MEMORY_SECONDS,
    ),
)

GONE = (
    Fault(
        name="transfer",
        what="The leader leaves, hands over, and is started again at once.",
        action=For(Leave(LEADER), 0.0),
        arrives=on(SIZES),
        lasts_seconds=_SILENCE_SECONDS,
    ),
    Fault(
        name="leave-follower",
        what="A follower leaves; the expected size stays, of which three cannot spare another.",
        action=Leave(FOLLOWER),
        arrives={3: (AT_RISK,), 5: NOTHING},
        lasts_seconds=_LEFT_SECONDS,
    ),
    Fault(
        name="leave-leader",
        what="The leader hands over and leaves; the expected size stays, of which three cannot spare another.",
        action=Leave(LEADER),
        arrives={3: (AT_RISK,), 5: NOTHING},
        lasts_seconds=_LEFT_SECONDS,
    ),
    Fault(
        name="pruned-to-three",
        what="Two followers of five die, autopilot removes them, and a third one dies.",
        action=KillInTurn(MAJORITY, at_first=2, after_seconds=_PRUNED_SECONDS + 10.0),
        arrives={5: (one("NomadQuorumAtRisk", needs_seconds=_PRUNED_SECONDS + 10.0), SHRUNK)},
    ),
    Fault(
        name="zone-lost",
        what="One of three zones dies: two of five servers or one of three, and a third of the clients.",
        action=LoseZone("a"),
        arrives={3: (AT_RISK, CLIENTS_DOWN), 5: (SHRUNK, CLIENTS_DOWN)},
    ),
    Fault(
        name="region-lost",
        what="Every server of a second region dies; the first one is well.",
        action=LoseRegion(),
        arrives={3: (one("NomadQuorumLost", region=FAR_REGION),)},
        setup=Setup.TWO_REGIONS,
    ),
)

GOSSIP = (
    Fault(
        name="member-failed",
        what="A follower is cut from the gossip of all others; Raft goes on, and autopilot removes nobody.",
        action=CutGossip(FOLLOWER, removes_dead=False),
        arrives=on(SIZES, one("NomadMemberFailed", needs_seconds=_FAILURE_SECONDS)),
        quiet_seconds=_MEMORY_SECONDS,
    ),
    Fault(
        name="member-flapping",
        what="A follower is cut from the gossip of all others for 12 s, five times.",
        action=Again(For(CutGossip(FOLLOWER), _DEAF_SECONDS), _FLAPS, _BACK_SECONDS),
        arrives=on(SIZES, one("NomadMemberFlapping", needs_seconds=_FLAPS * (_DEAF_SECONDS + _BACK_SECONDS))),
        quiet_seconds=_MEMORY_SECONDS,
    ),
)

DISKS = (
    Fault(
        name="disk-full",
        what="A follower's files cannot grow; it ends, because it cannot keep its promises.",
        action=FullDisk(FOLLOWER),
        arrives=_one_lost(DOWN),
    ),
    Fault(
        name="disk-slow",
        what="Each sync of the leader takes 160 ms longer, and a job changes every second.",
        action=SlowDisk(LEADER, _SLOW_MILLISECONDS, _WRITE_SECONDS),
        arrives=on(SIZES, one("NomadCommitSlow", "NomadRaftSaturated")),
        setup=Setup.SLOW_DISKS,
    ),
)

SERVER_FAULTS = (*KILLED, *PAUSED, *CUT, *GONE, *GOSSIP, *DISKS)
