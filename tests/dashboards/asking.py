"""Asks a real Prometheus every query of every dashboard as Grafana would, and keeps what was answered.

Stats, tables and bars are asked for a moment, time lines for a range; variables are filled, "All" by its pattern, and
`$__rate_interval` as Grafana reckons it: four scrapes, or a step and a scrape where that is longer.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import requests

from alert_rules.dialect import SHIPPED_SELECTORS, Dialect
from alert_rules.promql import resolve
from alert_rules.recorded import KNOWN
from dashboards.panel import Dashboard, Panel, PanelKind, Row, substituted
from telemetry.catalogue.metric import Presence, Role

RANGE_SECONDS = 120
STEP_SECONDS = 2
ANSWER_SECONDS = 60.0
_SHIPPED = Dialect(selectors=dict(SHIPPED_SELECTORS))
"""How a query stands in the file that Grafana reads."""
_SURE = {Presence.ALWAYS, Presence.LEADER_ONLY, Presence.FOLLOWER_ONLY}
_EMPTY_IN_HEALTH = re.compile(r"0|none|nobody|nothing|no (TLS|such|job|plans|exporter)|not told|publish_|.*no exporter")
_TIME_LINES = {PanelKind.TIMESERIES, PanelKind.STATE_TIMELINE}


@dataclass
class Asked:
    """One query: where it stands, whether a healthy cluster must answer it, and what came, over all times it was asked."""

    place: str
    expr: str
    is_sure: bool
    times: int = 0
    errors: list[str] = field(default_factory=list)
    values: int = 0
    """How many values came that are numbers."""
    moving: bool = False
    """Whether a value other than 0 was among them."""


@dataclass
class Asker:
    """Asks the Prometheus at *url*; *is_ours* says that Outrider's own agents are watched, and not a real Nomad."""

    url: str
    scrape_seconds: float
    is_ours: bool
    found: dict[str, Asked] = field(default_factory=dict)
    _session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self._session.trust_env = False

    def close(self) -> None:
        """Close the connections; asking again opens others."""
        self._session.close()

    def ask(self, dashboard: Dashboard, cluster: str, region: str, at: float) -> None:
        """Ask every query, variable and mark of *dashboard* for one region, at a moment in Unix seconds."""
        values = {"$cluster": cluster, "$region": region, "$__range": f"{RANGE_SECONDS}s"}
        values |= {f"${choice.name}": ".*" for choice in dashboard.choices if choice.has_all}
        interval = max(4 * self.scrape_seconds, STEP_SECONDS + self.scrape_seconds)
        values["$__rate_interval"] = f"{math.ceil(interval)}s"
        for row, panel, series in _queries(dashboard):
            asked = self._asked(
                dashboard, panel.title, series.expr, is_sure=_is_sure(row, panel, series.expr, self.is_ours)
            )
            self._query(asked, filled(_SHIPPED.expression(series.expr), values), at, is_range=panel.kind in _TIME_LINES)
        for note in dashboard.notes:
            asked = self._asked(dashboard, note.name, note.expr, is_sure=False)
            self._query(asked, filled(_SHIPPED.expression(note.expr), values), at, is_range=True)
        for choice in dashboard.choices:
            asked = self._asked(dashboard, choice.name, f"{choice.label} of {choice.series}", is_sure=True)
            path = f"/api/v1/label/{choice.label}/values"
            series = filled(_SHIPPED.expression(choice.series), values)
            answer = self._get(asked, path, {"match[]": series, "start": at - 3600, "end": at})
            asked.values += len(answer or [])
            asked.moving |= bool(answer)

    def _asked(self, dashboard: Dashboard, name: str, expr: str, *, is_sure: bool) -> Asked:
        place = f"{dashboard.uid}: {name}: {expr}"
        return self.found.setdefault(place, Asked(place, expr, is_sure))

    def _query(self, asked: Asked, expr: str, at: float, *, is_range: bool) -> None:
        if is_range:
            times = {"start": at - RANGE_SECONDS, "end": at, "step": STEP_SECONDS}
            answer = self._get(asked, "/api/v1/query_range", {"query": expr, **times})
            numbers = [float(value) for each in (answer or {}).get("result", ()) for _, value in each["values"]]
        else:
            answer = self._get(asked, "/api/v1/query", {"query": expr, "time": at})
            numbers = [float(each["value"][1]) for each in (answer or {}).get("result", ())]
            if not asked.moving and not any(numbers):
                # What lasts for seconds is seldom there at the moment that was asked about.
                self._query(asked, expr, at, is_range=True)
        finite = [number for number in numbers if math.isfinite(number)]
        asked.values += len(finite)
        asked.moving |= any(finite)

    def _get(self, asked: Asked, path: str, parameters: Mapping[str, object]) -> object:
        """Return the data of an answer, None when it was an error, which is kept."""
        asked.times += 1
        try:
            answer = self._session.get(self.url + path, params=parameters, timeout=ANSWER_SECONDS).json()
        except requests.RequestException as error:
            asked.errors.append(f"no answer: {error}")
            return None
        if answer["status"] != "success" or answer.get("warnings"):
            asked.errors.append(str(answer.get("error") or answer.get("warnings")))
            return None
        return answer["data"]


def filled(expr: str, values: Mapping[str, str]) -> str:
    """Return *expr* with its variables filled; longer names first, as one may begin with another."""
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace(name, values[name])
    assert "$" not in expr, expr
    return expr


def report(found: Mapping[str, Asked]) -> Iterator[str]:
    """Yield what came of the queries, in lines: those with errors, those that nothing answered, and the sums."""
    everything = list(found.values())
    for each in everything:
        yield from (f"error: {each.place}: {text}" for text in each.errors[:1])
    for each in everything:
        if not each.values:
            yield f"{'missing' if each.is_sure else 'empty'}: {each.place}"
    yield (
        f"{len(everything)} queries, asked {sum(each.times for each in everything)} times: "
        f"{sum(not each.errors for each in everything)} valid, {sum(bool(each.values) for each in everything)} answered, "
        f"{sum(each.moving for each in everything)} with a value other than 0, "
        f"{sum(bool(each.errors) for each in everything)} errors"
    )


def _queries(dashboard: Dashboard) -> Iterator[tuple[Row, Panel, object]]:
    for row in dashboard.rows:
        for panel in row.panels:
            for series in panel.series:
                yield row, panel, series


def _is_sure(row: Row, panel: Panel, expr: str, is_ours: bool) -> bool:
    """Say whether a healthy cluster must answer: its series are always there, and emptiness does not mean health."""
    metrics = [KNOWN.find(name).metric for name in resolve(substituted(expr)).metrics]
    if row.is_ours and not is_ours:
        return False
    if any(metric.present not in _SURE for metric in metrics) or _EMPTY_IN_HEALTH.match(panel.when_empty):
        return False
    is_there = [metric.exported or metric.exporter in {Role.RULE, Role.FOREIGN} or not is_ours for metric in metrics]
    # Of the alerts only the Watchdog fires in health, and exporters are not always beside the agents.
    return all(is_there) and "ALERTS" not in expr and not any(metric.exporter is Role.EXPORTER for metric in metrics)
