"""From settings to every file that Prometheus, Alertmanager and Grafana read."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from alert_rules.alertmanager import alertmanager_config
from alert_rules.kubernetes import prometheus_rule
from alert_rules.render import to_yaml, write_if_changed
from alert_rules.rules import rule_files
from alert_rules.runbooks import runbook_pages
from compose.settings import Settings
from compose.tools import Tool, ToolError, find_tool
from dashboards.render import dashboard_files
from telemetry.scrape.configuration import prometheus_config, scrape_configs, target_files

_CHECK_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Check:
    """What one outside checker said of the generated files; *passed* is None when the checker is absent."""

    name: str
    passed: bool | None
    output: str


def artefacts(settings: Settings) -> dict[str, str]:
    """Return every file as name relative to the output folder, to content; the same settings give the same bytes."""
    files = {
        "prometheus.yml": to_yaml(prometheus_config(settings.description, ["rules/*.yml"])),
        "alertmanager.yml": to_yaml(alertmanager_config(settings.rules)),
    }
    for name, content in rule_files(settings.rules).items():
        files[name] = to_yaml(content)
    # For a Prometheus that its Operator runs, and for one whose configuration is somebody else's.
    files["kubernetes/prometheusrule.yml"] = to_yaml(prometheus_rule(settings.rules, settings.manifest))
    files["fragments/scrape_configs.yml"] = to_yaml({"scrape_configs": scrape_configs(settings.description)})
    for name, page in runbook_pages().items():
        files[f"runbooks/{name}.md"] = page
    for name, text in dashboard_files(settings.rules.links, settings.rules.dialect).items():
        files[f"dashboards/{name}"] = text
    for name, targets in target_files(settings.description).items():
        files[name] = json.dumps(targets, indent=2) + "\n"
    return dict(sorted(files.items()))


def build(settings: Settings, out: Path) -> list[Path]:
    """Write every artefact below *out*, leave unchanged files untouched, and return their paths in sorted order."""
    files = artefacts(settings)
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


def check(out: Path) -> list[Check]:
    """Run promtool and amtool over the files below *out*, where they are found."""
    return [
        _run(Tool.PROMTOOL, "prometheus.yml and rules", "check", "config", str(out / "prometheus.yml")),
        _run(Tool.AMTOOL, "alertmanager.yml", "check-config", str(out / "alertmanager.yml")),
    ]


def _run(tool: Tool, subject: str, *arguments: str) -> Check:
    try:
        program = find_tool(tool)
    except ToolError:
        return Check(subject, None, f"{tool.value[0]} was not found, so {subject} went unchecked")
    result = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=_CHECK_TIMEOUT_SECONDS, check=False
    )
    return Check(subject, result.returncode == 0, (result.stdout + result.stderr).strip())
