"""Which series panels draw of a history that is made for it: a real Prometheus is asked, as Grafana asks."""

import re
import subprocess

import pytest
import requests

from alert_rules.promql import resolve
from alert_rules.recorded import KNOWN
from dashboards.clients_work import CLIENTS_WORK
from dashboards.cluster_overview import CLUSTER_OVERVIEW
from dashboards.fleet import FLEET
from dashboards.panel import PanelKind, substituted
from dashboards.raft_quorum import RAFT_QUORUM
from dashboards.review import REVIEW
from dashboards.selecting import SHOWN_MAX
from dashboards.telemetry_health import TELEMETRY_HEALTH
from telemetry.catalogue.metric import Role
from tests.bench.dashboards_bench import prometheus_on
from tests.dashboards.asking import filled
from tests.tools import find, find_or_explain

PROMETHEUSES, ABSENT = find_or_explain("prometheus")
pytestmark = [pytest.mark.integration, pytest.mark.skipif(not PROMETHEUSES, reason=ABSENT)]

CLIENTS = SHOWN_MAX + 25
STEP, RANGE = 30, 1_800
END = 1_800_000_000 // 7_200 * 7_200 + RANGE + 600
BACK, GONE = "client-7", "client-30"
"""The first was silent for five minutes and answers again, the second is silent until the end."""
BOARDS = (CLIENTS_WORK, TELEMETRY_HEALTH)
OTHERWISE_FEW = {
    "Which client takes no new work?",
    "How many tasks of the processes failed?",
    "Which servers does the exporter reach?",
}
"""Panels of those that something is wrong with, and of servers."""


LEAST = {"To how many servers is each client connected?", "How long are the certificates valid?"}
"""Panels of those that have the least."""
BOTH_ENDS = {"How many allocations run on each client?"}


def is_silent(client, at):
    return (client == BACK and END - 900 <= at < END - 600) or (client == GONE and at >= END - 900)


def value_of(name, client, at):
    """Return the value of a series of *client* at Unix seconds, None where it has none; the higher its number the higher."""
    if name == "outrider:client_silent":
        return 1 if is_silent(client, at) else None
    if name == "up":
        return int(not is_silent(client, at))
    number = int(client.removeprefix("client-"))
    return None if is_silent(client, at) else 100 * number + at % 60 / STEP


def write(file, clients):
    """Write what the dashboards read of so many clients."""
    queries = [series.expr for board in (*BOARDS, REVIEW) for panel in board.panels for series in panel.series]
    names = sorted({name for query in queries for name in resolve(substituted(query)).metrics})
    for name in names:
        entry = KNOWN.find(name)
        if (entry.metric.exporter is Role.RULE and name != "outrider:client_silent") or name.startswith(
            ("ALERTS", "prom", "alertm")
        ):
            continue
        own = {label: "own" for label in entry.labels if label not in {"cluster", "region", "instance", "role", "job"}}
        target = {} if entry.metric.exporter is Role.RULE else {"role": "client", "job": "nomad-clients"}
        for number in range(clients):
            labels = {**own, **target, "cluster": "blue", "region": "global", "instance": f"client-{number}"}
            if "task" in own:
                labels["task"] = f"task-{number}"
            written = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
            for at in range(END - RANGE, END + 1, STEP):
                if (value := value_of(name, f"client-{number}", at)) is not None:
                    file.write(f"{name}{{{written}}} {value:g} {at}\n")
    file.writelines(_alerts())
    file.writelines(_replication())
    file.writelines(_snapshot())
    file.write("# EOF\n")


def _alerts():
    """Yield an alert that is pending for ten minutes and then fires, and one about the watchers, which is of no region."""
    slow = 'alertname="NomadCommitSlow",severity="warning",cluster="blue",region="global"'
    watchers = 'alertname="OutriderRulesFailing",severity="warning"'
    for at in range(END - RANGE, END + 1, STEP):
        state = "pending" if at < END - RANGE + 600 else "firing"
        yield f'ALERTS{{{slow},alertstate="{state}"}} 1 {at}\n'
        yield f'ALERTS{{{watchers},alertstate="firing"}} 1 {at}\n'


