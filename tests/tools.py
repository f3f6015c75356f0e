"""Finds the outside programs that tests run: every version of Prometheus and Alertmanager on the machine."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from compose.tools import relocate

FOLDERS_VARIABLE = "OUTRIDER_PROMETHEUS_DIR"
"""Folders with programs, separated by colons, looked at first."""

_ALIASES = {"alertmanager": ("prometheus-alertmanager", "alertmanager")}
_TEMPLATES = Path("usr/share/prometheus/alertmanager")
_NEWER_TEMPLATES = '{{ define "discord.default.content" }}{{ end }}\n'
"""What Alertmanager 0.28 and later wants of its default templates besides those of 0.25."""
_PROJECT_FOLDERS = (Path(".outrider/tools/bin"), Path(".outrider/tools/usr/bin"))


@dataclass(frozen=True)
class Program:
    """One program in one version."""

    path: Path
    version: str

    def __str__(self) -> str:
        return f"{self.path.name}-{self.version}"

    def run(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run it to its end and return what it said."""
        return subprocess.run([self.path, *arguments], capture_output=True, text=True, timeout=timeout, check=False)


def find(name: str) -> list[Program]:
    """Return each version of *name* that is found, the first of its version only, oldest version first."""
    root = Path(__file__).resolve().parent.parent
    folders = [Path(folder) for folder in os.environ.get(FOLDERS_VARIABLE, "").split(":") if folder]
    folders += [root / folder for folder in _PROJECT_FOLDERS]
    folders += [Path(folder) for folder in os.environ.get("PATH", "").split(":") if folder]
    found: dict[str, Program] = {}
    for folder in folders:
        for alias in _ALIASES.get(name, (name,)):
            program = shutil.which(alias, path=str(folder))
            if program is not None:
                version = _version(program)
                if version not in found:
                    found[version] = Program(_runnable(Path(program), version, root), version)
    return sorted(found.values(), key=lambda each: [int(part) for part in each.version.split(".")])


def _runnable(program: Path, version: str, root: Path) -> Path:
    """Return *program*, or a copy that finds the templates which it would look for in a package that is not installed.

    Debian's Alertmanager reads them from /usr/share; the copy is given those that `make tools` unpacked.
    """
    unpacked = root / ".outrider/tools" / _TEMPLATES
    if "alertmanager" not in program.name or Path("/", _TEMPLATES).exists() or not unpacked.exists():
        return program
    with program.open("rb") as image:
        if image.read(2) == b"#!":
            return program  # the project's own, which finds them already
    home = (root / ".outrider/relocated" / version).resolve()
    copy = home / "usr/bin" / program.name
    if not copy.exists():
        shutil.copytree(unpacked, home / _TEMPLATES, dirs_exist_ok=True)
        with (home / _TEMPLATES / "default.tmpl").open("a") as templates:
            templates.write(_NEWER_TEMPLATES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program, copy)
        relocate(copy, home)
    return copy


def find_or_explain(name: str) -> tuple[list[Program], str]:
    """Return what `find` does, and the reason to print when it is nothing."""
    reason = f"{name} is neither in ${FOLDERS_VARIABLE}, nor in .outrider/tools, nor on PATH: `make up` brings it"
    return find(name), reason


def _version(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    text = (said.stdout + said.stderr).split("version ", 1)[-1].split()[0]
    digits = "".join(letter if letter.isdigit() or letter == "." else " " for letter in text).split()
    return digits[0].strip(".")
