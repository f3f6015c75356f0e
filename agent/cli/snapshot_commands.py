"""`outrider operator snapshot`: the state of the servers as a file, and a file as the state of the servers."""

import contextlib
import os
from datetime import datetime
from pathlib import Path

import click

from agent.cli.dashes import DashedGroup
from agent.cli.session import World, fail, told, uses_api
from agent.cli.tables import columns
from telemetry.nomad_api import NomadApi


@click.group(cls=DashedGroup)
def snapshot() -> None:
    """Save the state of the servers, restore it, and look into a saved one."""


@snapshot.command()
@click.option("--stale", is_flag=True, help="Let the server that is asked answer, also without a leader.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@uses_api
def save(api: NomadApi, world: World, *, stale: bool, file: Path | None) -> None:
    """Save the state to FILE; without one to nomad-state-DATE-SECONDS.snap here. No file is overwritten."""
    path = file or Path(_default_name(world.now()))
    if os.path.lexists(path):
        fail(f'Destination file already exists: "{path}"')
    partial = path.with_name(path.name + ".tmp")
    try:
        # Its owner's alone: the secrets of all nodes are in it.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        fail(f"Failed to create file: {error}")
    try:
        with told("Failed to get snapshot file"), os.fdopen(descriptor, "wb") as out:
            api.download("/v1/operator/snapshot", out, stale=stale)
            out.flush()
            os.fsync(out.fileno())
        partial.rename(path)
    except OSError as error:
        fail(f"Failed to write {partial}: {error}")
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    click.echo(f"State file written to {path}")


@snapshot.command()
@click.argument("file", type=click.Path(path_type=Path))
@uses_api
def restore(api: NomadApi, _world: World, *, file: Path) -> None:
    """Put the snapshot in FILE in place of the state of all servers.

    What was registered or changed since it was saved is gone; clients go on, and stop what the snapshot does not know.
    """
    try:
        with file.open("rb") as content, told("Failed to restore snapshot"):
            api.upload("/v1/operator/snapshot", content)
    except OSError as error:
        fail(f"Error opening snapshot file: {error}")
    click.echo("Snapshot Restored")


@snapshot.command()
@click.argument("file", type=click.Path(path_type=Path))
def inspect(file: Path) -> None:
    """Check the snapshot in FILE as a restore would, and show what it is of. Asks no server."""
    from agent.state.archive import ARCHIVE_BYTES_MAX, ArchiveError, read_archive  # noqa: PLC0415 - other commands are quicker without

    try:
        with file.open("rb") as content:
            meta = read_archive(content.read(ARCHIVE_BYTES_MAX + 1)).meta
    except OSError as error:
        fail(f"Error opening snapshot file: {error}")
    except ArchiveError as error:
        fail(f"Error verifying snapshot: {file}: {error}")
    rows = (("ID", meta.id), ("Size", meta.size), ("Index", meta.index), ("Term", meta.term), ("Version", meta.version))
    click.echo(columns(rows))


def _default_name(now_seconds: float) -> str:
    now = datetime.fromtimestamp(now_seconds).astimezone()
    return f"nomad-state-{now:%Y%m%d}-{int(now_seconds)}.snap"
