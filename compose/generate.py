"""From settings to every file that Prometheus, Alertmanager and Grafana read."""

import json
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alert_rules.alertmanager import NOBODY, alertmanager_config, receivers_of
from alert_rules.alertmanager.fragment import FRAGMENT_FILE, fragment, fragment_comment, mark_of, prefix_of
from alert_rules.alertmanager.templates import TEMPLATES_FILE, message_templates
from alert_rules.kubernetes import prometheus_rule
from alert_rules.receivers import Existing
from alert_rules.render import to_yaml, write_if_changed
from alert_rules.rules import rule_files, rule_set
from alert_rules.runbooks import pages_in
from alert_rules.settings import NOTIFYING
from alert_rules.versions import parse_version
from compose.merge_alertmanager import merge
from compose.settings import Settings
from compose.tools import Tool, ToolError, find_tool
from compose.yaml_reader import SettingsError
from dashboards.render import dashboard_files
from telemetry.scrape.configuration import prometheus_config, scrape_configs, target_files

TEST_ALERT = "OutriderTest"
"""The alert that `outrider alert test` sends, which no rule gives."""
MERGED_FILE = "merged/alertmanager.yml"

_CHECK_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Check:
    """What one outside checker said of the generated files; *passed* is None when the checker is absent."""

    name: str
    passed: bool | None
    output: str


def artefacts(settings: Settings) -> dict[str, str]:
    """Return every file as name relative to the output folder, to content; the same settings give the same bytes."""
    parts = alertmanager_fragment(settings)
    files = {
        "prometheus.yml": to_yaml(prometheus_config(settings.description, ["rules/*.yml"])),
        TEMPLATES_FILE: message_templates(settings.rules),
        FRAGMENT_FILE: to_yaml(parts, fragment_comment(parts)),
    }
    if not settings.rules.has_existing_receivers:
        files["alertmanager.yml"] = to_yaml(alertmanager_config(settings.rules), _pair_comment(settings))
    for name, content in rule_files(settings.rules).items():
        files[name] = to_yaml(content)
    # For a Prometheus that its Operator runs, and for one whose configuration is somebody else's.
    files["kubernetes/prometheusrule.yml"] = to_yaml(prometheus_rule(settings.rules, settings.manifest))
    files["fragments/scrape_configs.yml"] = to_yaml({"scrape_configs": scrape_configs(settings.description)})
    for name, page in pages_in(settings.rules.dialect).items():
        files[f"runbooks/{name}.md"] = page
    files |= dashboard_files(settings.rules)
    for name, targets in target_files(settings.description).items():
        files[name] = json.dumps(targets, indent=2) + "\n"
    return dict(sorted(files.items()))


def alertmanager_fragment(settings: Settings) -> dict[str, Any]:
    """Return the parts for an Alertmanager that is there already."""
    alerts = {rule.alert: "cluster" in rule.surely_labelled for rule in rule_set(settings.rules).alerts}
    return fragment(settings.rules, {**alerts, TEST_ALERT: True})


def merged_alertmanager(settings: Settings, existing: Path) -> dict[str, str]:
    """Return an operator's own Alertmanager configuration with ours merged in, and the templates to put beside it.

    Raises SettingsError when *existing* cannot be read or merged with.
    """
    try:
        text = existing.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{existing}: cannot be read: {error}") from None
    rules = settings.rules
    wanted = [each.channel.receiver for each in rules.receivers if isinstance(each.channel, Existing)]
    merged = merge(
        text,
        alertmanager_fragment(settings),
        prefix=prefix_of(rules),
        mark=mark_of(rules),
        file=str(existing),
        wanted=wanted,
    )
    return {MERGED_FILE: merged, f"{Path(MERGED_FILE).parent}/{TEMPLATES_FILE}": message_templates(rules)}


