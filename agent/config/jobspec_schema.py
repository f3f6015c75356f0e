"""The blocks of a job file and what each becomes in the body of Nomad's API.

A field is written `hcl_name` or `hcl_name:kind`; its name in JSON is the same in CamelCase unless a table says
otherwise. Source: the job specification of Nomad and the field names that its API answers with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class FieldKind(Enum):
    """The type of an attribute; the value is what an error message calls it."""

    STRING = "a string"
    BOOL = "true or false"
    INT = "a whole number"
    DURATION = 'a duration such as "30s"'
    STRINGS = "a list of strings"
    STRING_MAP = "a map of strings"
    LISTS_MAP = "a map of lists of strings"
    FREE = "a block of free keys"


_KINDS = {
    "": FieldKind.STRING,
    "bool": FieldKind.BOOL,
    "int": FieldKind.INT,
    "duration": FieldKind.DURATION,
    "strings": FieldKind.STRINGS,
    "map": FieldKind.STRING_MAP,
    "lists": FieldKind.LISTS_MAP,
    "free": FieldKind.FREE,
}


class Many(Enum):
    """How often a block may stand, and what that makes in JSON."""

    ONE = "an object"
    LIST = "a list"
    BY_LABEL = "an object with the labels as keys"


@dataclass(frozen=True, slots=True)
class Inner:
    """A block inside a block. `label` is the JSON field that takes the label, "" where there is none."""

    json_name: str
    spec: "JobBlock"
    many: Many = Many.ONE
    label: str = ""


@dataclass(frozen=True, slots=True)
class JobBlock:
    """The attributes and inner blocks of one kind of block. `absent` maps what is not there yet to the reason."""

    fields: Mapping[str, tuple[str, FieldKind]]
    blocks: Mapping[str, Inner] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)


def _fields(names: str, **json_names: str) -> dict[str, tuple[str, FieldKind]]:
    """Read a list of fields; *json_names* are those that are not the CamelCase of their HCL name."""
    result = {}
    for word in names.split():
        name, _, kind = word.partition(":")
        camel = "".join(part.capitalize() for part in name.split("_"))
        result[name] = (json_names.get(name, camel), _KINDS[kind])
    return result


_TARGETS = "version semver regexp set_contains set_contains_all set_contains_any"
_LR = {"attribute": "LTarget", "operator": "Operand", "value": "RTarget"}

# The short forms (version = "> 1", distinct_hosts = true …) are folded into the three fields afterwards.
CONSTRAINT = JobBlock(_fields(f"attribute operator value distinct_hosts:bool distinct_property {_TARGETS}", **_LR))
AFFINITY = JobBlock(_fields(f"attribute operator value weight:int {_TARGETS}", **_LR))
SPREAD = JobBlock(
    _fields("attribute weight:int"),
    {"target": Inner("SpreadTarget", JobBlock(_fields("value percent:int")), Many.LIST, "Value")},
)
_PLACEMENT = {
    "constraint": Inner("Constraints", CONSTRAINT, Many.LIST),
    "affinity": Inner("Affinities", AFFINITY, Many.LIST),
}
_SPREAD = {"spread": Inner("Spreads", SPREAD, Many.LIST)}

UPDATE = JobBlock(
    _fields(
        "stagger:duration max_parallel:int health_check min_healthy_time:duration healthy_deadline:duration "
        "progress_deadline:duration canary:int auto_revert:bool auto_promote:bool"
    )
)
MIGRATE = JobBlock(_fields("max_parallel:int health_check min_healthy_time:duration healthy_deadline:duration"))
RESTART = JobBlock(_fields("attempts:int delay:duration interval:duration mode render_templates:bool"))
RESCHEDULE = JobBlock(
    _fields("attempts:int interval:duration delay:duration delay_function max_delay:duration unlimited:bool")
)
PERIODIC = JobBlock(
    _fields("cron crons:strings time_zone enabled:bool prohibit_overlap:bool", cron="Spec", crons="Specs")
)
PARAMETERIZED = JobBlock(_fields("payload meta_required:strings meta_optional:strings"))
VAULT = JobBlock(
    _fields(
        "policies:strings role namespace cluster env:bool disable_file:bool change_mode change_signal "
        "allow_token_expiration:bool"
    )
)
CONSUL = JobBlock(_fields("cluster namespace partition"))
SCALING = JobBlock(_fields("enabled:bool min:int max:int type policy:free"))

NETWORK = JobBlock(
    _fields("mode mbits:int device ip cidr hostname", mbits="MBits", ip="IP", cidr="CIDR"),
    {
        # static ports are moved to ReservedPorts afterwards
        "port": Inner(
            "DynamicPorts",
            JobBlock(_fields("static:int to:int host_network ignore_collision:bool", static="Value")),
            Many.LIST,
            "Label",
        ),
        "dns": Inner("DNS", JobBlock(_fields("servers:strings searches:strings options:strings"))),
        "cni": Inner("CNI", JobBlock(_fields("args:map"))),
    },
)
_NETWORK = {"network": Inner("Networks", NETWORK, Many.LIST)}

CHECK_RESTART = JobBlock(_fields("limit:int grace:duration ignore_warnings:bool"))
CHECK = JobBlock(
    _fields(
        "name type command args:strings path protocol port expose:bool address_mode interval:duration "
        "timeout:duration initial_status tls_server_name tls_skip_verify:bool method body header:lists grpc_service "
        "grpc_use_tls:bool task success_before_passing:int failures_before_critical:int failures_before_warning:int "
        "on_update notes",
        port="PortLabel",
        tls_server_name="TLSServerName",
        tls_skip_verify="TLSSkipVerify",
        grpc_service="GRPCService",
        grpc_use_tls="GRPCUseTLS",
        task="TaskName",
    ),
    {"check_restart": Inner("CheckRestart", CHECK_RESTART)},
)
IDENTITY = JobBlock(
    _fields(
        "name aud:strings change_mode change_signal env:bool file:bool filepath service_name ttl:duration "
        "extra_claims:map",
        aud="Audience",
        ttl="TTL",
    )
)
SERVICE = JobBlock(
    _fields(
        "name port provider tags:strings canary_tags:strings enable_tag_override:bool address_mode address task "
        "on_update kind cluster meta:map canary_meta:map tagged_addresses:map",
        port="PortLabel",
        task="TaskName",
    ),
    {
        "check": Inner("Checks", CHECK, Many.LIST),
        "check_restart": Inner("CheckRestart", CHECK_RESTART),
        "identity": Inner("Identity", IDENTITY),
        "weights": Inner("Weights", JobBlock(_fields("passing:int warning:int"))),
    },
    absent={"connect": "the service mesh is not there yet"},
)
_SERVICE = {"service": Inner("Services", SERVICE, Many.LIST)}

DEVICE = JobBlock(_fields("count:int"), _PLACEMENT)
RESOURCES = JobBlock(
    _fields(
        "cpu:int cores:int memory:int memory_max:int disk:int iops:int secrets:int",
        cpu="CPU",
        memory="MemoryMB",
        memory_max="MemoryMaxMB",
        disk="DiskMB",
        iops="IOPS",
        secrets="SecretsMB",
    ),
    {
        **_NETWORK,
        "device": Inner("Devices", DEVICE, Many.LIST, "Name"),
        "numa": Inner("NUMA", JobBlock(_fields("affinity devices:strings"))),
    },
)
TEMPLATE = JobBlock(
    _fields(
        "source destination data change_mode change_signal once:bool splay:duration perms uid:int gid:int "
        "left_delimiter right_delimiter env:bool vault_grace:duration error_on_missing_key:bool",
        source="SourcePath",
        destination="DestPath",
        data="EmbeddedTmpl",
        left_delimiter="LeftDelim",
        right_delimiter="RightDelim",
        env="Envvars",
        error_on_missing_key="ErrMissingKey",
    ),
    {
        "change_script": Inner(
            "ChangeScript", JobBlock(_fields("command args:strings timeout:duration fail_on_error:bool"))
        ),
        "wait": Inner("Wait", JobBlock(_fields("min:duration max:duration"))),
    },
)
ARTIFACT = JobBlock(
    _fields(
        "source destination mode insecure:bool chown:bool options:map headers:map",
        source="GetterSource",
        destination="RelativeDest",
        mode="GetterMode",
        insecure="GetterInsecure",
        options="GetterOptions",
        headers="GetterHeaders",
    )
)

TASK = JobBlock(
    _fields(
        "driver user kind leader:bool kill_timeout:duration kill_signal shutdown_delay:duration meta:map env:map "
        "config:free"
    ),
    {
        **_PLACEMENT,
        **_SERVICE,
        "action": Inner("Actions", JobBlock(_fields("command args:strings")), Many.LIST, "Name"),
        "artifact": Inner("Artifacts", ARTIFACT, Many.LIST),
        "consul": Inner("Consul", CONSUL),
        "csi_plugin": Inner(
            "CSIPluginConfig",
            JobBlock(
                _fields("id type mount_dir stage_publish_base_dir health_timeout:duration", id="ID"),
            ),
        ),
        "dispatch_payload": Inner("DispatchPayload", JobBlock(_fields("file"))),
        "identity": Inner("Identities", IDENTITY, Many.LIST),
        "lifecycle": Inner("Lifecycle", JobBlock(_fields("hook sidecar:bool"))),
        "logs": Inner(
            "LogConfig",
            JobBlock(
                _fields("max_files:int max_file_size:int disabled:bool enabled:bool", max_file_size="MaxFileSizeMB")
            ),
        ),
        "resources": Inner("Resources", RESOURCES),
        "restart": Inner("RestartPolicy", RESTART),
        "scaling": Inner("ScalingPolicies", SCALING, Many.LIST, "Type"),
        "schedule": Inner("Schedule", JobBlock({}, {"cron": Inner("Cron", JobBlock(_fields("start end timezone")))})),
        "secret": Inner("Secrets", JobBlock(_fields("provider path config:free env:map")), Many.LIST, "Name"),
        "template": Inner("Templates", TEMPLATE, Many.LIST),
        "vault": Inner("Vault", VAULT),
        "volume_mount": Inner(
            "VolumeMounts",
            JobBlock(
                _fields(
                    "volume destination read_only:bool propagation_mode selinux_label", selinux_label="SELinuxLabel"
                )
            ),
            Many.LIST,
        ),
    },
)
_TASK = {"task": Inner("Tasks", TASK, Many.LIST, "Name")}

VOLUME = JobBlock(
    _fields("type source read_only:bool access_mode attachment_mode per_alloc:bool sticky:bool"),
    {"mount_options": Inner("MountOptions", JobBlock(_fields("fs_type mount_flags:strings", fs_type="FSType")))},
)
GROUP = JobBlock(
    _fields(
        "count:int shutdown_delay:duration stop_after_client_disconnect:duration max_client_disconnect:duration "
        "max_run_duration:duration prevent_reschedule_on_lost:bool meta:map"
    ),
    {
        **_PLACEMENT,
        **_SPREAD,
        **_NETWORK,
        **_SERVICE,
        **_TASK,
        "consul": Inner("Consul", CONSUL),
        "disconnect": Inner(
            "Disconnect",
            JobBlock(_fields("lost_after:duration stop_on_client_after:duration replace:bool reconcile")),
        ),
        "ephemeral_disk": Inner("EphemeralDisk", JobBlock(_fields("sticky:bool migrate:bool size:int", size="SizeMB"))),
        "migrate": Inner("Migrate", MIGRATE),
        "reschedule": Inner("ReschedulePolicy", RESCHEDULE),
        "restart": Inner("RestartPolicy", RESTART),
        "scaling": Inner("Scaling", SCALING),
        "update": Inner("Update", UPDATE),
        "vault": Inner("Vault", VAULT),
        "volume": Inner("Volumes", VOLUME, Many.BY_LABEL, "Name"),
    },
)
JOB = JobBlock(
    _fields(
        "id name namespace region type priority:int all_at_once:bool datacenters:strings node_pool meta:map "
        "consul_token consul_namespace vault_token vault_namespace",
        id="ID",
    ),
    {
        **_PLACEMENT,
        **_SPREAD,
        **_TASK,
        "group": Inner("TaskGroups", GROUP, Many.LIST, "Name"),
        "migrate": Inner("Migrate", MIGRATE),
        "parameterized": Inner("ParameterizedJob", PARAMETERIZED),
        "periodic": Inner("Periodic", PERIODIC),
        "reschedule": Inner("Reschedule", RESCHEDULE),
        "ui": Inner(
            "UI",
            JobBlock(_fields("description"), {"link": Inner("Links", JobBlock(_fields("label url")), Many.LIST)}),
        ),
        "update": Inner("Update", UPDATE),
        "vault": Inner("Vault", VAULT),
    },
    absent={"multiregion": "jobs over several regions are a part of Nomad's commercial edition"},
)
