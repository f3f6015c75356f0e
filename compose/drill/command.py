"""`outrider drill`: faults on a cluster of its own, and what a receiver got."""

import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import click
import msgspec

from alert_rules.rules import rule_set
from alert_rules.settings import ExpectedRegion, RuleSettings
from compose.drill import html, markdown, text
from compose.drill.churn import Churn
from compose.drill.churn import summary as churn_summary
from compose.drill.containers import CLIENTS as CONTAINER_CLIENTS
from compose.drill.containers import SERVERS as CONTAINER_SERVERS
from compose.drill.containers import ContainerSettings, ContainerStage, check_docker
from compose.drill.drill import Drill, DrillSettings, Job, jobs_of
from compose.drill.fault import SIZES, Fault, Setup, Unable
from compose.drill.judge import Arrival, Verdict, promised
from compose.drill.local_stage import LocalStage, StageSettings
from compose.drill.matrix import FAULTS, LATER, find
from compose.drill.pause import Pause, Stopped
from compose.drill.ports import NoPorts, PortBlocks
from compose.drill.runner import FaultRunner, Unquiet, times_of
from compose.drill.scoreboard import Run, Scoreboard, from_json, joined, to_json, waiting
from compose.local import LocalError
from compose.tools import TOOLS_FOLDER, ToolError
from compose.yaml_reader import SettingsError
from telemetry.clock import SystemClock
from telemetry.nomad_api import ApiFailure
from telemetry.scrape.duration import format_duration

PROCESSES = "processes"
COMPOSE = "compose"
OUT = Path(".outrider/drill")
LANES = 5
"""Clusters at one time: an idle one of five servers and six clients takes a twentieth of a core, and a drill is mostly
waiting."""
PORT_BASE = 28_000
CLIENTS = 6
"""A third of them is more than one."""
CLIENTS_MAX = 8
_FAST_RESEND_SECONDS = 1.0
_INTERRUPTED = 130


