"""Who may import whom."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_imports_follow_the_layers():
    """
    import-linter finds no import against the layers of pyproject.toml.
    """
    command = Path(sys.executable).parent / "lint-imports"

    finished = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert 0 == finished.returncode, finished.stdout[-3000:] + finished.stderr[-1000:]


def test_the_suite_imports_without_the_agents_packages():
    """
    Rules, dashboards and the command line load where grpcio, pysyncobj, aiohttp, cryptography, psutil and immutables are absent.
    """
    blocked = "import sys\nfor name in ('grpc', 'pysyncobj', 'aiohttp', 'cryptography', 'psutil', 'immutables'): sys.modules[name] = None\n"
    code = blocked + "import compose.cli, alert_rules, dashboards.render, telemetry.nomad_api, compose.generate\n"
    code += "from click.testing import CliRunner\n"
    code += (
        "result = CliRunner().invoke(compose.cli.outrider, ['--help'])\nassert result.exit_code == 0, result.output\n"
    )

    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ
    )

    assert 0 == finished.returncode, finished.stderr[-2000:]


def test_only_the_adapter_files_import_pysyncobj():
    """
    The engine stays exchangeable: only the files of its adapter, named for it, know it.
    """
    importing = {
        str(path.relative_to(ROOT))
        for package in ("agent", "telemetry", "alert_rules", "dashboards", "compose")
        for path in (ROOT / package).rglob("*.py")
        if "import pysyncobj" in path.read_text() or "from pysyncobj" in path.read_text()
    }

    assert importing
    assert all(path.startswith("agent/consensus/pysyncobj_") for path in importing), importing


@pytest.mark.parametrize("command", [["agent", "-dev"], ["up"]], ids=" ".join)
def test_a_command_of_the_agent_says_what_to_install(command):
    """
    Without the agent's packages its commands end with one sentence and no traceback.
    """
    code = (
        "import sys\n"
        "for name in ('grpc', 'pysyncobj', 'aiohttp', 'cryptography', 'psutil', 'immutables'): sys.modules[name] = None\n"
        f"sys.argv = ['outrider', *{command}]\n"
        "from compose.cli import main\nmain()\n"
    )

    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert 1 == finished.returncode
    assert "pip install 'outrider[agent]'" in finished.stderr
    assert "Traceback" not in finished.stderr
