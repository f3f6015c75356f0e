"""`outrider dashboards`: writes them, brings them into a Grafana, and says how they differ from what is there."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from compose.build_command import DEFAULT_FILE, DEFAULT_OUT
from compose.generate import write
from compose.grafana_api import Grafana, GrafanaError
from compose.preview_command import preview_command
from compose.settings import load_settings
from compose.yaml_reader import SettingsError
from dashboards.lint import lint
from dashboards.render import DASHBOARDS, TAG, dashboard_files, document_of

FOLDER_UID = "outrider"
_KEPT_BY_GRAFANA = frozenset({"id", "version", "iteration"})
"""What Grafana adds to a dashboard that it keeps."""
_DIFFERENCES_SHOWN = 20

_F = TypeVar("_F", bound=Callable[..., Any])

_file = click.option(
    "-f", "--file", "file", type=click.Path(path_type=Path), default=DEFAULT_FILE, show_default=True, help="Settings."
)


def _grafana(command: _F) -> _F:
    url = click.option("--grafana", "url", required=True, metavar="URL", help="Grafana's address, as in a browser.")
    token = click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        required=True,
        help="File with the token of a service account that may edit.",
    )
    return _file(url(token(command)))


@click.group("dashboards")
def dashboards_group() -> None:
    """Write the dashboards, look at them, bring them into a Grafana, compare them with what is there."""


dashboards_group.add_command(preview_command)


@dashboards_group.command("build")
@_file
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=DEFAULT_OUT, show_default=True, help="Folder to write."
)
def build_command(file: Path, out: Path) -> None:
    """Write the dashboards alone, in both forms, and judge them.

    OUT/dashboards is for provisioning and `import`, OUT/dashboards-by-hand for Grafana's page "Import".
    """
    with _explained():
        files = dashboard_files(load_settings(file).rules)
    for path in write(files, out):
        click.echo(f"wrote {path}")
    findings = [finding for text in files.values() for finding in lint(json.loads(text))]
    for finding in findings:
        click.echo(f"Error: {finding}", err=True)
    click.echo(f"{len(DASHBOARDS)} dashboards, {len(findings)} findings")
    sys.exit(1 if findings else 0)


@dashboards_group.command("import")
@_grafana
@click.option("--folder", default="Outrider", show_default=True, help="Title of the folder, made when it is not there.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def import_command(file: Path, url: str, token_file: Path, folder: str, *, dry_run: bool) -> None:
    """Bring the dashboards into a Grafana, over those of the same uid that came from here.

    What stands there unchanged is left alone. A dashboard of the same uid without the tag `outrider` is somebody else's,
    and nothing is written then.
    """
    with _explained():
        documents = _documents(file)
        grafana = Grafana(url, _token(token_file))
        there = {uid: grafana.dashboard(uid) for uid in documents}
        for uid, found in there.items():
            if found is not None and TAG not in (found["dashboard"].get("tags") or []):
                raise GrafanaError(
                    f"the dashboard {uid!r} in Grafana at {url} has no tag {TAG!r}, so it is not ours and nothing was "
                    "written: give it another uid, or the tag"
                )
        _place(grafana, folder, dry_run=dry_run)
        counts = {"new": 0, "changed": 0, "unchanged": 0}
        for uid, document in documents.items():
            state = _state(there[uid], document)
            counts[state] += 1
            if state == "unchanged" or dry_run:
                click.echo(f"{'would be ' if dry_run and state != 'unchanged' else ''}{state}: {uid}")
                continue
            version = grafana.save(document, FOLDER_UID, "outrider dashboards import")
            click.echo(f"{state}: {uid}, now version {version}")
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))


@dashboards_group.command("diff")
@_grafana
def diff_command(file: Path, url: str, token_file: Path) -> None:
    """Say how the dashboards in a Grafana differ from what the settings give; the exit code is 1 when they do."""
    differing = 0
    with _explained():
        documents = _documents(file)
        grafana = Grafana(url, _token(token_file))
        for uid, document in documents.items():
            found = grafana.dashboard(uid)
            lines = _told(found, document)
            differing += bool(lines)
            for line in lines[:_DIFFERENCES_SHOWN]:
                click.echo(f"{uid}: {line}")
            if len(lines) > _DIFFERENCES_SHOWN:
                click.echo(f"{uid}: and {len(lines) - _DIFFERENCES_SHOWN} more")
    click.echo(f"{differing} of {len(documents)} dashboards differ")
    sys.exit(1 if differing else 0)


def _told(found: dict[str, Any] | None, document: dict[str, Any]) -> list[str]:
    """Return how what was *found* in a Grafana differs from *document*, in lines."""
    if found is None:
        return ["is not there"]
    if "newer_form" in found:
        return [f"was saved there in Grafana's newer form, {found['newer_form']}: `import` brings ours back"]
    return list(differences(_comparable(found["dashboard"]), document))


def differences(there: Any, ours: Any, place: str = "") -> Iterator[str]:
    """Yield each value in which *there*, Grafana's, differs from *ours*, with its place in the document."""
    if isinstance(there, dict) and isinstance(ours, dict):
        for name in sorted(there.keys() | ours.keys()):
            at = f"{place}.{name}" if place else name
            if name not in there:
                yield f"{at} is missing there"
            elif name not in ours:
                yield f"{at} is only there"
            else:
                yield from differences(there[name], ours[name], at)
    elif isinstance(there, list) and isinstance(ours, list):
        for number, (one, other) in enumerate(zip(there, ours, strict=False)):
            yield from differences(one, other, f"{place}[{number}]")
        if len(there) != len(ours):
            yield f"{place} has {len(there)} items there, and should have {len(ours)}"
    elif there != ours:
        yield f"{place} is {_short(there)} there, and should be {_short(ours)}"


def _documents(file: Path) -> dict[str, dict[str, Any]]:
    rules = load_settings(file).rules
    return {dashboard.uid: document_of(dashboard, rules) for dashboard in DASHBOARDS}


def _place(grafana: Grafana, title: str, *, dry_run: bool) -> None:
    """Make the folder where it is not there."""
    if grafana.has_folder(FOLDER_UID):
        return
    if not dry_run:
        grafana.make_folder(FOLDER_UID, title)
    click.echo(f"{'would be ' if dry_run else ''}new: folder {title}")


def _state(found: dict[str, Any] | None, document: dict[str, Any]) -> str:
    if found is None:
        return "new"
    is_same = _comparable(found["dashboard"]) == document and found.get("meta", {}).get("folderUid") == FOLDER_UID
    return "unchanged" if is_same else "changed"


def _comparable(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in _KEPT_BY_GRAFANA}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _token(path: Path) -> str:
    """Return the token in a file; raise GrafanaError when there is none."""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise GrafanaError(f"{path}: the token cannot be read: {error}") from None
    if not token or not token.isascii() or any(sign.isspace() for sign in token):
        raise GrafanaError(
            f"{path}: holds {'no token' if not token else 'more than a token'}; write it as its one line"
        )
    return token


@contextmanager
def _explained() -> Iterator[None]:
    """End the command with one sentence when settings, token or Grafana do not allow it to go on."""
    try:
        yield
    except (SettingsError, GrafanaError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
