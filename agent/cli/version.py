"""`outrider version`."""

from importlib.metadata import version as installed_version

import click

from agent.cli.dashes import DashedCommand


@click.command(cls=DashedCommand)
def version() -> None:
    """Show the version."""
    click.echo(f"Outrider v{installed_version('outrider')}")
