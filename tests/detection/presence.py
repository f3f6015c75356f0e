"""When each signal of a server is there under a fault: on a recorded Nomad, and on ours in virtual time.

Rules that watch a real Nomad live by what is absent when, more than by values: that a killed leader's word stays for a
minute, that a new one speaks within seconds. A recorded fault is made again, at the same seconds, on a simulated
cluster of ours that elects as slowly as a Nomad does; of each server by its part in the fault, presence is compared.

    python -m tests.detection.presence
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random

from telemetry.catalogue import find
from telemetry.catalogue.deviations import DEVIATIONS
from tests.detection.recordings import COUNTED, Recording, load
from tests.sim.cluster_world import ClusterWorld, Pace
from tests.sim.scrapes import GRID_SECONDS, Scrapes

BEFORE_SECONDS = 8
"""A recording has nine seconds of health."""
BORDER_SECONDS = 6
"""How far apart two events may be that are the same: an election takes up to 4 s, autopilot and starts seconds."""
SETTLED_SECONDS = 70.0
AFTER_SECONDS = 130
TRIES = 30
"""Of simulated clusters, until one elects the same part as the recorded one did."""

FAULTS = {
    "i-kill-leader": (("leader",), 82),
    "iia-quorum-lost-kill-2-followers": (("follower", "follower"), 59),
    "iib-quorum-lost-kill-leader-and-follower": (("leader", "follower"), 68),
}
"""The recorded faults of servers: who was killed by their part, and after how many seconds all were started again."""

OF_JOBS = (
    "nomad_nomad_broker_wait_time",
    "nomad_nomad_eval_ack",
    "nomad_nomad_eval_dequeue",
    "nomad_nomad_worker_invoke_scheduler",
    "nomad_raft_commitTime",
)
"""What comes and goes with the jobs that the recorded cluster ran and the simulated one does not have."""

OF_GOSSIP = ("nomad_memberlist_", "nomad_serf_")
"""What comes and goes with gossip: the simulated servers have none, and ours calls a dead one failed half a minute sooner."""

Presence = dict[str, list[bool]]
"""Whether a metric was there, at each second from `BEFORE_SECONDS` before the fault on."""


@dataclass(frozen=True)
class Difference:
    """For how long without a break a metric is there on one of both only; *first* is in seconds after the fault."""

    part: str
    metric: str
    first: int
    seconds: int
    on_nomad: bool

    def __str__(self) -> str:
        where = "Nomad" if self.on_nomad else "Outrider"
        return f"{self.part}: {self.metric} only on {where} for {self.seconds} s from {self.first} s on"

    @property
    def is_known(self) -> bool:
        """Whether it is a deviation that METRICS.md names."""
        of_it = [each for each in DEVIATIONS if self.metric in {metric.name for metric in each.metrics}]
        return not self.on_nomad and self.first > 0 and any(self.seconds <= each.alone_seconds for each in of_it)


def differences(theirs: Mapping[str, Presence], ours: Mapping[str, Presence]) -> Iterator[Difference]:
    """Yield each time, longer than `BORDER_SECONDS`, for which a metric was there on one of both only."""
    for part, metrics in theirs.items():
        never = [False] * len(next(iter(metrics.values())))
        for metric in sorted(metrics.keys() | ours[part].keys()):
            both = zip(metrics.get(metric, never), ours[part].get(metric, never), strict=False)
            begin = 0
            for (nomads, outriders), group in groupby(both):
                seconds = len(list(group))
                if nomads != outriders and seconds > BORDER_SECONDS:
                    yield Difference(part, metric, begin - BEFORE_SECONDS, seconds, nomads)
                begin += seconds


def recorded(recording: Recording) -> dict[str, Presence]:
    """Return when each metric that our agent exports, too, was there, for each server by its part.

    Of two servers with one part, such as two killed followers, the last stands for both.
    """
    assert recording.fault is not None
    first = int(recording.fault) - BEFORE_SECONDS
    return {
        part: _by_metric({series: samples[first:] for series, samples in recording.series[name].items()})
        for name, part in recorded_parts(recording).items()
    }


def recorded_parts(recording: Recording) -> dict[str, str]:
    """Return the part of each server: what it was, what was done to it, and whether it leads in the end."""
    assert recording.fault is not None
    fault = int(recording.fault)
    killed = {what.split()[-1] for _, what in recording.actions if what.startswith("sent")}
    led = {name for name in recording.servers if _said(recording, name, "nomad_nomad_autopilot_healthy", fault - 1)}
    last = recording.seconds - 1
    leads = {
        name
        for name in recording.servers
        if _said(recording, name, "nomad_nomad_autopilot_healthy", last)
        and not _said(recording, name, "nomad_raft_rpc_processHeartbeat_count", last)
    }
    return {name: _part(name, killed, led, leads) for name in recording.servers}


def replayed(fault: str) -> dict[str, Presence]:
    """Return the same of a simulated cluster of ours, to which the same is done at the same seconds.

    Who is elected is chance on both; of the simulated clusters the first with the same outcome is taken.
    """
    wanted = sorted(set(recorded_parts(load(fault)).values()))
    for number in range(TRIES):
        found = _replayed(fault, number)
        if sorted(found) == wanted:
            return found
    raise AssertionError(f"in none of {TRIES} clusters the servers' parts are {', '.join(wanted)}")


def _replayed(fault: str, number: int) -> dict[str, Presence]:
    parts, down_seconds = FAULTS[fault]
    world = ClusterWorld(f"presence:{fault}:{number}", pace=Pace.NOMAD)
    world.run(SETTLED_SECONDS)
    lead = world.leads().name
    followers = Random(number).sample([name for name in world.names if name != lead], parts.count("follower"))
    killed = sorted([*followers, *([lead] if "leader" in parts else [])])
    names = frozenset(name for metric in _metrics(fault) for name in (metric, f"{metric}_count"))
    every = round(1 / GRID_SECONDS)
    scrapes = Scrapes(world, names, lambda _name, moment: moment % every == 0)
    scrapes.run(BEFORE_SECONDS)
    for name in killed:
        world.crash(name)
    scrapes.run(down_seconds)
    for name in killed:
        world.start(name)
    scrapes.run(AFTER_SECONDS - down_seconds)
    leads = {world.leads().name}
    found = {
        _part(name, set(killed), {lead}, leads): _by_metric(
            {series: column[::every] for series, column in scrapes.columns[name].items()}
        )
        for name in world.names
    }
    world.check_no_bug()
    world.close()
    return found


def _by_metric(columns: Mapping[str, Sequence[object]]) -> Presence:
    """Merge the series of each metric: it is there when any of them is."""
    found: Presence = {}
    for series, column in columns.items():
        metric = compared_metric(series)
        if metric is not None:
            there = [value is not None for value in column]
            before = found.get(metric, there)
            found[metric] = [a or b for a, b in zip(there, before, strict=True)]
    return found


def compared_metric(series: str) -> str | None:
    """Return the name of the metric that *series* is of, None when our agent does not export it, or jobs or gossip decide it."""
    name = series.partition("{")[0]
    entry = find(name)
    if name in {"up", COUNTED} or entry is None or not entry.metric.exported or not name.startswith("nomad_"):
        return None
    own = entry.metric.name.format(entry.expansion)
    return None if own.startswith((*OF_JOBS, *OF_GOSSIP)) else own


def _metrics(fault: str) -> set[str]:
    recording = load(fault)
    return {
        metric for name in recording.servers for series in recording.series[name] if (metric := compared_metric(series))
    }


def _said(recording: Recording, name: str, series: str, second: int) -> bool:
    return any(samples[second] is not None for found, samples in recording.series[name].items() if found == series)


def _part(name: str, killed: set[str], led: set[str], leads: set[str]) -> str:
    words = ["leader" if name in led else "follower", "killed" if name in killed else "spared"]
    return " ".join([*words, *(["and leads in the end"] if name in leads else [])])


def main() -> int:
    """Print each difference and the counts; return 1 when one is not known."""
    fine = True
    for fault in FAULTS:
        theirs, ours = recorded(load(fault)), replayed(fault)
        found = list(differences(theirs, ours))
        print(f"{fault}: {sum(map(len, theirs.values()))} signals compared, {len(found)} differ")
        for difference in found:
            print(f"  {'known' if difference.is_known else 'NOT KNOWN'}: {difference}")
            fine = fine and difference.is_known
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
