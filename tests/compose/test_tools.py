import subprocess
from pathlib import Path

import pytest

from compose import tools
from compose.tools import Tool, ToolError, find_tool, relocate, web_assets


def program(path: Path, content: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_path(monkeypatch, tmp_path):
    """An empty PATH, so that only the folder counts."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def test_programs_on_path_come_first(tmp_path, monkeypatch):
    """
    An operator's own program is taken before an unpacked one.
    """
    own = program(tmp_path / "own" / "prometheus")
    program(tmp_path / "tools" / "usr" / "bin" / "prometheus")
    monkeypatch.setenv("PATH", str(tmp_path / "own"))

    assert own == find_tool(Tool.PROMETHEUS, tmp_path / "tools")


@pytest.mark.parametrize("name", ["prometheus-alertmanager", "alertmanager"])
def test_alertmanager_has_two_names(tmp_path, no_path, name):
    """
    Debian's name and the original one are both found.
    """
    unpacked = program(tmp_path / "usr" / "bin" / name)

    assert unpacked == find_tool(Tool.ALERTMANAGER, tmp_path)


def test_what_is_not_executable_is_not_found(tmp_path, no_path):
    """
    A file that cannot be run is no program.
    """
    program(tmp_path / "usr" / "bin" / "promtool").chmod(0o644)

    with pytest.raises(ToolError):
        find_tool(Tool.PROMTOOL, tmp_path)


@pytest.mark.parametrize(("tool", "package"), [(Tool.PROMTOOL, "prometheus"), (Tool.AMTOOL, "prometheus-alertmanager")])
def test_a_missing_program_names_the_remedy(tmp_path, no_path, tool, package):
    """
    The error says which command brings the program and which package has it.
    """
    with pytest.raises(ToolError, match=rf"`make up`.*package {package}$"):
        find_tool(tool, tmp_path)


def test_an_unpacked_program_finds_its_files_in_its_folder(tmp_path):
    """
    A program that reads from /usr/share/prometheus/alertmanager reads from the unpacked folder instead, with its
    arguments and its process id as they were, and again after the folder has moved.
    """
    bin_folder = tmp_path / "tools" / "usr" / "bin"
    unpacked = program(
        bin_folder / "prometheus-alertmanager",
        ': \necho "$1" "$$"; cat /usr/share/prometheus/alertmanager/default.tmpl\n',
    )
    template = tmp_path / "tools" / "usr" / "share" / "prometheus" / "alertmanager" / "default.tmpl"
    template.parent.mkdir(parents=True)
    template.write_text("the template", encoding="utf-8")

    relocate(unpacked, tmp_path / "tools")
    relocate(unpacked, tmp_path / "tools")  # what is relocated stays so
    (tmp_path / "tools").rename(tmp_path / "moved")

    child = subprocess.Popen(
        [tmp_path / "moved" / "usr" / "bin" / "prometheus-alertmanager", "an argument"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output, _ = child.communicate(timeout=20)
    assert f"an argument {child.pid}\nthe template" == output


def test_a_program_elsewhere_is_never_touched(tmp_path):
    """
    Only what lies in the folder is changed.
    """
    elsewhere = program(tmp_path / "usr" / "bin" / "alertmanager", "/usr/share/prometheus/alertmanager")
    (tmp_path / "tools").mkdir()

    relocate(elsewhere, tmp_path / "tools")

    assert "/usr/share/prometheus/alertmanager" == elsewhere.read_text(encoding="utf-8")


def test_web_pages_of_an_unpacked_prometheus_are_found(tmp_path):
    """
    An unpacked Prometheus serves the pages beside it; one of the system or of another maker has its own.
    """
    pages = tmp_path / "usr" / "share" / "prometheus" / "web"
    pages.mkdir(parents=True)

    assert pages == web_assets(tmp_path / "usr" / "bin" / "prometheus")
    assert web_assets(Path("/usr/bin/prometheus")) is None
    assert web_assets(tmp_path / "opt" / "prometheus" / "prometheus") is None


def test_many_packages_are_downloaded_where_they_are_looked_for(tmp_path, monkeypatch):
    """
    A folder whose path has 300 letters is too long for apt, which then downloads into the root of the file system.
    """
    folders = []

    def run(_apt, cwd, *arguments):
        folders.append(cwd)
        (cwd / f"{arguments[-1]}.deb").touch()
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(tools._Apt, "_run", run)
    apt = tools._Apt(tmp_path)

    found = [apt.download(*(f"lib-of-a-long-name-{number}" for number in range(first, 40))) for first in (0, 1)]

    assert ["lib-of-a-long-name-39.deb"] == [path.name for path in found[0]]
    assert len({*folders}) == 2
    assert all(len(str(folder)) < len(str(tmp_path)) + 20 for folder in folders)
