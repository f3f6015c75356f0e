"""The parts of the preview that need no Prometheus: reading JSON, variables, times, units, words and colors, tables."""

import json
import re
from dataclasses import replace

import pytest

from dashboards.preview.asking import ask, expanded, specials
from dashboards.preview.drawing import lines, states
from dashboards.preview.fields import Series, named, overridden, reduced, series_of, threshold_color, value_color
from dashboards.preview.model import Kind, ModelError, Section, Variable, read_board, read_folder
from dashboards.preview.page import page
from dashboards.preview.shown import Mark
from dashboards.preview.table import Frame, frames_of, transformed
from dashboards.preview.times import Range, read_range, steps
from dashboards.preview.units import formatted, ticks
from dashboards.preview.variables import ALL, Chosen, asked, choose, in_link, in_query, narrowed
from dashboards.preview.widgets import safe
from telemetry.prometheus_api import Result
from tests.conftest import ROOT
from tests.dashboards.every_kind import EVERY_KIND, WORDS, write_folder
from tests.dashboards.every_kind import panel as panel_json

NOW = 1_800_000_000.0
HOUR = Range(NOW - 3_600, NOW, "now-1h", "now")
BOARD = read_board("every.json", json.dumps(EVERY_KIND))


def panel(number):
    return next(each for each in BOARD.panels if each.id == number)


def result(values, step=15.0, **labels):
    return Result(labels, tuple((NOW - (len(values) - 1 - at) * step, value) for at, value in enumerate(values)))


def series(values, config=None, **labels):
    return Series(labels.get("instance", "s"), "A", result(values, **labels), config or {})


def chosen(name, *values, is_multi=False, is_all=False, all_value="", among=()):
    variable = Variable(name=name, label=name, type="query", is_multi=is_multi, has_all=is_all, all_value=all_value)
    return {name: Chosen(variable, tuple(among or values), tuple(values), is_all=is_all)}


def test_a_dashboard_is_read_in_sections():
    """
    Panels follow their rows, those of a collapsed row stand in it, and places count from the row.
    """
    assert ["Now", "Over time", "More"] == [section.title for section in BOARD.sections]
    assert [False, False, True] == [section.is_collapsed for section in BOARD.sections]
    assert [15] == [each.id for each in BOARD.sections[2].panels]
    assert 0 == panel(7).top
    assert {*Kind, None} == {each.kind for each in BOARD.panels}


def test_the_generated_dashboards_have_only_panels_that_are_drawn():
    """
    What `outrider build` writes is previewed whole.
    """
    boards = read_folder(ROOT / "compose/generated/dashboards")

    assert boards
    assert [] == [(board.uid, each.type) for board in boards for each in board.panels if each.kind is None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "x.json is not JSON"),
        ("[]", "x.json is no dashboard of Grafana: it has no title or no panels"),
        (
            '{"title": "T", "panels": [{"type": "stat"}]}',
            "x.json has a part of a form that no dashboard has: KeyError('gridPos')",
        ),
    ],
)
def test_a_file_that_is_no_dashboard_is_named(text, said):
    """
    With what is wrong and what to do.
    """
    with pytest.raises(ModelError, match=r"^x\.json .*; |not JSON") as refused:
        read_board("x.json", text)

    assert str(refused.value).startswith(said)


def test_a_folder_without_dashboards_and_a_uid_twice_are_refused(tmp_path):
    """
    The remedy stands in the sentence.
    """
    with pytest.raises(ModelError, match="write them with `outrider build`"):
        read_folder(tmp_path)
    write_folder(tmp_path)
    (tmp_path / "again.json").write_text(json.dumps(EVERY_KIND))
    with pytest.raises(ModelError, match="uid 'every-kind' belongs to another"):
        read_folder(tmp_path)


def test_a_single_choice_is_a_text_and_several_are_a_regular_expression():
    """
    As Grafana writes them: quotes escaped, letters with a meaning literal where the variable allows several.
    """
    one = chosen("x", 'a"b.c')
    several = chosen("x", "a.b", "c", is_multi=True)

    assert r'up{x="a\"b.c"}' == in_query('up{x="$x"}', one, {})
    assert r'up{x=~"(a\\.b|c)"}' == in_query('up{x=~"${x}"}', several, {})
    assert 'up{x=~"a.b|c"}' == in_query('up{x=~"${x:pipe}"}', several, {})


