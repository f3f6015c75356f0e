"""Series of neighbours that rules and dashboards use: Prometheus, Alertmanager, and the process collectors.

Labels are those that Prometheus 2.42 and 3.5, and Alertmanager 0.25 and 0.33, all give; what only the newer ones have is
named in the meaning. A test holds the entries against whichever of them the machine has.
"""

from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit


def _foreign(
    name: str,
    kind: Kind,
    unit: Unit,
    meaning: str,
    source: str,
    labels: tuple[str, ...] = (),
    present: Presence = Presence.ALWAYS,
) -> Metric:
    return Metric(
        name=name,
        kind=kind,
        unit=unit,
        labels=labels,
        exporter=Role.FOREIGN,
        present=present,
        meaning=meaning,
        source=source,
        absent=Absent.NEIGHBOUR,
    )


def _process(name: str, kind: Kind, unit: Unit, meaning: str, *, absent: Absent | None = None) -> Metric:
    return Metric(
        name=name,
        kind=kind,
        unit=unit,
        exporter=Role.AGENT | Role.EXPORTER | Role.FOREIGN,
        present=Presence.ALWAYS,
        meaning=meaning,
        source="prometheus/client_golang process_collector.go",
        absent=absent,
    )


# Written by Prometheus for each target or alert.

UP = _foreign("up", Kind.UNTYPED, Unit.BOOLEAN, "1 when the last scrape of the target succeeded.", "Prometheus")
SCRAPE_DURATION_SECONDS = _foreign(
    "scrape_duration_seconds", Kind.UNTYPED, Unit.SECONDS, "How long the last scrape took.", "Prometheus"
)
SCRAPE_SAMPLES_SCRAPED = _foreign(
    "scrape_samples_scraped", Kind.UNTYPED, Unit.COUNT, "Samples in the last scrape.", "Prometheus"
)
SCRAPE_SAMPLES_POST_METRIC_RELABELING = _foreign(
    "scrape_samples_post_metric_relabeling",
    Kind.UNTYPED,
    Unit.COUNT,
    "Samples of the last scrape that relabelling kept.",
    "Prometheus",
)
SCRAPE_SERIES_ADDED = _foreign(
    "scrape_series_added",
    Kind.UNTYPED,
    Unit.COUNT,
    "Series the last scrape brought that were not there before.",
    "Prometheus",
)
ALERTS = _foreign(
    "ALERTS",
    Kind.UNTYPED,
    Unit.BOOLEAN,
    "1 for each alert that is pending or firing.",
    "Prometheus",
    ("alertname", "alertstate", "severity"),
)
ALERTS_FOR_STATE = _foreign(
    "ALERTS_FOR_STATE",
    Kind.UNTYPED,
    Unit.UNIX_SECONDS,
    "Since when the condition of an alert has held.",
    "Prometheus",
    ("alertname", "severity"),
)

# Prometheus and Alertmanager about themselves.

_BUILD_LABELS = ("branch", "goarch", "goos", "goversion", "revision", "version")


def _prometheus(name: str, kind: Kind, unit: Unit, meaning: str, *labels: str) -> Metric:
    return _foreign(name, kind, unit, meaning, "Prometheus", labels)


def _alertmanager(
    name: str, kind: Kind, unit: Unit, meaning: str, *labels: str, present: Presence = Presence.ALWAYS
) -> Metric:
    return _foreign(name, kind, unit, meaning, "Alertmanager", labels, present)