def _snapshot():
    """Yield what is told of one snapshot, which took 250 ms: it is there for a minute."""
    labels = 'cluster="blue",region="global",role="server",job="nomad-servers",instance="server-1"'
    for at in range(END - 900, END - 840 + 1, STEP):
        yield f"nomad_raft_snapshot_takeSnapshot_sum{{{labels}}} 250 {at}\n"
        yield f"nomad_raft_snapshot_takeSnapshot_count{{{labels}}} 1 {at}\n"


def _replication():
    """Yield what two servers say of their heartbeats to a third: the first leads for a quarter of an hour, then the second."""
    for at in range(END - RANGE, END + 1, STEP):
        leader = 1 if at < END - 900 else 2
        yield f'outrider:leader{{cluster="blue",region="global",instance="server-{leader}"}} 1 {at}\n'
        for number in (1, 2):
            labels = f'cluster="blue",region="global",role="server",job="nomad-servers",instance="server-{number}"'
            for part, growth in (("sum", 2 * number), ("count", 1)):
                value = growth * (at - END + RANGE)
                yield f'nomad_raft_replication_heartbeat_{part}{{{labels},peer_id="third"}} {value} {at}\n'


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """A function that serves so many clients and returns one that asks a query over the half hour."""
    stack, urls = [], {}

    def serve(clients):
        if clients not in urls:
            folder = tmp_path_factory.mktemp("many")
            with (folder / "series.txt").open("w") as file:
                write(file, clients)
            made = [
                find("promtool")[0].path,
                "tsdb",
                "create-blocks-from",
                "openmetrics",
                folder / "series.txt",
                folder / "blocks",
            ]
            subprocess.run(made, check=True, capture_output=True, timeout=300)
            serving = prometheus_on(PROMETHEUSES[-1], folder / "blocks", folder)
            port, _ = serving.__enter__()
            stack.append(serving)
            urls[clients] = f"http://127.0.0.1:{port}/api/v1"
        return lambda panel, series, **chosen: ask(urls[clients], panel, series, **chosen)

    yield serve
    for serving in stack:
        serving.__exit__(None, None, None)


def ask(url, panel, series, instance=".*", cluster="blue"):
    """Return the values of each series of a query, by its labels, with the variables chosen so."""
    values = {
        "$cluster": cluster, "$region": "global", "$role": ".*", "$instance": instance, "$namespace": ".*", "$job": ".*",
        "$__rate_interval": "2m", "$__range": f"{RANGE}s",
    }  # fmt: skip
    sent, path = {"query": filled(series.expr, values), "time": END}, "query"
    if panel.kind in {PanelKind.TIMESERIES, PanelKind.STATE_TIMELINE}:
        sent, path = {"query": sent["query"], "start": END - RANGE, "end": END, "step": STEP}, "query_range"
    body = requests.post(f"{url}/{path}", data=sent, timeout=60).json()
    assert "success" == body["status"], (series.expr, body)
    return [
        (each["metric"], [float(value) for _, value in each.get("values", [each.get("value")])])
        for each in body["data"]["result"]
    ]


