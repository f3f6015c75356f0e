"""One page for each alert, named as the alert: what an operator reads at night, on a phone.

Six sections, always in this order: Meaning, Impact, First look, Remedy, Silence, What it is not. A number that
outrider.yaml may change stands with its name: 250 ms (`rules.NomadFollowersSlow.limit`).

The first look begins with the panels of the dashboards that show the fault, which are not written in the page: they come
from a table (`alert_rules/panels.py`). The rest of it is made of commands, each with a heading of its own, so that a person can paste them and a test can run
them:

    ### Who leads
        $ nomad operator raft list-peers
    - good: `leader +true`, one row leads
    - bad: `No cluster leader`, after 5 s

`$` is a command that runs anywhere; what stands in backticks is a regular expression, searched for in all it prints,
line by line. `nothing` is an empty answer, and may be followed by `or` and an expression. An answer in which both are
found is bad: a table is good until one row is bad. Further lines of a command are indented deeper than its first.
`#` is a command on a host, as root: it has one line `- look for:` instead, and no test runs it. A silence that takes
more than a name is a command of the same form.

Commands know four variables, all of them URLs; the words `nomad` and `outrider` are interchangeable.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files

from alert_rules.dialect import REGION, Dialect
from alert_rules.panels import PANELS, looking

SECTIONS = ("Meaning", "Impact", "First look", "Remedy", "Silence", "What it is not")
"""The sections of a page, in their order."""

VARIABLES: Mapping[str, str] = {
    "NOMAD_ADDR": "a server that answers",
    "INSTANCE": "what the alert's label `instance` names: an agent, a Prometheus, an Alertmanager",
    "PROMETHEUS": "the Prometheus that watches",
    "ALERTMANAGER": "the Alertmanager that notifies",
}
"""What the variables in commands are the URL of."""

LINE_LETTERS_MAX = 110
"""The longest line of a page."""

_QUERY = re.compile(r"(promtool query instant \$PROMETHEUS )'([^']+)'")
_SHIPPED_REGION = "region=REGION"
_COMMAND = re.compile(r" {4}([$#]) (.+)\Z")
_CONTINUED = re.compile(r" {6,}(\S.*)\Z")
_ANSWER = re.compile(r"- (good|bad): (?:(nothing)(?: or (?=`)|(?=,|\Z)))?(?:`([^`]+)`)?(?:, (.+))?\Z")
_LOOK_FOR = re.compile(r"- look for: (.+)\Z")
_EMPTY = r"\A\s*\Z"


class RunbookError(ValueError):
    """A page that cannot be read; the message names page, line and remedy."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command prints, as a pattern, and what that says to a person, which may be nothing more."""

    pattern: re.Pattern[str]
    meaning: str = ""

    def is_in(self, text: str) -> bool:
        """Say whether *text*, all that the command printed, has it."""
        return self.pattern.search(text) is not None


@dataclass(frozen=True, slots=True)
class Look:
    """One command of a first look; *good* and *bad* are None for one that runs on a host alone."""

    title: str
    command: str
    good: Answer | None = None
    bad: Answer | None = None

    @property
    def is_runnable(self) -> bool:
        """Whether the command runs anywhere, and its answer can be judged."""
        return self.good is not None and self.bad is not None


@dataclass(frozen=True, slots=True)
class Runbook:
    """One page; *sections* are by title, in the order of the page, *looks* the commands of the first look.

    *silences* are the commands of the section Silence.
    """

    alert: str
    text: str
    sections: Mapping[str, str]
    looks: tuple[Look, ...]
    silences: tuple[str, ...] = ()

    @property
    def runnable(self) -> tuple[Look, ...]:
        """The commands that run anywhere."""
        return tuple(look for look in self.looks if look.is_runnable)


def runbook_pages() -> dict[str, str]:
    """Return the pages by the name of their alert, in the order of the alphabet.

    The first look of each begins with the panels of the dashboards, from `alert_rules.panels`.
    """
    pages = {page.name.removesuffix(".md"): page for page in files(__name__).iterdir() if page.name.endswith(".md")}
    return {alert: _with_panels(alert, pages[alert].read_text(encoding="utf-8")) for alert in sorted(pages)}


def _with_panels(alert: str, text: str) -> str:
    """Return the page of *alert* with what it says about its panels; as it is where the table has no such alert."""
    if alert not in PANELS:
        return text
    before, heading, after = text.partition("## First look\n")
    return f"{before}{heading}{looking(alert)}\n\n{after}" if heading else text


