from dataclasses import replace
from pathlib import Path

import pytest

from agent.config.addresses import Host, ServerAddress, client_servers, lists_all_servers
from agent.config.load import AgentFlags, LoadedConfig, load, server_addresses, this_host
from agent.consensus.engine_parts import Compaction
from agent.errors import ConfigError

DATA = Path(__file__).parent / "data"
HOST = Host("host-1", 4, lambda: (("eth0", "10.1.2.3"), ("eth1", "93.184.216.34"), ("lo", "127.0.0.1")))

LONE_SERVER = 'data_dir = "/d"\nserver {\n  enabled = true\n  bootstrap_expect = 1\n}\n'
CLIENT = 'data_dir = "/d"\nclient {\n  enabled = true\n  servers = ["10.0.0.1"]\n}\n'


def load_text(
    tmp_path: Path, *texts: str, flags: AgentFlags | None = None, environ: dict[str, str] | None = None
) -> LoadedConfig:
    """Load each text as a file of its own, in order."""
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.hcl").write_text(text, encoding="utf-8")
    paths = [tmp_path / f"{number}.hcl" for number in range(len(texts))]
    return load(paths, flags or AgentFlags(), environ or {}, HOST)


def error_of(
    tmp_path: Path, *texts: str, flags: AgentFlags | None = None, environ: dict[str, str] | None = None
) -> str:
    """Return the message that loading ends in, with file names shortened."""
    with pytest.raises(ConfigError) as raised:
        load_text(tmp_path, *texts, flags=flags, environ=environ)
    return str(raised.value).replace(f"{tmp_path}/", "")


def test_dev_mode_is_server_and_client_on_loopback():
    """
    -dev alone gives Nomad's development agent: both parts, loopback, raw_exec, DEBUG, Prometheus metrics.
    """
    loaded = load([], AgentFlags(dev=True), {}, HOST)

    config = loaded.config
    assert ((), ()) == (loaded.files, loaded.warnings)
    assert (True, True, 1) == (config.server.enabled, config.client.enabled, config.server.bootstrap_expect)
    assert ("127.0.0.1", "DEBUG", None) == (config.bind_addr, config.log_level, config.data_dir)
    assert (True, True) == (config.raw_exec_enabled, config.telemetry.prometheus_metrics)
    assert "127.0.0.1:4648" == config.advertise.serf


def test_a_server_of_years_starts_with_one_warning():
    """
    A typical production file of Nomad loads; what has no effect yet is one warning with file and line of each key.
    """
    path = DATA / "production-server.hcl"

    loaded = load([path], AgentFlags(), {}, HOST)

    (warning,) = loaded.warnings
    listed = [
        part.split(" (")[0]
        for part in warning.removeprefix("these keys of Nomad have no effect in Outrider yet: ").split(", ")
    ]
    assert listed == [
        "plugin_dir",
        "log_file",
        "log_rotate_duration",
        "log_rotate_max_files",
        "enable_syslog",
        "server.raft_protocol",
        "server.node_gc_threshold",
        "server.job_gc_threshold",
        "server.job_gc_interval",
        "server.default_scheduler_config",
        "server.plan_rejection_tracker",
        "consul",
        "vault",
        "limits",
        "ui",
    ]
    assert f"plugin_dir ({path}:5)" in warning
    config = loaded.config
    assert Compaction() == Compaction(config.server.raft_snapshot_threshold, config.server.raft_trailing_logs)
    assert (("127.0.0.1", "10.1.2.3"), "10.1.2.3:4646") == (config.addresses.http, config.advertise.http)
    assert (30.0, 20.0, 100.0) == (
        config.server.heartbeat_grace_seconds,
        config.server.min_heartbeat_ttl_seconds,
        config.server.max_heartbeats_per_second,
    )
    assert ("-nomad.nomad.rpc", "+nomad.nomad.rpc.request") == config.telemetry.prefix_filter


