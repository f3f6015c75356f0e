"""The preview against a real Prometheus with an hour of series: every page is asked, and what it draws is held against them."""

import json
import re
import subprocess
import threading
from html import unescape

import pytest
import requests

from compose.tools import Tool, find_tool
from dashboards.preview.model import read_folder
from dashboards.preview.server import Preview, PreviewServer
from telemetry.clock import SystemClock
from telemetry.prometheus_api import Prometheus
from tests.compose.free_ports import free_base
from tests.conftest import ROOT
from tests.dashboards.every_kind import openmetrics, write_folder

pytestmark = pytest.mark.integration

READY_SECONDS = 60


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory, prometheus_tools):
    """
    The URL of a Prometheus that has the series of an hour and scrapes nothing, and the end of that hour.
    """
    folder = tmp_path_factory.mktemp("prometheus")
    end = int(SystemClock().wall())
    (folder / "series.txt").write_text(openmetrics(end))
    (folder / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n")
    promtool, program = (find_tool(tool, prometheus_tools) for tool in (Tool.PROMTOOL, Tool.PROMETHEUS))
    made = [promtool, "tsdb", "create-blocks-from", "openmetrics", folder / "series.txt", folder / "data"]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    port = free_base(26_900)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, folder / "log")
            yield url, end
        finally:
            process.kill()
            process.wait()


def _wait_until_ready(url, log):
    pause = threading.Event()
    for _ in range(READY_SECONDS * 10):
        try:
            if requests.get(f"{url}/-/ready", timeout=2).ok:
                return
        except requests.RequestException:
            pass
        pause.wait(0.1)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture(scope="module")
def page(prometheus, tmp_path_factory):
    """
    A function that asks the preview for a page of the hour and returns status and text.
    """
    url, end = prometheus
    generated = read_folder(ROOT / "compose/generated/dashboards")
    boards = [*read_folder(write_folder(tmp_path_factory.mktemp("boards"))), *generated]
    preview = Preview(
        boards=boards,
        prometheus=Prometheus(url),
        clock=SystemClock(),
        start=str((end - 3_600) * 1_000),
        end=str(end * 1_000),
    )
    server = PreviewServer(0, preview)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:

        def ask(path, headers=None):
            answer = requests.get(f"http://127.0.0.1:{server.server_port}{path}", headers=headers, timeout=60)
            return answer.status_code, answer.text

        ask.boards = boards
        yield ask
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def body_of(text, number):
    """Return the HTML of the panel with that id."""
    found = re.search(rf'<section class="panel [^>]*id="panel-{number}".*?</section>', text, re.DOTALL)
    assert found, number
    return found[0]


def figure_of(text, number):
    """Return the figure in the panel with that id."""
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', body_of(text, number), re.DOTALL)[1])


@pytest.fixture(scope="module")
def every_kind(page):
    """
    The page with a panel of every kind, of the first cluster and all its servers.
    """
    status, text = page("/d/every-kind")
    assert 200 == status
    return text


def test_every_page_is_drawn_and_only_what_is_wrong_fails(page):
    """
    All dashboards, the generated ones among them: no query fails but the one that is no PromQL.
    """
    failed = {}
    for board in page.boards:
        status, text = page(f"/d/{board.uid}")
        assert 200 == status, board.uid
        assert {panel.id for panel in board.panels} <= {int(each) for each in re.findall(r'id="panel-(\d+)"', text)}
        failed[board.uid] = re.findall(r'<p class="failed">(.*?)</p>', text)

    assert 1 == len(failed.pop("every-kind"))
    assert failed
    assert {uid: [] for uid in failed} == failed


def test_a_query_that_prometheus_refuses_says_so_in_its_panel(every_kind):
    """
    With Prometheus' own words.
    """
    assert "bad_data: " in body_of(every_kind, 10)
    assert "parse error" in unescape(body_of(every_kind, 10))


def test_a_stat_has_the_value_in_the_color_of_its_step(every_kind):
    """
    Two of three servers answer at the end; where nothing is found the panel's word stands in the lowest step's color.
    """
    assert '<div class="stat-value">2</div>' in body_of(every_kind, 2)
    assert "background:#73bf69" in body_of(every_kind, 2)
    assert "<h3>Answer in blue</h3>" in body_of(every_kind, 2)
    assert '<div class="stat-value">nobody</div>' in body_of(every_kind, 3)
    assert "background:#f2495c" in body_of(every_kind, 3)


def test_lines_have_the_rates_that_the_counters_grew_by(every_kind):
    """
    Two, three and four a second, named by their labels, with the calculations of the legend in the panel's unit.
    """
    figure = figure_of(every_kind, 7)

    assert ["server-1", "server-2", "server-3"] == [each["name"] for each in figure["data"][:3]]
    for rate, trace in zip((2, 3, 4), figure["data"][:3], strict=True):
        # The first rates are of less than their window.
        values = [value for value in trace["y"] if value is not None][5:]
        assert len(values) > 200
        assert {rate} == {round(value, 3) for value in values}
    assert "<td>4 req/s</td>" in body_of(every_kind, 7)


