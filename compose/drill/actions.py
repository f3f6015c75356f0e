"""What is done to a cluster, and taken back: the verbs of the faults. Each is a value; whom it hit, the stage knows."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from compose.drill.fault import Action, Clients, Stage, Who
from compose.drill.jobs import FAIL, endless_batch_job, job, unplaceable_job
from compose.drill.local_stage import local
from compose.local import LocalError
from telemetry.nomad_api import ApiFailure

RETURN_SECONDS = 8.0
"""How long a process is away that comes back before anybody should be told: a restart takes as long."""

ALERTMANAGER = "alertmanager"
PROMETHEUS = "prometheus"
EXPORTER = "exporter"

_ENDLESS = "endless"
_HEARD_SECONDS = 20.0
"""For gossip to hear again of a member that it called failed."""
_STARTS_SECONDS = 30.0
"""For a task to run on a busy machine."""

Targets = Who | Clients


def chosen(stage: Stage, targets: Targets) -> tuple[str, ...]:
    """Return the names of *targets* on *stage* as it stands now."""
    if isinstance(targets, Clients):
        return targets.choose(stage.clients, stage.rng)
    return targets.choose(stage.servers, stage.leader(), stage.rng)


def leader_last(stage: Stage) -> tuple[str, ...]:
    """Return the servers in the order in which all of them are restarted: with one election, not one for each."""
    leader = stage.leader()
    return (*(name for name in stage.servers if name != leader), leader)


class Momentary(Action):
    """An action that is over when it has been done."""

    def heal(self, stage: Stage) -> None:
        """Nothing is left to heal."""


@dataclass(frozen=True, slots=True)
class Kill(Action):
    """Processes die at one time and stay dead until the fault is healed."""

    targets: Targets

    def inject(self, stage: Stage) -> None:
        """Kill."""
        stage.kill(*chosen(stage, self.targets))

    def heal(self, stage: Stage) -> None:
        """Start them again."""
        stage.revive()


@dataclass(frozen=True, slots=True)
class KillInTurn(Action):
    """Processes die: *at_first* so many of them, and the others *after_seconds*."""

    targets: Targets
    at_first: int
    after_seconds: float

    def inject(self, stage: Stage) -> None:
        """Kill, wait, and kill the rest."""
        names = chosen(stage, self.targets)
        stage.kill(*names[: self.at_first])
        stage.wait(self.after_seconds)
        stage.kill(*names[self.at_first :])

    def heal(self, stage: Stage) -> None:
        """Start them again."""
        stage.revive()


@dataclass(frozen=True, slots=True)
class Pause(Action):
    """Processes stop in their tracks; their connections stay open."""

    targets: Targets

    def inject(self, stage: Stage) -> None:
        """Stop."""
        stage.pause(*chosen(stage, self.targets))

    def heal(self, stage: Stage) -> None:
        """Let them go on."""
        stage.resume()


@dataclass(frozen=True, slots=True)
class Isolate(Action):
    """Agents are cut from all others, both ways, while Prometheus reaches everybody."""

    targets: Targets

    def inject(self, stage: Stage) -> None:
        """Cut."""
        stage.isolate(*chosen(stage, self.targets))

    def heal(self, stage: Stage) -> None:
        """Mend the network."""
        stage.mend()


@dataclass(frozen=True, slots=True)
class Unplug(Action):
    """Agents are cut from everybody, Prometheus included."""

    targets: Targets

    def inject(self, stage: Stage) -> None:
        """Cut."""
        stage.unplug(*chosen(stage, self.targets))

    def heal(self, stage: Stage) -> None:
        """Mend the network."""
        stage.mend()


@dataclass(frozen=True, slots=True)
class CutGossip(Action):
    """Servers are cut from the gossip of all others, while Raft and RPC go on.

    Unless it *removes_dead*, autopilot leaves those in the group that gossip calls failed.
    """

    targets: Who
    removes_dead: bool = True

    def inject(self, stage: Stage) -> None:
        """Cut."""
        if not self.removes_dead:
            local(stage).autopilot.remove_dead(False)
        local(stage).cut_gossip(*chosen(stage, self.targets))

    def heal(self, stage: Stage) -> None:
        """Mend the network; autopilot gets its settings back once gossip had time to hear of everybody."""
        stage.mend()
        if not self.removes_dead:
            stage.wait(_HEARD_SECONDS)
            local(stage).autopilot.give_back()


@dataclass(frozen=True, slots=True)
class OneWay(Action):
    """The connections that the leader makes, or those that are made to it, carry nothing."""

    leader_sends: bool

    def inject(self, stage: Stage) -> None:
        """Cut one direction."""
        leader = stage.leader()
        others = [name for name in (*stage.servers, *stage.clients) if name != leader]
        if self.leader_sends:
            local(stage).cut_one_way([leader], others)
        else:
            local(stage).cut_one_way(others, [leader])

    def heal(self, stage: Stage) -> None:
        """Mend the network."""
        stage.mend()


@dataclass(frozen=True, slots=True)
class Leave(Action):
    """Servers leave as an operator lets them: a leader hands over first."""

    targets: Who

    def inject(self, stage: Stage) -> None:
        """Leave."""
        local(stage).leave(*chosen(stage, self.targets))

    def heal(self, stage: Stage) -> None:
        """Start them again."""
        stage.revive()


@dataclass(frozen=True, slots=True)
class RollingRestart(Momentary):
    """Each server in turn is stopped, stays away and comes back, the leader last."""

    away_seconds: float = RETURN_SECONDS

    def inject(self, stage: Stage) -> None:
        """Restart one after the other; the next one waits until there is a leader and all are well."""
        for name in leader_last(stage):
            local(stage).terminate(name)
            stage.wait(self.away_seconds)
            stage.revive()
            local(stage).wait_well()


@dataclass(frozen=True, slots=True)
class LoseZone(Action):
    """Everything in one datacenter dies."""

    zone: str

    def inject(self, stage: Stage) -> None:
        """Kill the servers and clients of the zone."""
        stage.kill(*local(stage).in_zone(self.zone))

    def heal(self, stage: Stage) -> None:
        """Start them again."""
        stage.revive()


@dataclass(frozen=True, slots=True)
class LoseRegion(Action):
    """Every server of the second region dies."""

    def inject(self, stage: Stage) -> None:
        """Kill them."""
        stage.kill(*local(stage).far_servers)

    def heal(self, stage: Stage) -> None:
        """Start them again."""
        stage.revive()


@dataclass(frozen=True, slots=True)
class Again(Momentary):
    """Something short happens *times* times, with a pause between; more often than servers when *beyond_size* says so."""

    action: Action
    times: int
    every_seconds: float
    beyond_size: bool = False

    def inject(self, stage: Stage) -> None:
        """Do it and heal it, again and again."""
        times = self.times + (len(stage.servers) if self.beyond_size else 0)
        for number in range(times):
            if number:
                stage.wait(self.every_seconds)
            self.action.inject(stage)
            self.action.heal(stage)


@dataclass(frozen=True, slots=True)
class For(Momentary):
    """Something lasts *seconds* and ends before the fault does."""

    action: Action
    seconds: float

    def inject(self, stage: Stage) -> None:
        """Do it, wait and heal it."""
        self.action.inject(stage)
        stage.wait(self.seconds)
        self.action.heal(stage)


@dataclass(frozen=True, slots=True)
class Delayed(Action):
    """Something happens *seconds* later."""

    action: Action
    seconds: float

    def inject(self, stage: Stage) -> None:
        """Wait and do it."""
        stage.wait(self.seconds)
        self.action.inject(stage)

    def heal(self, stage: Stage) -> None:
        """Heal it."""
        self.action.heal(stage)


@dataclass(frozen=True, slots=True)
class Both(Action):
    """One thing, then another on top of it; healed in the opposite order."""

    first: Action
    second: Action

    def inject(self, stage: Stage) -> None:
        """Do both."""
        self.first.inject(stage)
        self.second.inject(stage)

    def heal(self, stage: Stage) -> None:
        """Heal both."""
        self.second.heal(stage)
        self.first.heal(stage)


@dataclass(frozen=True, slots=True)
class Process(Action):
    """A process of those that watch dies and stays dead until the fault is healed."""

    name: str

    def inject(self, stage: Stage) -> None:
        """Kill it."""
        stage.kill(self.name)

    def heal(self, stage: Stage) -> None:
        """Start it again."""
        stage.revive()


@dataclass(frozen=True, slots=True)
class Terminate(Action):
    """A process of those that watch is stopped in order, and is away until the fault is healed."""

    name: str

    def inject(self, stage: Stage) -> None:
        """Stop it."""
        local(stage).terminate(self.name)

    def heal(self, stage: Stage) -> None:
        """Start it again."""
        stage.revive()


@dataclass(frozen=True, slots=True)
class FullDisk(Action):
    """No file of a server grows any more, and something wants to be written."""

    targets: Who

    def inject(self, stage: Stage) -> None:
        """Fill the disk and register a job, which every server has to write."""
        for name in chosen(stage, self.targets):
            local(stage).fill_disk(name)
        local(stage).jobs.register(job("written"))

    def heal(self, stage: Stage) -> None:
        """Start the servers again with room on their disks."""
        stage.revive()
        local(stage).wait_well()
        local(stage).jobs.stop("written")


@dataclass(frozen=True, slots=True)
class SlowDisk(Action):
    """Each sync of a server takes longer, while something is written all the time."""

    targets: Who
    milliseconds: int
    seconds: float

    def inject(self, stage: Stage) -> None:
        """Slow the disk, and change a job every second."""
        for name in chosen(stage, self.targets):
            local(stage).slow_disk(name, self.milliseconds)
        for number in range(int(self.seconds)):
            # A leader that waits for its disk may lose its lease, and the write with it.
            with suppress(ApiFailure):
                local(stage).jobs.register(job("changing", count=0, cpu_mhz=20 + number % 2))
            stage.wait(1.0)

    def heal(self, stage: Stage) -> None:
        """Let the disk be quick again."""
        local(stage).mend_disks()
        local(stage).jobs.stop("changing")


@dataclass(frozen=True, slots=True)
class FewDescriptors(Action):
    """A server has opened nearly as many files as it may."""

    targets: Who
    share: float

    def inject(self, stage: Stage) -> None:
        """Lower the limit."""
        for name in chosen(stage, self.targets):
            local(stage).use_up_descriptors(name, self.share)

    def heal(self, stage: Stage) -> None:
        """Start the servers again with the limit they had."""
        for name in stage.servers:
            local(stage).give_descriptors(name)


@dataclass(frozen=True, slots=True)
class Register(Action):
    """A job of a bad kind is registered; *bodies* makes it."""

    body: Callable[[], dict[str, object]]

    def inject(self, stage: Stage) -> None:
        """Register it."""
        local(stage).jobs.register(self.body())

    def heal(self, stage: Stage) -> None:
        """Stop it."""
        local(stage).jobs.stop(str(self.body()["Job"]["ID"]))  # type: ignore[index]


def crash_looping_job() -> dict[str, object]:
    """Return the body of a job whose task ends with an error as soon as it is started."""
    return job("crash-looping", command=FAIL)


def oversized_job() -> dict[str, object]:
    """Return the body of a job that asks for more than any client has."""
    return unplaceable_job("unplaceable")


@dataclass(frozen=True, slots=True)
class DrainForGood(Action):
    """A client with a batch task that does not end is drained without deadline."""

    def inject(self, stage: Stage) -> None:
        """Register the job, wait until it runs, and drain where it does."""
        here = local(stage)
        here.jobs.register(endless_batch_job(_ENDLESS))
        if not here.until(lambda: bool(here.jobs.clients_of(_ENDLESS)), _STARTS_SECONDS):
            raise LocalError(f"{_ENDLESS} does not run after {_STARTS_SECONDS:.0f} s: see {here.directory}/logs")
        here.nodes.drain(here.jobs.clients_of(_ENDLESS)[0])

    def heal(self, stage: Stage) -> None:
        """End the drain, and stop the job."""
        local(stage).nodes.give_back()
        local(stage).jobs.stop(_ENDLESS)


@dataclass(frozen=True, slots=True)
class NoSchedulers(Action):
    """Every server is started again without scheduling workers, and jobs are registered that nobody looks at."""

    jobs: int

    def inject(self, stage: Stage) -> None:
        """Restart the servers in turn, the leader last, and register."""
        for name in leader_last(stage):
            local(stage).reconfigure(name, schedules=False)
            local(stage).wait_well()
        for number in range(self.jobs):
            local(stage).jobs.register(job(f"waiting-{number}", count=0))

    def heal(self, stage: Stage) -> None:
        """Let the servers schedule again, and stop the jobs."""
        local(stage).reconfigure_all()
        local(stage).wait_well()
        local(stage).jobs.stop_all(but="web")


@dataclass(frozen=True, slots=True)
class MetricsOff(Action):
    """Servers are started again with `prometheus_metrics = false`."""

    targets: Who

    def inject(self, stage: Stage) -> None:
        """Turn the metrics off."""
        for name in chosen(stage, self.targets):
            local(stage).reconfigure(name, prometheus_metrics=False)

    def heal(self, stage: Stage) -> None:
        """Turn them on."""
        local(stage).reconfigure_all()


@dataclass(frozen=True, slots=True)
class RemoveTargets(Action):
    """Servers are no longer among Prometheus' targets."""

    targets: Who

    def inject(self, stage: Stage) -> None:
        """Take them out."""
        local(stage).watching.without_targets(chosen(stage, self.targets))

    def heal(self, stage: Stage) -> None:
        """Put them back."""
        local(stage).watching.restore()


