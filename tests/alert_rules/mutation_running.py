"""Which mutants the cases notice: copies of the rules, each wrong in one place, evaluated over the series of a case.

All copies that a case can tell apart run in one Prometheus, under names of their own. Only what a wrong rule reaches is
copied; and a rule that writes what it wrote before over the whole of a case reaches nothing, which is asked first.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice

from telemetry.scrape.duration import format_duration
from tests.alert_rules.asking import Question, RulesFailed, Sample, ask
from tests.alert_rules.mutation import Mutant, document_in
from tests.alert_rules.mutation_graph import Document, RuleGraph, name_of
from tests.alert_rules.trial import Trial
from tests.tools import Program

Report = Callable[[Trial, int, int], None]
"""Hears of a trial that ended: how many mutants it noticed first, and how many are left."""

COPIES_MAX = 400
"""Copied rules in one run of promtool: enough that its start does not count, few enough that its memory stays small."""


class CaseFails(Exception):
    """A case that the unchanged rules do not pass, so that it can notice nothing."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """The rules that a mutant reaches, under names of their own, one of them wrong."""

    mutant: Mutant
    wrong: Document
    names: Mapping[str, str]

    def version(self, graph: RuleGraph, document: Document, ordinal: int) -> Iterator[Document]:
        """Yield this copy's version of one rule, nothing when it has none."""
        if name_of(document) in self.names:
            is_wrong = (name_of(document), ordinal) == (self.mutant.rule, self.mutant.ordinal)
            yield graph.renamed(self.wrong if is_wrong else document, self.names)


@dataclass
class Check:
    """Mutants against trials; *noticed* has for each mutant that was noticed by which trial, and how."""

    promtool: Program
    mutants: Sequence[Mutant]
    noticed: dict[tuple[str, int, str], tuple[str, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, trials: Sequence[Trial], workers: int = 2, report: Report | None = None) -> None:
        """Try every mutant on the trials, in their order, until one notices it; *report* hears of each trial."""

        def tried(trial: Trial) -> None:
            noticed = self.try_on(trial)
            if report is not None:
                report(trial, noticed, len(self.survivors))

        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(tried, trials):
                pass

    @property
    def survivors(self) -> list[Mutant]:
        """The mutants that no trial noticed, in their order."""
        return [mutant for mutant in self.mutants if mutant.identity not in self.noticed]

    def try_on(self, trial: Trial) -> int:
        """Try on one trial every mutant that none has noticed so far; return how many it noticed first."""
        graph = trial.graph
        with self._lock:
            left = self.survivors
        reached = [mutant for mutant in left if graph.descendants(mutant.rule) & trial.subjects]
        direct = [mutant for mutant in reached if mutant.rule in trial.values]
        others = [mutant for mutant in reached if mutant.rule not in trial.values]
        for copies in _in_runs(_copies(trial, others, lambda wrong: frozenset({name_of(wrong)}))):
            direct += self._that_differ(trial, copies)
        for copies in _in_runs(_copies(trial, direct, lambda wrong: _slice(trial, wrong))):
            for copy, answers in self._answers(trial, copies, lambda copy: trial.questions(copy.names, copy.wrong)):
                problem = trial.failure(answers, copy.names)
                if problem is not None:
                    self._notice(copy.mutant, trial, problem)
        return sum(name == trial.name for name, _ in list(self.noticed.values()))

    def _that_differ(self, trial: Trial, copies: Sequence[_Copy]) -> list[Mutant]:
        """Return the mutants whose rule writes other series than the right one in the course of a trial."""
        # Recorded step by step: a query over the whole trial would load more samples than promtool allows.
        window = f"[{format_duration(trial.until + trial.step)}]"
        found = self._answers(
            trial,
            copies,
            lambda copy: [Question(f"count_over_time({_differs(copy)}{window})", trial.until)],
            lambda copy: _difference(copy, trial.graph.alerts),
        )
        return [copy.mutant for copy, answers in found if any(answers)]

    def _answers(
        self,
        trial: Trial,
        copies: Sequence[_Copy],
        questions_of: Callable[[_Copy], list[Question]],
        more_of: Callable[[_Copy], Document] | None = None,
    ) -> list[tuple[_Copy, list[list[Sample]]]]:
        """
        Return what is answered about each copy; a copy that cannot be evaluated is noticed and left out.

        A rule of *more_of* comes behind all others.
        """
        left = list(copies)
        while left:
            asked = [questions_of(copy) for copy in left]
            questions = list(chain.from_iterable(asked))
            documents = _documents(trial.graph, left) + [more_of(copy) for copy in left if more_of is not None]
            files = [{"groups": [{"name": "copies", "rules": documents}]}]
            try:
                answers = iter(ask(self.promtool, files, trial.series, trial.step, questions))
            except RulesFailed as failed:
                good = [copy for copy in left if not failed.errors.keys() & set(copy.names.values())]
                if len(good) == len(left):
                    raise CaseFails(f"{trial.name}: {failed}") from None
                for copy in left:
                    if copy not in good:
                        self._notice(copy.mutant, trial, "cannot be evaluated")
                left = good
                continue
            return [(copy, list(islice(answers, len(each)))) for copy, each in zip(left, asked, strict=True)]
        return []

    def _notice(self, mutant: Mutant, trial: Trial, how: str) -> None:
        with self._lock:
            self.noticed.setdefault(mutant.identity, (trial.name, how))


def _slice(trial: Trial, wrong: Document) -> frozenset[str]:
    """Return the rules between a wrong one and what the trial asks about; a wrong rule may read more than the right."""
    graph = trial.graph
    reached = graph.descendants(name_of(wrong))
    return reached & graph.ancestors((reached & trial.subjects) | graph.read_by(wrong))


def _copies(trial: Trial, mutants: Sequence[Mutant], rules_of: Callable[[Document], frozenset[str]]) -> Iterator[_Copy]:
    for number, mutant in enumerate(mutants):
        wrong = document_in(mutant, trial.graph)
        if wrong is not None:
            yield _Copy(mutant, wrong, {name: f"{name}_m{number}" for name in rules_of(wrong)})


def _in_runs(copies: Iterator[_Copy]) -> Iterator[list[_Copy]]:
    run: list[_Copy] = []
    for copy in copies:
        run.append(copy)
        if sum(len(each.names) for each in run) >= COPIES_MAX:
            yield run
            run = []
    if run:
        yield run


def _documents(graph: RuleGraph, copies: Sequence[_Copy]) -> list[Document]:
    """Return the right rules that the copies rest on and the copies, each where its original stands."""
    read = graph.ancestors(frozenset().union(*(copy.names.keys() | graph.read_by(copy.wrong) for copy in copies)))
    documents: list[Document] = []
    for document, ordinal in graph.numbered():
        if name_of(document) in read:
            documents.append(graph.renamed(document, {}))
            for copy in copies:
                documents += copy.version(graph, document, ordinal)
    return documents


def _difference(copy: _Copy, alerts: frozenset[str]) -> Document:
    """Return a rule that records something whenever a wrong rule writes other than the right one."""
    [(right, wrong)] = copy.names.items()
    if right in alerts:
        a, b = (f'ALERTS{{alertname="{name}"}}' for name in (right, wrong))
        differing = f"({a} unless ignoring (alertname) {b}) or ({b} unless ignoring (alertname) {a})"
    else:
        a, b = right, wrong
        differing = f"({a} != {b}) or ({a} unless {b}) or ({b} unless {a})"
    return {"record": _differs(copy), "expr": f"count({differing})"}


def _differs(copy: _Copy) -> str:
    [wrong] = copy.names.values()
    return f"{wrong}:differs"