def test_a_json_client_with_lists_of_blocks_loads():
    """
    JSON is Nomad's form of it: a block may be an object or a list of objects, a label is a key.
    """
    loaded = load([DATA / "production-client.json"], AgentFlags(), {}, HOST)

    client = loaded.config.client
    assert {"rack": "r1", "disk": "ssd"} == client.meta
    assert loaded.config.raw_exec_enabled
    assert ("10.1.2.3:4647", "10.1.2.4:4647") == client_servers(loaded.config)
    assert [True] * 3 == [
        key in loaded.warnings[0] for key in ("client.host_volume", "client.gc_max_allocs", 'plugin "docker"')
    ]


def test_files_merge_in_order_and_flags_win(tmp_path):
    """
    Scalars of later files replace, maps and blocks merge, lists append where Nomad's do, and flags come last.
    """
    first = CLIENT + 'region = "one"\nname = "n"\nclient { meta { a = "1" b = "1" } }\n'
    second = 'region = "two"\nclient { servers = ["10.0.0.2", "10.0.0.1"] meta { b = "2" } }\n'
    flags = AgentFlags(node="flag", servers=("10.0.0.3",), meta={"c": "3"})

    config = load_text(tmp_path, first, second, flags=flags).config

    assert ("two", "flag") == (config.region, config.name)
    assert ("10.0.0.1", "10.0.0.2", "10.0.0.3") == config.client.servers
    assert {"a": "1", "b": "2", "c": "3"} == config.client.meta


def test_a_later_server_join_replaces_the_list(tmp_path):
    """
    retry_join in server_join replaces over files; the old key directly in server appends. Both are Nomad's ways.
    """
    head = 'data_dir = "/d"\nserver { enabled = true bootstrap_expect = 3 }\n'
    new = 'server { server_join { retry_join = ["10.0.0.1", "10.0.0.2"] } }\n'

    replaced = load_text(tmp_path, head + 'server { server_join { retry_join = ["10.9.9.9"] } }', new).config
    appended = load_text(
        tmp_path, head + 'server { retry_join = ["10.0.0.1"] }', 'server { retry_join = ["10.0.0.2"] }'
    ).config

    assert ("10.0.0.1", "10.0.0.2") == replaced.server.server_join.retry_join
    assert ("10.0.0.1", "10.0.0.2") == appended.server.server_join.retry_join


def test_an_empty_value_does_not_override(tmp_path):
    """
    false, 0 and "" of a later file change nothing, as in Nomad, and a warning says so; a few keys take them.
    """
    head = LONE_SERVER + 'region = "one"\nserver { num_schedulers = 3 }\ntelemetry { filter_default = true }\n'

    loaded = load_text(
        tmp_path,
        head,
        'region = ""\nserver {\n  enabled = false\n  num_schedulers = 0\n}\ntelemetry { filter_default = false }\n',
    )

    config = loaded.config
    assert ("one", True) == (config.region, config.server.enabled)
    assert (0, False) == (config.server.num_schedulers, config.telemetry.filter_default)
    assert (
        '1.hcl:1: region = "" has no effect, because an empty value does not override region = "one" of 0.hcl:6.',
        "1.hcl:3: server.enabled = false has no effect, because an empty value does not override server.enabled = true of 0.hcl:3.",
    ) == tuple(warning.replace(f"{tmp_path}/", "") for warning in loaded.warnings)


def test_a_plugin_block_counts_as_a_whole(tmp_path):
    """
    A later block for raw_exec replaces the earlier one: what it leaves out is off again.
    """
    on = CLIENT + 'plugin "raw_exec" { config { enabled = true } }\n'

    assert load_text(tmp_path, on).config.raw_exec_enabled
    assert not load_text(tmp_path, on, 'plugin "raw_exec" { config { no_cgroups = true } }').config.raw_exec_enabled


