"""Checks of a region's servers together: how many there are, what they survive, and how fast they agree."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from compose.check.check import Check, Seen
from compose.check.facts import AgentFacts, Facts, RegionFacts
from telemetry.catalogue import raft
from telemetry.catalogue.metric import Metric, Role
from telemetry.finding import Weight
from telemetry.scraped import Scrape

ROUND_TRIP_MILLISECONDS_MAX = 10.0
"""Between servers of a region. Source: Nomad's reference architecture."""
DISK_MILLISECONDS_MAX = 25.0
"""A leader's own write of a batch; an SSD's takes about 1 ms, a quarter of what NomadCommitSlow tells is 25."""
COMMIT_MILLISECONDS_MAX = 50.0
"""Half of what NomadCommitSlow tells, which is late for a cluster at rest."""
ENTRIES_MAX = 25_000
"""Entries since the last snapshot: a Nomad takes one after 8,192 and keeps 10,240 more for followers that lag."""
CATCH_UP_SECONDS_MIN = 60.0
"""How far back the leader's log has to reach: a follower that restarts has to read it within that time."""


@dataclass(frozen=True, slots=True)
class Size:
    """What so many servers are good for."""

    servers: int
    remark: str
    is_sound: bool

    @property
    def quorum(self) -> int:
        """Servers that must live."""
        return self.servers // 2 + 1

    @property
    def tolerance(self) -> int:
        """Servers that may be lost."""
        return self.servers - self.quorum


SIZES = (
    Size(1, "For trying things out: its loss is the loss of the cluster.", is_sound=False),
    Size(2, "Worse than one: the loss of either stops all writes.", is_sound=False),
    Size(3, "The least for production.", is_sound=True),
    Size(4, "Survives no more than three, and each write waits for one more.", is_sound=False),
    Size(5, "For production that has to survive a loss during maintenance.", is_sound=True),
    Size(6, "Survives no more than five, and each write waits for one more.", is_sound=False),
    Size(7, "The most that is sensible: each write waits for four.", is_sound=True),
)
"""How many servers a region may have, and what that means."""


def _regions(facts: Facts) -> Sequence[RegionFacts]:
    """Return the regions whose servers could be asked."""
    return [region for region in facts.regions if region.members]


def _named(region: RegionFacts) -> str:
    return f"region {region.name}"


def _size(region: RegionFacts, _: Facts) -> Iterator[Seen]:
    many = sum(member.get("Status") != "left" for member in region.members)
    size = next((each for each in SIZES if each.servers == many), None)
    if size is None:
        yield Seen(Weight.WARNING, _named(region), f"it has {many} servers, and seven are the most that is sensible")
    elif not size.is_sound:
        yield Seen(
            Weight.WARNING,
            _named(region),
            f"{many} servers need {size.quorum} and survive the loss of {size.tolerance}",
            why=size.remark,
        )


def _members(region: RegionFacts, facts: Facts) -> Iterator[Seen]:
    for member in region.members:
        status = member.get("Status")
        if status not in {"alive", "left"}:
            yield Seen(Weight.ERROR, f"server {member.get('Name')}", f"the other servers say that it is {status}")
    servers = [each for each in facts.configured if each.role is Role.SERVER and each.region == region.name]
    alive = sum(member.get("Status") == "alive" for member in region.members)
    if servers and alive != len(servers):
        yield Seen(
            Weight.ERROR if alive < len(servers) else Weight.WARNING,
            servers[0].place,
            f"{len(servers)} servers are named, and {alive} are alive in the cluster",
            why="what is named decides the quorum that alerts reckon with, and what is scraped",
            remedy="name every server of the cluster, no more and no fewer, then `outrider build`",
        )


