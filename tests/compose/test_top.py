"""`outrider top` against a region and a Prometheus on loopback that answer with what a real Nomad did."""

import io
import json
import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest
from click.testing import CliRunner
from rich.console import Console

from compose.top.command import top_command, watch
from compose.top.facts import Bodies, leads_since, seconds_of, servers_of
from compose.top.gather import NobodyAnswered, look
from compose.top.view import screen, spoken
from telemetry.clock import SystemClock
from telemetry.nomad_api import ApiSettings
from tests.compose.check.fakes import Answer, golden, serving
from tests.compose.top_bodies import LEADER, healthy_paths, leaderless_paths, prometheus_paths


@pytest.fixture
def serve():
    """
    A function that serves paths until the test ends, and returns the URL.
    """
    with ExitStack() as stack:
        yield lambda paths: stack.enter_context(serving(paths))


def top(*arguments):
    return CliRunner().invoke(top_command, [*arguments], env={"NOMAD_ADDR": "", "COLUMNS": "80"})


def test_a_healthy_region_of_a_real_nomad_is_told_at_a_glance(serve):
    """
    Leader, servers with contact and place in the log, nodes and evaluations; the exit code is 0.
    """
    done = top("--address", serve(healthy_paths()))

    assert 0 == done.exit_code, done.output
    lines = [" ".join(line.split()) for line in done.output.splitlines()]
    assert lines[0].startswith("Nomad global asked http://127.0.0.1:")
    assert "leader s2.global" in lines
    assert "servers 3 alive, 2 needed, 3 expected; 1 may be lost" in lines
    assert "nodes 2 ready" in lines
    assert "evaluations 1 waiting, 1 blocked for capacity" in lines
    assert "alerts not asked: name a Prometheus with --prometheus" in lines
    assert "s1.global 127.0.0.11:4647 follower 21 ms 0" in lines
    assert "s2.global 127.0.0.12:4647 leader 0 ms 0" in lines


def test_it_fits_eighty_columns_and_has_no_colors_where_it_is_piped(serve):
    """
    A program that reads it finds text alone, and a terminal of the usual width wraps nothing.
    """
    done = top("--address", serve(healthy_paths()))

    assert "\x1b" not in done.output
    assert max(len(line) for line in done.output.splitlines()) <= 80


def test_a_terminal_has_colors(serve):
    """
    The leader is green on a terminal that can show it.
    """
    facts = look(ApiSettings(), [serve(healthy_paths())], None, "", SystemClock())
    console = Console(force_terminal=True, color_system="standard", width=80, no_color=False)
    with console.capture() as shown:
        console.print(screen(facts))

    assert "\x1b[32ms2.global" in shown.get()


@pytest.mark.parametrize(("failed", "style"), [(0, "32"), (1, "33"), (2, "1;31")])
def test_the_fewer_servers_are_left_the_louder_they_are_counted(serve, failed, style):
    """
    Green with one to spare, yellow with none, bold red below the majority.
    """
    facts = look(ApiSettings(), [serve(healthy_paths())], None, "", SystemClock())
    gone = [replace(server, status="failed") for server in facts.servers[:failed]]
    console = Console(force_terminal=True, color_system="standard", width=80, no_color=False)
    with console.capture() as shown:
        console.print(screen(replace(facts, servers=(*gone, *facts.servers[failed:]))))

    assert f"\x1b[{style}m{3 - failed} alive" in shown.get()


def test_no_leader_is_said_at_once_although_a_nomad_holds_the_question(serve):
    """
    Nothing is asked that a Nomad holds for five seconds; who is left of the voters is told, and the exit code is 1.
    """
    stop, held = threading.Event(), []
    try:
        done = top("--address", serve(leaderless_paths(stop, held)))
    finally:
        stop.set()

    assert [] == held
    assert 1 == done.exit_code, done.output
    lines = [" ".join(line.split()) for line in done.output.splitlines()]
    assert "leader no leader: nothing is scheduled, every write fails" in lines
    assert "servers 1 alive, 2 needed, 3 expected" in lines
    assert "s1.global 127.0.0.11:4647 alive - -" in lines
    assert "s2.global 127.0.0.12:4647 failed - -" in lines


