from pathlib import Path

import pytest

from agent.config.load import AgentFlags, load
from compose.local_config import options_of, outrider_yaml, recall, remember, write_configuration
from compose.local_settings import LocalSettings, client_config, port_option, server_config
from compose.settings import parse_settings


def test_the_default_ports_are_those_of_nomad_and_its_neighbours():
    """
    The first server has Nomad's own ports, further agents follow ten by ten, the watchers have their usual ones.
    """
    ports = LocalSettings().ports

    assert (4646, 4647, 4648, 4649) == ports["server-1"]
    assert (4666, 4667, 4668, 4669) == ports["server-3"]
    assert [(4676,), (4686,)] == [ports["client-1"], ports["client-2"]]
    assert [(9090,), (9093,), (9095,)] == [ports[name] for name in ("prometheus", "alertmanager", "receiver")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"servers": 0}, "--servers 0"),
        ({"clients": 21}, "--clients 21"),
        ({"raft_multiplier": 11}, "raft_multiplier 11: take 1 to 10"),
        ({"port_base": 65_530}, "--port-base"),
        ({"prometheus_port": 4647}, "--prometheus-port"),
        ({"receiver_port": 9093}, "both listen on port 9093"),
    ],
)
def test_what_cannot_be_is_refused_with_the_option_to_change(options, words):
    """
    Sizes and ports that cannot be are errors that name the option.
    """
    with pytest.raises(ValueError, match=words):
        LocalSettings(**options)


def test_a_server_joins_all_others():
    """
    A server's file names every other server's serf port, and not its own.
    """
    settings = LocalSettings()

    text = server_config(settings, settings.server_agents[1])

    assert 'retry_join     = ["127.0.0.1:4648", "127.0.0.1:4668"]' in text
    assert "bootstrap_expect = 3" in text


def test_a_route_stands_in_for_a_peer():
    """
    With a route a server joins its peer by the relay's port, and the peer keeps its own listeners.
    """
    settings = LocalSettings(rpc_routes={"server-2": 30_000})

    first, second, _ = (server_config(settings, server) for server in settings.server_agents)

    assert 'retry_join     = ["127.0.0.1:30001", "127.0.0.1:4668"]' in first
    assert "serf = 4658" in second
    assert 'serf = "127.0.0.1:30001"' in second


def test_a_client_knows_every_server_and_runs_raw_tasks():
    """
    A client's file names every server's RPC port and turns raw_exec on.
    """
    settings = LocalSettings()

    text = client_config(settings, settings.client_agents[0])

    assert 'servers = ["127.0.0.1:4647", "127.0.0.1:4657", "127.0.0.1:4667"]' in text
    assert 'plugin "raw_exec"' in text


def test_agents_are_spread_over_the_zones_in_turn():
    """
    Five servers and four clients in three zones: two, two and one servers; two, one and one clients.
    """
    settings = LocalSettings(servers=5, clients=4, zones=("a", "b", "c"))

    zones = {agent.name: agent.datacenter for agent in settings.agents}

    assert ["a", "b", "c", "a", "b"] == [zones[f"server-{number}"] for number in range(1, 6)]
    assert ["a", "b", "c", "a"] == [zones[f"client-{number}"] for number in range(1, 5)]
    assert 'datacenter = "b"' in server_config(settings, settings.server_agents[4])


def test_a_second_region_has_servers_of_its_own():
    """
    Its servers know each other alone, have a name, ports and an expected size of their own, and are watched too.
    """
    settings = LocalSettings(servers=3, clients=1, far_servers=3)
    far = settings.servers_of("far")

    text = server_config(settings, far[0])
    loaded = parse_settings(outrider_yaml(settings)).description

    assert ["far-server-1", "far-server-2", "far-server-3"] == [server.name for server in far]
    assert 'region     = "far"' in text
    assert f'["127.0.0.1:{far[1].serf}", "127.0.0.1:{far[2].serf}"]' in text
    assert 3 == len(settings.server_agents)
    assert [("global", 3, 1), ("far", 3, 0)] == [
        (region.name, region.expected_servers, len(region.clients)) for region in loaded.regions
    ]


@pytest.mark.parametrize("options", [{"far_servers": 10}, {"far_region": "global"}, {"zones": ()}], ids=str)
def test_regions_and_zones_that_cannot_be_are_refused(options):
    """
    Too many servers, two regions of one name and no zone at all are errors.
    """
    with pytest.raises(ValueError, match="region"):
        LocalSettings(**options)


def test_relays_stand_between_all_who_speak():
    """
    A server advertises its relay for RPC and clients call it; Prometheus scrapes through relays, and leaves the rest.
    """
    settings = LocalSettings(clients=1, rpc_routes={"server-1": 30_001}, scrape_routes={"server-1": 30_009})
    first = server_config(settings, settings.server_agents[0])
    client = client_config(settings, settings.client_agents[0])

    servers = parse_settings(outrider_yaml(settings)).description.regions[0].servers

    assert 'rpc = "127.0.0.1:30001"\n  serf = "127.0.0.1:30002"\n  raft = "127.0.0.1:30003"' in first
    assert "rpc = 4647" in first
    assert 'servers = ["127.0.0.1:30001", "127.0.0.1:4657", "127.0.0.1:4667"]' in client
    assert ["127.0.0.1:30009", "127.0.0.1:4656", "127.0.0.1:4666"] == [server.address for server in servers]