def panel_of(board, title):
    [found] = [panel for panel in board.panels if panel.title == title]
    return found


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_no_panel_draws_a_line_for_each_of_many_clients(asking, board):
    """
    With all chosen each query gives at most as many series as a panel can show, and most of these panels are full.
    """
    ask_of = asking(CLIENTS)

    counts = {
        (panel.title, series.legend): len(ask_of(panel, series))
        for panel in board.panels
        if panel.title not in OTHERWISE_FEW and panel.kind is not PanelKind.TABLE
        for series in panel.series
    }

    assert {} == {place: count for place, count in counts.items() if count > SHOWN_MAX}
    full = [place for place, count in counts.items() if count == SHOWN_MAX]
    assert len(full) >= 9, counts


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_what_is_said_to_be_the_highest_is(asking, board):
    """
    Of each bounded line the clients are the last by their number or, where the least is the worst, the first; one that is
    gone by the end is as good as any other.
    """
    ask_of = asking(CLIENTS)
    last = {f"client-{number}" for number in range(CLIENTS - SHOWN_MAX, CLIENTS)}
    first = {f"client-{number}" for number in range(SHOWN_MAX)}
    ends = {f"client-{number}" for number in (*range(SHOWN_MAX // 2), *range(CLIENTS - SHOWN_MAX // 2, CLIENTS))}

    for panel in board.panels:
        for series in panel.series:
            if panel.kind is not PanelKind.TIMESERIES or not re.search(r"(top|bottom)k\(", series.expr):
                continue
            found = {
                labels.get("instance") or labels["task"].replace("task", "client")
                for labels, _ in ask_of(panel, series)
            }
            if "malloc" in series.expr:
                assert GONE in found, panel.title
            elif "/" in series.expr or "idle" in series.expr:
                assert SHOWN_MAX == len(found), panel.title
            else:
                expected = first if panel.title in LEAST else ends if panel.title in BOTH_ENDS else last
                assert expected == found, panel.title


@pytest.mark.parametrize("place", [(CLIENTS_WORK, "Which client answers?"), (TELEMETRY_HEALTH, "Which target answers?")],
                         ids=["clients", "targets"])  # fmt: skip
def test_whoever_was_silent_is_among_the_bars(asking, place):
    """
    Of many, those that were silent within the range have a bar with both states; the others answer throughout.
    """
    panel = panel_of(*place)

    bars = {labels["instance"]: set(values) for labels, values in asking(CLIENTS)(panel, panel.series[0])}

    assert SHOWN_MAX == len(bars)
    assert {BACK: {0, 1}, GONE: {0, 1}} == {name: states for name, states in bars.items() if 0 in states}
    assert all({1} == states for name, states in bars.items() if name not in {BACK, GONE})


def test_few_clients_have_a_bar_each(asking):
    """
    In a small region all are drawn, and so is one of many that is chosen.
    """
    panel = panel_of(CLIENTS_WORK, "Which client answers?")

    few = asking(3)(panel, panel.series[0])
    one = asking(CLIENTS)(panel, panel.series[0], instance="client-22")

    assert ["client-0", "client-1", "client-2"] == sorted(labels["instance"] for labels, _ in few)
    assert all({1} == set(values) for _, values in few)
    assert [("client-22", {1})] == [(labels["instance"], set(values)) for labels, values in one]


@pytest.mark.parametrize("place", [(CLUSTER_OVERVIEW, "Which clients are silent?"), (REVIEW, "Which clients were silent?")],
                         ids=["overview", "review"])  # fmt: skip
def test_silent_clients_alone_have_a_bar(asking, place):
    """
    Where only silence is shown there is a bar for as long as it was.
    """
    panel = panel_of(*place)

    bars = {labels["instance"]: len(values) for labels, values in asking(CLIENTS)(panel, panel.series[0])}

    assert {BACK, GONE} == set(bars)
    # Prometheus finds a sample for five minutes after the last.
    assert bars[BACK] < bars[GONE]


def test_an_alert_is_one_bar_that_turns_from_pending_to_firing(asking):
    """
    Its name stands once, as long as the longest is, and nothing has to be cut.
    """
    panel = panel_of(REVIEW, "Which alerts were pending or firing?")

    bars = [bar for series in panel.series for bar in asking(3)(panel, series)]

    assert [{"alertname": "NomadCommitSlow"}] == [labels for labels, _ in bars]
    [(_, values)] = bars
    assert [1, 2] == list(dict.fromkeys(values))
    assert RANGE // STEP + 1 == len(values)


def test_a_table_of_regions_has_no_row_without_a_name(asking):
    """
    Alerts about the watchers are counted above and listed beside it.
    """
    table, listed = panel_of(FLEET, "How is each region?"), panel_of(FLEET, "Which alerts fire?")
    [counted] = [series for series in table.series if series.legend == "alerts"]

    assert [({"cluster": "blue", "region": "global"}, [1])] == asking(3)(table, counted, cluster=".*")
    assert {"NomadCommitSlow", "OutriderRulesFailing"} == {
        labels["alertname"] for labels, _ in asking(3)(listed, listed.series[0], cluster=".*")
    }


def test_a_follower_has_one_line_whoever_leads(asking):
    """
    The heartbeats of the leader that was go over into those of the leader that is.
    """
    panel = panel_of(RAFT_QUORUM, "How long does a heartbeat to each follower take?")

    [(labels, values)] = asking(3)(panel, panel.series[0])

    assert {"peer_id": "third"} == labels
    assert {2, 4} == {round(value, 6) for value in values}


def test_one_snapshot_is_told_of(asking):
    """
    Its series is born with it and does not grow: a rate of it would be nothing.
    """
    panel = panel_of(RAFT_QUORUM, "How long did snapshots take?")

    [(labels, values)] = asking(3)(panel, panel.series[0])

    assert "server-1" == labels["instance"]
    assert {250} == set(values)