@pytest.mark.parametrize(
    ("options", "enabled"),
    [
        ('"driver.raw_exec.enable" = "1"', True),
        ('"driver.raw_exec.enable" = true', True),
        ('"driver.raw_exec.enable" = "0"', False),
        ('"driver.raw_exec.enable" = "1"\n"driver.denylist" = "docker, raw_exec"', False),
        ('"driver.raw_exec.enable" = "1"\n"driver.allowlist" = "docker"', False),
        ('"driver.raw_exec.enable" = "1"\n"driver.whitelist" = "docker,raw_exec"', True),
    ],
)
def test_options_enable_and_forbid_raw_exec(tmp_path, options, enabled):
    """
    The old option enables the driver, and the lists of drivers forbid it whatever enables it.
    """
    config = load_text(tmp_path, CLIENT + f"client {{\n options {{\n {options}\n }}\n}}\n").config

    assert enabled == config.raw_exec_enabled


def test_options_that_protect_are_refused(tmp_path):
    """
    A list of users that tasks must not run as is not passed over.
    """
    message = error_of(tmp_path, CLIENT + 'client { options = { "user.denylist" = "root" } }')

    assert message.startswith('0.hcl:6: client.options "user.denylist" is set: this restriction is not there yet')


def test_options_without_effect_are_listed(tmp_path):
    """
    An option that nothing here reads is in the warning, like a key.
    """
    loaded = load_text(tmp_path, CLIENT + 'client { options = { "fingerprint.denylist" = "env_aws" } }')

    assert 'client.options "fingerprint.denylist"' in loaded.warnings[0]


@pytest.mark.parametrize("join", ['retry_join = ["10.9.9.9"]', 'server_join { retry_join = ["10.9.9.9"] }'])
def test_the_flag_retry_join_replaces_the_list_of_the_file(tmp_path, join):
    """
    -retry-join wins over either place where a file may list servers.
    """
    text = f'data_dir = "/d"\nserver {{\n enabled = true\n bootstrap_expect = 2\n {join}\n}}\n'

    config = load_text(tmp_path, text, flags=AgentFlags(retry_join=("10.0.0.2",))).config

    assert ("10.0.0.2",) == config.server.server_join.retry_join


def test_empty_values_of_a_server_are_its_defaults(tmp_path):
    """
    No schedulers named are all of them, and a raft_multiplier of 0 is 1, as in Nomad.
    """
    config = load_text(tmp_path, LONE_SERVER + "server {\n enabled_schedulers = []\n raft_multiplier = 0\n}\n").config

    assert ("service", "batch", "system", "sysbatch") == config.server.enabled_schedulers
    assert 1 == config.server.raft_multiplier


def test_the_system_may_choose_all_ports(tmp_path):
    """
    Port 0 may stand for several listeners, as tests want it.
    """
    config = load_text(tmp_path, LONE_SERVER + "ports { http = 0 rpc = 0 serf = 0 raft = 0 }").config

    assert [ServerAddress("10.1.2.3:0", "10.1.2.3:0", "10.1.2.3:0", is_self=True)] == list(server_addresses(config))


def test_bounds_are_inclusive(tmp_path):
    """
    The smallest and the largest value of a key are both allowed.
    """
    config = load_text(tmp_path, LONE_SERVER + 'ports { http = 65535 }\nserver { min_heartbeat_ttl = "1s" }').config

    assert (65535, 1.0) == (config.ports.http, config.server.min_heartbeat_ttl_seconds)


def test_more_servers_than_expected_tells_how_a_server_knows_itself(tmp_path):
    """
    Where the list names this server in a way it cannot see, the count is one too many, and the message helps.
    """
    message = error_of(
        tmp_path,
        'data_dir = "/d"\nserver { enabled = true bootstrap_expect = 2 retry_join = ["10.0.0.9", "me.example"] }',
    )

    assert message.startswith(
        "0.hcl:2: server.bootstrap_expect = 2, but server.retry_join and this server, 10.1.2.3:4648, "
    )
    assert 'write it as 10.1.2.3:4648, as its host name "host-1" or as name = "host-1"' in message