def _autopilot(region: RegionFacts, _: Facts) -> Iterator[Seen]:
    health = region.autopilot
    for server in health.get("Servers") or ():
        if not server.get("Healthy", True):
            contact = server.get("LastContact")
            yield Seen(
                Weight.ERROR,
                f"server {server.get('Name')}",
                f"autopilot finds it unhealthy, last contact {contact} ago",
            )
    voters = len(health.get("Voters") or ())
    tolerance = health.get("FailureTolerance")
    expected = voters - (voters // 2 + 1)
    if isinstance(tolerance, int) and voters > 2 and tolerance < expected:
        yield Seen(
            Weight.ERROR,
            _named(region),
            f"{voters} voters, of which {tolerance} may be lost; in health it would be {expected}",
        )
    others = [server.get("Name") for server in health.get("Servers") or () if not server.get("Voter", True)]
    if others:
        yield Seen(
            Weight.WARNING,
            _named(region),
            f"{', '.join(map(str, others))} may not vote",
            why="a server without a vote adds nothing to what the cluster survives",
            remedy="wait until autopilot finds it stable; a read replica is meant to be so",
        )


def _leader(region: RegionFacts, facts: Facts) -> Iterator[Seen]:
    leaders = [agent.name for agent in facts.servers_of(region.name) if agent.is_leader]
    if not region.leader and not leaders:
        yield Seen(Weight.ERROR, _named(region), "it has no leader")
    if len(leaders) > 1:
        yield Seen(Weight.ERROR, _named(region), f"{', '.join(leaders)} each say that they lead")


def _raft_servers(facts: Facts) -> Sequence[AgentFacts]:
    return [agent for agent in facts.servers if agent.scrape is not None]


def _leading(facts: Facts) -> Sequence[AgentFacts]:
    return [leader for leader in facts.leaders if leader.scrape is not None]


def _round_trip(agent: AgentFacts, _: Facts) -> Iterator[Seen]:
    for labels, milliseconds in typical(agent.scrape, raft.REPLICATION_HEARTBEAT):
        if milliseconds > ROUND_TRIP_MILLISECONDS_MAX:
            peer = labels.get("peer_id", "a peer")
            yield Seen(
                Weight.WARNING,
                f"{agent.place} to {peer}",
                f"a heartbeat takes {milliseconds:.1f} ms there and back, and should take at most "
                f"{ROUND_TRIP_MILLISECONDS_MAX:g}",
                metric=raft.REPLICATION_HEARTBEAT.name,
            )


def _commit(agent: AgentFacts, _: Facts) -> Iterator[Seen]:
    yield from _slow(agent, raft.COMMIT_TIME, COMMIT_MILLISECONDS_MAX, "a write takes")


def _disk(agent: AgentFacts, _: Facts) -> Iterator[Seen]:
    for metric in (raft.LEADER_DISPATCH_LOG, raft.BOLTDB_STORE_LOGS):
        yield from _slow(agent, metric, DISK_MILLISECONDS_MAX, "writing entries to its log takes")


def _slow(agent: AgentFacts, metric: Metric, most: float, what: str) -> Iterator[Seen]:
    for _, milliseconds in typical(agent.scrape, metric):
        if milliseconds > most:
            seen = f"{what} {milliseconds:.0f} ms, and should take at most {most:g}"
            yield Seen(Weight.WARNING, agent.place, seen, metric=metric.name)


def typical(scrape: Scrape | None, metric: Metric) -> list[tuple[Mapping[str, str], float]]:
    """Return for each series of a sample its median of the last 10 s, or where there is none its mean since birth."""
    if scrape is None:
        return []
    counts = {_key(sample.labels): sample for sample in scrape.of(f"{metric.name}_count")}
    sums = {_key(sample.labels): sample.value for sample in scrape.of(f"{metric.name}_sum")}
    medians = {
        _key({name: value for name, value in sample.labels.items() if name != "quantile"}): sample.value
        for sample in scrape.of(metric.name)
        if sample.labels.get("quantile") == "0.5"
    }
    found = []
    for key, count in counts.items():
        median = medians.get(key, math.nan)
        mean = sums.get(key, math.nan) / count.value if count.value else math.nan
        found.append((count.labels, mean if math.isnan(median) else median))
    return found


def _key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def _log(agent: AgentFacts, _: Facts) -> Iterator[Seen]:
    last, snapshot = agent.stat("raft", "last_log_index"), agent.stat("raft", "last_snapshot_index")
    if not last.isdecimal() or not snapshot.isdecimal():
        return
    entries = int(last) - int(snapshot)
    if entries > ENTRIES_MAX:
        yield Seen(
            Weight.WARNING,
            f"{agent.place}, raft.last_snapshot_index",
            f"{entries} entries since the last snapshot, of which there should be at most {ENTRIES_MAX}",
        )
    # Before the first snapshot the log begins at the cluster's birth, which may have been a minute ago.
    age = agent.scrape.value(raft.LEADER_OLDEST_LOG_AGE.name) if agent.scrape is not None else None
    if agent.is_leader and int(snapshot) and age is not None and age < CATCH_UP_SECONDS_MIN * 1000:
        yield Seen(
            Weight.ERROR,
            agent.place,
            f"its log reaches only {age / 1000:.0f} s back",
            why="a follower that restarts for longer has to load a whole snapshot, and may never catch up",
            remedy="find what writes so much, such as jobs that fail in a loop, or on a Nomad raise "
            "server.raft_trailing_logs",
            metric=raft.LEADER_OLDEST_LOG_AGE.name,
        )


REGION_CHECKS = (
    Check(
        name="size",
        what="The region has three, five or seven servers.",
        why="An even number survives no more losses than one less, and more than seven make each write slower.",
        remedy="Add or remove a server, and name it in outrider.yaml; three or five are best.",
        subjects=_regions,
        look=_size,
    ),
    Check(
        name="members",
        what="All servers are alive, and outrider.yaml names as many.",
        why="A lost server is lost redundancy.",
        remedy="Start it again, or remove it with `server force-leave` and add another.",
        subjects=_regions,
        look=_members,
    ),
    Check(
        name="autopilot",
        what="Autopilot finds every server healthy, and as many may be lost as the voters allow.",
        why="Fewer losses stop all writes than the number of servers promises.",
        remedy="Look at the server's log and at `operator autopilot health`.",
        subjects=_regions,
        look=_autopilot,
    ),
    Check(
        name="leader",
        what="Exactly one server leads.",
        why="Without a leader nothing is scheduled and no write succeeds.",
        remedy="Read the runbook: `outrider runbook NomadNoLeader`.",
        subjects=_regions,
        look=_leader,
    ),
    Check(
        name="round-trip",
        what="A heartbeat from the leader to each follower and back takes 10 ms or less.",
        why="Each write waits for it, and a slow network ends leaderships.",
        remedy="Put the servers of a region into one place, or look at the network and the load between them.",
        subjects=_leading,
        look=_round_trip,
    ),
    Check(
        name="commit-time",
        what="A write takes 50 ms or less until a majority has it.",
        why="Every placement waits for several of them.",
        remedy="Look at the disks of the servers, then at the network between them.",
        subjects=_leading,
        look=_commit,
    ),
    Check(
        name="disk",
        what="Writing to the Raft log takes 25 ms or less.",
        why="Nothing is acknowledged before it is on disk.",
        remedy="Give data_dir a fast disk of its own, an SSD with a write cache that survives power cuts.",
        subjects=_raft_servers,
        look=_disk,
    ),
    Check(
        name="raft-log",
        what="Snapshots keep the Raft log short, and it reaches back for a minute.",
        why="A long log fills the disk and makes a restart slow.",
        remedy="Look at the free space of data_dir and at the server's log for snapshots that fail.",
        subjects=_raft_servers,
        look=_log,
    ),
)
