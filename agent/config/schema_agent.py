"""The agent's file, key by key: the top level and the blocks that are small. Source: Nomad's agent reference."""

from agent.config.schema_client import CLIENT, PLUGIN
from agent.config.schema_keys import BlockSpec, Kind, State, accepted, accepted_block, moot, protective, working
from agent.config.schema_server import AUTOPILOT, SERVER
from agent.config.schema_telemetry import TELEMETRY

LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF")

_LISTENERS = (
    ("http", "the HTTP API"),
    ("rpc", "calls between agents"),
    ("serf", "gossip between servers"),
    ("raft", "the replicated log; Outrider's own, Nomad carries it on rpc"),
)

PORTS = BlockSpec(
    "ports",
    "the ports listened on",
    keys=tuple(working(name, Kind.INT, why, minimum=0, maximum=65535) for name, why in _LISTENERS),
)
ADDRESSES = BlockSpec(
    "addresses",
    "the addresses listened on, where bind_addr does not fit all",
    keys=tuple(working(name, Kind.STRING, why, field="") for name, why in _LISTENERS),
)
ADVERTISE = BlockSpec(
    "advertise",
    "the addresses others are told, host or host:port",
    keys=tuple(working(name, Kind.STRING, why, field="") for name, why in _LISTENERS),
)

_NO_ACL = "access control is not there yet; set it to false, and keep the agent on a network you trust"

TLS = BlockSpec(
    "tls",
    "encryption between agents and to the API",
    keys=(
        working("http", Kind.BOOL, "speaks TLS on the HTTP API"),
        working("rpc", Kind.BOOL, "speaks mutual TLS between agents, on RPC and Raft"),
        working("verify_server_hostname", Kind.BOOL, "wants server.<region>.nomad in a server's certificate"),
        working("verify_https_client", Kind.BOOL, "wants a certificate of whoever asks the HTTP API"),
        working("ca_file", Kind.PATH, "the authorities that sign the others' certificates"),
        working("cert_file", Kind.PATH, "the agent's certificate, and what leads from it to the CA"),
        working("key_file", Kind.PATH, "the key of that certificate"),
        protective(
            "rpc_upgrade_mode",
            Kind.BOOL,
            "plain connections beside encrypted ones are not taken; set it to false, and restart all agents with TLS",
        ),
        protective(
            "tls_cipher_suites",
            Kind.STRING,
            "the suites are fixed, all with forward secrecy and authenticated encryption; remove the key",
        ),
        working(
            "tls_min_version",
            Kind.STRING,
            "the least version; 1.2 is spoken and 1.3, and nothing older whatever stands here",
            field="",
            choices=("tls10", "tls11", "tls12"),
        ),
        moot("tls_prefer_server_cipher_suites", "every suite that is spoken is as good as another"),
    ),
)
ACL = BlockSpec(
    "acl",
    "who may do what",
    keys=(
        protective("enabled", Kind.BOOL, _NO_ACL),
        *(
            moot(name, "has no effect while enabled is false")
            for name in (
                "policy_ttl",
                "replication_token",
                "role_ttl",
                "token_max_expiration_ttl",
                "token_min_expiration_ttl",
                "token_ttl",
            )
        ),
    ),
)

AGENT = BlockSpec(
    "",
    "an agent's file",
    keys=(
        working("region", Kind.STRING, "the region; servers of one region form one cluster"),
        working("datacenter", Kind.STRING, "where in the region the agent is"),
        working("name", Kind.STRING, "the agent's name, unique in its region; the host's name unless set"),
        working("data_dir", Kind.PATH, "where state lies; an absolute path"),
        working("bind_addr", Kind.STRING, "the address listened on; 0.0.0.0 is every one"),
        working("log_level", Kind.STRING, "the least severe line that is logged", choices=LOG_LEVELS),
        working("log_json", Kind.BOOL, "logs JSON lines"),
        working("enable_debug", Kind.BOOL, "serves debugging endpoints"),
        working("leave_on_interrupt", Kind.BOOL, "leaves the cluster on SIGINT, not only stops"),
        working("leave_on_terminate", Kind.BOOL, "leaves the cluster on SIGTERM, not only stops"),
        moot("disable_anonymous_signature", "no signature is ever sent"),
        moot("disable_update_check", "no update is ever looked for"),
        accepted("enable_syslog", "logs to syslog too"),
        accepted("log_file", "logs to a file too"),
        accepted("log_include_location", "names the source line in each line"),
        accepted("log_rotate_bytes", "size at which the log file is rotated"),
        accepted("log_rotate_duration", "age at which the log file is rotated"),
        accepted("log_rotate_max_files", "log files kept"),
        accepted("plugin_dir", "where further plugins lie"),
        accepted("syslog_facility", "the facility for syslog"),
    ),
    blocks=(
        PORTS,
        ADDRESSES,
        ADVERTISE,
        SERVER,
        CLIENT,
        TELEMETRY,
        TLS,
        ACL,
        PLUGIN,
        AUTOPILOT,
        accepted_block("audit", "the audit log of the commercial edition"),
        accepted_block("consul", "registration in, and discovery by Consul"),
        accepted_block("eventlog", "logging to Windows' event log"),
        accepted_block("http_api_response_headers", "headers added to every answer"),
        accepted_block("keyring", "where the key of the key ring comes from"),
        accepted_block("limits", "most connections from one address, and handshake times"),
        accepted_block("reporting", "licence reports of the commercial edition"),
        accepted_block("rpc", "tuning of the connections between agents"),
        accepted_block("sentinel", "policies of the commercial edition"),
        accepted_block("ui", "links and labels of the web interface"),
        accepted_block("vault", "secrets from Vault"),
    ),
    state=State.WORKING,
)