def test_a_client_that_reaches_no_server_tells_of_no_leader(serve):
    """
    With what it said, as a Nomad's client did without its servers.
    """
    said = "rpc error: failed to get conn: dial tcp 127.0.0.13:4647: connect: connection refused"
    paths = healthy_paths() | {"/v1/status/leader": Answer(said, 500)}

    done = top("--address", serve(paths))

    assert 1 == done.exit_code
    assert "no leader" in done.output
    assert f"note: who leads was refused: Unexpected response code: 500 ({said})" in " ".join(done.output.split())


def test_an_address_where_nobody_listens_is_one_clear_error():
    """
    It names the address and the reason, nothing goes to standard output, and the exit code is 2.
    """
    done = top("--address", "http://127.0.0.1:1")

    assert 2 == done.exit_code
    assert done.stderr.startswith("Error: no agent answered: http://127.0.0.1:1: ")
    assert done.stderr.endswith("connection refused\n")
    assert "" == done.stdout


def test_the_next_address_is_asked_when_the_first_is_dead(serve):
    """
    An operator may name all servers and need not know which one is left.
    """
    done = top("--address", "http://127.0.0.1:1", "--address", serve(healthy_paths()))

    assert 0 == done.exit_code
    assert "s2.global" in done.stdout


def test_what_a_token_may_not_see_is_unknown_and_said_why(serve):
    """
    The rest is shown all the same.
    """
    paths = healthy_paths() | {"/v1/nodes": Answer("Permission denied", 403)}

    done = top("--address", serve(paths))

    lines = [" ".join(line.split()) for line in done.output.splitlines()]
    assert 0 == done.exit_code
    assert "nodes unknown" in lines
    assert "note: nodes: Unexpected response code: 403 (Permission denied)" in lines
    assert "leader s2.global" in lines


def test_prometheus_adds_what_fires_and_since_when_who_leads(serve):
    """
    Alerts come worst first, and the time of the leader is that of its last unbroken run.
    """
    now = SystemClock().wall()
    firing = (
        {"alertname": "NomadServerDown", "severity": "warning", "instance": "s3"},
        {"alertname": "NomadQuorumLost", "severity": "critical", "region": "global"},
    )
    led = (("s2", [[now - minutes * 60, "1"] for minutes in (90, 89, *range(12, -1, -1))]),)

    done = top(
        "--address", serve(healthy_paths()), "--prometheus", serve(prometheus_paths(firing, led, expected=5))
    )  # fmt: skip

    text = " ".join(done.output.split())
    assert "2 firing" in text
    assert "5 expected" in text
    assert "UTC, 12m 0s servers" in text
    assert text.index("NomadQuorumLost critical global") < text.index("NomadServerDown warning s3")


def test_a_prometheus_that_does_not_answer_is_a_note(serve):
    """
    What the agents say is shown, and the alerts are unknown, not none.
    """
    done = top("--address", serve(healthy_paths()), "--prometheus", "http://127.0.0.1:1")

    text = " ".join(done.output.split())
    assert 0 == done.exit_code
    assert "alerts unknown" in text
    assert "note: no Prometheus at http://127.0.0.1:1: Connection refused; is it running there?" in text


def interrupted(*answers):
    """Return a function that gives each of *answers*, raising those that are errors, and is then interrupted."""
    left = [*answers, KeyboardInterrupt()]

    def looked():
        answer = left.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return looked


def test_watching_outlives_an_agent_that_is_silent_for_a_while(serve, capsys):
    """
    Into a pipe each look is a line of JSON, a failed one a sentence on standard error, and Ctrl-C ends it quietly.
    """
    facts = look(ApiSettings(), [serve(healthy_paths())], None, "", SystemClock())

    watch(interrupted(facts, NobodyAnswered("no agent answered"), facts), 0.0, Console(), is_json=True)

    said = capsys.readouterr()
    assert ["s2.global", "s2.global"] == [json.loads(line)["leader"] for line in said.out.splitlines()]
    assert "Error: no agent answered\n" == said.err