def test_all_is_every_value_or_the_expression_that_stands_for_it():
    """
    And one value of a variable that allows several needs no brackets.
    """
    every = chosen("x", "a", "b", is_multi=True, is_all=True)

    assert "(a|b)" == in_query("$x", every, {})
    assert ".*" == in_query("[[x]]", chosen("x", "a", is_all=True, all_value=".*"), {})
    assert "a" == in_query("$x", chosen("x", "a", is_multi=True), {})


def test_grafanas_own_variables_are_times():
    """
    And an unknown one stays as it is, so that Prometheus' error shows it.
    """
    special = specials(HOUR, steps(HOUR, 24, 15.0))

    assert "rate(x[1m]) 15s 3600s $nobody" == in_query(
        "rate(x[$__rate_interval]) $__interval $__range $nobody", {}, special
    )


@pytest.mark.parametrize(
    ("query", "label", "selector"),
    [
        ("label_values(up, instance)", "instance", "up"),
        ('label_values(up{cluster="$c", a=~"x,y"}, instance)', "instance", 'up{cluster="blue", a=~"x,y"}'),
        ("label_values(job)", "job", ""),
        ("metrics(nomad_.*)", "__name__", '{__name__=~"nomad_.*"}'),
    ],
)
def test_queries_of_variables_are_understood(query, label, selector):
    """
    With earlier choices in them.
    """
    found = asked(Variable(name="v", label="v", type="query", query=query), chosen("c", "blue"))

    assert (label, selector) == (found.label, found.selector)


def test_a_query_of_a_variable_that_is_not_known_is_said():
    """
    It names the variable and a form that is.
    """
    with pytest.raises(ValueError, match=r"variable v: 'label_names\(\)' is not drawn here; write label_values"):
        asked(Variable(name="v", label="v", type="query", query="label_names()"), {})


def test_the_first_choice_is_the_address_then_the_file_then_all_then_the_first():
    """
    A wanted value that is gone by now is kept.
    """
    plain = Variable(name="v", label="v", type="query", current=("b",))
    every = Variable(name="v", label="v", type="query", has_all=True, is_multi=True)

    assert ("gone",) == choose(plain, ["a", "b"], ["gone"]).chosen
    assert ("b",) == choose(plain, ["a", "b"], []).chosen
    assert ("a",) == choose(plain, ["a"], []).chosen
    assert choose(every, ["a", "b"], []).is_all
    assert choose(every, ["a", "b"], [ALL]).is_all
    assert ("a", "b") == choose(every, ["a", "b", "c"], ["a", "b"]).chosen


def test_values_are_narrowed_and_sorted():
    """
    By the group of a regular expression, and by number where the variable says so.
    """
    variable = Variable(name="v", label="v", type="query", regex="/server-(\\d+)/", sort=3)

    assert ["2", "10"] == narrowed(variable, ["server-10", "client-1", "server-2", "server-2"])


def test_links_have_labels_choices_and_times():
    """
    Each escaped for an address.
    """
    url = "/d/x?var-a=${a}&var-i=${__field.labels.instance}&${__url_time_range}&${c:queryparam}"
    choices = chosen("a", "b c") | chosen("c", "d", "e", is_multi=True)

    found = in_link(url, choices, [("from", "now-1h"), ("to", "now")], {"instance": "s 1"})

    assert "/d/x?var-a=b%20c&var-i=s%201&from=now-1h&to=now&var-c=d&var-c=e" == found


@pytest.mark.parametrize(
    ("url", "kept"), [("/d/x", True), ("https://x/", True), ("javascript:alert(1)", False), ("//x", False)]
)
def test_only_addresses_of_pages_are_followed(url, kept):
    """
    A dashboard may not run anything.
    """
    assert (url if kept else "#") == safe(url)