PROMETHEUS_BUILD_INFO = _foreign(
    "prometheus_build_info",
    Kind.GAUGE,
    Unit.BOOLEAN,
    "Always 1; its labels say what was built; newer ones say `tags` as well.",
    "Prometheus",
    _BUILD_LABELS,
)
PROMETHEUS_CONFIG_LAST_RELOAD_SUCCESSFUL = _foreign(
    "prometheus_config_last_reload_successful",
    Kind.GAUGE,
    Unit.BOOLEAN,
    "1 when the configuration was accepted at the last reload.",
    "Prometheus",
)
PROMETHEUS_NOTIFICATIONS_ALERTMANAGERS_DISCOVERED = _foreign(
    "prometheus_notifications_alertmanagers_discovered",
    Kind.GAUGE,
    Unit.COUNT,
    "Alertmanagers that alerts are sent to.",
    "Prometheus",
)
PROMETHEUS_NOTIFICATIONS_DROPPED_TOTAL = _foreign(
    "prometheus_notifications_dropped_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Alerts that never reached an Alertmanager.",
    "Prometheus",
)
PROMETHEUS_NOTIFICATIONS_ERRORS_TOTAL = _foreign(
    "prometheus_notifications_errors_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Alerts that an Alertmanager did not take.",
    "Prometheus",
    ("alertmanager",),
)
PROMETHEUS_NOTIFICATIONS_QUEUE_LENGTH = _prometheus(
    "prometheus_notifications_queue_length", Kind.GAUGE, Unit.COUNT, "Alerts that wait to be sent."
)
PROMETHEUS_NOTIFICATIONS_QUEUE_CAPACITY = _prometheus(
    "prometheus_notifications_queue_capacity", Kind.GAUGE, Unit.COUNT, "Alerts that may wait; beyond, they are dropped."
)
PROMETHEUS_NOTIFICATIONS_SENT_TOTAL = _foreign(
    "prometheus_notifications_sent_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Alerts that were sent to an Alertmanager.",
    "Prometheus",
    ("alertmanager",),
)
PROMETHEUS_CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS = _prometheus(
    "prometheus_config_last_reload_success_timestamp_seconds",
    Kind.GAUGE,
    Unit.UNIX_SECONDS,
    "When a configuration was accepted last.",
)
PROMETHEUS_ENGINE_QUERIES = _prometheus(
    "prometheus_engine_queries", Kind.GAUGE, Unit.COUNT, "Queries that run or wait now, those of rules included."
)
PROMETHEUS_ENGINE_QUERIES_CONCURRENT_MAX = _prometheus(
    "prometheus_engine_queries_concurrent_max", Kind.GAUGE, Unit.COUNT, "Queries that may run at the same time."
)
PROMETHEUS_RULE_EVALUATIONS_TOTAL = _prometheus(
    "prometheus_rule_evaluations_total", Kind.COUNTER, Unit.COUNT, "Evaluations of rules.", "rule_group"
)
PROMETHEUS_RULE_GROUP_ITERATIONS_TOTAL = _prometheus(
    "prometheus_rule_group_iterations_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Times a group was due to be evaluated, missed ones included.",
    "rule_group",
)
PROMETHEUS_RULE_GROUP_INTERVAL_SECONDS = _prometheus(
    "prometheus_rule_group_interval_seconds",
    Kind.GAUGE,
    Unit.SECONDS,
    "How often a group is to be evaluated.",
    "rule_group",
)
PROMETHEUS_RULE_GROUP_LAST_DURATION_SECONDS = _prometheus(
    "prometheus_rule_group_last_duration_seconds",
    Kind.GAUGE,
    Unit.SECONDS,
    "How long the last evaluation of a group took.",
    "rule_group",
)
PROMETHEUS_RULE_GROUP_LAST_EVALUATION_TIMESTAMP_SECONDS = _prometheus(
    "prometheus_rule_group_last_evaluation_timestamp_seconds",
    Kind.GAUGE,
    Unit.UNIX_SECONDS,
    "When a group was evaluated last.",
    "rule_group",
)
PROMETHEUS_RULE_GROUP_LAST_EVALUATION_SAMPLES = _prometheus(
    "prometheus_rule_group_last_evaluation_samples",
    Kind.GAUGE,
    Unit.COUNT,
    "Samples that the last evaluation of a group wrote.",
    "rule_group",
)
PROMETHEUS_RULE_EVALUATION_FAILURES_TOTAL = _foreign(
    "prometheus_rule_evaluation_failures_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Evaluations of rules that failed.",
    "Prometheus",
    ("rule_group",),
)
PROMETHEUS_RULE_GROUP_ITERATIONS_MISSED_TOTAL = _foreign(
    "prometheus_rule_group_iterations_missed_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Evaluations of a group that were skipped because the one before took too long.",
    "Prometheus",
    ("rule_group",),
)
PROMETHEUS_TARGET_SCRAPES_EXCEEDED_SAMPLE_LIMIT_TOTAL = _foreign(
    "prometheus_target_scrapes_exceeded_sample_limit_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Scrapes that were thrown away because they held too many samples.",
    "Prometheus",
)
PROMETHEUS_TARGET_SCRAPE_POOL_TARGETS = _prometheus(
    "prometheus_target_scrape_pool_targets", Kind.GAUGE, Unit.COUNT, "Targets of a scrape job now.", "scrape_job"
)
PROMETHEUS_TARGET_SCRAPE_POOL_SYNC_TOTAL = _prometheus(
    "prometheus_target_scrape_pool_sync_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Times discovery gave a scrape job its targets.",
    "scrape_job",
)
PROMETHEUS_TARGET_SCRAPE_POOL_EXCEEDED_TARGET_LIMIT_TOTAL = _prometheus(
    "prometheus_target_scrape_pool_exceeded_target_limit_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Times a scrape job had more targets than its target_limit, so that none of them was scraped.",
)
PROMETHEUS_TARGET_SCRAPE_POOL_EXCEEDED_LABEL_LIMITS_TOTAL = _prometheus(
    "prometheus_target_scrape_pool_exceeded_label_limits_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Times a scrape had more, or longer, labels than its job allows.",
)
PROMETHEUS_TARGET_SCRAPE_POOL_RELOADS_FAILED_TOTAL = _prometheus(
    "prometheus_target_scrape_pool_reloads_failed_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Times a scrape job could not be changed at a reload.",
)
PROMETHEUS_TARGET_SCRAPE_POOLS_FAILED_TOTAL = _prometheus(
    "prometheus_target_scrape_pools_failed_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Times a scrape job could not be made.",
)
PROMETHEUS_TARGET_SYNC_FAILED_TOTAL = _prometheus(
    "prometheus_target_sync_failed_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Targets that relabelling left without an address or with labels that cannot be.",
    "scrape_job",
)
PROMETHEUS_TSDB_HEAD_SERIES = _foreign(
    "prometheus_tsdb_head_series", Kind.GAUGE, Unit.COUNT, "Series in memory.", "Prometheus"
)
ALERTMANAGER_CONFIG_LAST_RELOAD_SUCCESSFUL = _foreign(
    "alertmanager_config_last_reload_successful",
    Kind.GAUGE,
    Unit.BOOLEAN,
    "1 when the configuration was accepted at the last reload.",
    "Alertmanager",
)
ALERTMANAGER_CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS = _alertmanager(
    "alertmanager_config_last_reload_success_timestamp_seconds",
    Kind.GAUGE,
    Unit.UNIX_SECONDS,
    "When a configuration was accepted last.",
)
ALERTMANAGER_CONFIG_HASH = _alertmanager(
    "alertmanager_config_hash",
    Kind.GAUGE,
    Unit.NONE,
    "A number made of the configuration: Alertmanagers of a pair that differ in it send different notifications.",
)
ALERTMANAGER_BUILD_INFO = _alertmanager(
    "alertmanager_build_info",
    Kind.GAUGE,
    Unit.BOOLEAN,
    "Always 1; its labels say what was built; newer ones say `tags` as well.",
    *_BUILD_LABELS,
)
ALERTMANAGER_NOTIFICATIONS_TOTAL = _alertmanager(
    "alertmanager_notifications_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Notifications that were to be sent, by kind of receiver; `receiver_name` only with the feature "
    "receiver-name-in-metrics.",
    "integration",
)
ALERTMANAGER_NOTIFICATIONS_FAILED_TOTAL = _alertmanager(
    "alertmanager_notifications_failed_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Notifications that were given up after all tries, at the end of a group_interval; newer ones give a `reason` as well.",
    "integration",
)
ALERTMANAGER_NOTIFICATION_REQUESTS_TOTAL = _alertmanager(
    "alertmanager_notification_requests_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Requests to receivers, each try of a notification.",
    "integration",
)
ALERTMANAGER_NOTIFICATION_REQUESTS_FAILED_TOTAL = _alertmanager(
    "alertmanager_notification_requests_failed_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Requests to receivers that failed: grows at once, where notifications_failed_total waits for the last try.",
    "integration",
)
ALERTMANAGER_ALERTS = _foreign(
    "alertmanager_alerts", Kind.GAUGE, Unit.COUNT, "Alerts by state.", "Alertmanager", ("state",)
)
ALERTMANAGER_ALERTS_RECEIVED_TOTAL = _foreign(
    "alertmanager_alerts_received_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Alerts that Prometheus sent.",
    "Alertmanager",
    ("status", "version"),
)
ALERTMANAGER_CLUSTER_ENABLED = _alertmanager(
    "alertmanager_cluster_enabled", Kind.GAUGE, Unit.BOOLEAN, "1 when it listens for other Alertmanagers."
)
ALERTMANAGER_CLUSTER_MEMBERS = _alertmanager(
    "alertmanager_cluster_members",
    Kind.GAUGE,
    Unit.COUNT,
    "Alertmanagers that know each other, itself included; only where clustering is on.",
    present=Presence.WHEN_CONFIGURED,
)
ALERTMANAGER_CLUSTER_FAILED_PEERS = _alertmanager(
    "alertmanager_cluster_failed_peers",
    Kind.GAUGE,
    Unit.COUNT,
    "Alertmanagers that it lost; only where clustering is on.",
    present=Presence.WHEN_CONFIGURED,
)
ALERTMANAGER_CLUSTER_HEALTH_SCORE = _alertmanager(
    "alertmanager_cluster_health_score",
    Kind.GAUGE,
    Unit.COUNT,
    "0 when its gossip is well, higher the worse; only where clustering is on.",
    present=Presence.WHEN_CONFIGURED,
)