def test_watching_on_a_terminal_stays_in_place(serve):
    """
    The screen is the terminal's second one, and what fails is shown there until it answers again.
    """
    facts = look(ApiSettings(), [serve(healthy_paths())], None, "", SystemClock())
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80, height=24)

    watch(interrupted(facts, NobodyAnswered("no agent answered")), 0.0, console, is_json=False)

    begun, _, rest = shown.getvalue().partition("\x1b[?1049h")
    assert "" == begun
    assert "s2.global" in rest
    assert "no agent answered" in rest
    assert "\x1b[?1049l" in rest


def test_json_has_everything_and_null_for_what_nobody_said(serve):
    """
    A program gets one line.
    """
    done = top("--json", "--address", serve(healthy_paths()))

    body = json.loads(done.stdout)
    assert 1 == done.stdout.count("\n")
    assert ("s2.global", 3, 2, 1) == (body["leader"], body["alive"], body["needed"], body["tolerance"])
    assert {"ready": 2} == body["nodes"]["by_status"]
    assert body["alerts"] is None
    assert ["s1.global", "s2.global", "s3.global"] == [server["name"] for server in body["servers"]]


def test_an_alert_of_many_clients_is_one_line(serve):
    """
    Three of them are named and the others counted, below what is critical; the count above is of all.
    """
    firing = [
        {"alertname": "NomadClientDown", "severity": "warning", "instance": f"client-{number:03}"}
        for number in range(40)
    ]
    firing.append({"alertname": "NomadManyClientsDown", "severity": "critical", "region": "global"})

    done = top("--address", serve(healthy_paths()), "--prometheus", serve(prometheus_paths(firing)))

    lines = [" ".join(line.split()) for line in done.output.splitlines()]
    assert "alerts 41 firing" in lines
    listed = lines[lines.index("alert severity about") + 2 :]
    assert "NomadManyClientsDown critical global" == listed[0]
    assert "NomadClientDown warning client-000, client-001, client-002 and 37" == listed[1].removesuffix(" more")
    assert not any("client-003" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--address", "server-1:4646"], "write one such as http://127.0.0.1:4646"),
        (["--prometheus", "9090"], "write one such as http://127.0.0.1:9090"),
        (["--watch", "soon"], "'soon' is not a duration: write 2, 2s or 1m"),
        (["--watch", "0"], "0 is too often: write 0.5s or more"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_the_remedy(arguments, said):
    """
    One sentence says what to write instead.
    """
    done = top(*arguments)

    assert 2 == done.exit_code
    assert said in " ".join(done.stderr.split())


def test_a_follower_that_lags_says_by_how_many_entries():
    """
    The end of the log is that of the server which has most of it.
    """
    health = golden("operator-autopilot-health.json")
    health["Servers"][0]["LastIndex"] -= 40
    bodies = Bodies(members=golden("agent-members.json"), autopilot=health)

    servers = servers_of(bodies, "global", LEADER)

    assert {"s1.global": 40, "s2.global": 0, "s3.global": 0} == {each.name: each.entries_behind for each in servers}


def test_members_of_other_regions_are_not_among_the_servers():
    """
    Federated regions gossip together.
    """
    members = golden("agent-members.json")
    members["Members"][0]["Tags"]["region"] = "europe"

    assert 2 == len(servers_of(Bodies(members=members), "global", LEADER))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("21.5ms", 0.0215),
        ("1m2.5s", 62.5),
        ("0s", 0.0),
        ("1h0m1s", 3601.0),
        ("250µs", 0.00025),
        ("never", None),
        ("", None),
    ],
)
def test_durations_of_go_are_read(text, seconds):
    """
    As autopilot writes them; what is none is None.
    """
    assert seconds == pytest.approx(seconds_of(text))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0214, "21 ms"), (4.25, "4.2 s"), (61, "1m 1s"), (3_600, "1h 0m"), (200_000, "2d 7h"), (-1, "0 ms")],
)
def test_durations_are_told_in_two_units(seconds, text):
    """
    Short enough for a column.
    """
    assert text == spoken(seconds)


def test_a_gap_begins_the_time_of_a_leader_anew():
    """
    Points further apart than a step and a half are two terms.
    """
    assert 300.0 == leads_since([(0.0, 1.0), (60.0, 1.0), (300.0, 1.0), (360.0, 1.0)], 60.0)
    assert leads_since([], 60.0) is None