def test_directories_are_read_in_the_order_of_names(tmp_path):
    """
    Only *.hcl and *.json of a directory are read, not what an editor leaves behind, nor what lies deeper.
    """
    (tmp_path / "deeper").mkdir()
    files = {
        "b.hcl": 'region = "b"',
        "a.json": '{"region": "a", "datacenter": "a"}',
        "z.hcl": LONE_SERVER,
        ".#z.hcl": "broken {",
        "z.hcl~": "broken {",
        "deeper/c.hcl": "broken {",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    loaded = load([tmp_path], AgentFlags(), {}, HOST)

    assert [tmp_path / name for name in ("a.json", "b.hcl", "z.hcl")] == list(loaded.files)
    assert ("b", "a") == (loaded.config.region, loaded.config.datacenter)


def test_the_environment_stands_between_files_and_flags(tmp_path):
    """
    OUTRIDER_AGENT_<FLAG> overrides files and is overridden by flags; lists are separated by commas.
    """
    environ = {
        "OUTRIDER_AGENT_REGION": "env",
        "OUTRIDER_AGENT_NODE": "env",
        "OUTRIDER_AGENT_BOOTSTRAP_EXPECT": "2",
        "OUTRIDER_AGENT_RETRY_JOIN": "10.0.0.9, 10.1.2.3",
        "HOME": "/home/me",
    }

    config = load_text(tmp_path, LONE_SERVER + 'region = "file"', flags=AgentFlags(node="flag"), environ=environ).config

    assert ("env", "flag", 2) == (config.region, config.name, config.server.bootstrap_expect)
    assert ("10.0.0.9", "10.1.2.3") == config.server.server_join.retry_join


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("regon = 1", '0.hcl:1: "regon" is no key of an agent\'s file: did you mean "region"?'),
        (
            "server {\n  bootstrap_expct = 3\n}",
            '0.hcl:2: "bootstrap_expct" is no key of the server block: did you mean "bootstrap_expect"?',
        ),
        ("servers {\n}", '0.hcl:1: "servers" is no key of an agent\'s file: did you mean "server"?'),
        ('ports { http = "x" }', '0.hcl:1: ports.http = "x": it must be a whole number without a unit, such as 3.'),
        ("ports { http = 70000 }", "0.hcl:1: ports.http = 70000: it must be at most 65535."),
        (
            'log_level = "LOUD"',
            '0.hcl:1: log_level = "LOUD": "LOUD" is not one of TRACE, DEBUG, INFO, WARN, ERROR, OFF.',
        ),
        ("log_json = 3", "0.hcl:1: log_json = 3: it must be true or false, such as true."),
        ("server = 3", "0.hcl:1: server is a block and has no value of its own: write server { … }."),
        ('server "x" { }', "0.hcl:1: server has 1 labels, not 0: write server { … }."),
        ("plugin { }", '0.hcl:1: plugin has 0 labels, not 1: write plugin "name" { … }.'),
        ("region { }", '0.hcl:1: region: it is a value, not a block: write region = "text".'),
        ('region = "a"\nregion = "b"', "0.hcl:2: region is set twice, first at 0.hcl:1: remove one of the two."),
        ("region = eu", '0.hcl:1: region: found the bare word eu: put strings in quotes, "eu".'),
        ("server { heartbeat_grace = 10m }", "0.hcl:1: found"),
        (
            'telemetry { collection_interval = "1x" }',
            '0.hcl:1: telemetry.collection_interval = "1x": "1x" is no duration; write a number and a unit, such as 500ms, 30s, 5m or 1h30m.',
        ),
        (
            'server { min_heartbeat_ttl = "1ms" }',
            '0.hcl:1: server.min_heartbeat_ttl = "1ms": it must be at least 1 seconds.',
        ),
        (
            'telemetry { circonus_api_token = "x" }',
            "0.hcl:1: telemetry.circonus_api_token: the Circonus service has ended; use prometheus_metrics and remove the key.",
        ),
        (
            "tls { rpc_upgrade_mode = true }",
            "0.hcl:1: tls.rpc_upgrade_mode = true: plain connections beside encrypted ones are not taken; set it to false, and restart all agents with TLS.",
        ),
        (
            'tls { tls_min_version = "tls13" }',
            '0.hcl:1: tls.tls_min_version = "tls13": "tls13" is not one of tls10, tls11, tls12.',
        ),
        (
            "acl { enabled = true }",
            "0.hcl:1: acl.enabled = true: access control is not there yet; set it to false, and keep the agent on a network you trust.",
        ),
        (
            'server { encrypt = "c2VjcmV0" }',
            "0.hcl:1: server.encrypt: the key has 6 bytes: it must have 16, 24 or 32.",
        ),
        (
            'plugin "raw_exec" { config { denied_host_uids = "0-99" } }',
            "0.hcl:1: plugin.raw_exec.config.denied_host_uids is set: this restriction is not there yet",
        ),
        (
            "server { enabled = yes }",
            "0.hcl:1: server.enabled: yes is not understood: it must be true or false, such as true.",
        ),
        ("client { meta { a = [1] } }", "0.hcl:1: client.meta: the value of a must be a string in quotes."),
        ("data_dir = /opt/x", '0.hcl:1: found "/", expected a value; text stands in quotes'),
        ("region = ", "0.hcl:1: found the end of the file, expected a value"),
    ],
)
def test_a_wrong_file_is_refused_with_place_value_and_remedy(tmp_path, text, message):
    """
    Unknown keys name the nearest known one, wrong values say what to write, what protects is never ignored.
    """
    assert error_of(tmp_path, text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('data_dir = "/d"', "0.hcl: Must specify either server, client or dev mode for the agent: "),
        ("server { enabled = true bootstrap_expect = 1 }", '0.hcl: Must specify "data_dir": '),
        (
            'data_dir = "d"\n' + LONE_SERVER.split("\n", 1)[1],
            '0.hcl:1: data_dir = "d" must be an absolute path: begin it with /.',
        ),
        (
            CLIENT + "server { bootstrap_expect = 3 }",
            "0.hcl:6: server.bootstrap_expect = 3, but server.enabled = false: ",
        ),
        (
            LONE_SERVER + "ports { rpc = 4646 }",
            "0.hcl:6: ports.rpc = 4646 and ports.http = 4646 (the default) are the same: choose two ports.",
        ),
        (
            'data_dir = "/d"\nserver { enabled = true }',
            "0.hcl: server.bootstrap_expect is not set and retry_join names no other server",
        ),
        (
            'data_dir = "/d"\nserver {\n  enabled = true\n  bootstrap_expect = 1\n  server_join { retry_join = ["10.0.0.9"] }\n}',
            "0.hcl:4: server.bootstrap_expect = 1, but server.server_join.retry_join and this server, 10.1.2.3:4648, together are 2 (10.0.0.9:4648, 10.1.2.3:4648): ",
        ),
        (
            LONE_SERVER + 'server { retry_join = ["provider=aws tag_key=x"] }',
            '0.hcl:6: server.retry_join has "provider=aws tag_key=x": discovery is not there yet',
        ),
        (LONE_SERVER + 'server { retry_join = ["a:b"] }', '0.hcl:6: server.retry_join: "a:b" has the port b: '),
        (
            LONE_SERVER + 'server {\n retry_max = 1\n server_join { retry_join = ["10.0.0.9"] }\n}',
            "0.hcl:7: server.retry_max and the server_join block are both set: move retry_max into server_join.",
        ),
        (
            'data_dir = "/d"\nclient { enabled = true }',
            "0.hcl: client.enabled = true, but client.servers and client.server_join.retry_join are empty: ",
        ),
        (
            LONE_SERVER + 'bind_addr = "127.0.0.1"',
            "0.hcl: advertise.http: 127.0.0.1 is loopback, and other machines cannot use it: ",
        ),
        (
            LONE_SERVER + 'bind_addr = "{{ GetInterfaceIP \\"eth9\\" }}"',
            '0.hcl:6: bind_addr: the template {{ GetInterfaceIP "eth9" }} finds no address on this machine',
        ),
        (
            LONE_SERVER + 'bind_addr = "{{ GetAllInterfaces | attr }}"',
            "0.hcl:6: bind_addr: the template {{ GetAllInterfaces | attr }} is not understood: ",
        ),
        (
            LONE_SERVER + 'telemetry { collection_interval = "2m" }',
            "0.hcl:6: telemetry.collection_interval is 120 s, but a series disappears 60 s after",
        ),
        (
            LONE_SERVER + 'telemetry { prefix_filter = ["nomad.raft"] }',
            '0.hcl:6: telemetry.prefix_filter has the entry "nomad.raft": start it with + ',
        ),
        (
            'data_dir = "/d"\nserver { enabled = true bootstrap_expect = 2 retry_join = ["10.0.0.9"] }\nports { raft = 5000 }',
            "0.hcl:3: the advertised raft port is 5000, but the other servers expect 4649, next to the serf port 4648",
        ),
    ],
)
def test_values_that_cannot_stand_together_are_named_together(tmp_path, text, message):
    """
    Relations between fields are checked, with both values and the remedy in the message.
    """
    assert error_of(tmp_path, text).startswith(message)


