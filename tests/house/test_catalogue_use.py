"""The catalogue tells the truth about what the agent exports, as far as the source can show it."""

import ast
from pathlib import Path

from agent.model.command import Command
from telemetry.catalogue import MODULES, metrics_of

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted(
    [
        *(ROOT / "agent").rglob("*.py"),
        *(path for path in (ROOT / "telemetry").rglob("*.py") if "catalogue" not in path.parts),
    ]
)
CONSTANTS = {(module, name): metric for module in MODULES for name, metric in metrics_of(module).items()}


def constants_used():
    """
    Each (module, constant) of the catalogue that the agent, the exporter or telemetry's own files mention.
    """
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        modules = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "telemetry.catalogue":
                modules |= {alias.asname or alias.name: alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("telemetry.catalogue."):
                yield from ((node.module.rpartition(".")[2], alias.name) for alias in node.names)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                yield modules[node.value.id], node.attr


def commands_timed():
    """
    The constants of commands: the state machine finds the metric of a command by the word the command has for it.
    """
    kinds = {command.kind for command in Command.__subclasses__()}
    return {key for key, metric in CONSTANTS.items() if key[0] == "fsm" and metric.dotted.rpartition(".")[2] in kinds}


USED = (set(constants_used()) | commands_timed()) & CONSTANTS.keys()


def test_what_is_said_to_be_exported_is_used():
    """
    A metric the catalogue says the agent exports is recorded somewhere; otherwise it says why not with `absent`.
    """
    assert len(USED) > 100

    unused = sorted(f"{m}.{c}" for (m, c), metric in CONSTANTS.items() if metric.exported and (m, c) not in USED)

    assert [] == unused, "recorded nowhere: record it, or say why not with absent="


def test_what_is_used_is_said_to_be_exported():
    """
    A metric that the agent records is not marked as a real Nomad's alone.
    """
    silent = sorted(f"{module}.{name}" for module, name in USED if not CONSTANTS[module, name].exported)

    assert [] == silent, "recorded, so take absent= away"
