"""A watched cluster on which the commands of runbooks are run, and what faults do to it."""

import os
import shlex
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
import yaml

from alert_rules.rule import plain
from alert_rules.rules import rule_set
from compose.drill.network import Network
from compose.generate import build
from compose.local import LocalCluster
from compose.local_settings import LocalSettings, default_agent_command
from compose.settings import load_settings
from compose.tools import Tool, find_tool
from tests.integration.agents import Ports
from tests.integration.watch import wait_until
from tests.ports import lane

PORT_BASE = lane(29_500)  # below those the system hands out for connections
RELAY_BASE = lane(29_700)
STRANGER_PORTS = Ports(*(lane(29_860 + number) for number in range(4)))
PROXY_PORT = lane(29_870)
NOWHERE = "127.0.0.1:29880"
"""Nobody listens there."""

COMMAND_SECONDS_MAX = 60
CALL_SECONDS_MAX = 30
SHOWN_SECONDS_MAX = 120
"""How long a fault may take to show, and its end to be over; on a quiet machine it is 1 to 50 s."""

MORE = "server { num_schedulers = 8 raft_multiplier = 2 }\n"
"""For each server: more plans can wait than an alert allows, and a disk can be slow without costing the lease."""

AGENT_WITH_A_DISK = """
import os, pathlib, sys, time

def slowed(sync):
    def call(descriptor):
        try:
            time.sleep(float(control.read_text()))
        except (OSError, ValueError):
            pass
        return sync(descriptor)
    return call

control = pathlib.Path({folder!r}, pathlib.Path(sys.argv[-1]).stem)
os.fdatasync, os.fsync = slowed(os.fdatasync), slowed(os.fsync)
if sys.argv[1] == "agent":
    sys.argv += ["-config", {more!r}]
from compose.cli import main
main()
"""
"""An agent whose disk is as slow as a file of its name says, in seconds for each sync, and as it is without the file.

It reads a further file of settings.
"""


