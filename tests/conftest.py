"""What all tests share."""

import shutil
from pathlib import Path

import pytest

from compose.tools import TOOLS_FOLDER
from tests.figures import FIGURES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def prometheus_tools():
    """Return the folder with Prometheus and Alertmanager that `outrider up` uses; a machine without both fails."""
    folder = ROOT / TOOLS_FOLDER
    if not (folder / "usr/bin/prometheus").exists() and shutil.which("prometheus") is None:
        pytest.fail("Prometheus is not here: `make tools` brings it")
    return folder


def pytest_collection_modifyitems(items):
    """Begin with the longest, so that of two processes none waits for it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("main_job") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Take over what one of several processes measured."""
    FIGURES.extend(getattr(node, "workeroutput", {}).get("figures", ()))


def pytest_sessionfinish(session):
    """Hand over what was measured, in one of several processes."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = FIGURES


def pytest_terminal_summary(terminalreporter):
    """Print what was measured last."""
    if FIGURES:
        terminalreporter.section("figures")
        for line in FIGURES:
            terminalreporter.write_line(line)
