"""The telemetry block of an agent: what is measured, how often, and to whom it is shown.

A plain value: durations arrive as float seconds, from whoever parsed the file. Nothing here reads a file.
Source: the telemetry block of Nomad's agent configuration; the defaults are Nomad's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from telemetry.sinks.address import UNIX, split_address
from telemetry.windows import Frame

# Nomad's: a collection each second; the in-memory sink keeps intervals of 10 s for a minute.
DEFAULT_COLLECTION_INTERVAL_SECONDS = 1.0
DEFAULT_IN_MEMORY_COLLECTION_INTERVAL_SECONDS = 10.0
DEFAULT_IN_MEMORY_RETENTION_PERIOD_SECONDS = 60.0

# Below it a window of the in-memory view would be shorter than the time a collection takes.
IN_MEMORY_COLLECTION_INTERVAL_SECONDS_MIN = 1.0

# A Prometheus series lives this long after its last update. Source: go-metrics prometheus.DefaultPrometheusOpts.
PROMETHEUS_EXPIRY_SECONDS = 60.0

# /v1/metrics in JSON shows the last finished interval, which began two intervals ago at most; its series must still live.
IN_MEMORY_COLLECTION_INTERVAL_SECONDS_MAX = PROMETHEUS_EXPIRY_SECONDS / 2


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """Every key of the telemetry block that has a meaning here; the circonus_* keys have none.

    `prefix_filter` entries start with + (allow) or - (block) and stand in the order of the file. Empty sink addresses
    mean that the sink is off.
    """

    disable_hostname: bool = False
    use_node_name: bool = False
    collection_interval_seconds: float = DEFAULT_COLLECTION_INTERVAL_SECONDS
    in_memory_collection_interval_seconds: float = DEFAULT_IN_MEMORY_COLLECTION_INTERVAL_SECONDS
    in_memory_retention_period_seconds: float = DEFAULT_IN_MEMORY_RETENTION_PERIOD_SECONDS
    publish_allocation_metrics: bool = False
    publish_node_metrics: bool = False
    include_alloc_metadata_in_metrics: bool = False
    allowed_metadata_keys_in_metrics: tuple[str, ...] = ()
    filter_default: bool = True
    prefix_filter: tuple[str, ...] = ()
    disable_dispatched_job_summary_metrics: bool = False
    disable_quota_utilization_metrics: bool = False
    disable_allocation_hook_metrics: bool = False
    disable_rpc_rate_metrics_labels: bool = False
    prometheus_metrics: bool = False
    statsd_address: str = ""
    statsite_address: str = ""
    datadog_address: str = ""
    datadog_tags: tuple[str, ...] = ()

    def problems(self) -> tuple[tuple[str, str], ...]:
        """Return (key as in the file, what is wrong and what to do) for every value that cannot work, sorted by key."""
        found = [*self._of_times(), *self._of_addresses()]
        found += [
            ("prefix_filter", f'has the entry "{entry}": start it with + to publish or with - to drop what matches')
            for entry in self.prefix_filter
            if len(entry) < 2 or entry[0] not in "+-"
        ]
        return tuple(sorted(found))

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for each value that may stand, but does less than it seems to."""
        found = []
        collection, interval = self.collection_interval_seconds, self.in_memory_collection_interval_seconds
        if collection > interval:
            found.append(
                f"telemetry.collection_interval is {collection:g} s, longer than in_memory_collection_interval, "
                f"{interval:g} s: the JSON of /v1/metrics has intervals without gauges"
            )
        longest = IN_MEMORY_COLLECTION_INTERVAL_SECONDS_MAX
        if interval > longest:
            found.append(
                f"telemetry.in_memory_collection_interval is {interval:g} s, but a series disappears "
                f"{PROMETHEUS_EXPIRY_SECONDS:g} s after it was last given a value, and the interval that is shown begins up "
                f"to two intervals ago: the JSON of /v1/metrics has intervals of {longest:g} s"
            )
        if self.allowed_metadata_keys_in_metrics and not self.include_alloc_metadata_in_metrics:
            found.append(
                f"telemetry.allowed_metadata_keys_in_metrics is {_listed(self.allowed_metadata_keys_in_metrics)}, but "
                "include_alloc_metadata_in_metrics is false: no metadata becomes a label"
            )
        if self.datadog_tags and not self.datadog_address:
            found.append(
                f"telemetry.datadog_tags is {_listed(self.datadog_tags)}, but datadog_address is empty: "
                "nothing is sent that could carry them"
            )
        return tuple(f"{sentence}." for sentence in found)

    @property
    def frame(self) -> Frame:
        """How the registry cuts time: for intervals of the length that was set, 30 s at most."""
        interval = self.in_memory_collection_interval_seconds
        frame = Frame.of(
            min(interval, IN_MEMORY_COLLECTION_INTERVAL_SECONDS_MAX), self.in_memory_retention_period_seconds
        )
        # As many as were asked for: with one, the interval under way is shown.
        return replace(frame, intervals_kept=max(1, int(self.in_memory_retention_period_seconds / interval)))

    def _of_times(self) -> Iterator[tuple[str, str]]:
        collection, interval = self.collection_interval_seconds, self.in_memory_collection_interval_seconds
        retention = self.in_memory_retention_period_seconds
        for key, seconds in (
            ("collection_interval", collection),
            ("in_memory_collection_interval", interval),
            ("in_memory_retention_period", retention),
        ):
            if seconds <= 0:
                yield key, f"is {seconds:g} s and must be more than 0: set it to 1s or leave it out"
        if collection >= PROMETHEUS_EXPIRY_SECONDS:
            yield (
                "collection_interval",
                (
                    f"is {collection:g} s, but a series disappears {PROMETHEUS_EXPIRY_SECONDS:g} s after it was last given "
                    "a value, and would come and go: set it to 10s or less"
                ),
            )
        if 0 < interval < IN_MEMORY_COLLECTION_INTERVAL_SECONDS_MIN:
            yield (
                "in_memory_collection_interval",
                (
                    f"is {interval:g} s, less than {IN_MEMORY_COLLECTION_INTERVAL_SECONDS_MIN:g} s, in which little is "
                    "collected: set it to 1s or more"
                ),
            )
        if 0 < retention < interval:
            yield (
                "in_memory_retention_period",
                (
                    f"is {retention:g} s, shorter than in_memory_collection_interval, {interval:g} s: "
                    "keep at least one whole interval"
                ),
            )

    def _of_addresses(self) -> Iterator[tuple[str, str]]:
        for key in ("statsd_address", "statsite_address", "datadog_address"):
            address: str = getattr(self, key)
            if not address or (key == "datadog_address" and len(address) > len(UNIX) and address.startswith(UNIX)):
                continue
            try:
                split_address(address)
            except ValueError as error:
                yield key, f'= "{address}" {error}'

    def validate(self) -> None:
        """Raise ValueError naming the first key that cannot work, and its remedy."""
        for key, problem in self.problems():
            raise ValueError(f"telemetry.{key} {problem}")


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(f'"{value}"' for value in values)
