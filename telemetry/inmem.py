"""The JSON form of `/v1/metrics`: what happened in the last finished interval, 10 s by default, under Nomad's keys.

Until the first interval is over, the one that is under way is shown. A gauge is shown when it was set since the
interval began. Pure.

Source: go-metrics inmem.go and inmem_endpoint.go (DisplayMetrics); field names and order as a Nomad prints them.
"""

from datetime import UTC, datetime
from typing import Any

from telemetry import exposition
from telemetry.series import Counter, Gauge, Labels, Sample, Series
from telemetry.windows import NOMADS_FRAME, Frame, Tally, merged


class View:
    """Collects series into one JSON body.

    *first_window* is the first window of the interval, *set_since* the monotonic seconds at which it began.
    """

    def __init__(self, first_window: int, set_since: float, frame: Frame = NOMADS_FRAME) -> None:
        self._frame = frame
        self._first = first_window
        self._since = set_since
        self._counters: list[dict[str, Any]] = []
        self._gauges: list[dict[str, Any]] = []
        self._samples: list[dict[str, Any]] = []

    def add(self, key: str, series: Series) -> None:
        """Take one series; without a value in the interval it is left out."""
        match series:
            case Gauge():
                if series.updated >= self._since:
                    value = exposition.float32(series.value)
                    self._gauges.append({"Labels": dict(series.labels), "Name": key, "Value": value})
            case Counter():
                self._aggregate(self._counters, key, series.labels, self._interval(series))
            case Sample():
                self._aggregate(self._samples, key, series.labels, self._interval(series))

    def body(self) -> dict[str, Any]:
        """Return the body as Nomad's JSON has it, every list sorted by name and labels."""
        began = datetime.fromtimestamp(self._frame.begins(self._first), UTC)
        return {
            "Counters": sorted(self._counters, key=_order),
            "Gauges": sorted(self._gauges, key=_order),
            "Points": [],
            "PrecisionGauges": [],
            "Samples": sorted(self._samples, key=_order),
            "Timestamp": began.strftime("%Y-%m-%d %H:%M:%S +0000 UTC"),
        }

    def _interval(self, series: Counter | Sample) -> Tally | None:
        return merged(series.tallies, self._first, self._first + self._frame.interval_windows - 1)

    def _aggregate(self, rows: list[dict[str, Any]], key: str, labels: Labels, tally: Tally | None) -> None:
        if tally is None:
            return
        rows.append(
            {
                "Count": tally.count,
                "Labels": dict(labels),
                "Max": tally.high,
                "Mean": tally.total / tally.count,
                "Min": tally.low,
                "Name": key,
                "Rate": tally.total / self._frame.interval_seconds,
                "Stddev": tally.stddev,
                "Sum": tally.total,
            }
        )


def _order(row: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    return row["Name"], sorted(row["Labels"].items())
