"""The telemetry block of an agent: what is measured, how often, and to whom it is shown.

A plain value: durations arrive as float seconds, from whoever parsed the file. Nothing here reads a file.
Source: the telemetry block of Nomad's agent configuration; the defaults are Nomad's.
"""

from dataclasses import dataclass

# Nomad's: a collection each second; the in-memory sink keeps intervals of 10 s for a minute.
DEFAULT_COLLECTION_INTERVAL_SECONDS = 1.0
DEFAULT_IN_MEMORY_COLLECTION_INTERVAL_SECONDS = 10.0
DEFAULT_IN_MEMORY_RETENTION_PERIOD_SECONDS = 60.0

# A Prometheus series lives this long after its last update. Source: go-metrics prometheus.DefaultPrometheusOpts.
PROMETHEUS_EXPIRY_SECONDS = 60.0


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
        found: list[tuple[str, str]] = []
        collection, interval = self.collection_interval_seconds, self.in_memory_collection_interval_seconds
        retention = self.in_memory_retention_period_seconds
        for key, seconds in (
            ("collection_interval", collection),
            ("in_memory_collection_interval", interval),
            ("in_memory_retention_period", retention),
        ):
            if seconds <= 0:
                found.append((key, f"is {seconds:g} s and must be more than 0: set it to 1s or leave it out"))
        if collection >= PROMETHEUS_EXPIRY_SECONDS:
            problem = (
                f"is {collection:g} s, but a series disappears {PROMETHEUS_EXPIRY_SECONDS:g} s after it was last given "
                "a value, and would come and go: set it to 10s or less"
            )
            found.append(("collection_interval", problem))
        if 0 < retention < interval:
            problem = (
                f"is {retention:g} s, shorter than in_memory_collection_interval, {interval:g} s: "
                "keep at least one whole interval"
            )
            found.append(("in_memory_retention_period", problem))
        found += [
            ("prefix_filter", f'has the entry "{entry}": start it with + to publish or with - to drop what matches')
            for entry in self.prefix_filter
            if len(entry) < 2 or entry[0] not in "+-"
        ]
        return tuple(sorted(found))

    def validate(self) -> None:
        """Raise ValueError naming the first key that cannot work, and its remedy."""
        for key, problem in self.problems():
            raise ValueError(f"telemetry.{key} {problem}")
