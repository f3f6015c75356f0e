"""Replays recorded faults of a real Nomad and says what was heard: `python -m tests.detection.replay [FOLDER]`.

Without FOLDER the recordings in `data/` are replayed, at 1 s and at the shipped intervals, to every Prometheus that is
found, all at once; each expected alert is in time, late or missing, all others are listed. The exit code is 1 unless all
is as expected. With FOLDER its recordings are replayed, in the form of those in `data/` before they were made small, and
what fired is listed with its times.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from alert_rules.rules import rule_set
from tests.alert_rules.timeline import PROOF, SHIPPED, settings
from tests.detection.expectations import BACKGROUND, EXPECTED, Expected, Judged, judge
from tests.detection.recordings import Recording, known, load, recordings_in
from tests.detection.replay_stage import Outcome, Stage, aligned, replay
from tests.tools import find_or_explain

HEALTH_SECONDS = 60
AT_ONCE_MAX = 8
"""Recordings that are replayed together; the rest waits for its turn, so that scrapes stay in time."""


def main(arguments: Sequence[str]) -> int:
    """Replay, print and judge."""
    prometheuses, absent = find_or_explain("prometheus")
    alertmanagers, also_absent = find_or_explain("alertmanager")
    if not prometheuses or not alertmanagers:
        print(also_absent if prometheuses else absent, file=sys.stderr)
        return 1
    try:
        recordings = recordings_in(Path(arguments[0])) if arguments else [load(name) for name in known()]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    stages = [Stage(each, alertmanagers[0], times) for each in prometheuses for times in (PROOF, SHIPPED)]
    expected = {} if arguments else EXPECTED
    began = time.monotonic()
    good = [
        _played(recordings[start : start + AT_ONCE_MAX], stages, expected)
        for start in range(0, len(recordings), AT_ONCE_MAX)
    ]
    summary = "nothing was expected of them"
    if expected:
        summary = "all as expected" if all(good) else "not as expected"
    print(f"\n{len(recordings)} recordings in {time.monotonic() - began:.0f} s: {summary}")
    return int(bool(expected) and not all(good))


def _played(
    recordings: Sequence[Recording], stages: Sequence[Stage], expected: Mapping[str, Sequence[Expected]]
) -> bool:
    """Replay some recordings together, print what came of each, and say whether all is as expected."""
    moved = aligned(recordings, HEALTH_SECONDS)
    seconds = max(recording.seconds for recording in moved)
    names = ", ".join(str(stage) for stage in stages)
    print(f"replaying {len(moved)} recordings in {seconds} s to {names}", flush=True)
    with tempfile.TemporaryDirectory(prefix="replay-") as scratch:
        outcomes = replay(moved, stages, Path(scratch), seconds)
    for recording in moved:
        print("\n".join(about(recording, stages, outcomes, expected.get(recording.name))), flush=True)
    good = True
    for stage, outcome in zip(stages, outcomes, strict=True):
        if outcome.heard.get(""):
            good = False
            print(f"\nof no region, {stage}: {', '.join(each.alert for each in outcome.heard[''])}")
        for recording in moved:
            verdicts = judged(recording, stage, outcome, expected.get(recording.name, ()))
            good &= all(each.verdict.is_good for each in verdicts)
    return good


def about(
    recording: Recording, stages: Sequence[Stage], outcomes: Sequence[Outcome], expected: Sequence[Expected] | None
) -> Iterator[str]:
    """Yield the lines about one recording: what was done, and for each stage what came of it."""
    yield ""
    yield recording.name
    for at, what in recording.actions:
        yield f"  {at - (recording.fault or 0.0):+8.1f} s  {what}"
    for stage, outcome in zip(stages, outcomes, strict=True):
        yield f"  {stage}"
        if expected is None:
            yield from _told(recording, outcome)
        else:
            for each in judged(recording, stage, outcome, expected):
                yield f"    {_line(each, outcome.resolved.get(recording.name, {}).get(each.alert))}"
        for alert, (first, last) in sorted(_unheard(recording, outcome).items()):
            yield f"    {alert:28} fired from {first:+.0f} s to {last:+.0f} s, heard of by nobody"


def judged(recording: Recording, stage: Stage, outcome: Outcome, expected: Sequence[Expected]) -> list[Judged]:
    """Return the verdicts on what was heard of one recording."""
    rules = rule_set(settings(len(recording.servers), stage.times))
    return judge(expected, outcome.heard.get(recording.name, []), rules, stage.times, BACKGROUND)


def _line(each: Judged, resolved: float | None) -> str:
    words = [f"{each.alert:28} {each.verdict.value}"]
    if each.after is not None:
        words.append(f"after {each.after:.1f} s")
    if each.promised is not None:
        words.append(f"of {each.promised:.1f} s promised")
    if resolved is not None:
        words.append(f"resolved at {resolved:+.1f} s")
    if each.alert in BACKGROUND:
        words.append(f"({BACKGROUND[each.alert]})")
    return " ".join(words)


def _told(recording: Recording, outcome: Outcome) -> Iterator[str]:
    """Yield what was heard of, when nothing is expected."""
    resolved = outcome.resolved.get(recording.name, {})
    heard: dict[str, float] = {}
    for each in outcome.heard.get(recording.name, []):
        heard.setdefault(each.alert, each.after)
    if not heard:
        yield "    nothing was heard of"
    for alert, after in sorted(heard.items(), key=lambda pair: pair[1]):
        yield f"    {_line_of(alert, after)}{f', resolved at {resolved[alert]:+.1f} s' if alert in resolved else ''}"


def _line_of(alert: str, after: float) -> str:
    return f"{alert:28} heard of at {after:+.1f} s"


def _unheard(recording: Recording, outcome: Outcome) -> dict[str, tuple[float, float]]:
    """Return the alerts that fired and of which nobody heard: inhibited, for nobody, or too short for a group."""
    heard = {each.alert for each in outcome.heard.get(recording.name, [])}
    return {alert: span for alert, span in outcome.fired.get(recording.name, {}).items() if alert not in heard}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
