"""Finds the outside programs that tests run: every version of Prometheus and Alertmanager on the machine."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

FOLDERS_VARIABLE = "OUTRIDER_PROMETHEUS_DIR"
"""Folders with programs, separated by colons, looked at first."""

_ALIASES = {"alertmanager": ("prometheus-alertmanager", "alertmanager")}
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
                found.setdefault(version, Program(Path(program), version))
    return sorted(found.values(), key=lambda each: [int(part) for part in each.version.split(".")])


def find_or_explain(name: str) -> tuple[list[Program], str]:
    """Return what `find` does, and the reason to print when it is nothing."""
    reason = f"{name} is neither in ${FOLDERS_VARIABLE}, nor in .outrider/tools, nor on PATH: `make up` brings it"
    return find(name), reason


def _version(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    text = (said.stdout + said.stderr).split("version ", 1)[-1].split()[0]
    digits = "".join(letter if letter.isdigit() or letter == "." else " " for letter in text).split()
    return digits[0].strip(".")
