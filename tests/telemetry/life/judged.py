"""What a life that is over shows: which names came too late, and which values are wrong. Pure."""

from telemetry.catalogue import Metric
from tests.telemetry.life.checks import Lived
from tests.telemetry.life.seen import STEP_OF
from tests.telemetry.life.values import CHECKS


def unseen_by_step(lived: Lived) -> dict[str, str]:
    """Return the names that were not seen by the end of their step, each with when they were."""
    seen_in: dict[str, str] = {}
    order = [record.name for record in lived.records]
    for record in lived.records:
        for name in record.seen:
            seen_in.setdefault(name, record.name)
    late = {}
    for name, step in STEP_OF.items():
        first = seen_in.get(name)
        if first is None:
            late[name] = f"never seen, expected by the end of {step}"
        elif step not in order or order.index(first) > order.index(step):
            late[name] = f"seen in {first}, expected by the end of {step}"
    return late


def judged(lived: Lived) -> dict[Metric, list[str]]:
    """Return the metrics whose value is wrong, or was compared with nothing, with the sentences that say so."""
    wrong = {}
    for metric, check in CHECKS.items():
        verdicts = list(check.judge(metric, lived)) or ["compared nothing"]
        sentences = [verdict for verdict in verdicts if verdict]
        if sentences:
            wrong[metric] = sentences
    return wrong
