"""The rules as a PrometheusRule, for a Prometheus that its Operator runs.

Source: Prometheus Operator, API monitoring.coreos.com/v1; `keep_firing_for` since Operator 0.66.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alert_rules.rules import rule_files
from alert_rules.settings import RuleSettings

DEFAULT_NAME = "outrider-nomad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the manifest is called, where it lives, and the labels by which the Operator selects it."""

    name: str = DEFAULT_NAME
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def prometheus_rule(settings: RuleSettings, manifest: Manifest) -> dict[str, Any]:
    """Return the manifest with every group of every rule file."""
    metadata: dict[str, Any] = {"name": manifest.name}
    if manifest.namespace:
        metadata["namespace"] = manifest.namespace
    metadata["labels"] = {"app.kubernetes.io/name": "outrider", **manifest.labels}
    groups = [group for content in rule_files(settings).values() for group in content["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata,
        "spec": {"groups": groups},
    }