def test_all_problems_of_all_files_are_reported_at_once(tmp_path):
    """
    One start shows every problem, one a line, in the order of the files.
    """
    message = error_of(
        tmp_path, "regon = 1\nlog_json = 3\n", "a = [", "tls { rpc = 7 }", flags=AgentFlags(log_level="x")
    )

    assert ["0.hcl:1", "0.hcl:2", "1.hcl:1", "2.hcl:1", "the flag -log-level"] == [
        line.split(": ")[0] for line in message.splitlines()
    ]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"OUTRIDER_AGENT_REGIO": "x"},
            "the variable OUTRIDER_AGENT_REGIO: it stands for no flag: did you mean OUTRIDER_AGENT_REGION?",
        ),
        ({"OUTRIDER_AGENT_DEV": "maybe"}, 'the variable OUTRIDER_AGENT_DEV: "maybe": write true or false.'),
        (
            {"OUTRIDER_AGENT_BOOTSTRAP_EXPECT": "0"},
            "the variable OUTRIDER_AGENT_BOOTSTRAP_EXPECT: bootstrap_expect = 0: it must be at least 1.",
        ),
        ({"OUTRIDER_AGENT_META": "a"}, 'the variable OUTRIDER_AGENT_META: "a": write key=value, key=value.'),
    ],
)
def test_a_wrong_variable_names_itself(tmp_path, environ, message):
    """
    What the environment gets wrong is said of the variable, not of a file.
    """
    assert message == error_of(tmp_path, LONE_SERVER, environ=environ)


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    """
    A typing error in -config does not start an agent with defaults.
    """
    with pytest.raises(ConfigError, match="there is no such file or directory"):
        load([tmp_path / "nothing.hcl"], AgentFlags(dev=True), {}, HOST)


