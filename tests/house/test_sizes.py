"""Sizes of files and functions, and words that have no place in the source."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "telemetry", "alert_rules", "dashboards", "compose")
LINES_MAX = 600
FUNCTION_LINES_MAX = 70

SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def _functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=_relative)
def test_no_file_is_too_long(path):
    """
    A file has one reason to exist and can be read in one sitting.
    """
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_MAX


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_no_function_is_too_long(path):
    """
    A function can be seen whole.
    """
    too_long = [
        f"{function.name}: {function.end_lineno - function.lineno + 1}"
        for function in _functions(path)
        if function.end_lineno - function.lineno + 1 > FUNCTION_LINES_MAX
    ]

    assert [] == too_long


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_only_the_clock_module_imports_time(path):
    """
    Time comes from a clock that is handed in.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        name.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    } | {node.module.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}

    assert "time" not in imported or "telemetry/clock.py" == _relative(path)


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_nothing_is_left_for_later_in_the_source(path):
    """
    What is not done stands in an issue, not in the source.
    """
    text = path.read_text(encoding="utf-8")

    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", text)


def test_every_test_says_what_it_shows():
    """
    Each test has one sentence that names the behaviour.
    """
    silent = [
        f"{_relative(path)}: {function.name}"
        for path in TESTS
        for function in _functions(path)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]

    assert [] == silent


def test_pickle_is_imported_nowhere():
    """
    What can carry code is on no wire and on no disk.
    """
    importing = [
        _relative(path)
        for path in SOURCES
        if re.search(r"^\s*(import|from) (pickle|marshal|shelve)\b", path.read_text(), re.MULTILINE)
    ]

    assert [] == importing


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_every_command_says_error_in_one_way(path):
    """
    `Error: ` begins the sentence, as in the command line's own and Nomad's words.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]

    assert [] == [
        text for text in texts if re.match(r"(error|ERROR|Error)\b ?:", text) and not text.startswith("Error: ")
    ]
