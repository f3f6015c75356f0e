"""The client and plugin blocks, key by key. Source: Nomad's reference of the client and plugin blocks."""

from agent.config.schema_keys import BlockSpec, Kind, Merge, accepted, accepted_block, moot, protective, working
from agent.config.schema_server import SERVER_JOIN

RESERVED = BlockSpec(
    "reserved",
    "what is kept back from scheduling",
    keys=(
        working("cpu", Kind.INT, "MHz", minimum=0),
        working("cores", Kind.STRING, "cores, such as 0-3,7"),
        working("memory", Kind.INT, "MiB", minimum=0),
        working("disk", Kind.INT, "MiB", minimum=0),
        working("reserved_ports", Kind.STRING, "ports, such as 22,80,8500-8600"),
    ),
)

CLIENT = BlockSpec(
    "client",
    "the part that runs allocations",
    keys=(
        working("enabled", Kind.BOOL, "runs a client in this agent"),
        working(
            "servers", Kind.STRINGS, "addresses of servers, host or host:port of their RPC listener", merge=Merge.APPEND
        ),
        working("node_class", Kind.STRING, "a free word that constraints can name"),
        working("node_pool", Kind.STRING, "the pool the node belongs to"),
        working("meta", Kind.STRING_MAP, "free words that constraints can name"),
        working("options", Kind.STRING_MAP, "old switches of drivers and fingerprints"),
        working("alloc_dir", Kind.PATH, "where allocations run; below data_dir unless set"),
        working("state_dir", Kind.PATH, "where the client's own state lies; below data_dir unless set"),
        working("network_interface", Kind.STRING, "the interface whose address allocations get"),
        working("cpu_total_compute", Kind.INT, "MHz, in place of what is found", minimum=0),
        working("memory_total_mb", Kind.INT, "MiB, in place of what is found", minimum=0),
        moot("disable_remote_exec", "forbids exec into tasks, which does not exist here"),
        moot("no_host_uuid", "takes a random node id, which is what always happens here"),
        accepted("alloc_mounts_dir", "where the mounts of allocations lie"),
        accepted("bridge_network_hairpin_mode", "lets a task reach itself through the bridge"),
        accepted("bridge_network_name", "name of the bridge"),
        accepted("bridge_network_subnet", "addresses of the bridge"),
        accepted("bridge_network_subnet_ipv6", "IPv6 addresses of the bridge"),
        accepted("cgroup_parent", "cgroup below which tasks run"),
        accepted("client_max_port", "ports for talk with plugins"),
        accepted("client_min_port", "ports for talk with plugins"),
        accepted("cni_config_dir", "where CNI configuration lies"),
        accepted("cni_path", "where CNI plugins lie"),
        accepted("common_plugin_dir", "where further plugins lie"),
        accepted("cpu_disable_dmidecode", "keeps dmidecode out of the fingerprint"),
        accepted("disk_free_mb", "MiB, in place of what is found"),
        accepted("disk_total_mb", "MiB, in place of what is found"),
        accepted("gc_disk_usage_threshold", "percent of the disk at which dead allocations are collected"),
        accepted("gc_inode_usage_threshold", "percent of inodes at which dead allocations are collected"),
        accepted("gc_interval", "time between collections"),
        accepted("gc_max_allocs", "allocations at which dead ones are collected"),
        accepted("gc_parallel_destroys", "allocations destroyed at once"),
        accepted("gc_volumes_on_node_gc", "deletes dynamic host volumes with their node"),
        accepted("host_volume_plugin_dir", "where plugins of host volumes lie"),
        accepted("host_volumes_dir", "where dynamic host volumes lie"),
        accepted("intro_token", "token with which a new client introduces itself"),
        accepted("max_dynamic_port", "the last port given to allocations"),
        accepted("max_kill_timeout", "longest kill_timeout a job may ask for"),
        accepted("min_dynamic_port", "the first port given to allocations"),
        accepted("network_speed", "MBits, in place of what is found"),
        accepted("node_max_allocs", "most allocations on the node"),
        accepted("nomad_service_discovery", "registers services with the servers"),
        accepted("preferred_address_family", "ipv4 or ipv6 for allocations"),
        accepted("reservable_cores", "cores that jobs may reserve"),
    ),
    blocks=(
        SERVER_JOIN,
        RESERVED,
        accepted_block("artifact", "limits of artifact downloads"),
        accepted_block("chroot_env", "what the exec driver copies into its root"),
        accepted_block("drain_on_shutdown", "drains the node when the agent stops"),
        accepted_block("fingerprint", "settings of single fingerprints"),
        accepted_block("host_network", "further networks of the host"),
        accepted_block("host_volume", "directories of the host that jobs may mount"),
        accepted_block("stats", "how often statistics of the host are taken"),
        accepted_block("template", "limits of templates"),
        accepted_block("users", "ranges of dynamic users"),
    ),
)

_UNPROTECTED = "this restriction is not there yet; remove the key, or do without the raw_exec driver"

RAW_EXEC = BlockSpec(
    "raw_exec",
    "runs commands as the agent's own user, without isolation; off unless enabled",
    keys=(accepted("args", "arguments of the plugin's process"),),
    blocks=(
        BlockSpec(
            "config",
            "the driver's settings",
            keys=(
                working("enabled", Kind.BOOL, "lets jobs use the driver", field="raw_exec_enabled", merge=Merge.ALWAYS),
                protective("denied_envvars", Kind.STRINGS, _UNPROTECTED),
                protective("denied_host_gids", Kind.STRING, _UNPROTECTED),
                protective("denied_host_uids", Kind.STRING, _UNPROTECTED),
                accepted("no_cgroups", "runs tasks outside cgroups"),
            ),
            whole=True,
        ),
    ),
)

PLUGIN = BlockSpec(
    "plugin",
    "settings of a driver, by its name; drivers other than raw_exec are not there yet",
    blocks=(RAW_EXEC,),
    labelled=True,
)
