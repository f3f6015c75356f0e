"""`outrider metrics`: the catalogue on the command line. The composition root mounts the group."""

import difflib
import json
from typing import Any

import click

from telemetry.catalogue import CATALOGUE, MODULES, Kind, Metric, find, metrics_of
from telemetry.render import expiry, exporters, printed_name, series_in_words

_KINDS = {kind.value: kind for kind in Kind}
_SUGGESTIONS = 5


@click.group()
def metrics() -> None:
    """Look up what a metric means, who exports it and when."""


@metrics.command("list")
@click.option("--module", type=click.Choice(sorted(MODULES)), help="Only the metrics of one subsystem.")
@click.option("--kind", type=click.Choice(sorted(_KINDS)), help="Only the metrics of one kind.")
@click.option("--exported", is_flag=True, help="Only what Outrider's own agent or exporter exports.")
@click.option("-json", "--json", "as_json", is_flag=True, help="Print JSON.")
def list_(module: str | None, kind: str | None, exported: bool, as_json: bool) -> None:
    """List metrics by subsystem: name, kind, unit."""
    chosen = metrics_of(module).values() if module else CATALOGUE
    _print(
        [m for m in chosen if (kind is None or m.kind is _KINDS[kind]) and (m.exported or not exported)],
        as_json=as_json,
    )


@metrics.command()
@click.argument("words", nargs=-1, required=True)
@click.option("-json", "--json", "as_json", is_flag=True, help="Print JSON.")
def search(words: tuple[str, ...], as_json: bool) -> None:
    """List the metrics that have all WORDS in their name, key or meaning, in whatever case."""
    wanted = " ".join(words).lower().split()
    found = [m for m in CATALOGUE if _has_all(m, wanted)]
    if not found:
        text = '", "'.join(wanted)
        raise click.ClickException(f'no metric has "{text}" in its name, its key or its meaning; try fewer words')
    _print(found, as_json=as_json)


@metrics.command()
@click.argument("name")
@click.option("-json", "--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, as_json: bool) -> None:
    """Show all there is to know about the series NAME, such as nomad_raft_commitTime_count or nomad.raft.commitTime."""
    entry = find(name) or find(name.replace(".", "_"))
    if entry is None:
        near = difflib.get_close_matches(name, CATALOGUE.series_names(), _SUGGESTIONS)
        hint = f"; did you mean {', '.join(near)}?" if near else "; look for it with `outrider metrics search WORD`"
        raise click.ClickException(f'no metric has the series "{name}"{hint}')
    fields = _fields(entry.metric)
    if as_json:
        click.echo(json.dumps(fields, indent=2))
        return
    width = max(len(field) for field in fields)
    for field, value in fields.items():
        click.echo(f"{field:<{width}} = {', '.join(value) if isinstance(value, list) else value}")


def _has_all(metric: Metric, words: list[str]) -> bool:
    parts = [part.lower() for part in (*metric.names, metric.dotted, metric.meaning)]
    return all(any(word in part for part in parts) for word in words)


def _fields(metric: Metric) -> dict[str, Any]:
    return {
        "name": printed_name(metric),
        "key": metric.dotted,
        "kind": metric.kind.value,
        "unit": metric.unit.value,
        "labels": list(metric.labels),
        "exported by": exporters(metric),
        **({"not by outrider": metric.absent.value} if metric.absent else {}),
        "present": metric.present.value,
        "series": series_in_words(metric),
        "expires": expiry(metric),
        "meaning": metric.meaning,
        "source": metric.source,
    }


def _print(found: list[Metric], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_fields(metric) for metric in found], indent=2))
        return
    width = max((len(printed_name(metric)) for metric in found), default=0)
    for metric in found:
        click.echo(f"{printed_name(metric):<{width}}  {metric.kind.value:<9}  {metric.unit.value}".rstrip())
