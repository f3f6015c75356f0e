"""Why allocations could not be placed, in Nomad's sentences. Pure.

Source: Nomad, command/monitor.go (formatAllocMetrics).
"""

from collections.abc import Mapping
from typing import Any


def placement_reasons(metric: Mapping[str, Any], prefix: str = "  ") -> list[str]:
    """Return one line for each reason in the metrics of a failed placement, sorted within each kind."""
    lines: list[str] = []
    if not metric.get("NodesEvaluated"):
        lines.append("No nodes were eligible for evaluation")
    lines += [
        f'No nodes are available in datacenter "{datacenter}"'
        for datacenter, count in _sorted(metric, "NodesAvailable")
        if count == 0
    ]
    lines += [f'Class "{name}": {count} nodes excluded by filter' for name, count in _sorted(metric, "ClassFiltered")]
    lines += [
        f'Constraint "{name}": {count} nodes excluded by filter'
        for name, count in _sorted(metric, "ConstraintFiltered")
    ]
    if metric.get("NodesExhausted"):
        lines.append(f"Resources exhausted on {metric['NodesExhausted']} nodes")
    lines += [f'Class "{name}" exhausted on {count} nodes' for name, count in _sorted(metric, "ClassExhausted")]
    lines += [f'Dimension "{name}" exhausted on {count} nodes' for name, count in _sorted(metric, "DimensionExhausted")]
    lines += [f'Quota limit hit "{name}"' for name in metric.get("QuotaExhausted") or ()]
    return [f"{prefix}* {line}" for line in lines]


def _sorted(metric: Mapping[str, Any], name: str) -> list[tuple[str, int]]:
    return sorted((metric.get(name) or {}).items())