def unheard(settings: Settings) -> list[str]:
    """Return the severities that should notify somebody and, for this cluster, reach no receiver."""
    rules = settings.rules
    return [each.value for each in NOTIFYING if receivers_of(rules, TEST_ALERT, each.value) == (NOBODY,)]


def build(settings: Settings, out: Path) -> list[Path]:
    """Write every artefact below *out*, leave unchanged files untouched, and return their paths in sorted order."""
    return write(artefacts(settings), out)


def write(files: dict[str, str], out: Path) -> list[Path]:
    """Write *files* below *out*, leave unchanged ones untouched, and return their paths in the order given."""
    for name, text in files.items():
        write_if_changed(out / name, text)
    return [out / name for name in files]


def stale(settings: Settings, out: Path) -> list[Path]:
    """Return the artefacts below *out* that are missing or differ from what the settings give."""
    return [
        out / name
        for name, text in artefacts(settings).items()
        if not (out / name).exists() or (out / name).read_text(encoding="utf-8") != text
    ]


def check(settings: Settings, out: Path, *, has_merged: bool = False) -> list[Check]:
    """Run promtool and amtool over the files below *out*, where they are found; *has_merged* says that one is there."""
    configs = [] if settings.rules.has_existing_receivers else ["alertmanager.yml"]
    configs += [MERGED_FILE] if has_merged else []
    too_old = _too_old(settings) if configs else None
    return [
        _explained(_run(Tool.PROMTOOL, "prometheus.yml and rules", "check", "config", str(out / "prometheus.yml"))),
        *(too_old or _run(Tool.AMTOOL, name, "check-config", str(out / name)) for name in configs),
    ]


def _explained(said: Check) -> Check:
    """Return what promtool said, and why, where it does not know a discovery that Prometheus has."""
    missing = re.search(r"field (\w+_sd_configs) not found", said.output)
    if missing is None:
        return said
    reason = f"\nthis promtool was built without {missing[1]}, as Debian's are, and so is the Prometheus beside it, "
    return replace(
        said, output=f"{said.output}{reason}which refuses the file: take upstream's, or discovery http or file"
    )


def _too_old(settings: Settings) -> Check | None:
    """Return why nothing can be checked where amtool is older than the Alertmanager that will read it, else None."""
    wanted = settings.rules.alertmanager_version
    try:
        program = find_tool(Tool.AMTOOL)
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_CHECK_TIMEOUT_SECONDS, check=False
        )
        version = parse_version((said.stdout + said.stderr).partition("version ")[2].split("+")[0].split()[0])
    except (ToolError, ValueError, IndexError):
        return None
    if version >= wanted:
        return None
    reason = f"{program} is {version} and alertmanager_version {wanted}, so alertmanager.yml went unchecked"
    return Check("alertmanager.yml", None, reason)


def _pair_comment(settings: Settings) -> str:
    """Return what the head of alertmanager.yml says where there are several, empty for a single one."""
    addresses = settings.description.alertmanagers
    if len(addresses) < 2:
        return ""
    hosts = [address.rpartition(":")[0] for address in addresses]
    lines = [
        "Each of the Alertmanagers reads this same file. They gossip, so that only one of them notifies and a silence",
        "holds on all; each needs to be told of the others when it starts:",
        *(
            f"  {address}: --cluster.listen-address=0.0.0.0:9094 "
            + " ".join(f"--cluster.peer={peer}:9094" for place, peer in enumerate(hosts) if place != number)
            for number, address in enumerate(addresses)
        ),
        "Prometheus sends every alert to each of them, as prometheus.yml says; never put a balancer between them.",
    ]
    return "".join(f"# {line}\n" for line in lines)


def _run(tool: Tool, subject: str, *arguments: str) -> Check:
    try:
        program = find_tool(tool)
    except ToolError:
        return Check(subject, None, f"{tool.value[0]} was not found, so {subject} went unchecked")
    result = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=_CHECK_TIMEOUT_SECONDS, check=False
    )
    return Check(subject, result.returncode == 0, (result.stdout + result.stderr).strip())
