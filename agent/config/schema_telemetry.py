"""The telemetry block, key by key; its values end in telemetry.stanza. Source: Nomad's reference of the block."""

from agent.config.schema_keys import BlockSpec, Key, Kind, Merge, State, kept, working

_CIRCONUS = (
    "api_app",
    "api_token",
    "api_url",
    "broker_id",
    "broker_select_tag",
    "check_display_name",
    "check_force_metric_activation",
    "check_id",
    "check_instance_id",
    "check_search_tag",
    "check_submission_url",
    "check_tags",
    "submission_interval",
    "submission_url",
)

TELEMETRY = BlockSpec(
    "telemetry",
    "what is measured, how often, and to whom it is shown",
    keys=(
        working("prometheus_metrics", Kind.BOOL, "serves /v1/metrics?format=prometheus"),
        working("collection_interval", Kind.DURATION, "time between two collections of the gauges"),
        working("disable_hostname", Kind.BOOL, "leaves the host's name out of gauges' names"),
        working("publish_allocation_metrics", Kind.BOOL, "measures each allocation"),
        working("publish_node_metrics", Kind.BOOL, "measures each client's host"),
        working(
            "filter_default",
            Kind.BOOL,
            "whether a metric that no prefix_filter matches is published",
            merge=Merge.ALWAYS,
        ),
        working("prefix_filter", Kind.STRINGS, "prefixes of names to publish (+) or to drop (-), the longest wins"),
        kept("use_node_name", Kind.BOOL, "takes the node's name where the host's would stand"),
        kept("in_memory_collection_interval", Kind.DURATION, "length of one interval of /v1/metrics in JSON"),
        kept("in_memory_retention_period", Kind.DURATION, "time for which those intervals are kept"),
        kept("include_alloc_metadata_in_metrics", Kind.BOOL, "labels allocations' series with metadata"),
        kept("allowed_metadata_keys_in_metrics", Kind.STRINGS, "the metadata used for that"),
        kept("disable_dispatched_job_summary_metrics", Kind.BOOL, "leaves out summaries of dispatched jobs"),
        kept("disable_quota_utilization_metrics", Kind.BOOL, "leaves out the use of quotas"),
        kept("disable_allocation_hook_metrics", Kind.BOOL, "leaves out the hooks of allocations"),
        kept("disable_rpc_rate_metrics_labels", Kind.BOOL, "leaves the caller out of the RPC rates' labels"),
        kept("statsd_address", Kind.STRING, "host:port of a statsd server"),
        kept("statsite_address", Kind.STRING, "host:port of a statsite server"),
        kept("datadog_address", Kind.STRING, "host:port of a dogstatsd agent"),
        kept("datadog_tags", Kind.STRINGS, "tags sent with every metric to dogstatsd"),
        *(
            Key(
                f"circonus_{name}",
                Kind.ANYTHING,
                "the Circonus service has ended; use prometheus_metrics and remove the key",
                State.REFUSED,
            )
            for name in _CIRCONUS
        ),
    ),
)
