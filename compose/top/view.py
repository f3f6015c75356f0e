"""What a person or a program sees of the facts: a terminal's screen 80 columns wide, or JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from compose.top.facts import ALIVE, Alert, Facts, Server

_GOOD, _CAUTION, _BAD, _DIM = "green", "yellow", "bold red", "dim"
ALERTS_MAX = 10
"""Alerts that are listed, each once however many servers or clients it fires for; the rest is counted."""
NAMED_MAX = 3
"""Of those that one alert fires for so many are named, the rest is counted: a lost rack leaves the screen readable."""

LAGGING_ENTRIES = 100
"""A server that is further behind has its figure in color: a healthy one is a few entries behind at most."""


def screen(facts: Facts) -> RenderableType:
    """Return what `outrider top` shows of *facts*."""
    parts: list[RenderableType] = [_head(facts), _summary(facts), Text(), _servers(facts)]
    if facts.alerts:
        parts += [Text(), _alerts(facts.alerts)]
    if facts.notes:
        parts += [Text(), *(Text(f"note: {note}", style=_DIM) for note in facts.notes)]
    return Group(*parts)


def as_json(facts: Facts) -> str:
    """Return *facts* as one line of JSON; null where nobody said."""
    body: dict[str, Any] = asdict(facts) | {"alive": facts.alive}
    return json.dumps(body, ensure_ascii=False)


def _head(facts: Facts) -> Text:
    return Text.assemble(
        ("Nomad ", _DIM), (facts.region, "bold"), (f"  asked {facts.asked} at {_clock(facts.at)} UTC", _DIM)
    )


def _summary(facts: Facts) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style=_DIM, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("leader", _leader(facts))
    table.add_row("servers", _quorum(facts))
    table.add_row("nodes", _nodes(facts))
    table.add_row("evaluations", _evaluations(facts))
    table.add_row("alerts", _firing(facts))
    return table


def _leader(facts: Facts) -> Text:
    if not facts.leader:
        return Text("no leader: nothing is scheduled, every write fails", style=_BAD)
    text = Text(facts.leader, style=_GOOD)
    if facts.leader_since is not None:
        lasted = spoken(facts.at - facts.leader_since)
        when = (
            f" since {_clock(facts.leader_since)} UTC, {lasted}" if facts.is_since_sure else f" for more than {lasted}"
        )
        text.append(when, style="default")
    return text


def _quorum(facts: Facts) -> Text:
    text = Text()
    spare = None if facts.needed is None else facts.alive - facts.needed
    style = "default" if spare is None else _BAD if spare < 0 else _CAUTION if spare == 0 else _GOOD
    text.append(f"{facts.alive} alive", style=style)
    if facts.needed is not None:
        text.append(f", {facts.needed} needed")
    if facts.expected is not None:
        text.append(f", {facts.expected} expected")
    if facts.tolerance is not None:
        style = _GOOD if facts.tolerance > 0 else _CAUTION
        text.append("; ").append(
            f"{facts.tolerance} may be lost" if facts.tolerance else "none may be lost", style=style
        )
    return text


def _nodes(facts: Facts) -> Text:
    if facts.nodes is None:
        return _unknown()
    styles = {"ready": _GOOD, "down": _BAD, "disconnected": _BAD}
    parts = [
        Text(f"{count} {status}", style=styles.get(status, _CAUTION))
        for status, count in sorted(facts.nodes.by_status.items(), key=lambda item: item[0] != "ready")
    ]
    if facts.nodes.draining:
        parts.append(Text(f"{facts.nodes.draining} draining", style=_CAUTION))
    if facts.nodes.ineligible:
        parts.append(Text(f"{facts.nodes.ineligible} ineligible", style=_CAUTION))
    return Text(", ").join(parts) if parts else Text("none")


def _evaluations(facts: Facts) -> Text:
    if facts.waiting is None or facts.blocked is None:
        return _unknown()
    blocked = Text(f"{facts.blocked} blocked for capacity", style=_CAUTION if facts.blocked else "default")
    return Text.assemble(f"{facts.waiting} waiting, ", blocked)


def _firing(facts: Facts) -> Text:
    if facts.alerts is None:
        return (
            _unknown() if facts.has_prometheus else Text("not asked: name a Prometheus with --prometheus", style=_DIM)
        )
    if not facts.alerts:
        return Text("none firing", style=_GOOD)
    return Text(f"{len(facts.alerts)} firing", style=_BAD)


def _unknown() -> Text:
    return Text("unknown", style=_DIM)


def _servers(facts: Facts) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style=_DIM, show_edge=False)
    table.add_column("server", overflow="fold")
    table.add_column("address", overflow="fold")
    table.add_column("state")
    table.add_column("contact", justify="right", no_wrap=True)
    table.add_column("behind", justify="right", no_wrap=True)
    for server in facts.servers:
        table.add_row(
            Text(server.name, style="bold" if server.is_leader else ""), server.address, _state(server, facts),
            "-" if server.contact_seconds is None else spoken(server.contact_seconds), _behind(server),
        )  # fmt: skip
    return table


def _state(server: Server, facts: Facts) -> Text:
    words = Text(", ").join(_words(server, facts))
    return words if words.plain else Text("-")


def _words(server: Server, facts: Facts) -> Iterator[Text]:
    if server.is_leader:
        yield Text("leader", style=_GOOD)
    elif server.status == ALIVE:
        yield Text("follower" if facts.leader else "alive")
    if server.status != ALIVE:
        yield Text(server.status, style=_CAUTION if server.status in {"leaving", "left"} else _BAD)
    if server.is_healthy is False:
        yield Text("unhealthy", style=_BAD)
    if not server.is_voter and facts.needed is not None:
        yield Text("no voter", style=_CAUTION)


def _behind(server: Server) -> Text:
    if server.entries_behind is None:
        return Text("-")
    return Text(str(server.entries_behind), style=_CAUTION if server.entries_behind > LAGGING_ENTRIES else "")


def _alerts(alerts: tuple[Alert, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style=_DIM, show_edge=False)
    table.add_column("alert", overflow="fold")
    table.add_column("severity")
    table.add_column("about", overflow="fold")
    about: dict[tuple[str, str], list[str]] = {}
    for alert in alerts:
        about.setdefault((alert.name, alert.severity), []).append(alert.about)
    for (name, severity), whom in list(about.items())[:ALERTS_MAX]:
        style = _BAD if severity == "critical" else _CAUTION
        table.add_row(name, Text(severity, style=style), _named(whom))
    if len(about) > ALERTS_MAX:
        table.add_row(f"and {len(about) - ALERTS_MAX} more", "", "")
    return table


def _named(whom: list[str]) -> str:
    """Return the names that an alert fires for, the first of many with how many more there are."""
    rest = len(whom) - NAMED_MAX
    return ", ".join(whom) if rest <= 0 else f"{', '.join(whom[:NAMED_MAX])} and {rest} more"


def spoken(seconds: float) -> str:
    """Return a duration in its two largest units, or with two digits below a minute: "3h 20m", "4.2 s", "21 ms"."""
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes}m {int(seconds) % 60}s"
    hours = minutes // 60
    return f"{hours}h {minutes % 60}m" if hours < 24 else f"{hours // 24}d {hours % 24}h"


def _clock(seconds: float) -> str:
    """Return the time of day of Unix *seconds* in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")