def test_what_is_asked_for_stands_in_the_file():
    """
    Leaving on an interrupt and refusing to be scraped are written only when they are wanted.
    """
    plain, leaving = LocalSettings(), LocalSettings(leave_on_interrupt=True)
    server = plain.server_agents[0]

    assert "leave_on_interrupt" not in server_config(plain, server)
    assert "leave_on_interrupt = true" in server_config(leaving, server)
    assert "prometheus_metrics         = false" in server_config(plain, server, prometheus_metrics=False)
    assert "num_schedulers" not in server_config(plain, server)
    assert "num_schedulers   = 0" in server_config(plain, server, schedules=False)
    assert "raft_multiplier" not in server_config(plain, server)
    assert "raft_multiplier  = 3" in server_config(LocalSettings(raft_multiplier=3), server)


def test_the_agent_accepts_its_files_without_a_warning(tmp_path):
    """
    Every agent's file loads as the agent loads it: in the right mode, on the right ports, nothing ignored.
    """
    settings = LocalSettings(directory=tmp_path)
    write_configuration(settings)

    loaded = {
        agent.name: load([tmp_path / "agents" / f"{agent.name}.hcl"], AgentFlags(), {}) for agent in settings.agents
    }

    assert [()] * 5 == [each.warnings for each in loaded.values()]
    assert [True] * 3 + [False] * 2 == [each.config.server.enabled for each in loaded.values()]
    assert 4669 == loaded["server-3"].config.ports.raft


def test_paths_are_quoted_for_hcl():
    """
    A folder with quotes or interpolation in its name arrives as it is.
    """
    settings = LocalSettings(directory=Path('/tmp/a "b" ${c}'))

    text = server_config(settings, settings.agents[0])

    assert r'data_dir   = "/tmp/a \"b\" $${c}/data/server-1"' in text


def test_the_written_settings_are_accepted_and_say_the_same():
    """
    The outrider.yaml of a local cluster loads, with every agent and interval as chosen.
    """
    chosen = LocalSettings(servers=5, clients=1, scrape_interval_seconds=1.0, group_wait_seconds=0.5)

    loaded = parse_settings(outrider_yaml(chosen))

    assert 5 == loaded.description.regions[0].expected_servers
    assert [5, 1] == [len(loaded.description.regions[0].servers), len(loaded.description.regions[0].clients)]
    assert [1.0, 0.5] == [loaded.rules.times.scrape_interval_seconds, loaded.rules.times.group_wait_seconds]


def test_an_exporter_is_scraped_where_one_is_wanted():
    """
    With a port for it the exporter stands in outrider.yaml, with its own option to be moved; without, there is none.
    """
    chosen = LocalSettings(exporter_port=4650)

    [region] = parse_settings(outrider_yaml(chosen)).description.regions
    [without] = parse_settings(outrider_yaml(LocalSettings())).description.regions

    assert [("exporter", "127.0.0.1:4650")] == [(target.name, target.address) for target in region.exporters]
    assert () == without.exporters
    assert (4650,) == chosen.ports["exporter"]
    with pytest.raises(ValueError, match="both listen on port 9090: --exporter-port"):
        LocalSettings(exporter_port=9090)


def test_every_file_the_processes_read_is_written(tmp_path):
    """
    Agents' files and the configuration of Prometheus and Alertmanager stand in the cluster's folder.
    """
    write_configuration(LocalSettings(directory=tmp_path))

    for name in ("agents/server-1.hcl", "agents/client-2.hcl", "config/prometheus.yml", "config/alertmanager.yml"):
        assert (tmp_path / name).is_file(), name


def test_a_later_command_recalls_the_options(tmp_path):
    """
    What a cluster was started with is recalled from its folder; routes and commands are not part of it.
    """
    chosen = LocalSettings(directory=tmp_path, servers=5, port_base=20_000, rpc_routes={"server-1": 1})
    remember(chosen)

    recalled = recall(tmp_path)

    assert options_of(chosen) == options_of(recalled)
    assert {} == recalled.rpc_routes


def test_a_damaged_memory_is_no_cluster(tmp_path):
    """
    Options that cannot be read give the default cluster instead of an error.
    """
    (tmp_path / "cluster.json").write_text('{"serverz": 3}', encoding="utf-8")

    assert LocalSettings(directory=tmp_path) == recall(tmp_path)


def test_every_process_has_an_option_that_moves_it():
    """
    Each port can be moved by an option that the command has.
    """
    options = {port_option(name) for name in LocalSettings(exporter_port=4650).ports}

    assert {
        "--port-base",
        "--prometheus-port",
        "--alertmanager-port",
        "--receiver-port",
        "--exporter-port",
    } == options