def test_a_file_that_is_no_text_is_an_error(tmp_path):
    """
    Bytes that are no UTF-8 are refused with the line they stand in.
    """
    path = tmp_path / "a.hcl"
    path.write_bytes(b'region = "x"\nname = "\xff"\n')

    with pytest.raises(ConfigError, match=r"a\.hcl:2: is no UTF-8 text"):
        load([path], AgentFlags(), {}, HOST)


def test_an_even_number_of_servers_is_a_warning(tmp_path):
    """
    Two servers survive no more losses than one: it may stand, but it is said.
    """
    loaded = load_text(
        tmp_path, 'data_dir = "/d"\nserver { enabled = true bootstrap_expect = 2 retry_join = ["10.0.0.9"] }'
    )

    assert ("server.bootstrap_expect = 2 is even: 2 servers survive no more losses than 1.",) == loaded.warnings


def test_three_servers_on_one_machine_know_each_other(tmp_path):
    """
    A serf port implies the rpc port before and the raft port after it; a server finds itself in the list.
    """
    text = (
        'data_dir = "/d"\nbind_addr = "127.0.0.1"\nports { http = 5646 rpc = 5647 serf = 5648 raft = 5649 }\n'
        'advertise { http = "127.0.0.1" rpc = "127.0.0.1" serf = "127.0.0.1" }\n'
        'server { enabled = true bootstrap_expect = 3 retry_join = ["127.0.0.1:5648", "localhost:6648", "127.0.0.1:7648"] }'
    )

    servers = server_addresses(load_text(tmp_path, text).config)

    assert (
        ServerAddress("127.0.0.1:5648", "127.0.0.1:5647", "127.0.0.1:5649", is_self=True),
        ServerAddress("127.0.0.1:6648", "127.0.0.1:6647", "127.0.0.1:6649", is_self=False),
        ServerAddress("127.0.0.1:7648", "127.0.0.1:7647", "127.0.0.1:7649", is_self=False),
    ) == servers


