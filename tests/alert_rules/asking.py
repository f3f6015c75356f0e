"""What promtool answers: rules evaluated over given series, and queries asked at moments of that time.

A promtool test prints what it got only when that is not what was expected, so each question expects the impossible.
"""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from telemetry.scrape.duration import format_duration
from tests.tools import Program

TIMEOUT_SECONDS = 300.0
"""For one run of promtool; generous, for a busy machine."""

_IMPOSSIBLE = [{"labels": '{impossible="yes"}', "value": -1}]
_ANSWER = re.compile(r'^    expr: ("(?:[^"\\]|\\.)*"), time: (\S+),\s*\n\s+exp: .*\n\s+got: ?(.*)$', re.MULTILINE)
_SAMPLE = re.compile(r'\{((?:[^"{}]|"(?:[^"\\]|\\.)*")*)\} (\S+?)(?:,|$)')
_LABEL = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')
_FAILED = re.compile(r"^    rule: (\S+), time: (\S+), err: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an answer: its labels, the name as `__name__` where it has one, and its value."""

    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Question:
    """A query at a moment, in seconds from the first sample."""

    expr: str
    at: float


class RulesFailed(Exception):
    """Rules that Prometheus could not evaluate; *errors* has for each its first error."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {error}" for name, error in errors.items()))
        self.errors = errors


def ask(
    promtool: Program,
    files: Sequence[dict[str, Any]],
    series: Mapping[str, str],
    step: float,
    questions: Sequence[Question],
    every: float | None = None,
    folder: Path | None = None,
) -> list[list[Sample]]:
    """Return the answer to each question, in their order.

    *files* are the contents of rule files, whose groups are evaluated in the order they stand; *series* are selectors
    and values in promtool's notation, *step* seconds apart; rules are evaluated *every* so many seconds, by default as
    often. What promtool reads stays in *folder* when one is given. Raises RulesFailed when a rule cannot be evaluated at some time before the last question.
    """
    with tempfile.TemporaryDirectory(prefix="promtool-") as scratch:
        test = _write(folder or Path(scratch), files, series, step, questions, every or step)
        said = promtool.run("test", "rules", str(test), timeout=TIMEOUT_SECONDS)
    text = said.stdout + said.stderr
    failed = {name: f"at {time}: {error}" for name, time, error in reversed(_FAILED.findall(text))}
    if failed:
        raise RulesFailed(failed)
    answers = [(json.loads(expr), got) for expr, _, got in _ANSWER.findall(text)]
    for question, answer in zip_longest(questions, answers):
        assert question is not None, f"promtool answered what nobody asked: {answer}"
        assert question.expr == (answer or ("",))[0], f"promtool did not answer {question}:\n{_errors(text)}"
    return [_samples(got) for _, got in answers]


def _write(
    folder: Path,
    files: Sequence[dict[str, Any]],
    series: Mapping[str, str],
    step: float,
    questions: Sequence[Question],
    every: float,
) -> Path:
    names = [f"rules-{number}.yml" for number, _ in enumerate(files)]
    for name, content in zip(names, files, strict=True):
        _dump(folder / name, content)
    test = {
        "interval": format_duration(step),
        "input_series": [{"series": selector, "values": values} for selector, values in series.items()],
        "promql_expr_test": [
            {"expr": question.expr, "eval_time": format_duration(question.at), "exp_samples": _IMPOSSIBLE}
            for question in questions
        ],
    }
    document = {
        "rule_files": names,
        "evaluation_interval": format_duration(every),
        # Without it promtool takes the groups in any order.
        "group_eval_order": [group["name"] for content in files for group in content["groups"]],
        "tests": [test],
    }
    _dump(folder / "test.yml", document)
    return folder / "test.yml"


def _dump(path: Path, document: dict[str, Any]) -> None:
    # JSON is YAML, and written a hundred times faster; promtool's reader is the same.
    path.write_text(json.dumps(document), encoding="utf-8")


def _samples(got: str) -> list[Sample]:
    return [
        Sample({name: json.loads(value) for name, value in _LABEL.findall(labels)}, float(value))
        for labels, value in _SAMPLE.findall(got)
    ]


def _errors(text: str) -> str:
    """Return what promtool said beside answers."""
    return "\n".join(line for line in _ANSWER.sub("", text).splitlines() if line.strip())[:2000]
