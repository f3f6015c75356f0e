"""How long detection takes, as a distribution: simulated faults against the phases of scrapes and evaluations.

For each fault a number of clusters run in virtual time, each from a seed of its own; of each, many Prometheus are
drawn that would scrape and evaluate at other phases. The shipped rules say what each sees, the generated Alertmanager
file what a receiver hears. `make detection-sim` prints the table, and fails when a fault is not heard as it must be.

    python -m tests.detection.simulation [--only WORDS] [--combinations N] [--clusters N] [--workers N]
"""

import argparse
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from math import ceil
from pathlib import Path
from random import Random

from alert_rules.rules import rule_set
from tests.detection.simulation_faults import FAULTS, Expected, Fault
from tests.detection.simulation_heard import Alertmanager, Heard
from tests.detection.simulation_promtool import draw, firing, rule_names, settings
from tests.detection.simulation_runs import Run, run_fault
from tests.sim.cluster_world import Pace
from tests.tools import Program, find_or_explain

_WATCHERS_AT_ONCE = 250
"""One file for promtool has 1 MB for 10 watchers."""


@dataclass(frozen=True)
class Variant:
    """How fast the cluster elects, and whether what agents export is a real Nomad's alone."""

    pace: Pace
    native: bool

    def __str__(self) -> str:
        return f"{'native' if self.native else 'outrider'}{'' if self.pace is Pace.QUICK else f' {self.pace.name.lower()}'}"


QUICK = (Variant(Pace.QUICK, native=False), Variant(Pace.QUICK, native=True))
SLOWER = (Variant(Pace.SLOW, native=False), Variant(Pace.NOMAD, native=True))
"""For faults in which elections have a part: our agent with a multiplier, and a Nomad as it was seen."""


@dataclass(frozen=True)
class Measured:
    """What receivers heard of one fault; the times in *receivers* are seconds after it."""

    fault: Fault
    variant: Variant
    receivers: list[list[Heard]]

    @property
    def times(self) -> list[float]:
        """When those who heard what was to come heard it, sorted."""
        return sorted(one.seconds for heard in self.receivers if (one := self._wanted(heard)) is not None)

    @property
    def silent(self) -> float:
        """The part of the receivers that heard nothing at all."""
        return sum(not heard for heard in self.receivers) / len(self.receivers)

    @property
    def alerts(self) -> Counter[str]:
        """How many heard which alert of those that were to come."""
        return Counter(one.alert for heard in self.receivers if (one := self._wanted(heard)) is not None)

    def problems(self) -> list[str]:
        """Return each way in which this is not as it must be."""
        count = len(self.receivers)
        said = [f"{alert} is heard by {times} of {count}" for alert, times in sorted(self._others().items())]
        expected = self.fault.expected
        if expected is None:
            return said
        if len(self.times) < count:
            said.append(f"nothing is heard by {count - len(self.times)} of {count}")
        limit = self._limit(expected)
        if self.times and percentile(self.times, 95) > limit:
            said.append(f"p95 {percentile(self.times, 95):.1f} s is over {limit:g} s")
        return said + list(self._late())

    def _limit(self, expected: Expected) -> float:
        """Return by when 95 of 100 must have heard: where an operator chose slower elections, so much later."""
        if self.variant.native:
            return expected.native_seconds
        slower = self.variant.pace.election_seconds - Pace.QUICK.election_seconds
        return expected.own_seconds + slower * max(condition.elections for condition in expected.alerts.values())

    def _wanted(self, heard: list[Heard]) -> Heard | None:
        """Return the first notification that was to come."""
        alerts = self.fault.expected.alerts if self.fault.expected else {}
        return next((one for one in heard if one.alert in alerts and one.seconds > 0 and not one.raced), None)

    def _others(self) -> Counter[str]:
        """Return how many heard what was not to come; a second one of those that were is one."""
        found: Counter[str] = Counter()
        for heard in self.receivers:
            wanted = self._wanted(heard)
            found.update({_described(one) for one in heard if one is not wanted})
        return found

    def _late(self) -> Iterator[str]:
        """Say which alerts took longer than they promise."""
        assert self.fault.expected is not None
        shipped = settings(self.fault.size)
        for alert in sorted(self.alerts):
            condition = self.fault.expected.alerts[alert]
            begins = condition.seconds + condition.elections * self.variant.pace.election_seconds
            promised = rule_set(shipped).alert(alert).promised_seconds(shipped.times) + begins
            slowest = max(
                one.seconds
                for heard in self.receivers
                if (one := self._wanted(heard)) is not None and one.alert == alert
            )
            if slowest > promised:
                said = f"{alert} takes {slowest:.1f} s and promises {promised - begins:.1f} s"
                yield said + (f" after {begins:g} s" if begins else "")


def _described(one: Heard) -> str:
    return f"{one.alert}{' in a race' if one.raced else ''}{' before the fault' if one.seconds <= 0 else ''}"


