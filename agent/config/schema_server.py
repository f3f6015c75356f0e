"""The server block and server_join, key by key. Source: Nomad's reference of the server and server_join blocks."""

from agent.config.schema import ALL_SCHEDULERS
from agent.config.schema_keys import BlockSpec, Kind, Merge, accepted, accepted_block, working

SERVER_JOIN = BlockSpec(
    "server_join",
    "how the first servers are found",
    keys=(
        working("retry_join", Kind.STRINGS, "addresses of servers, host or host:port, tried until one answers"),
        working("start_join", Kind.STRINGS, "the same; kept for files of old"),
        working("retry_interval", Kind.DURATION, "time between two tries", minimum=1),
        working("retry_max", Kind.INT, "tries before giving up; 0 is no end", minimum=0),
    ),
)

_COUNT_MAX = 2**31 - 1

AUTOPILOT = BlockSpec(
    "autopilot",
    "the settings of autopilot in a new cluster; afterwards `operator autopilot set-config` changes them",
    keys=(
        working("cleanup_dead_servers", Kind.BOOL, "removes servers that are dead", merge=Merge.ALWAYS),
        working("last_contact_threshold", Kind.DURATION, "silence after which a server counts as unhealthy", minimum=0),
        working(
            "max_trailing_logs",
            Kind.INT,
            "entries behind the leader from which a server counts as unhealthy",
            minimum=0,
            maximum=_COUNT_MAX,
        ),
        working(
            "min_quorum", Kind.INT, "servers below which none that is dead is removed", minimum=0, maximum=_COUNT_MAX
        ),
        working("server_stabilization_time", Kind.DURATION, "health of a new server before it votes", minimum=0),
        accepted("disable_upgrade_migration", "migration of the commercial edition"),
        accepted("enable_custom_upgrades", "upgrades of the commercial edition"),
        accepted("enable_redundancy_zones", "zones of the commercial edition"),
    ),
)

# Before server_join these stood in the server block itself; they append over files, server_join's replace.
_LEGACY_JOIN = (
    working("retry_join", Kind.STRINGS, "see server_join", merge=Merge.APPEND, field=""),
    working("start_join", Kind.STRINGS, "see server_join", merge=Merge.APPEND, field=""),
    working("retry_interval", Kind.DURATION, "see server_join", minimum=1, field=""),
    working("retry_max", Kind.INT, "see server_join", minimum=0, field=""),
)

SERVER = BlockSpec(
    "server",
    "the part that keeps the cluster's state and schedules",
    keys=(
        working("enabled", Kind.BOOL, "runs a server in this agent"),
        working("bootstrap_expect", Kind.INT, "the servers of the cluster; 3 or 5 survive losses", minimum=0),
        working("data_dir", Kind.PATH, "where the server's own state lies instead of data_dir/server"),
        working(
            "num_schedulers",
            Kind.INT,
            "scheduling workers; one for each core unless set",
            merge=Merge.ALWAYS,
            minimum=0,
            maximum=256,
        ),
        working(
            "enabled_schedulers",
            Kind.STRINGS,
            "the types of job this server schedules",
            merge=Merge.APPEND,
            choices=ALL_SCHEDULERS,
        ),
        working(
            "raft_multiplier", Kind.INT, "stretches Raft's timeouts on slow machines; 0 is 1", minimum=0, maximum=10
        ),
        working("raft_snapshot_threshold", Kind.INT, "entries of the log after which a snapshot is made", minimum=1),
        working("raft_trailing_logs", Kind.INT, "entries kept behind a snapshot, for followers that lag", minimum=1),
        working(
            "heartbeat_grace", Kind.DURATION, "added to a client's time to live before it counts as lost", minimum=0
        ),
        working("min_heartbeat_ttl", Kind.DURATION, "the shortest time to live a client is given", minimum=1),
        working(
            "max_heartbeats_per_second",
            Kind.FLOAT,
            "the rate of heartbeats that times to live are chosen for",
            minimum=0.1,
        ),
        working(
            "failover_heartbeat_ttl", Kind.DURATION, "what clients get after an election, to find the leader", minimum=1
        ),
        working("rejoin_after_leave", Kind.BOOL, "joins again after a graceful leave"),
        *_LEGACY_JOIN,
        working(
            "encrypt", Kind.STRING, "key that encrypts gossip, 16, 24 or 32 bytes in base64, until a keyring is there"
        ),
        working(
            "gossip_timings",
            Kind.STRING,
            "pace of gossip within the region: lan, or wan as a Nomad's; not in a Nomad's file",
            choices=("lan", "wan"),
        ),
        working(
            "gossip_label", Kind.STRING, "told apart from other clusters by it, up to 64 bytes; not in a Nomad's file"
        ),
        accepted("acl_token_gc_threshold", "age at which expired tokens are collected"),
        accepted("authoritative_region", "the region that owns tokens and policies"),
        accepted("batch_eval_gc_threshold", "age at which evaluations of batch jobs are collected"),
        accepted("csi_plugin_gc_threshold", "age at which unused CSI plugins are collected"),
        accepted("csi_volume_claim_gc_interval", "time between collections of volume claims"),
        accepted("csi_volume_claim_gc_threshold", "age at which volume claims are collected"),
        accepted("deployment_gc_threshold", "age at which deployments are collected"),
        accepted("enable_event_broker", "publishes the event stream"),
        accepted("eval_gc_threshold", "age at which evaluations are collected"),
        accepted("event_buffer_size", "events kept for the event stream"),
        accepted("job_default_priority", "priority of a job that names none"),
        accepted("job_gc_interval", "time between collections of jobs"),
        accepted("job_gc_threshold", "age at which dead jobs are collected"),
        accepted("job_max_count", "most allocations of one job"),
        accepted("job_max_priority", "highest priority of a job"),
        accepted("job_max_source_size", "largest source of a job that is kept"),
        accepted("job_tracked_versions", "versions of a job that are kept"),
        accepted("license_path", "licence of the commercial edition"),
        accepted("node_gc_interval", "time between collections of nodes"),
        accepted("node_gc_threshold", "age at which lost nodes are collected"),
        accepted("non_voting_server", "a server outside the quorum"),
        accepted("oidc_issuer", "issuer named in workload identities"),
        accepted("protocol_version", "version of the protocol between servers"),
        accepted("raft_protocol", "version of the Raft protocol"),
        accepted("raft_snapshot_interval", "time between looks at the length of the log"),
        accepted("redundancy_zone", "zone with one voter"),
        accepted("root_key_gc_interval", "time between collections of old keys"),
        accepted("root_key_gc_threshold", "age at which old keys are collected"),
        accepted("root_key_rotation_threshold", "age at which a new key is made"),
        accepted("start_timeout", "time in which the server must have caught up at its start"),
        accepted("upgrade_version", "version used by custom upgrades"),
    ),
    blocks=(
        SERVER_JOIN,
        accepted_block("client_introduction", "tokens with which new clients introduce themselves"),
        accepted_block("default_scheduler_config", "the scheduler's settings of a new cluster"),
        accepted_block("plan_rejection_tracker", "takes nodes whose plans are rejected out of scheduling"),
        accepted_block("raft_boltdb", "settings of Nomad's own log store"),
        accepted_block("raft_logstore", "settings of Nomad's own log store"),
        accepted_block("search", "limits of the search API"),
    ),
)