def test_relays_may_stand_before_rpc_and_raft(tmp_path):
    """
    Ports that are bound beside each other may be advertised elsewhere: gossip is told its own.
    """
    text = (
        'data_dir = "/d"\nbind_addr = "10.1.2.3"\nadvertise { rpc = "10.1.2.3:30001" raft = "10.1.2.3:30003" }\n'
        'server { enabled = true bootstrap_expect = 2 retry_join = ["10.0.0.9"] }'
    )

    config = load_text(tmp_path, text).config

    assert ("10.1.2.3:4648", "10.1.2.3:30001") == (config.advertise.serf, config.advertise.rpc)


def test_one_address_is_enough_where_more_servers_are_expected(tmp_path):
    """
    The configuration need not list all voters: gossip finds the rest.
    """
    text = 'data_dir = "/d"\nserver { enabled = true bootstrap_expect = 3 retry_join = ["10.0.0.9"] }'

    config = load_text(tmp_path, text).config

    assert not lists_all_servers(config)
    assert lists_all_servers(replace(config, server=replace(config.server, bootstrap_expect=2)))


@pytest.mark.parametrize("own", ["10.1.2.3", "host-1", "server-a", "10.1.2.3:4648"])
def test_a_server_recognises_itself_by_address_host_and_name(tmp_path, own):
    """
    The list may name this server by its advertised address, the machine's name or the agent's name.
    """
    text = (
        'data_dir = "/d"\nname = "server-a"\nserver { enabled = true bootstrap_expect = 2 '
        f'retry_join = ["{own}", "10.0.0.9"] }}'
    )

    servers = server_addresses(load_text(tmp_path, text).config)

    assert [("10.0.0.9:4648", False), ("10.1.2.3:4648", True)] == [(server.serf, server.is_self) for server in servers]


def test_ipv6_addresses_keep_their_brackets(tmp_path):
    """
    An IPv6 address is split from its port at the bracket, or taken whole.
    """
    text = (
        'data_dir = "/d"\nadvertise { http = "fd00::1" rpc = "fd00::1" serf = "fd00::1" }\n'
        'server { enabled = true bootstrap_expect = 3 retry_join = ["[fd00::2]:4648", "fd00::3"] }'
    )

    config = load_text(tmp_path, text).config

    assert ["[fd00::1]:4648", "[fd00::2]:4648", "[fd00::3]:4648"] == [one.serf for one in server_addresses(config)]
    assert "[fd00::1]:4649" == config.advertise.raft


def test_this_host_knows_its_name_and_addresses():
    """
    What the machine says of itself can be asked, loopback included.
    """
    host = this_host()

    assert host.cpu_count >= 1
    assert "127.0.0.1" in [address for _, address in host.interface_addresses()]