def variants_of(fault: Fault) -> tuple[Variant, ...]:
    """Return the variants in which *fault* is measured."""
    return (*QUICK, *SLOWER) if fault.elects else QUICK


def percentile(ordered: list[float], percent: float) -> float:
    """Return the smallest value that *percent* of 100 values do not exceed; *ordered* is sorted and not empty."""
    return ordered[max(0, ceil(percent / 100 * len(ordered)) - 1)]


def run_clusters(fault: Fault, count: int, pace: Pace = Pace.QUICK) -> list[Run]:
    """Return *count* recordings of *fault*, each of a cluster of its own."""
    return [run_fault(fault, number, rule_names(fault.size), pace) for number in range(count)]


def measure(promtool: Program, fault: Fault, runs: list[Run], combinations: int, variant: Variant) -> Measured:
    """Return what *combinations* receivers hear of *fault*, spread over *runs*."""
    rng = Random(f"phases:{fault.name}:{variant}")
    watchers = [draw(runs[number % len(runs)], rng) for number in range(combinations)]
    # Who multiplies the times of Raft multiplies the age of contacts that is too much, as the alert's number says.
    chosen = settings(fault.size, variant.pace.multiplier if variant.pace is Pace.SLOW else 1)
    alertmanager = Alertmanager(chosen)
    receivers = []
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, combinations, _WATCHERS_AT_ONCE):
            batch = watchers[start : start + _WATCHERS_AT_ONCE]
            seen = firing(promtool, Path(folder), batch, chosen, native=variant.native)
            for watcher, alerts in zip(batch, seen, strict=True):
                heard = alertmanager.heard(alerts)
                receivers.append([Heard(one.alert, one.seconds - watcher.fault_seconds, one.raced) for one in heard])
    return Measured(fault, variant, receivers)


HEADER = f"{'fault':<42} {'series':<14} {'n':>5} {'silent':>6} {'p50':>5} {'p95':>5} {'max':>5}  heard"


def line(measured: Measured) -> str:
    """Return one line of the table: how many heard what and when, and below it what is wrong."""
    times = measured.times
    figures = [f"{value:5.1f}" for value in (percentile(times, 50), percentile(times, 95), times[-1])] if times else []
    alerts = ", ".join(
        alert if number == len(measured.receivers) else f"{alert} {number}"
        for alert, number in sorted(measured.alerts.items())
    )
    begin = f"{measured.fault.name:<42} {measured.variant!s:<14} {len(measured.receivers):>5} {measured.silent:>6.1%}"
    said = f"{begin} {' '.join(figures or ['    -'] * 3)}  {alerts or '-'}"
    return "\n".join([said, *(f"    ! {problem}" for problem in measured.problems())])


def measure_fault(number: int, pace: Pace, arguments: argparse.Namespace, promtool: Program) -> list[tuple[str, bool]]:
    """Return the line of each measurement of one fault at one pace, and whether all is as it must be."""
    fault = FAULTS[number]
    with redirect_stdout(StringIO()):  # each world says its seed, which is the fault's name, the pace and a number
        runs = run_clusters(fault, min(arguments.clusters, arguments.combinations), pace)
    variants = variants_of(fault)
    each = ceil(arguments.combinations / len(variants))
    measured = [measure(promtool, fault, runs, each, variant) for variant in variants if variant.pace is pace]
    return [(line(one), not one.problems()) for one in measured]


def main() -> int:
    """Measure what the arguments name, print the table, and return 1 when something is not as it must be."""
    parser = argparse.ArgumentParser(description="Detection times in virtual time.")
    parser.add_argument("--only", default="", help="faults whose name contains these words")
    parser.add_argument(
        "--combinations", type=int, default=1_000, help="fault times against phases, a fault: over all its variants"
    )
    parser.add_argument("--clusters", type=int, default=10, help="simulated clusters, a fault")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the work")
    parser.add_argument("--newest", action="store_true", help="the newest promtool that is found, not the oldest")
    arguments = parser.parse_args()
    promtools, absent = find_or_explain("promtool")
    if not promtools:
        print(absent)
        return 1
    promtool = promtools[-1 if arguments.newest else 0]
    print(f"{promtool}; seconds from the fault to the receiver, at the shipped times\n{HEADER}", flush=True)
    fine = True
    with ProcessPoolExecutor(arguments.workers, initializer=logging.disable, initargs=(logging.CRITICAL,)) as pool:
        waiting = [
            pool.submit(measure_fault, number, pace, arguments, promtool)
            for number, fault in enumerate(FAULTS)
            if arguments.only in fault.name
            for pace in (Pace if fault.elects else (Pace.QUICK,))
        ]
        for one in waiting:
            for text, as_it_must_be in one.result():
                print(text, flush=True)
                fine = fine and as_it_must_be
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