def test_steps_are_round_and_no_finer_than_scrapes():
    """
    As Grafana reckons them: the round step nearest to a point for each pixel, and a rate over four scrapes at least.
    """
    week, hours = Range(NOW - 604_800, NOW, "", ""), Range(NOW - 6 * 3_600, NOW, "", "")

    assert (15.0, 60.0) == (steps(HOUR, 12, 15.0).interval_seconds, steps(HOUR, 12, 15.0).rate_seconds)
    assert (5.0, 20.0) == (steps(HOUR, 12, 5.0).interval_seconds, steps(HOUR, 12, 5.0).rate_seconds)
    assert 300.0 == steps(week, 24, 15.0).interval_seconds
    assert 315.0 == steps(week, 24, 15.0).rate_seconds
    # 43.2 s a pixel is nearer to 30 s than to a minute, 45 s is not.
    assert [30.0, 60.0] == [steps(hours, 8, 15.0, pixels).interval_seconds for pixels in (1_500, 1_440)]
    assert 2_592_000.0 == steps(Range(0, 1e10, "", ""), 1, 15.0).interval_seconds


def test_times_are_read_as_grafana_writes_them():
    """
    Relative, in milliseconds, and as ISO 8601.
    """
    found = read_range("now-90m", "now", NOW)

    assert (NOW - 5_400, NOW) == (found.start, found.end)
    assert NOW == read_range("0", f"{NOW * 1_000:.0f}", NOW).end
    assert 1_767_225_600.0 == read_range("0", "2026-01-01T00:00:00Z", NOW).end
    assert 1_767_225_600.0 == read_range("0", "2026-01-01T00:00", NOW).end


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0213, "s", "21.3 ms"), (90, "s", "1.5 min"), (7_200, "s", "2 hours"), (0, "s", "0 s"), (250, "ms", "250 ms"),
        (1_500_000, "ns", "1.5 ms"), (1_536, "bytes", "1.5 KiB"), (1.5, "decmbytes", "1.5 MB"), (0.994, "percentunit", "99.4%"),
        (50, "percent", "50%"), (12_345, "short", "12.3 K"), (12_345, "none", "12345"), (3, "suffix: MHz", "3 MHz"),
        (1, "bool_yes_no", "Yes"), (0, "dateTimeAsIso", "1970-01-01 00:00:00"), (float("inf"), "short", "∞"),
        (float("nan"), "s", "NaN"), (4, "reqps", "4 req/s"), (5, "parsecs", "5 parsecs"), (-90, "s", "-1.5 min"),
    ],
)  # fmt: skip
def test_values_are_written_in_their_unit(value, unit, text):
    """
    As Grafana writes them.
    """
    assert text == formatted(value, unit)


