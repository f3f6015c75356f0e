"""The telemetry block, key by key; its values end in telemetry.stanza. Source: Nomad's reference of the block."""

from agent.config.schema_keys import BlockSpec, Key, Kind, Merge, State, moot, working

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
        working(
            "disable_hostname", Kind.BOOL, "leaves out the label `host`, which every series of Nomad's has otherwise"
        ),
        working(
            "use_node_name",
            Kind.BOOL,
            "takes the node's name for the host's; with disable_hostname, the label `host` stays with it, and gauges "
            "pushed to statsd and statsite have it in their name (nomad.NODE.…) and not behind it",
        ),
        working(
            "collection_interval",
            Kind.DURATION,
            "time between two collections of the gauges; less than the 60 s after which a series is dropped",
        ),
        working(
            "in_memory_collection_interval",
            Kind.DURATION,
            "length of the interval that /v1/metrics shows in JSON: from 1 s, and 30 s where more is set",
        ),
        working(
            "in_memory_retention_period",
            Kind.DURATION,
            "how long such intervals are kept; where two fit, the last finished one is shown, else the one under way",
        ),
        working("publish_allocation_metrics", Kind.BOOL, "measures CPU and memory of each task"),
        working("publish_node_metrics", Kind.BOOL, "measures CPU, memory and disks of each client's host"),
        working(
            "include_alloc_metadata_in_metrics",
            Kind.BOOL,
            "makes the metadata of job, group and task (the inner one wins) labels of the series of tasks; what no label "
            "may hold becomes _, and a key named as a label that is there already is left out",
        ),
        working(
            "allowed_metadata_keys_in_metrics",
            Kind.STRINGS,
            "the only keys of metadata that become labels; all, where the list is empty",
        ),
        working(
            "filter_default",
            Kind.BOOL,
            "whether a Nomad series that no prefix_filter matches is published; outrider_* go only when named",
            merge=Merge.ALWAYS,
        ),
        working(
            "prefix_filter",
            Kind.STRINGS,
            "prefixes of names to publish (+) or to drop (-), here and in sinks; the longest wins, of two equal ones the -",
        ),
        working(
            "disable_dispatched_job_summary_metrics",
            Kind.BOOL,
            "leaves out nomad_nomad_job_summary_* of jobs that were dispatched",
        ),
        moot("disable_quota_utilization_metrics", "there are no quotas, and so no series of them", Kind.BOOL),
        working(
            "disable_allocation_hook_metrics",
            Kind.BOOL,
            "leaves out nomad_client_alloc_hook_* and nomad_client_task_hook_*",
        ),
        moot(
            "disable_rpc_rate_metrics_labels",
            "no caller proves an identity without access control, so no rate carries one",
            Kind.BOOL,
        ),
        working("prometheus_metrics", Kind.BOOL, "serves /v1/metrics?format=prometheus; else that is 415"),
        working(
            "statsd_address",
            Kind.STRING,
            "pushes to this host:port over UDP, in packets of 1,400 bytes at most, every 0.1 s",
        ),
        working(
            "statsite_address", Kind.STRING, "pushes to this host:port over TCP, connected anew 5 s after a failure"
        ),
        working(
            "datadog_address",
            Kind.STRING,
            "pushes to this host:port or unix:///path as dogstatsd, labels as tags; a name must resolve at the start",
        ),
        working("datadog_tags", Kind.STRINGS, "tags sent with every value to datadog_address"),
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
