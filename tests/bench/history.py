"""Six hours of a cluster as Prometheus keeps them: the families that a dashboard reads, in blocks that promtool makes.

Five servers and many clients, scraped every 15 s. At 2 h ten clients fall silent for 20 minutes; at 3 h the leader is
gone for ten minutes and another takes over; at the end one client is silent. What recording rules write is what they
give for that life (`alert_rules/recording.py`). A family that a query looks further back on goes back as far.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from alert_rules.promql import resolve
from dashboards.panel import Dashboard, substituted
from telemetry.scrape.duration import parse_duration
from tests.tools import Program

CLUSTER, REGION = "bench", "global"
SERVERS, CLIENTS = 5, 1_000
SCRAPE_SECONDS = 15
RANGE_SECONDS = 6 * 3_600
LOOKBACK_SECONDS = 300
PLAIN = "up"
"""The family that queries are compared with, there whether a dashboard reads it or not."""
BLOCK_SECONDS = 2 * 3_600

_CLIENTS_GONE, _CLIENTS_BACK, _GONE_CLIENTS = 2 * 3_600, 2 * 3_600 + 1_200, 10
_LEADER_GONE, _LEADER_BACK = 3 * 3_600, 3 * 3_600 + 600
_LAST_GONE = RANGE_SECONDS - 300
_LINGERS = 60
"""Seconds for which a Nomad goes on telling of what happened once."""
_EVENTS = 600
"""Seconds over which the rules count elections, as shipped."""
_RANGES = re.compile(r"\[(\d+[smhd])")

Value = Callable[[int], float | None]
"""The value at so many seconds after the begin of the 6 h; None where there is none."""


@dataclass(frozen=True)
class Series:
    """One series: its labels, and its value at each time."""

    labels: Mapping[str, str]
    value: Value


def names(dashboard: Dashboard) -> dict[str, int]:
    """Return the families that *dashboard* reads, and the plain one, each with the seconds of history that its queries look at."""
    exprs = [series.expr for panel in dashboard.panels for series in panel.series]
    exprs += [note.expr for note in dashboard.notes] + [choice.series for choice in dashboard.choices]
    found = {PLAIN: RANGE_SECONDS + LOOKBACK_SECONDS}
    for expr in exprs:
        text = substituted(expr)
        back = max((int(parse_duration(length)) for length in _RANGES.findall(text)), default=LOOKBACK_SECONDS)
        for name in resolve(text).metrics:
            found[name] = max(found.get(name, 0), RANGE_SECONDS + back)
    return found


def family(name: str, clients: int) -> list[Series]:
    """Return the series of a family. Raises KeyError for one that this history does not know."""
    return [Series({"cluster": CLUSTER, "region": REGION, **each.labels}, each.value) for each in _MADE[name](clients)]


def write_history(dashboard: Dashboard, clients: int, now: float, promtool: Program, blocks: Path) -> float:
    """Write what *dashboard* reads into the folder *blocks*; return its end, Unix seconds, a little before *now*."""
    end = int(now // BLOCK_SECONDS * BLOCK_SECONDS) - SCRAPE_SECONDS
    begin = end - RANGE_SECONDS
    made = [(name, back, family(name, clients)) for name, back in sorted(names(dashboard).items())]
    oldest = end - max(back for _, back, _ in made)
    text = blocks.parent / "history.txt"
    # A file for each block: promtool reads the whole of a file anew for each block in it.
    for start in range(oldest // BLOCK_SECONDS * BLOCK_SECONDS, end, BLOCK_SECONDS):
        with text.open("w") as file:
            for name, back, all_series in made:
                first = max(start, (end - back) // SCRAPE_SECONDS * SCRAPE_SECONDS)
                times = range(first, min(start + BLOCK_SECONDS, end + 1), SCRAPE_SECONDS)
                file.writelines(line for each in all_series for line in _lines(name, each, times, begin))
            file.write("# EOF\n")
        done = promtool.run("tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks), timeout=600)
        if done.returncode:
            raise RuntimeError(f"{promtool} makes no blocks of {text.name}: {done.stderr or done.stdout}")
    text.unlink()
    return float(end)


def _lines(name: str, series: Series, times: range, begin: int) -> Iterator[str]:
    labels = ",".join(f'{label}="{value}"' for label, value in series.labels.items())
    head = f"{name}{{{labels}}}"
    for at in times:
        value = series.value(at - begin)
        if value is not None:
            yield f"{head} {value:g} {at}\n"


def _server(number: int) -> dict[str, str]:
    return {"role": "server", "job": "nomad-server", "instance": f"server-{number}"}


def _client(number: int) -> dict[str, str]:
    return {"role": "client", "job": "nomad-client", "instance": f"client-{number}"}


def _leader_answers(second: int) -> bool:
    return not _LEADER_GONE <= second < _LEADER_BACK


def _server_answers(number: int, second: int) -> bool:
    return number != 0 or _leader_answers(second)


def _client_answers(number: int, second: int) -> bool:
    if number == 0 and second >= _LAST_GONE:
        return False
    return number >= _GONE_CLIENTS or not _CLIENTS_GONE <= second < _CLIENTS_BACK


def _silent(clients: int, second: int) -> int:
    return sum(not _client_answers(number, second) for number in range(min(clients, _GONE_CLIENTS)))


def _leads(number: int, second: int) -> bool:
    return number == (0 if second < _LEADER_GONE else 1)


def _for_each_server(value: Callable[[int, int], float | None]) -> Callable[[int], list[Series]]:
    return lambda _clients: [
        Series(_server(number), lambda second, number=number: value(number, second)) for number in range(SERVERS)
    ]


def _rule_of_servers(value: Callable[[int, int], float | None]) -> Callable[[int], list[Series]]:
    return lambda _clients: [
        Series({"instance": f"server-{number}"}, lambda second, number=number: value(number, second))
        for number in range(SERVERS)
    ]


def _rule(value: Callable[[int, int], float | None]) -> Callable[[int], list[Series]]:
    """Make the one series of a rule by region; *value* takes the number of clients and the second."""
    return lambda clients: [Series({}, lambda second: value(clients, second))]


def _targets(
    of_server: Callable[[int, int], float | None], of_client: Callable[[int, int], float | None]
) -> Callable[[int], list[Series]]:
    return lambda clients: [
        *_for_each_server(of_server)(clients),
        *(
            Series(_client(number), lambda second, number=number: of_client(number, second))
            for number in range(clients)
        ),
    ]


def _memory(answers: Callable[[int, int], bool]) -> Callable[[int, int], float | None]:
    return lambda number, second: 1.5e8 + 1e5 * number + 100 * second if answers(number, second) else None


def _alerts(_clients: int) -> list[Series]:
    def alert(name: str, severity: str, value: Value, **labels: str) -> Series:
        return Series({"alertname": name, "alertstate": "firing", "severity": severity, **labels}, value)

    return [
        alert("Watchdog", "none", lambda _second: 1),
        alert("NomadServerDown", "warning", lambda second: None if _leader_answers(second) else 1, instance="server-0"),
        *(
            alert(
                "NomadClientDown",
                "warning",
                lambda second, number=number: None if _client_answers(number, second) else 1,
                instance=f"client-{number}",
            )
            for number in range(_GONE_CLIENTS)
        ),
    ]


def _nodes(clients: int) -> list[Series]:
    def value(status: str, eligibility: str) -> Callable[[int, int], float | None]:
        def count(number: int, second: int) -> float | None:
            if not _server_answers(number, second):
                return None
            down = _silent(clients, second)
            counted = {("ready", "eligible"): clients - down, ("down", "eligible"): down}
            return counted.get((status, eligibility), 0)

        return count

    return [
        Series({"server": f"server-{number}", "status": status, "eligibility": eligibility, **each.labels}, each.value)
        for status in ("initializing", "ready", "down", "disconnected")
        for eligibility in ("eligible", "ineligible")
        for number, each in enumerate(_for_each_server(value(status, eligibility))(clients))
    ]


def _schedulings(_clients: int) -> list[Series]:
    return [Series({"scheduler": scheduler}, lambda second: 2 + second % 60 / 60) for scheduler in ("service", "batch")]


def _up(clients: int, second: int) -> float:
    return SERVERS - (not _leader_answers(second))


_MADE: Mapping[str, Callable[[int], list[Series]]] = {
    "up": _targets(
        lambda number, second: float(_server_answers(number, second)),
        lambda number, second: float(_client_answers(number, second)),
    ),
    "process_resident_memory_bytes": _targets(_memory(_server_answers), _memory(_client_answers)),
    "nomad_nomad_rpc_request": _for_each_server(
        lambda number, second: 30 * second + 3e6 if _server_answers(number, second) else None
    ),
    "nomad_raft_state_candidate": _for_each_server(
        lambda number, second: 1 if number == 1 and 0 <= second - _LEADER_GONE < _LINGERS else None
    ),
    "nomad_nomad_heartbeat_invalidate_count": _for_each_server(
        lambda number, second: _GONE_CLIENTS if number == 0 and 0 <= second - _CLIENTS_GONE < _LINGERS else None
    ),
    "outrider_nodes": _nodes,
    "ALERTS": _alerts,
    "outrider:servers_expected": _rule(lambda _clients, _second: SERVERS),
    "outrider:servers_quorum": _rule(lambda _clients, _second: SERVERS // 2 + 1),
    "outrider:servers_up": _rule(_up),
    "outrider:server_up": _rule_of_servers(lambda number, second: float(_server_answers(number, second))),
    "outrider:leader": _rule_of_servers(lambda number, second: 1 if _leads(number, second) else None),
    "outrider:leader_heard": _rule_of_servers(lambda number, second: 1 if _server_answers(number, second) else None),
    "outrider:leader_signals": _rule(_up),
    "outrider:elections": _rule(lambda _clients, second: float(0 <= second - _LEADER_GONE < _EVENTS)),
    "outrider:failure_tolerance": _rule(lambda clients, second: _up(clients, second) - 3),
    "outrider:commit_milliseconds": _rule(lambda _clients, second: 5 + second % 300 / 100),
    "outrider:contact_milliseconds": _rule(lambda _clients, second: 20 + second % 300 / 20),
    "outrider:heartbeats_active": _rule(lambda clients, second: clients - _silent(clients, second)),
    "outrider:clients_targeted": _rule(lambda clients, _second: clients),
    "outrider:clients_down": _rule(_silent),
    "outrider:client_silent": lambda clients: [
        Series(
            {"instance": f"client-{number}"},
            lambda second, number=number: None if _client_answers(number, second) else 1,
        )
        for number in range(min(clients, _GONE_CLIENTS))
    ],
    "outrider:evaluations_ready": _rule(lambda _clients, second: second // 15 % 4),
    "outrider:evaluations_unacked": _rule(lambda _clients, second: second // 15 % 3),
    "outrider:evaluations_blocked": _rule(lambda _clients, _second: 0),
    "outrider:plan_queue": _rule(lambda _clients, second: second // 15 % 2),
    "outrider:scheduling_milliseconds": _schedulings,
}
"""The series of each family, for so many clients."""
