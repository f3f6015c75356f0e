import json
import re
from pathlib import Path

import pytest
import yaml

from agent.config.load import AgentFlags, load
from compose import generate
from compose.settings import load_settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
DOCUMENT = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = DOCUMENT["services"]
SETTINGS = load_settings(COMPOSE / "outrider.yaml")

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def test_the_root_file_only_includes():
    """
    `docker compose up` in a fresh clone runs compose/compose.yaml and nothing else.
    """
    root = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))

    assert {"name": "outrider", "include": ["compose/compose.yaml"]} == root


def test_the_whole_cluster_is_there():
    """
    Three servers, two clients, what watches them, and who gets the notifications.
    """
    agents = {"server-1", "server-2", "server-3", "client-1", "client-2"}

    assert agents | {"prometheus", "alertmanager", "receiver", "grafana"} == set(SERVICES)


@each_service
def test_everything_is_published_on_loopback_alone(service):
    """
    No port is reachable from another machine.
    """
    assert service["ports"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "network_mode" not in service


def test_no_two_services_share_a_port():
    """
    Every published port is published once.
    """
    ports = [port.split(":")[1] for service in SERVICES.values() for port in service["ports"]]

    assert len(ports) == len(set(ports))


@each_service
def test_every_service_is_hardened(service):
    """
    Read-only root, no capability, no new privileges, an init that reaps and passes signals on, bounded logs.
    """
    assert service["read_only"] is True
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert service["init"] is True
    assert service["logging"]["options"]["max-size"]
    assert "privileged" not in service
    assert not any("docker.sock" in volume for volume in service["volumes"]) if "volumes" in service else True


@each_service
def test_every_service_says_when_it_is_well(service):
    """
    Each service has a health check with a limit in time.
    """
    assert {"test", "interval", "timeout", "start_period"} <= set(service["healthcheck"])


@each_service
def test_images_are_pinned_to_a_version(service):
    """
    No image floats: each has a tag of a version, or is built here.
    """
    assert re.search(r":(local|v?\d+\.\d+\.\d+)$", service["image"]), service["image"]


@each_service
def test_configuration_is_mounted_read_only(service):
    """
    Folders of the project are mounted to be read; what is written goes to named volumes.
    """
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("."):
            assert volume.endswith(":ro"), volume
            assert (COMPOSE / source).exists(), volume
        else:
            assert source in DOCUMENT["volumes"], volume


def test_the_image_is_built_once_from_the_locks():
    """
    One service builds the image the others use, from hashed requirements, to be run by an unprivileged user.
    """
    builders = [name for name, service in SERVICES.items() if "build" in service]
    recipe = (COMPOSE / "Dockerfile").read_text(encoding="utf-8")

    assert ["server-1"] == builders
    assert "--require-hashes" in recipe
    assert "USER outrider" in recipe
    assert 2 == len(re.findall(r"^FROM python:3\.13-slim", recipe, re.MULTILINE))


@pytest.mark.parametrize("name", ["server-1", "server-2", "server-3"])
def test_every_server_loads_its_files(name):
    """
    A server's files give a server of three, reached by its own name, that knows the two others.
    """
    files = [Path(argument) for argument in SERVICES[name]["command"] if argument.startswith("/etc/outrider/")]

    config = load([COMPOSE / "agents" / file.name for file in files], AgentFlags(), {}).config

    assert (True, 3, name) == (config.server.enabled, config.server.bootstrap_expect, config.name)
    assert f"{name}:4649" == config.advertise.raft
    assert {"server-1", "server-2", "server-3"} == set(config.server.server_join.retry_join)


def test_the_clients_load_their_file():
    """
    The clients' file gives a client that knows every server and runs tasks.
    """
    config = load([COMPOSE / "agents" / "client.hcl"], AgentFlags(node="client-1"), {}).config

    assert config.client.enabled
    assert ("server-1", "server-2", "server-3") == tuple(config.client.servers)


def test_prometheus_asks_the_containers_there_are():
    """
    Every agent of outrider.yaml is a service, and every agent among the services is scraped.
    """
    region = SETTINGS.description.regions[0]

    asked = {target.address.partition(":")[0] for target in (*region.servers, *region.clients)}

    assert {name for name in SERVICES if name.startswith(("server-", "client-"))} == asked
    assert region.expected_servers == len(region.servers)


def test_the_generated_files_are_current():
    """
    compose/generated is what `outrider build` writes from compose/outrider.yaml today.
    """
    stale = generate.stale(SETTINGS, COMPOSE / "generated")
    written = {path for path in (COMPOSE / "generated").rglob("*") if path.is_file()}
    wanted = {COMPOSE / "generated" / name for name in generate.artefacts(SETTINGS)}

    assert [] == stale, "run `make build`"
    assert set() == written - wanted, "no longer generated; delete them"


def test_grafana_reads_the_generated_dashboards():
    """
    The provisioned folder and the home dashboard are among the generated files.
    """
    provider = yaml.safe_load((COMPOSE / "grafana" / "dashboards.yaml").read_text(encoding="utf-8"))["providers"][0]
    source = yaml.safe_load((COMPOSE / "grafana" / "datasources.yaml").read_text(encoding="utf-8"))["datasources"][0]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    assert "/etc/outrider/dashboards" == provider["options"]["path"] == str(home.parent)
    assert json.loads((COMPOSE / "generated" / "dashboards" / home.name).read_text(encoding="utf-8"))["uid"]
    assert "http://prometheus:9090" == source["url"]
    interval = source["jsonData"]["timeInterval"]
    assert f"{SETTINGS.description.scrape_interval_seconds:g}s" == interval
