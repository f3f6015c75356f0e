"""What a real Nomad, or our own agent, exports under a fault, as samples that a test can feed to promtool.

A small model of the exporter: counters are born at their first event, freeze when nothing happens and vanish 60 s
later; leader-only gauges stay on a deposed leader for 60 s; a scrape that fails takes all series of the target along.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

EXPIRY_SECONDS = 60.0
CLUSTER = "demo"
REGION = "global"

Samples = list[float | None]
Spans = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class World:
    """One cluster and what happens to it; times are seconds from the start of the samples.

    *leaders* is a list of (from, name or None); *own* says that the agents are Outrider's and export outrider_* series.
    *voters* is a list of (from, voters in the Raft configuration).
    """

    leaders: tuple[tuple[float, str | None], ...] = ((-600.0, "s1"),)
    servers: tuple[str, ...] = ("s1", "s2", "s3")
    clients: tuple[str, ...] = ("c1", "c2")
    seconds: float = 330.0
    step: float = 5.0
    dead: dict[str, Spans] = field(default_factory=dict)
    """The process is gone, and comes back fresh."""
    paused: dict[str, Spans] = field(default_factory=dict)
    """The process is stopped, and comes back with the series it had."""
    unseen: dict[str, Spans] = field(default_factory=dict)
    """The process lives and its scrapes fail."""
    untargeted: Spans = ()
    """Prometheus has no targets at all."""
    blind: Spans = ()
    """Scrapes succeed and bring nothing about Raft."""
    left: tuple[float, ...] = ()
    """When a member left gracefully."""
    voters: tuple[tuple[float, int], ...] = ()
    own: bool = False

    def input_series(self) -> dict[str, Samples]:
        """Return the samples of every series, one for each step; None where the scrape brought none."""
        found: dict[str, Samples] = {}
        for server in self.servers:
            columns = _Server(self, server).run()
            for name, samples in columns.items():
                own = f',server="{server}"' if name.startswith("outrider_") else ""
                found[f'{name}{{cluster="{CLUSTER}",region="{REGION}",role="server",instance="{server}"{own}}}'] = (
                    samples
                )
        for client in self.clients:
            labels = f'{{cluster="{CLUSTER}",region="{REGION}",role="client",instance="{client}"}}'
            found["up" + labels] = [0.0 if self.is_down(client, time) else 1.0 for time in self.times()]
        return found

    def times(self) -> Iterator[float]:
        """Yield the time of each step."""
        for number in range(int(self.seconds / self.step) + 1):
            yield number * self.step

    def leader_at(self, time: float) -> str | None:
        """Return who leads."""
        return [name for since, name in self.leaders if since <= time][-1]

    def voters_at(self, time: float) -> int:
        """Return how many voters the configuration has."""
        return ([len(self.servers), *(count for since, count in self.voters if since <= time)])[-1]

    def is_down(self, name: str, time: float) -> bool:
        """Say whether a scrape of *name* fails."""
        return any(_within(spans.get(name, ()), time) for spans in (self.dead, self.paused, self.unseen))

    def is_live(self, name: str, time: float) -> bool:
        """Say whether the process works."""
        return not any(_within(spans.get(name, ()), time) for spans in (self.dead, self.paused))

    def live_servers(self, time: float) -> int:
        """Return how many servers work."""
        return sum(self.is_live(server, time) for server in self.servers)


class _Server:
    """The exporter of one server: values with the time of their last update."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._values: dict[str, tuple[float, float]] = {}
        self._led = False

    def run(self) -> dict[str, Samples]:
        steps: list[dict[str, float]] = []
        # A minute of life before the first sample, so that counters are not all born at its start.
        history = [-EXPIRY_SECONDS - 60 + number for number in range(int(EXPIRY_SECONDS) + 60)]
        self._led = self._world.leader_at(history[0]) == self._name
        for time in history:
            self._live(time, 1.0)
        for time in self._world.times():
            self._live(time, self._world.step)
            steps.append(self._scrape(time))
        names = sorted({name for step in steps for name in step})
        return {name: [step.get(name) for step in steps] for name in names}

    def _live(self, time: float, elapsed: float) -> None:
        world = self._world
        if _within(world.dead.get(self._name, ()), time):
            self._values.clear()
            self._led = False
            return
        if not world.is_live(self._name, time):
            return
        leader = world.leader_at(time)
        self._set("nomad_raft_appliedIndex", 200 + time, time)
        if leader == self._name:
            if not self._led:
                self._add("nomad_raft_state_leader", 1, time)
            if len(world.servers) > 1:
                self._add("nomad_raft_leader_lastContact_count", 2.2 * elapsed * (len(world.servers) - 1), time)
            self._add("nomad_nomad_eval_dequeue_count", 10 * elapsed, time)
            self._set("nomad_nomad_autopilot_failure_tolerance", self._tolerance(time), time)
        elif leader is not None:
            self._add("nomad_raft_rpc_processHeartbeat_count", 6 * elapsed, time)
        self._led = leader == self._name
        if any(0 <= time - moment < elapsed for moment in world.left):
            self._add("nomad_serf_member_left", 1, time)
        for name, (_, updated) in list(self._values.items()):
            if time - updated > EXPIRY_SECONDS:
                del self._values[name]

    def _tolerance(self, time: float) -> float:
        voters = self._world.voters_at(time)
        return max(0, min(self._world.live_servers(time), voters) - (voters // 2 + 1))

    def _scrape(self, time: float) -> dict[str, float]:
        world = self._world
        if _within(world.untargeted, time):
            return {}
        if world.is_down(self._name, time):
            return {"up": 0.0}
        if _within(world.blind, time):
            return {"up": 1.0}
        values = {name: value for name, (value, _) in self._values.items()}
        values["up"] = 1.0
        if world.own:
            values |= self._own(time)
        return values

    def _own(self, time: float) -> dict[str, float]:
        leader = self._world.leader_at(time)
        leads = leader == self._name
        return {
            "outrider_server_has_leader": float(leader is not None),
            "outrider_server_is_leader": float(leads),
            "outrider_raft_last_contact_seconds": 0.0 if leader is not None else time - self._lost(time),
            "outrider_raft_voters": float(self._world.voters_at(time)),
            "outrider_raft_voters_healthy": float(
                self._world.live_servers(time) if leads else 1 + (leader is not None)
            ),
        }

    def _lost(self, time: float) -> float:
        """Return when the last leader was lost."""
        since = time
        for moment, name in self._world.leaders:
            if moment > time:
                break
            since = moment if name is None else time
        return since

    def _add(self, name: str, amount: float, time: float) -> None:
        self._values[name] = (self._values.get(name, (0.0, 0.0))[0] + amount, time)

    def _set(self, name: str, value: float, time: float) -> None:
        self._values[name] = (value, time)


def values_text(samples: Samples) -> str:
    """Return *samples* in promtool's notation; a missing one ends its series, as a failed scrape does."""
    words: list[str] = []
    for number, sample in enumerate(samples):
        if sample is not None:
            words.append(f"{sample:.15g}")
        else:
            ends = number > 0 and samples[number - 1] is not None
            words.append("stale" if ends else "_")
    return " ".join(words)


def _within(spans: Spans, time: float) -> bool:
    return any(start <= time < end for start, end in spans)
