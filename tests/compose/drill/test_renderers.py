import json
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from compose.drill import html, markdown, text
from compose.drill.judge import Verdict
from compose.drill.scoreboard import Scoreboard, from_json, joined, overall, quantile, spreads, to_json
from tests.compose.drill import examples

VOID = {"meta", "br", "wbr"}
FIELDS = Path("compose/drill/DRILL.md")


class Balanced(HTMLParser):
    """Checks that elements are closed in order, and keeps what is said and referred to."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.sources, self.said = [], set(), set(), [], ""

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids |= {found["id"]} if "id" in found else set()
        self.links |= {found["href"]} if "href" in found else set()
        self.sources += [value for name, value in attrs if name in {"src", "srcset", "data", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open[-1] != tag and self.open[-1] in {"tr", "td", "th", "li", "p"}:
            self.open.pop()
        assert tag == self.open.pop()

    def handle_data(self, data):
        self.said += data


def test_a_terminal_shows_it_in_120_columns():
    """
    No line is wider, with the longest names there are either, and each fault begins one with its verdict and its name.
    """
    longest = "NomadExpectedServersOutdated"
    seen = examples.trace(longest, [1_000.0, 1_060.0], pending=1_000.0, firing=1_000.0, resolved=1_100.0)
    wide = examples.run("x" * 25, Verdict.UNRESOLVED, [examples.line(Verdict.UNRESOLVED, (longest, "Other"), seen)])

    shown = text.board_text(examples.board())

    rows = [text.header(), *text.run_lines(wide), *shown.splitlines()]
    assert 120 == max(len(row) for row in rows)
    assert text.run_lines(wide)[0].endswith(" 1000  1000  1000  1100")
    for run in examples.runs():
        assert re.search(rf"^{run.verdict.value} +{run.fault} +{run.servers} ", shown, re.MULTILINE), run.fault


def test_the_lines_of_a_fault_say_what_came():
    """
    Expected and received stand side by side with the seconds of each step; what came beside it has a line of its own.
    """
    leak = text.run_lines(examples.runs()[3])

    assert [
        "unexpected",
        "leak",
        "3",
        "NomadQuorumAtRisk",
        "NomadQuorumAtRisk",
        "5.0",
        "80.0",
        "86.4",
        "230.0",
    ] == leak[0].split()
    assert ["unexpected", "nothing", "2", "x", "NomadServerDown", "20.0", "135.0", "140.0", "250.0"] == leak[1].split()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "nothing"),
        (2, "NomadQuorumAtRisk was promised within 95.0 s"),
        (4, "alerts still fired when the wait for their end was over"),
        (5, text.NO_SUCH_ALERT),
        (6, "it takes a C compiler & <gcc>"),
    ],
)
def test_each_kind_of_run_is_explained(number, words):
    """
    Silence, lateness, no end, an alert that the build lacks and a fault that cannot be made are said in words.
    """
    assert words in "\n".join(text.run_lines(examples.runs()[number]))


def test_json_tells_everything():
    """
    What is written is read back the same, with verdicts as words.
    """
    board = examples.board()

    assert board == from_json(to_json(board))
    assert "missing" == json.loads(to_json(board))["verdict"]


def test_what_is_made_again_takes_the_place_of_what_it_was():
    """
    Of a fault on one size all runs are replaced, the others stay where they are, and what is new comes last.
    """
    earlier = examples.board(
        [
            examples.run("a", Verdict.MISSING),
            examples.run("a", Verdict.OK, number=2),
            examples.run("a", Verdict.OK, servers=5),
            examples.run("b", Verdict.OK),
        ]
    )
    later = examples.board(
        [examples.run("a", Verdict.OK), examples.run("a", Verdict.LATE, number=2), examples.run("c", Verdict.OK)]
    )

    both = joined(earlier, later)

    assert [("a", 3), ("a", 3), ("a", 5), ("b", 3), ("c", 3)] == [(run.fault, run.servers) for run in both.runs]
    assert ["ok", "late", "ok", "ok", "ok"] == [run.verdict.value for run in both.runs]
    assert (Verdict.LATE, 2, 2 * 754.0) == (both.verdict, both.drills, both.took_seconds)
    assert "Of 2 drills" in markdown.board_markdown(both)
    assert "drills" not in markdown.board_markdown(earlier)


def test_drills_that_were_made_differently_are_not_joined():
    """
    A scoreboard of other intervals says which, and nothing is mixed.
    """
    board = examples.board()
    other = msgspec.structs.replace(board, via="compose")

    with pytest.raises(ValueError, match="via of both differ: processes and compose"):
        joined(board, other)


def test_every_field_of_the_json_is_described():
    """
    The page beside the code has a row for each field of each object.
    """
    described = set(re.findall(r"^\| `([a-z_]+)` ", FIELDS.read_text(encoding="utf-8"), re.MULTILINE))

    def fields(kind):
        for field in msgspec.structs.fields(kind):
            yield field.encode_name
            for inner in re.findall(r"compose\.drill\.[a-z]+\.([A-Z]\w+)", str(field.type)):
                found = next(each for each in kinds if each.__name__ == inner)
                if issubclass(found, msgspec.Struct):
                    yield from fields(found)

    modules = [__import__(f"compose.drill.{name}", fromlist=["x"]) for name in ("judge", "scoreboard")]
    kinds = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    assert set(fields(Scoreboard)) == described


def test_the_page_needs_nothing_else():
    """
    It is well formed, loads and links nothing from elsewhere, runs no script, and its links lead to its own parts.
    """
    page = html.board_html(examples.board())
    parser = Balanced()
    parser.feed(page)

    assert [] == parser.sources
    assert parser.links
    assert {link.removeprefix("#") for link in parser.links} <= parser.ids
    assert "<script" not in page
    assert "url(" not in page
    assert "http" not in page


def test_the_page_shows_every_run_with_its_verdict():
    """
    Names and verdicts stand in it, and what is written by others is escaped.
    """
    parser = Balanced()
    page = html.board_html(examples.board())
    parser.feed(page)

    for run in examples.runs():
        assert run.fault in parser.said
        assert f'class="v {run.verdict.value}"' in page
    assert "it takes a C compiler & <gcc>" in parser.said
    assert "<gcc>" not in page


def test_a_time_line_is_in_proportion():
    """
    An alert that fires at 80 s and ends at 230 s of a fault of 260 s has its bar there, and its marks where they belong.
    """
    page = html.board_html(examples.board(examples.runs()[1:2]))

    assert '<i class="pending" style="left:1.92%;width:28.85%">' in page
    assert '<i class="firing" style="left:30.77%;width:57.69%">' in page
    assert '<i class="told" style="left:33.23%">' in page
    assert '<i class="heal" style="left:38.46%">' in page
    assert '<div class="alert quiet">NomadServerDown' in page


def test_markdown_has_a_row_for_each_notification():
    """
    Every run has its row, every row as many cells as the head, and date and versions stand above.
    """
    page = markdown.board_markdown(examples.board())
    table = [row for row in page.splitlines() if row.startswith("|")]

    assert {table[0].count("|")} == {row.count("|") for row in table}
    assert 2 + 8 == len(table)
    assert "2026-11-25 12:00 UTC" in page
    assert "Prometheus 2.42.0" in page
    assert "- unable: it takes a C compiler & <gcc>" in page
    assert "- member-failed: needs gossip" in page


@pytest.mark.parametrize(
    "render", [text.board_text, html.board_html, markdown.board_markdown], ids=lambda f: f.__name__
)
def test_an_empty_scoreboard_can_be_shown(render):
    """
    A drill that was broken off before its first verdict leaves a page all the same.
    """
    assert "nothing was run" in render(examples.board([]))


def test_repeated_faults_have_a_spread():
    """
    Minimum, median, p95 and maximum of receipt over the runs of one fault; what did not arrive is counted, not averaged.
    """
    made = [
        examples.run(
            "risk",
            Verdict.OK,
            [examples.line(Verdict.OK, ("NomadQuorumAtRisk",), examples.trace("NomadQuorumAtRisk", [seconds]))],
            number=number,
        )
        for number, seconds in enumerate(range(70, 90), start=1)
    ]
    made.append(examples.run("risk", Verdict.MISSING, [examples.line(Verdict.MISSING, ("NomadQuorumAtRisk",), None)]))

    (found,) = spreads(made)

    assert (21, 20) == (found.runs, found.received)
    assert (70.0, 79.0, 88.0, 89.0) == (found.minimum, found.median, found.p95, found.maximum)
    for render in (text.board_text, html.board_html, markdown.board_markdown):
        assert "88.0" in render(examples.board(made))


def test_a_fault_run_once_has_no_spread():
    """
    There is no table of repetitions where nothing was repeated.
    """
    assert () == spreads(examples.runs())


def test_quantiles_are_values_that_were_seen():
    """
    The smallest value that a share of all does not exceed; of one value it is that.
    """
    assert [1.0, 3.0, 5.0] == [quantile([1.0, 2.0, 3.0, 4.0, 5.0], share) for share in (0.2, 0.5, 0.95)]
    assert 7.0 == quantile([7.0], 0.5)


def test_what_was_skipped_is_no_failure():
    """
    The verdict on the whole is the worst of those that were tried.
    """
    ran = examples.runs()

    assert Verdict.OK is overall([ran[0], ran[6]])
    assert Verdict.MISSING is overall(ran)