# The process, as every Prometheus client library tells it; these never expire.

PROCESS_START_TIME_SECONDS = _process(
    "process_start_time_seconds", Kind.GAUGE, Unit.UNIX_SECONDS, "When the process was started."
)
PROCESS_CPU_SECONDS_TOTAL = _process(
    "process_cpu_seconds_total", Kind.COUNTER, Unit.SECONDS, "CPU time the process has used, kernel included."
)
PROCESS_OPEN_FDS = _process("process_open_fds", Kind.GAUGE, Unit.COUNT, "File descriptors that are open.")
PROCESS_MAX_FDS = _process("process_max_fds", Kind.GAUGE, Unit.COUNT, "File descriptors that may be open at most.")
PROCESS_RESIDENT_MEMORY_BYTES = _process(
    "process_resident_memory_bytes", Kind.GAUGE, Unit.BYTES, "Memory the process holds."
)
PROCESS_VIRTUAL_MEMORY_BYTES = _process(
    "process_virtual_memory_bytes", Kind.GAUGE, Unit.BYTES, "Address space the process holds."
)
PROCESS_VIRTUAL_MEMORY_MAX_BYTES = _process(
    "process_virtual_memory_max_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Address space the process may hold at most.",
    absent=Absent.PROCESS,
)
PROCESS_NETWORK_RECEIVE_BYTES_TOTAL = _process(
    "process_network_receive_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Bytes that arrived in the network name space of the process.",
    absent=Absent.PROCESS,
)
PROCESS_NETWORK_TRANSMIT_BYTES_TOTAL = _process(
    "process_network_transmit_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Bytes that left the network name space of the process.",
    absent=Absent.PROCESS,
)

# Go's own, on a real Nomad, Prometheus and Alertmanager.

GO_GOROUTINES = _foreign("go_goroutines", Kind.GAUGE, Unit.COUNT, "Goroutines.", "prometheus/client_golang")
GO_THREADS = _foreign("go_threads", Kind.GAUGE, Unit.COUNT, "Threads.", "prometheus/client_golang")
GO_INFO = _foreign(
    "go_info", Kind.GAUGE, Unit.BOOLEAN, "Always 1; its label says which Go.", "prometheus/client_golang", ("version",)
)
GO_MEMSTATS_HEAP_INUSE_BYTES = _foreign(
    "go_memstats_heap_inuse_bytes", Kind.GAUGE, Unit.BYTES, "Heap in use.", "prometheus/client_golang"
)
GO_MEMSTATS_ALLOC_BYTES = _foreign(
    "go_memstats_alloc_bytes", Kind.GAUGE, Unit.BYTES, "Bytes in objects on the heap.", "prometheus/client_golang"
)
GO_GC_DURATION_SECONDS = _foreign(
    "go_gc_duration_seconds",
    Kind.SAMPLE,
    Unit.SECONDS,
    "Time one collection stopped the process.",
    "prometheus/client_golang",
)