def pages_in(dialect: Dialect) -> dict[str, str]:
    """Return the pages with their queries and silences for the labels and selectors that *dialect* names."""
    # Which cluster is meant, the reader knows; a page for one cluster is a page for all.
    free = replace(dialect, clusters=())
    region = f"{free.label(REGION)}=REGION" if free.label(REGION) else ""

    def page(text: str) -> str:
        text = _QUERY.sub(lambda query: f"{query[1]}'{free.expression(query[2])}'", text)
        return text if region == _SHIPPED_REGION else text.replace(f" {_SHIPPED_REGION}", f" {region}".rstrip())

    return {alert: page(text) for alert, text in runbook_pages().items()}


def runbooks() -> dict[str, Runbook]:
    """Return every page, read; raise RunbookError for one that is not written as pages are."""
    return {alert: parse_runbook(alert, text) for alert, text in runbook_pages().items()}


def parse_runbook(alert: str, text: str) -> Runbook:
    """Return the page of *alert*; raise RunbookError that names the line where it is not written as pages are."""
    lines = list(enumerate(text.splitlines(), start=1))
    if not lines or lines[0][1] != f"# {alert}":
        raise RunbookError(f"{alert}.md:1: the title is {lines[0][1] if lines else ''!r}; write '# {alert}'")
    parts = [(title, body) for title, body in _parts(lines[1:], "## ") if title]
    titles = tuple(title for title, _ in parts)
    if titles != SECTIONS:
        raise RunbookError(f"{alert}.md: its sections are {', '.join(titles)}; they must be {', '.join(SECTIONS)}")
    bodies = dict(parts)
    looks = tuple(_look(alert, title, body) for title, body in _parts(bodies["First look"], "### ") if title)
    for look in looks:
        if [other.title for other in looks].count(look.title) > 1:
            raise RunbookError(f"{alert}.md: {look.title!r} stands twice in the first look; rename one")
    sections = {title: _joined(body) for title, body in parts}
    return Runbook(alert, text, sections, looks, tuple(_commands(bodies["Silence"])))


_Lines = list[tuple[int, str]]


def _parts(lines: _Lines, mark: str) -> Iterator[tuple[str, _Lines]]:
    """Yield each heading that begins with *mark*, and what stands below it; first what stands before, as ''."""
    title, body = "", _Lines()
    for number, line in lines:
        if line.startswith(mark):
            yield title, body
            title, body = line.removeprefix(mark).strip(), []
        else:
            body.append((number, line))
    yield title, body


def _joined(lines: _Lines) -> str:
    return "\n".join(line for _, line in lines).strip()


def _commands(lines: _Lines) -> Iterator[str]:
    """Yield each command that runs anywhere, with the lines that continue it."""
    words: list[str] = []
    for _, line in lines:
        if (match := _COMMAND.match(line)) and match[1] == "$":
            words = [match[2]]
        elif words and (match := _CONTINUED.match(line)):
            words.append(match[1])
        elif words:
            yield "\n".join(words)
            words = []
    if words:
        yield "\n".join(words)


def _look(alert: str, title: str, lines: _Lines) -> Look:
    """Return the one command below the heading *title*."""
    words: list[str] = []
    prompt, is_told = "", False
    answers: dict[str, Answer] = {}
    for number, line in lines:
        place = f"{alert}.md:{number}"
        if match := _COMMAND.match(line):
            if words:
                raise RunbookError(f"{place}: {title!r} has a second command; give it a heading of its own")
            prompt, words = match[1], [match[2]]
        elif words and not answers and (match := _CONTINUED.match(line)):
            words.append(match[1])
        elif line.startswith(("- good", "- bad")):
            kind, answer = _answer(place, line)
            answers[kind] = answer
        elif _LOOK_FOR.match(line):
            is_told = True
        elif line.startswith(" "):
            raise RunbookError(f"{place}: {line.strip()!r} is no command; write '    $ command' or '    # command'")
    if not words:
        raise RunbookError(f"{alert}.md: {title!r} has no command; write one as '    $ command'")
    if prompt == "#" and (answers or not is_told):
        raise RunbookError(f"{alert}.md: {title!r} runs on a host; give it one line '- look for: …'")
    if prompt == "$" and set(answers) != {"good", "bad"}:
        raise RunbookError(f"{alert}.md: {title!r} lacks a line '- good: …' or '- bad: …'")
    return Look(title, "\n".join(words), answers.get("good"), answers.get("bad"))


def _answer(place: str, line: str) -> tuple[str, Answer]:
    match = _ANSWER.match(line)
    if match is None or not (match[2] or match[3]):
        raise RunbookError(f"{place}: {line!r} is no answer; write '- good: `pattern`, what it says'")
    wanted = [_EMPTY] if match[2] else []
    wanted += [match[3]] if match[3] else []
    try:
        return match[1], Answer(re.compile("|".join(wanted), re.MULTILINE), match[4] or "")
    except re.error as error:
        raise RunbookError(f"{place}: {match[3]!r} is no regular expression: {error}; mend it") from error
