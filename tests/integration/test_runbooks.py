"""The commands of runbooks, run as an operator would: good answers of a healthy cluster, bad ones under the fault.

One watched cluster, one fault after the other. Each fault sets off what its pages are about: Prometheus is asked for
the condition of each alert, without its hold. Each command of the page must give its bad answer meanwhile; where one
tells causes apart, the fault says that it stays good.
"""

import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from alert_rules.runbooks import Look, runbooks
from tests.figures import record
from tests.integration.runbook_bench import SHOWN_SECONDS_MAX, Bench
from tests.integration.runbook_faults import FAULTS, HEALTHY_ONLY, NEVER_BAD, UNPROVEN

PAGES = runbooks()
AT_ONCE = 3
"""Commands that run at the same time: most are a Python that starts."""
PAUSE_SECONDS = 0.5


@pytest.fixture(scope="module")
def bench(tmp_path_factory, prometheus_tools):
    began = time.monotonic()
    directory = tmp_path_factory.mktemp("runbooks")
    bench = Bench(directory, prometheus_tools)
    try:
        bench.start()
        yield bench
    finally:
        bench.stop()
        record("runbooks.all", time.monotonic() - began, "s")
    shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True)
class Due:
    """The answer that a command of a page must give, with *instance* as $INSTANCE."""

    alert: str
    look: Look
    instance: str
    is_bad: bool

    def is_in(self, said):
        """Say whether it is what the command said: an answer that is both good and bad is bad."""
        return (
            self.look.bad.is_in(said) if self.is_bad else self.look.good.is_in(said) and not self.look.bad.is_in(said)
        )

    def __str__(self):
        due = self.look.bad if self.is_bad else self.look.good
        return f"{self.alert}, {self.look.title}: {due.pattern.pattern!r} is due of\n{self.look.command}"


def outstanding(bench, answers, conditions=None):
    """Ask until every answer was given and every condition, by alert, was true once; returns what never was."""
    answers, conditions = list(answers), dict(conditions or {})
    said = {}
    deadline = time.monotonic() + SHOWN_SECONDS_MAX
    while True:
        conditions = {alert: condition for alert, condition in conditions.items() if not bench.query(condition)}
        questions = list(dict.fromkeys((due.look.command, due.instance) for due in answers))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            said = dict(zip(questions, pool.map(lambda asked: bench.ask(*asked), questions), strict=True))
        answers = [due for due in answers if not due.is_in(said[due.look.command, due.instance])]
        if not (answers or conditions) or time.monotonic() > deadline:
            return [
                *(f"the condition of {alert} is not true: {condition}" for alert, condition in conditions.items()),
                *(f"{due}\nand it said\n{said[due.look.command, due.instance]}" for due in answers),
            ]
        bench.pause(PAUSE_SECONDS)


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_every_command_has_its_good_answer_on_a_healthy_cluster(bench):
    """
    Each command of each page prints its good pattern, and not its bad one.
    """
    began = time.monotonic()
    server = bench.agent_url("server-1")
    instances = {
        "NomadClientDown": bench.agent_url("client-1"),
        "OutriderPrometheusDown": bench.variables["PROMETHEUS"],
        "OutriderExporterDown": bench.exporter_url,
    }
    answers = [
        Due(alert, look, instances.get(alert, server), is_bad=False)
        for alert, page in PAGES.items()
        for look in page.runnable
    ]

    with bench.flood(at_once=1, pause_seconds=0.5):
        wrong = outstanding(bench, answers)

    assert not wrong, "\n\n".join(wrong)
    record("runbooks.commands", len({due.look.command for due in answers}), "count")
    record("runbooks.healthy", time.monotonic() - began, "s")


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_every_silence_for_amtool_is_taken(bench):
    """
    Each silence that a page gives for amtool is one that Alertmanager answers with its id.
    """
    commands = {(alert, command) for alert, page in PAGES.items() for command in page.silences}

    said = {(alert, command): bench.ask(command, "") for alert, command in commands}

    assert len(commands) > 20
    assert {} == {key: text for key, text in said.items() if not re.fullmatch(r"[0-9a-f-]{36}\s*", text)}


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_command_has_its_bad_answer_under_its_fault(bench, fault):
    """
    The fault makes the condition of each of its alerts true, and the commands of their pages show it.
    """
    began = time.monotonic()
    with fault.make(bench):
        shipped = bench.conditions()
        conditions = {alert: shipped[alert] for alert in fault.pages if alert not in UNPROVEN}
        answers = [
            Due(alert, look, bench.instances.get(name, ""), is_bad=(alert, look.title) not in fault.good)
            for alert, name in fault.pages.items()
            for look in PAGES[alert].runnable
        ]

        wrong = outstanding(bench, [due for due in answers if due.is_bad], conditions)
        wrong += outstanding(bench, [due for due in answers if not due.is_bad])

    assert not wrong, "\n\n".join(wrong)
    record(f"runbooks.{fault.name}", time.monotonic() - began, "s")


def test_every_command_is_seen_bad_or_has_a_reason_why_not():
    """
    A page is under a fault or in the table of those that cannot be; so is each command; neither is in both.
    """
    titles = {(alert, look.title) for alert, page in PAGES.items() for look in page.runnable}
    faulted = {alert for fault in FAULTS for alert in fault.pages}
    seen = {key for fault in FAULTS for key in titles if key[0] in fault.pages and key not in fault.good}

    assert set(PAGES) == faulted | HEALTHY_ONLY.keys()
    assert set() == faulted & HEALTHY_ONLY.keys()
    assert {key for key in titles if key[0] in faulted} == seen | NEVER_BAD.keys()
    assert set() == seen & NEVER_BAD.keys()
    assert [] == [key for fault in FAULTS for key in fault.good if key not in titles or key[0] not in fault.pages]