@pytest.mark.parametrize(
    ("low", "high", "unit", "found"),
    [
        (0, 3, "short", [0, 1, 2, 3]),
        (0, 95, "s", [0, 30, 60, 90, 120]),
        (0, 70 * 2**20, "bytes", [each * 20 * 2**20 for each in range(5)]),
        (0, 0, "short", [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-4, 4, "short", [-4, -2, 0, 2, 4]),
    ],
)
def test_ticks_are_round_in_their_unit(low, high, unit, found):
    """
    Seconds in parts of minutes, bytes in powers of 1,024.
    """
    assert found == pytest.approx(ticks(low, high, unit))


def test_a_series_is_named_by_its_legend_or_its_labels():
    """
    As in Grafana.
    """
    labels = {"__name__": "up", "instance": "a", "job": "b"}

    assert "a of b" == named("{{instance}} of {{ job }}", labels)
    assert 'up{instance="a", job="b"}' == named("", labels)
    assert "a" == named("__auto", {"__name__": "up", "instance": "a"})


def test_overrides_change_what_they_match():
    """
    By name and by expression, the later over the earlier, and others not at all.
    """
    found = {name: overridden(panel(11), name, "A") for name in ("Memory", "Server", "Else")}

    assert "bytes" == found["Memory"]["unit"]
    assert "unit" not in found["Else"]
    assert {"color-background"} == {overridden(panel(11), "State", "")["custom"]["cellOptions"]["type"]}


def test_a_value_has_the_color_of_its_word_or_its_step():
    """
    Steps count from their value on; a word's own color comes first.
    """
    config = {"thresholds": {"steps": [{"value": None, "color": "red"}, {"value": 1, "color": "green"}]}}

    assert ["#f2495c", "#73bf69", "#73bf69"] == [threshold_color(value, config) for value in (0.9, 1, 7)]
    assert "#f2495c" == value_color(0, {"mappings": WORDS})
    assert "silent" == series([0], {"mappings": WORDS}).text(0)


@pytest.mark.parametrize(
    ("calculation", "value"),
    [("lastNotNull", 2), ("max", 5), ("mean", 3), ("diff", 0), ("delta", 3), ("changeCount", 2)],
)
def test_one_value_is_made_of_many(calculation, value):
    """
    What is no number is left out.
    """
    assert value == reduced([2, 5, float("nan"), 2], calculation)


def test_an_unknown_calculation_is_said():
    """
    It is not shown as something else.
    """
    with pytest.raises(ValueError, match="the calculation 'p99' is not drawn here"):
        reduced([1], "p99")


def test_a_gap_breaks_a_line_and_a_lonely_value_is_a_point():
    """
    Nothing is drawn where nothing was measured.
    """
    points = ((NOW - 120, 1.0), (NOW - 105, 2.0), (NOW - 45, 3.0))
    each = Series("s", "A", Result({}, points), {"custom": {"fillOpacity": 10}})

    [trace] = lines(panel(7), [each], HOUR, 15.0, [])["data"]

    assert [1.0, 2.0, None, 3.0] == list(trace["y"])
    assert [0.0, 0.0, 0.0, 5.0] == list(trace["marker"]["size"])
    assert "fill" not in trace


def test_states_end_where_the_next_begins_or_values_stop():
    """
    A gap stays empty, and what follows itself is one stretch.
    """
    points = tuple((NOW - at, float(value)) for at, value in ((90, 1), (75, 1), (60, 0), (15, 1), (0, 1)))
    each = Series("s", "A", Result({}, points), {"mappings": WORDS})

    [trace] = states(panel(9), [each], HOUR, 15.0, [])["data"]

    assert [30_000, 15_000, 15_000] == list(trace["x"])
    assert ["#73bf69", "#f2495c", "#73bf69"] == list(trace["marker"]["color"])


def test_names_from_labels_cannot_write_into_a_plot():
    """
    Plotly reads tags in names; those of labels are shown as they are.
    """
    each = Series("<b>x</b>%{y}", "A", result([1, 2]), {})
    mark = Mark(NOW - 60, NOW, "<i>", "", "red")

    found = lines(panel(7), [each], HOUR, 15.0, [mark])["data"]

    assert "&lt;b&gt;x&lt;/b&gt;%&#123;y}" == found[0]["name"]
    assert "&lt;i&gt; <extra></extra>" == found[1]["hovertemplate"][0]


def test_tables_are_merged_renamed_and_sorted():
    """
    Lines of two queries that agree in their labels become one.
    """
    board = panel(11)
    found = [
        (place, result([value], instance=name))
        for place in (0, 1)
        for name, value in (("b", place + 1), ("a", place + 3))
    ]
    rows = series_of(board, found, str)
    steps_of = [*board.transformations, {"id": "sortBy", "options": {"sort": [{"field": "instance"}]}}, {"id": "spin"}]

    frame = transformed(frames_of(rows), steps_of, rows)

    assert ["instance", "Value #A", "Value #B"] == frame.columns
    assert {"instance": "Server", "Value #A": "State", "Value #B": "Memory"} == {
        name: frame.shown[name] for name in frame.columns
    }
    assert [("a", 3, 4), ("b", 1, 2)] == [tuple(line[name] for name in frame.columns) for line in frame.lines]
    assert ["the transformation 'spin' is not drawn here"] == frame.notes


def test_lines_are_merged_by_the_columns_that_all_have():
    """
    A label that one query alone has does not keep lines apart, and lines that contradict stay two.
    """
    board = panel(11)
    found = [
        (0, result([1], instance="a", job="x")),
        (0, result([2], instance="a", job="y")),
        (1, result([3], instance="a")),
    ]
    rows = series_of(board, found, str)

    frame = transformed(frames_of(rows), [{"id": "merge"}], rows)

    lines_of = [(line.get("job"), line.get("Value #A"), line.get("Value #B")) for line in frame.lines]
    assert [("x", 1, 3), ("y", 2, None)] == lines_of


def test_reducing_makes_a_line_of_each_series():
    """
    With a column for each calculation.
    """
    rows = [series([1, 5, 3], instance="a")]

    frame = transformed([], [{"id": "reduce", "options": {"reducers": ["max", "lastNotNull"]}}], rows)

    assert Frame(["Field", "Max", "Last"], [{"Field": "a", "Max": 5, "Last": 3}]) == frame


class Asked:
    """A Prometheus that writes down what it is asked, and knows one cluster with two servers."""

    def __init__(self):
        self.instants, self.ranges, self.labels = [], [], []

    def query(self, expr, at):
        self.instants.append((expr, at))
        return []

    def query_range(self, expr, start, end, step):
        self.ranges.append((expr, start, end, step))
        return []

    def label_values(self, label, selector, start, end):
        self.labels.append((label, selector, start, end))
        return ["blue"] if label == "cluster" else ["a.1", "b"]


def test_it_asks_what_grafana_would():
    """
    Variables in their order, stats and tables at the end of the range, lines in steps that lie on round times.
    """
    asked_of = Asked()
    where = r'cluster="blue", instance=~"(a\\.1|b)"'
    shown = Range(NOW - 3_607, NOW - 7, "", "")

    ask(asked_of, BOARD, shown, {}, 15.0)

    assert [("cluster", "demo_up"), ("instance", 'demo_up{cluster="blue"}')] == [each[:2] for each in asked_of.labels]
    assert {(NOW - 3_607, NOW - 7)} == {each[2:] for each in asked_of.labels}
    assert {NOW - 7} == {at for _, at in asked_of.instants}
    assert 6 == len(asked_of.instants)
    assert f"sum(demo_up{{{where}}})" in [expr for expr, _ in asked_of.instants]
    assert (f"rate(demo_calls_total{{{where}}}[1m])", NOW - 3_615, NOW - 15, 15.0) in asked_of.ranges


def test_a_panel_of_a_form_that_is_not_known_leaves_the_others():
    """
    It says what is wrong: a calculation, an expression that matches names, a date that is none, a list of values.
    """

    class Answering(Asked):
        def query(self, expr, at):
            return [result([1e300 if "1e300" in expr else 1], instance="a")]

    calculation = panel_json(1, "stat", "One", "up", instant=True, options={"reduceOptions": {"calcs": ["p99"]}})
    matcher = {"matcher": {"id": "byRegexp", "options": "("}, "properties": []}
    pattern = panel_json(2, "stat", "Two", "up", instant=True, overrides=[matcher])
    date = panel_json(4, "stat", "Four", "up * 1e300", instant=True, defaults={"unit": "dateTimeAsIso"})
    fine = panel_json(3, "stat", "Three", "up", instant=True)
    variable = {"name": "v", "type": "query", "query": "label_values(up, a)", "regex": "("}
    board = read_board(
        "x.json",
        json.dumps({"title": "T", "panels": [calculation, pattern, date, fine], "templating": {"list": [variable]}}),
    )

    text = page(ask(Answering(), board, HOUR, {}, 15.0), [board], "", "http://p")

    failed = re.findall(r'<p class="failed">(.*?)</p>', text)
    assert 4 == len(failed)
    assert "this panel cannot be drawn: the calculation &#x27;p99&#x27; is not drawn here" in failed
    assert 2 == sum("unterminated subpattern" in each for each in failed)
    assert 1 == text.count('<div class="stat-value">1</div>')


@pytest.mark.parametrize(("width", "letters"), [(8, 22), (12, 24), (16, 30), (24, 30)])
def test_a_long_name_is_cut_to_the_room_that_its_panel_has(width, letters):
    """
    Job and address of an Alertmanager are whole on a panel of two thirds of the page.
    """
    name = "alertmanager 127.0.0.1:9093 of a pair"
    wide = replace(panel(9), width=width)

    axis = states(wide, [series([1.0], instance=name)], HOUR, 15.0, [])["layout"]["yaxis"]

    assert (name[: letters - 1] + "…",) == tuple(axis["ticktext"])
    assert (name,) == tuple(axis["tickvals"])


def test_copies_of_a_repeated_panel_push_down_what_is_below():
    """
    Four a line.
    """
    values = [f"s{number}" for number in range(5)]
    below = panel(9)
    section = Section(title="", panels=(panel(15), below))

    found = expanded(section, chosen("instance", *values, is_multi=True, is_all=True))

    assert [(0, 0), (6, 0), (12, 0), (18, 0), (0, 8)] == [(each.left, each.top) for each, _ in found[:5]]
    assert ("s4",) == found[4][1]["instance"].chosen
    assert below.top + 8 == found[5][0].top