def test_stacks_are_stacked_on_an_axis_of_powers_of_1024(every_kind):
    """
    The axis has room for the sum, and its ticks are whole MiB.
    """
    figure = figure_of(every_kind, 8)

    assert {"A"} == {each["stackgroup"] for each in figure["data"][:3]}
    highest = max(sum(values) for values in zip(*(each["y"] for each in figure["data"][:3]), strict=True))
    assert highest <= figure["layout"]["yaxis"]["range"][1]
    assert {"MiB", "B"} == {text.split()[1] for text in figure["layout"]["yaxis"]["ticktext"]}


def test_states_are_stretches_with_their_words(every_kind):
    """
    server-2 answers for three quarters and is silent in the last; the others are one stretch each.
    """
    traces = figure_of(every_kind, 9)["data"]

    assert [1, 2, 1] == [len(each["x"]) for each in traces]
    assert ["#73bf69", "#f2495c"] == traces[1]["marker"]["color"]
    assert 900_000 == pytest.approx(traces[1]["x"][1], abs=60_000)
    assert "silent" in body_of(every_kind, 9)


def test_an_alert_is_marked_on_the_axis(every_kind):
    """
    From when it fired to the end, with its name and severity.
    """
    marks = figure_of(every_kind, 7)["data"][3]

    assert ["ServerDown warning<extra></extra>"] == marks["hovertemplate"]


def test_a_table_has_words_units_and_links(every_kind):
    """
    Columns are renamed and hidden, states have words and colors, and a name links to the other dashboard with the times.
    """
    body = unescape(body_of(every_kind, 11))

    assert ["Server", "State", "Memory"] == re.findall(r"<th>(.*?)</th>", body)
    assert re.search(r'href="/d/other\?var-instance=server-2&from=\d+&to=\d+">server-2</a>', body)
    assert 4 == body.count("<tr>")
    assert ["answers", "silent", "answers"] == re.findall(r'background:#\w+;color:#\w+">(\w+)<', body)
    assert 3 == body.count(" MiB")


def test_bars_and_gauges_have_their_values(every_kind):
    """
    One for each server, in the panel's unit.
    """
    assert 3 == body_of(every_kind, 5).count('class="bar"')
    assert " MiB" in body_of(every_kind, 5)
    assert 3 == body_of(every_kind, 4).count('class="gauge"')
    assert "%</text>" in body_of(every_kind, 4)


def test_text_is_markdown_and_runs_nothing(every_kind):
    """
    Headings and tables are drawn, variables have their values, and HTML is shown as it is written.
    """
    body = body_of(every_kind, 12)

    assert "<h2>What this is</h2>" in body
    assert "<strong>blue</strong>" in body
    assert "<td>1</td>" in body
    assert "<script>alert" not in body


def test_what_is_not_drawn_is_said(every_kind):
    """
    A kind of panel that only Grafana has is named.
    """
    assert "&#x27;heatmap&#x27; are not drawn here" in body_of(every_kind, 13)


def test_a_panel_repeats_for_each_value(every_kind, page):
    """
    Three for all servers, one where one is chosen.
    """
    assert ["server-1", "server-2", "server-3"] == re.findall(r"<h3>One of (.*?)</h3>", every_kind)
    assert ["server-3"] == re.findall(r"<h3>One of (.*?)</h3>", page("/d/every-kind?var-instance=server-3")[1])


def test_choices_narrow_each_other_and_queries(page):
    """
    In the other cluster, whose name means something in regular expressions, there is one server.
    """
    _, text = page("/d/every-kind?var-cluster=green.1")

    assert '<div class="stat-value">1</div>' in body_of(text, 2)
    assert re.findall(r'name="var-instance" value="(.*?)"', text) == ["$__all", "server-9"]


def test_links_to_other_dashboards_carry_choices_and_times(page):
    """
    Those that the other dashboard has too.
    """
    _, text = page("/d/every-kind?var-cluster=green.1&var-instance=server-9&from=now-15m&to=now")

    assert 'href="/d/other?var-cluster=green.1&from=now-15m&to=now"' in unescape(text)


def test_the_first_page_lists_all(page):
    """
    With their descriptions.
    """
    status, text = page("/")

    assert 200 == status
    for board in page.boards:
        assert f'<a href="/d/{board.uid}">' in text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/d/nothing", 404, "There is no dashboard at /d/nothing"),
        ("/etc/passwd", 404, "There is no dashboard at /etc/passwd"),
        ("/static/../page.py", 404, "There is no dashboard at"),
        ("/d/other?from=yesterday", 400, "'yesterday' is no time: write now-1h"),
        ("/d/other?from=now&to=now-1h", 400, "is empty: choose an end after its start"),
    ],
)
def test_an_address_that_cannot_be_says_what_can(page, path, status, said):
    """
    With the status that a program understands.
    """
    answered, text = page(path)

    assert status == answered
    assert said in unescape(text)


def test_a_request_for_another_host_is_refused(page):
    """
    A page of somebody else's whose name was made to mean this machine reads nothing.
    """
    assert 421 == page("/", headers={"Host": "evil.example"})[0]
    assert 200 == page("/", headers={"Host": "localhost:3300"})[0]


def test_nothing_is_fetched_from_elsewhere(every_kind, page):
    """
    Scripts and styles are our own, plotly's among them.
    """
    sources = re.findall(r'(?:src|href)="([^"?]*)"', every_kind)

    assert [] == [each for each in sources if each.startswith(("http", "//"))]
    status, script = page("/static/plotly.min.js")
    assert 200 == status
    assert len(script) > 1_000_000