class Proxy:
    """Stands in front of an agent's metrics: a cache that gives one old answer, or something that makes it late."""

    def __init__(self):
        self.port = PROXY_PORT
        self.url = f"http://127.0.0.1:{PROXY_PORT}"
        self._body = b""
        self._seconds = 0.0
        self._server = None

    def freeze(self, url, old, new):
        """Give for ever what *url* says now, *old* replaced by *new*."""
        self._body = _metrics(url).replace(old, new).encode()
        self._seconds = 0.0

    def slow_down(self, url, seconds, series):
        """Give what *url* says now and so many *series* more, *seconds* late."""
        more = "".join(f'nomad_nomad_job_summary_running{{exported_job="{number}"}} 1\n' for number in range(series))
        self._body = (_metrics(url) + more).encode()
        self._seconds = seconds

    def start(self):
        """Listen."""
        proxy, wait = self, threading.Event().wait

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                wait(proxy._seconds)
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(proxy._body)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(proxy._body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def _call(method, url, **options):
    """Call *url* past any proxy that the environment names."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, timeout=CALL_SECONDS_MAX, **options)


def _get(url, **options):
    answer = _call("GET", url, **options)
    answer.raise_for_status()
    return answer


def _metrics(url):
    return _get(f"{url}/v1/metrics?format=prometheus").text


class Bench:
    """The cluster with everything a fault needs; `ask` runs a command as an operator would.

    *variables* are those of the commands, *instances* the URLs that $INSTANCE may stand for, by a name.
    """

    def __init__(self, directory: Path, tools_folder: Path):
        self.directory = directory
        self.disks = directory / "disks"
        self.disks.mkdir()
        more = directory / "more.hcl"
        more.write_text(MORE)
        plain = LocalSettings(clients=3, port_base=PORT_BASE)
        self.network = Network(plain, RELAY_BASE, self._pids)
        self.settings = LocalSettings(
            directory=directory / "cluster",
            tools=tools_folder,
            clients=3,
            port_base=PORT_BASE,
            prometheus_port=PORT_BASE + 90,
            alertmanager_port=PORT_BASE + 93,
            receiver_port=PORT_BASE + 95,
            exporter_port=PORT_BASE + 97,
            scrape_interval_seconds=1,
            evaluation_interval_seconds=1,
            group_wait_seconds=1,
            group_interval_seconds=2,
            resend_delay_seconds=1,
            rpc_routes=self.network.routes.rpc,
            agent_command=(sys.executable, "-c", AGENT_WITH_A_DISK.format(folder=str(self.disks), more=str(more))),
        )
        self.cluster = LocalCluster(self.settings)
        self.proxy = Proxy()
        self.pause = threading.Event().wait
        self.variables = {
            "NOMAD_ADDR": self.agent_url("server-1"),
            "PROMETHEUS": f"http://127.0.0.1:{self.settings.prometheus_port}",
            "ALERTMANAGER": f"http://127.0.0.1:{self.settings.alertmanager_port}",
        }
        self.instances: dict[str, str] = {}
        self._path = self._programs(directory / "bin")
        self._shipped = ""
        self._jobs = 0

    def _programs(self, folder):
        """Make a folder with the programs that pages name: `nomad` is ours."""
        folder.mkdir()
        nomad = folder / "nomad"
        nomad.write_text(f'#!/bin/sh\nexec {shlex.join(default_agent_command())} "$@"\n')
        nomad.chmod(0o755)
        for tool in (Tool.PROMTOOL, Tool.AMTOOL):
            # As the cluster finds its own: of the same version.
            (folder / tool.value[0]).symlink_to(find_tool(tool, self.settings.tools).resolve())
        return f"{folder}:{os.environ.get('PATH', '')}"

    def _pids(self):
        return self.cluster.agent_pids()

    def start(self):
        """Start everything and wait until it is watched."""
        self.network.start()
        self.proxy.start()
        self.cluster.start()
        self.cluster.wait_ready(120)
        self._shipped = self._outrider_yaml.read_text()
        self.recover()

    def stop(self):
        """End everything."""
        self.cluster.stop()
        self.proxy.stop()
        self.network.stop()

    # Agents.

    def agent_url(self, name):
        """Return the URL of an agent."""
        return f"http://127.0.0.1:{next(agent.http for agent in self.settings.agents if agent.name == name)}"

    @property
    def exporter_url(self):
        """The URL of the exporter that stands beside the servers."""
        return f"http://127.0.0.1:{self.settings.exporter_port}"

    def servers(self, behind_proxy=""):
        """Return the servers as outrider.yaml names them, one of them at the address of the proxy."""
        urls = {agent.name: self.agent_url(agent.name) for agent in self.settings.server_agents}
        urls |= {behind_proxy: self.proxy.url} if behind_proxy else {}
        return [{"name": name, "address": url.removeprefix("http://")} for name, url in urls.items()]

    def clients(self, *names):
        """Return these clients as outrider.yaml names them."""
        return [{"name": name, "address": self.agent_url(name).removeprefix("http://")} for name in names]

    def leader(self):
        """Return the leader, waiting for one."""
        return wait_until(self.cluster.leader, SHOWN_SECONDS_MAX, "a leader")[1]

    def followers(self):
        """Return the servers that do not lead."""
        leader = self.leader()
        return [agent.name for agent in self.settings.server_agents if agent.name != leader]

    def look_at(self, name):
        """Point NOMAD_ADDR at the server *name*."""
        self.variables["NOMAD_ADDR"] = self.agent_url(name)

    def recover(self):
        """Wait until all servers vote, are healthy and are scraped."""
        healthy = "outrider:failure_tolerance == 1 and outrider:servers_up == 3 and outrider:leader_signals == 3"
        self.until(healthy)
        self.look_at(self.leader())

    def edit(self, name, old, new):
        """Change an agent's file and start the agent again."""
        file = self.settings.directory / "agents" / f"{name}.hcl"
        text = file.read_text()
        assert old in text, f"{file} does not say {old!r}"
        file.write_text(text.replace(old, new))
        self.cluster.restart(name)

    # Work.

    def client_megahertz(self):
        """Return the CPU of a client; all of them are this machine."""
        server = self.variables["NOMAD_ADDR"]
        nodes = _get(f"{server}/v1/nodes").json()
        return _get(f"{server}/v1/node/{nodes[0]['ID']}").json()["NodeResources"]["Cpu"]["CpuShares"]

    def put_job(self, id_, count, cpu=1, kind="service"):
        """Register a job of one group that sleeps; *cpu* in MHz."""
        task = {
            "Name": "t",
            "Driver": "raw_exec",
            "Config": {"command": "/bin/sleep", "args": ["600"]},
            "Resources": {"CPU": cpu, "MemoryMB": 16},
        }
        body = {"Job": {"ID": id_, "Type": kind, "TaskGroups": [{"Name": "g", "Count": count, "Tasks": [task]}]}}
        _call("PUT", f"{self.variables['NOMAD_ADDR']}/v1/jobs", json=body).raise_for_status()

    def nodes_of(self, id_):
        """Return the ids of the clients on which allocations of a job run that are to run."""
        allocs = _get(f"{self.variables['NOMAD_ADDR']}/v1/job/{id_}/allocations").json()
        return [a["NodeID"] for a in allocs if (a["DesiredStatus"], a["ClientStatus"]) == ("run", "running")]

    def drain(self, node_id, spec):
        """Drain a client, or with None end that and let new work onto it."""
        body = {"DrainSpec": spec, "MarkEligible": spec is None}
        _call("PUT", f"{self.variables['NOMAD_ADDR']}/v1/node/{node_id}/drain", json=body).raise_for_status()

    def drop_job(self, id_):
        """Forget a job."""
        _call("DELETE", f"{self.variables['NOMAD_ADDR']}/v1/job/{id_}?purge=true").raise_for_status()

    @contextmanager
    def flood(self, at_once, count=0, pause_seconds=0.0):
        """Register jobs without end, *at_once* at a time; a registration that is refused is no matter."""
        over = threading.Event()

        def register(number):
            while not over.is_set():
                number += at_once
                with suppress(requests.RequestException):
                    self.put_job(f"flood-{number}", count)
                over.wait(pause_seconds)

        self._jobs += 100_000
        with ThreadPoolExecutor(at_once) as pool:
            for number in range(at_once):
                pool.submit(register, self._jobs + number)
            try:
                yield
            finally:
                over.set()

    # What watches.

    @property
    def _outrider_yaml(self):
        return self.settings.directory / "outrider.yaml"

    @property
    def config(self):
        """The folder with what `outrider build` wrote."""
        return self.settings.directory / "config"

    def rebuild(self, **changes):
        """Build with *changes* to outrider.yaml, none for what it was at the start, and make Prometheus read it."""
        document = yaml.safe_load(self._shipped) | changes
        self._outrider_yaml.write_text(yaml.safe_dump(document, sort_keys=False))
        build(load_settings(self._outrider_yaml), self.config)
        self.reload("PROMETHEUS").raise_for_status()

    def reload(self, variable):
        """Make Prometheus or Alertmanager read its files; returns the answer."""
        return _call("POST", f"{self.variables[variable]}/-/reload")

    def until(self, promql, seconds=SHOWN_SECONDS_MAX):
        """Wait until *promql* yields something; fails after *seconds*."""
        deadline = time.monotonic() + seconds
        while not self.query(promql):
            assert time.monotonic() < deadline, f"nothing within {seconds} s: {promql}"
            self.pause(0.3)

    def post_alert(self, severity):
        """Tell Alertmanager of an alert of its own group, which it has to notify."""
        labels = {"alertname": "Errand", "severity": severity, "cluster": self.settings.cluster, "region": "errand"}
        _call("POST", f"{self.variables['ALERTMANAGER']}/api/v2/alerts", json=[{"labels": labels}]).raise_for_status()

    def query(self, promql):
        """Return the series that *promql* yields."""
        answer = _get(f"{self.variables['PROMETHEUS']}/api/v1/query", params={"query": promql})
        return answer.json()["data"]["result"]

    def conditions(self):
        """Return the condition of each alert, as Prometheus here has to be asked."""
        settings = load_settings(self._outrider_yaml).rules
        return {
            rule.alert: settings.dialect.expression(plain(rule.condition or rule.expr))
            for rule in rule_set(settings).alerts
        }

    # Commands.

    def ask(self, command, instance):
        """Return all that *command* printed, with *instance* as $INSTANCE."""
        own = {**self.variables, "INSTANCE": instance, "PATH": self._path, "no_proxy": "*", "NO_PROXY": "*"}
        return subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
            env={**os.environ, **own},
        ).stdout
