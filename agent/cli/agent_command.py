"""`outrider agent`: run an agent in the foreground until a signal."""

import asyncio
import os
import sys
from pathlib import Path

import click

from agent.cli.dashes import DashedCommand
from agent.errors import ConfigError


@click.command("agent", cls=DashedCommand)
@click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="PATH",
    help="Configuration file (HCL or JSON) or directory of them; repeatable, later ones win.",
)
@click.option("--dev", is_flag=True, default=None, help="Server and client in one, on loopback, in memory.")
@click.option("--server", is_flag=True, default=None, help="Run a server.")
@click.option("--client", is_flag=True, default=None, help="Run a client.")
@click.option("--region", help="Region of the agent. [global]")
@click.option("--dc", help="Datacenter of the agent. [dc1]")
@click.option("--node", help="Name of the agent. [the host name]")
@click.option("--data-dir", help="Where the agent keeps its state; an absolute path.")
@click.option("--bind", help="Address to listen on. [0.0.0.0; under -dev 127.0.0.1]")
@click.option("--log-level", help="TRACE, DEBUG, INFO, WARN or ERROR. [INFO]")
@click.option("--log-json", is_flag=True, default=None, help="Write the log as JSON.")
@click.option("--bootstrap-expect", type=int, help="Servers that make up the cluster.")
@click.option("--join", multiple=True, metavar="ADDR", help="Address of another server; repeatable.")
@click.option(
    "--retry-join", multiple=True, metavar="ADDR", help="Address of another server, tried until it answers; repeatable."
)
@click.option("--encrypt", metavar="KEY", help="Key that encrypts gossip between servers, in base64.")
@click.option(
    "--servers",
    multiple=True,
    metavar="ADDR[,ADDR]",
    help="Servers a client talks to; repeatable or separated by commas.",
)
@click.option("--node-class", help="Class of a client.")
@click.option("--node-pool", help="Node pool of a client.")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Metadata of a client; repeatable.")
def agent(configs: tuple[str, ...], meta: tuple[str, ...], **given: object) -> None:
    """Run an agent until it is told to stop.

    Configuration comes from files, then OUTRIDER_AGENT_<FLAG> in the environment, then flags. What is wrong with it
    is said in one line each, with file, line and remedy, and nothing is started.
    """
    # gRPC's core writes to stderr by itself what this agent says in a sentence of its own.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from agent.config.load import AgentFlags, LoadedConfig, load  # noqa: PLC0415 - `outrider --help` needs none of it
    from agent.process import run  # noqa: PLC0415

    try:
        flags = AgentFlags(
            dev=_bool(given["dev"]), server=_bool(given["server"]), client=_bool(given["client"]),
            region=_text(given["region"]), dc=_text(given["dc"]), node=_text(given["node"]),
            data_dir=_text(given["data_dir"]), bind=_text(given["bind"]), log_level=_text(given["log_level"]),
            log_json=_bool(given["log_json"]), bootstrap_expect=_number(given["bootstrap_expect"]),
            join=_list(given["join"]), retry_join=_list(given["retry_join"]), servers=_list(given["servers"]),
            encrypt=_text(given["encrypt"]),
            node_class=_text(given["node_class"]), node_pool=_text(given["node_pool"]), meta=_pairs(meta),
        )  # fmt: skip

        def read() -> LoadedConfig:
            return load([Path(path) for path in configs], flags, os.environ)

        sys.exit(asyncio.run(run(read(), read)))
    except ConfigError as error:
        click.echo(f"==> Error: {error}", err=True)
        sys.exit(1)


def _bool(value: object) -> bool | None:
    return bool(value) if value is not None else None


def _text(value: object) -> str | None:
    return str(value) if value is not None else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _list(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, tuple) or not value:
        return None
    return tuple(part.strip() for entry in value for part in str(entry).split(",") if part.strip())


def _pairs(entries: tuple[str, ...]) -> dict[str, str] | None:
    if not entries:
        return None
    pairs = {}
    for entry in entries:
        key, separator, value = entry.partition("=")
        if not separator or not key:
            raise ConfigError(f'-meta "{entry}" is not KEY=VALUE: write it as -meta rack=r1')
        pairs[key] = value
    return pairs