@dataclass(frozen=True, slots=True)
class CutScrapes(Action):
    """Prometheus does not reach servers, which go on as if nothing were."""

    targets: Who

    def inject(self, stage: Stage) -> None:
        """Cut the way of the scrapes."""
        local(stage).cut_scrapes(*chosen(stage, self.targets))

    def heal(self, stage: Stage) -> None:
        """Mend the network."""
        stage.mend()


@dataclass(frozen=True, slots=True)
class ShortCertificate(Action):
    """Servers are given certificates that end in *seconds*, by SIGHUP; nothing that is connected is closed."""

    targets: Who
    seconds: float

    def inject(self, stage: Stage) -> None:
        """Replace and reload."""
        for name in chosen(stage, self.targets):
            local(stage).certificates.give(name, self.seconds)

    def heal(self, stage: Stage) -> None:
        """Renew them, as the runbook says."""
        local(stage).certificates.give_back()


@dataclass(frozen=True, slots=True)
class RenewCertificates(Momentary):
    """Every agent is given a new certificate by SIGHUP, one after the other, the leader last; and so is Prometheus."""

    def inject(self, stage: Stage) -> None:
        """Replace and reload; the next one waits until all are well."""
        leader = stage.leader()
        certificates = local(stage).certificates
        certificates.renew_command_line()
        for name in (*(name for name in (*stage.servers, *stage.clients) if name != leader), leader):
            certificates.give(name)
            local(stage).wait_well()


@dataclass(frozen=True, slots=True)
class Reload(Momentary):
    """Prometheus reads its unchanged configuration again."""

    def inject(self, stage: Stage) -> None:
        """Reload."""
        local(stage).watching.reload()


@dataclass(frozen=True, slots=True)
class SpoilConfiguration(Action):
    """Prometheus is given a configuration that it refuses."""

    def inject(self, stage: Stage) -> None:
        """Write a key that does not exist."""
        local(stage).watching.spoil()

    def heal(self, stage: Stage) -> None:
        """Write what it had."""
        local(stage).watching.restore()


@dataclass(frozen=True, slots=True)
class ExpectFewer(Action):
    """The settings say that there are two servers fewer than there are."""

    def inject(self, stage: Stage) -> None:
        """Generate the rules for the smaller size."""
        local(stage).watching.expecting(len(stage.servers) - 2)

    def heal(self, stage: Stage) -> None:
        """Generate them for the true one."""
        local(stage).watching.restore()