@click.command("drill")
@click.argument("names", metavar="[FAULT]...", nargs=-1)
@click.option("--list", "lists", is_flag=True, help="List the faults and what each must bring, and do nothing.")
@click.option("--servers", type=click.Choice([str(size) for size in SIZES]), help="One size only.")
@click.option("--clients", type=click.IntRange(3, CLIENTS_MAX), default=CLIENTS, show_default=True, help="Clients.")
@click.option(
    "--fast/--shipped",
    default=False,
    help="Scrape, evaluate and group in seconds, or as shipped; rules and holds are always the shipped ones.",
    show_default="shipped",
)
@click.option("--repeat", type=click.IntRange(1), default=1, help="Run each fault so often, at random phases.")
@click.option(
    "--churn", type=click.FloatRange(min=0.0, min_open=True), metavar="MINUTES", help="Healthy change instead."
)
@click.option("--seed", type=int, help="Makes the choices; printed, to replay them.")
@click.option("--lanes", type=click.IntRange(1, 8), default=LANES, show_default=True, help="Clusters at one time.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=OUT, show_default=True, help="For the results."
)
@click.option(
    "--into",
    "earlier",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A scoreboard.json whose other faults are kept in the results.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the scoreboard as JSON; what happens goes to stderr.")
@click.option("--markdown", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write it as Markdown, too.")
@click.option("--via", type=click.Choice([PROCESSES, COMPOSE]), default=PROCESSES, show_default=True, help="Run in.")
@click.option("--keep", is_flag=True, help="Keep the folders of the clusters, with logs and notifications.")
@click.option("--port-base", default=PORT_BASE, show_default=True, help="Free ports are looked for from here on.")
@click.option(
    "--tools",
    type=click.Path(path_type=Path, file_okay=False),
    default=TOOLS_FOLDER,
    show_default=True,
    help="Where unpacked programs are looked for after PATH.",
)
def drill_command(
    names: tuple[str, ...],
    *,
    lists: bool,
    churn: float | None,
    earlier: Path | None,
    page: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make faults on a watched cluster of its own, and print what a receiver got beside what it should have.

    Without FAULT every one is made, on 3 and on 5 servers. The exit code is 0 only when every verdict is ok. Results
    are written to --out as scoreboard.json, .html and .txt. A running `outrider up` is not touched.
    """
    faults = _faults(names, via=options["via"])
    options["seed"] = seed = (
        options["seed"] if options["seed"] is not None else random.SystemRandom().randrange(1_000_000)
    )
    kept = None if earlier is None else _read(earlier)
    if lists:
        for line in listing(faults):
            click.echo(line)
        return
    if churn is not None:
        sys.exit(_churn(churn, options))
    sizes = SIZES if options["servers"] is None else (int(options["servers"]),)
    if options["via"] == COMPOSE:
        _check_compose(sizes)
        # compose.yaml has three servers, and one run of it at a time is enough for a machine.
        sizes, options["lanes"], options["clients"] = sizes[:1], 1, len(CONTAINER_CLIENTS)
    jobs = jobs_of(faults, sizes, options["repeat"])
    if not jobs:
        raise click.UsageError(f"none of these faults is made on {sizes[0]} servers: see outrider drill --list")
    say = _printer(to_stderr=as_json)
    say(f"{len(jobs)} faults, seed {seed}; the results will be in {options['out']}")
    say(text.header())
    board, failure = _run(jobs, say, options)
    whole = board if kept is None else _joined(kept, board, earlier)
    _write(whole, options["out"], page)
    for line in text.summary(whole):
        say(line)
    if as_json:
        click.echo(to_json(whole).decode(), nl=False)
    if failure is not None:
        with _explained():
            raise failure
    sys.exit(exit_code(board, len(jobs)))


def exit_code(board: Scoreboard, wanted: int) -> int:
    """Return 0 when every verdict is ok, 130 for a drill that was broken off, else 1."""
    if len(board.runs) < wanted:
        return _INTERRUPTED
    return 0 if board.verdict is Verdict.OK else 1


def listing(faults: Sequence[Fault]) -> list[str]:
    """Return a line for each fault and each size of cluster with the shipped promises, and what cannot be made yet."""
    lines = []
    for fault in faults:
        for size in fault.sizes:
            arrivals = "; ".join(_arrival(arrival, size) for arrival in fault.arrives[size])
            lines.append(f"{fault.name:<27}{size}  {arrivals or 'nothing'}")
        lines.append(f"{'':30}{fault.what}")
    return [*lines, *(f"{later.name:<30}not yet: needs {later.needs}" for later in LATER)]


def _arrival(arrival: Arrival, servers: int) -> str:
    region = ExpectedRegion(name="global", expected_servers=servers)
    settings = RuleSettings(cluster="drill", regions=(region,))
    found = promised(arrival, rule_set(settings), settings.times, region.name)
    alerts = [*found.alerts, *(f"({alert})" for alert in found.absent)]
    return " or ".join(alerts) + (f" within {format_duration(round(found.within_seconds))}" if found.alerts else "")


def _faults(names: Sequence[str], *, via: str) -> tuple[Fault, ...]:
    """Return the faults called *names*, every one that is made that way when there are none."""
    try:
        chosen = tuple(find(name) for name in names)
    except KeyError as error:
        raise click.UsageError(f"there is no fault {error.args[0]!r}: see outrider drill --list") from None
    known = tuple(fault for fault in FAULTS if via != COMPOSE or fault.in_containers)
    unknown = [fault.name for fault in chosen if fault not in known]
    if unknown:
        core = ", ".join(fault.name for fault in known)
        raise click.UsageError(f"{unknown[0]} is not made in containers; these are: {core}")
    return chosen or known


def _check_compose(sizes: Sequence[int]) -> None:
    if sizes[0] != len(CONTAINER_SERVERS):
        raise click.UsageError(f"compose.yaml has {len(CONTAINER_SERVERS)} servers: leave --servers out")
    try:
        check_docker()
    except Unable as error:
        raise click.ClickException(str(error)) from error


def _run(
    jobs: Sequence[Job], say: Callable[[str], None], options: dict[str, Any]
) -> tuple[Scoreboard, BaseException | None]:
    """Run *jobs*; an interrupt or an error ends it in order and gives what was run so far."""
    clock = SystemClock()
    pause = Pause(clock)
    stages = _Stages(pause, options)
    settings = DrillSettings(
        make=stages.containers if options["via"] == COMPOSE else stages.of_job,
        via=options["via"],
        times=stages.times,
        clients=options["clients"],
        seed=options["seed"],
        lanes=options["lanes"],
    )

    def finished(run: Run) -> None:
        for line in text.run_lines(run):
            say(line)

    drill = Drill(settings, finished, pause, clock)
    with _interruptible(pause, say):
        return drill.run(jobs, waiting(LATER)), drill.failure


def _churn(minutes: float, options: dict[str, Any]) -> int:
    """Do healthy change for *minutes* and return the exit code."""
    clock, seed = SystemClock(), options["seed"]
    pause = Pause(clock)
    say = _printer(to_stderr=False)
    say(f"{minutes:g} minutes of healthy change, seed {seed}")
    stage = _Stages(pause, options).make(int(options["servers"] or SIZES[0]), Setup.PLAIN)
    with _interruptible(pause, say), _explained():
        try:
            stage.open()
            FaultRunner(stage, clock).prepare()
            stage.observer.begin(clock.wall())
            result = Churn(stage, random.Random(seed), say, clock).run(minutes)
        except Stopped:
            return _INTERRUPTED
        finally:
            stage.close()
    for line in churn_summary(result, seed):
        say(line)
    if result.was_stopped:
        return _INTERRUPTED
    return 0 if result.is_ok else 1


@contextmanager
def _interruptible(pause: Pause, say: Callable[[str], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the waits, so that clusters are ended in order; nothing is raised amid anything."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not pause.is_stopped:
            say("ending the clusters")
            pause.stop()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what keeps a cluster from running into one sentence."""
    try:
        yield
    except (LocalError, ToolError, SettingsError, NoPorts, Unquiet, ApiFailure) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"no cluster can be started: {error}") from error


class _Stages:
    """Makes stages with ports and folders of their own."""

    def __init__(self, pause: Pause, options: dict[str, Any]) -> None:
        self.times = times_of(fast=options["fast"])
        self._pause = pause
        self._options = options
        self._folder = options["out"].absolute() / "clusters" / str(os.getpid())
        self._ports = PortBlocks(options["port_base"])
        self._numbers = count(1)

    def containers(self, _job: Job) -> ContainerStage:
        """Return a stage of containers that is not open yet."""
        settings = ContainerSettings(
            directory=self._folder / str(next(self._numbers)), times=self.times, keep=self._options["keep"]
        )
        return ContainerStage(settings, random.Random(), self._pause, SystemClock())

    def of_job(self, job: Job) -> LocalStage:
        """Return a stage of processes for *job*."""
        return self.make(job.servers, job.fault.setup)

    def make(self, servers: int, setup: Setup) -> LocalStage:
        """Return a stage that is not open yet; raises NoPorts."""
        options = self._options
        first = self._ports.take()
        settings = StageSettings(
            directory=self._folder / str(next(self._numbers)),
            ports=first,
            servers=servers,
            clients=options["clients"],
            times=self.times,
            resend_delay_seconds=_FAST_RESEND_SECONDS if options["fast"] else None,
            setup=setup,
            tools=options["tools"],
            keep=options["keep"],
            ended=lambda: self._ports.give_back(first),
        )
        return LocalStage(settings, random.Random(options["seed"]), self._pause, SystemClock())


def _read(file: Path) -> Scoreboard:
    try:
        return from_json(file.read_bytes())
    except msgspec.MsgspecError as error:
        raise click.UsageError(f"{file}: {error}; give a scoreboard.json that a drill has written") from error


def _joined(kept: Scoreboard, board: Scoreboard, file: Path | None) -> Scoreboard:
    """Return both in one; a drill that was made otherwise stands alone, for its runs must not be lost."""
    try:
        return joined(kept, board)
    except ValueError as error:
        click.echo(f"{file} is left as it is: {error}", err=True)
        return board


def _write(board: Scoreboard, out: Path, page: Path | None) -> None:
    """Write the scoreboard in every form."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "scoreboard.json").write_bytes(to_json(board))
    (out / "scoreboard.html").write_text(html.board_html(board), "utf-8")
    (out / "scoreboard.txt").write_text(text.board_text(board), "utf-8")
    if page is not None:
        page.write_text(markdown.board_markdown(board), "utf-8")


def _printer(*, to_stderr: bool) -> Callable[[str], None]:
    def say(line: str) -> None:
        click.echo(line, err=to_stderr)

    return say
