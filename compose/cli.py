"""The `outrider` command: assembles the commands of all packages, loading each only when it is called."""

import importlib
import sys
from importlib.metadata import version as distribution_version

import click

from agent.cli import COMMANDS, SUMMARIES

_SUITE_COMMANDS: dict[str, tuple[str, str]] = {
    "alert": ("compose.alert_command:alert_group", "Send a test notification through the chain; list the alerts."),
    "build": ("compose.build_command:build_command", "Write every generated file from outrider.yaml."),
    "check": ("compose.check.command:check_group", "Say what would keep alerts from working, on a live cluster."),
    "dashboards": (
        "compose.dashboards_command:dashboards_group",
        "Write the dashboards, look at them, bring them to Grafana.",
    ),
    "discovery": ("compose.discovery_command:discovery_group", "Find the agents of live clusters for Prometheus."),
    "exporter": ("compose.exporter_command:exporter_command", "Beside a Nomad, say what its own telemetry lacks."),
    "metrics": ("telemetry.cli:metrics", "Look up the catalogue of metrics."),
    "runbook": ("compose.alert_command:runbook_command", "Print what to do about an alert."),
    "silence": ("compose.silence_command:silence_group", "Keep alerts quiet during maintenance."),
    "top": ("compose.top.command:top_command", "Show a region at a glance: leader, servers, nodes, alerts."),
}

_LOCAL_COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("compose.local_commands:up_command", "Run a cluster, watched, as local processes."),
    "drill": ("compose.drill.command:drill_command", "Make faults on a cluster of its own; keep score of the alerts."),
    "down": ("compose.local_commands:down_command", "Stop the local cluster."),
    "ps": ("compose.local_commands:ps_command", "List the processes of the local cluster."),
    "receiver": ("compose.receiver:receiver_command", "Print every notification that Alertmanager sends."),
    "tools": ("compose.tools:tools", "Fetch Prometheus and Alertmanager for the local cluster."),
}

_AGENT_COMMANDS: dict[str, tuple[str, str]] = {
    "agent": ("agent.cli.agent_command:agent", "Run an agent."),
    **{name: (place, SUMMARIES[name]) for name, place in COMMANDS.items()},
}

SECTIONS: tuple[tuple[str, dict[str, tuple[str, str]]], ...] = (
    ("The suite", _SUITE_COMMANDS),
    ("A cluster on this machine", _LOCAL_COMMANDS),
    ("The agent, with Nomad's words", _AGENT_COMMANDS),
)

_AGENT_PACKAGES = frozenset({"aiohttp", "cryptography", "grpc", "immutables", "psutil", "pysyncobj"})


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, and listed without being imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, by section."""
        del ctx
        return [name for _, commands in SECTIONS for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, importing what it needs."""
        del ctx
        for _, commands in SECTIONS:
            if cmd_name in commands:
                return _load(commands[cmd_name][0])
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section."""
        del ctx
        for title, commands in SECTIONS:
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; exits with a sentence when it needs the agent's packages and they are not installed."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _AGENT_PACKAGES:
                raise
            click.echo(
                f"Error: this command needs the package {error.name}: install the agent's with "
                "pip install 'outrider[agent]'",
                err=True,
            )
            ctx.exit(1)


def _load(place: str) -> click.Command:
    module, _, attribute = place.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help", "-help"]})
@click.version_option(distribution_version("outrider"), "-v", "--version", "-version", message="Outrider v%(version)s")
def outrider() -> None:
    """Monitoring and alerting for Nomad clusters, and a Nomad-compatible agent."""


def main() -> None:
    """Run the command line."""
    try:
        outrider(standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(130)
