"""Finds Prometheus, Alertmanager and their checkers, and unpacks Debian's packages of them without installing.

Installing the packages would start two services on the user's machine; unpacked, their programs run from any
folder. Programs on PATH come first, so that an operator's own newer ones are used.
"""

import os
import re
import shutil
import subprocess
import tempfile
from enum import Enum
from pathlib import Path

import click

TOOLS_FOLDER = Path(".outrider/tools")
"""Where the packages are unpacked, relative to the folder the command is run in."""

PACKAGES = ("prometheus", "prometheus-alertmanager")
OPTIONAL_PACKAGES = ("promtool", "amtool")
"""Newer Debians ship the checkers on their own; older ones inside the two packages above."""

APT_TIMEOUT_SECONDS = 240.0
_WEB_SCRIPTS = re.compile(r"\b(?:libjs|fonts)-[a-z0-9.+-]+")
_SHARED = b"/usr/share/prometheus/alertmanager"
_SHARED_BY_DESCRIPTOR = b"/dev/fd//9/prometheus/alertmanager"
_DEAD_WEIGHT = ("usr/share/doc", "usr/share/man", "usr/share/javascript/moment-timezone/data/unpacked")


class Tool(Enum):
    """A program this project runs; the value lists the names it goes by, best first."""

    PROMETHEUS = ("prometheus",)
    ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")
    PROMTOOL = ("promtool",)
    AMTOOL = ("amtool",)

    @property
    def package(self) -> str:
        """The Debian package that brings the program."""
        return "prometheus" if self in {Tool.PROMETHEUS, Tool.PROMTOOL} else "prometheus-alertmanager"


class ToolError(Exception):
    """A program is missing or cannot be fetched; the message is complete and names the remedy."""


def find_tool(tool: Tool, folder: Path = TOOLS_FOLDER) -> Path:
    """Return the program's path: from PATH, else from *folder*; raises ToolError when it is in neither."""
    names: tuple[str, ...] = tool.value
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    for name in names:
        unpacked = folder / "usr" / "bin" / name
        if os.access(unpacked, os.X_OK):
            return unpacked.resolve()
    raise ToolError(
        f"{names[-1]} is neither on PATH nor in {folder}/usr/bin: `make up` and `outrider tools fetch` bring it, "
        f"or install Debian's package {tool.package}"
    )


def web_assets(prometheus: Path) -> Path | None:
    """Return the folder of Debian's web pages beside an unpacked *prometheus*, None for one that has its own."""
    pages = prometheus.parent.parent / "share" / "prometheus" / "web"
    return pages if prometheus.parent.parent != Path("/usr") and pages.is_dir() else None


def fetch(folder: Path = TOOLS_FOLDER) -> list[Path]:
    """Unpack Debian's packages into *folder* and return the four programs; does nothing when all are found.

    Needs no root: where the machine's package lists are missing or old, lists of its own are fetched.
    Raises ToolError where apt is missing or cannot download, with apt's last lines.
    """
    try:
        return _found(folder)
    except ToolError:
        pass
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise ToolError(
                f"{program} is not on this machine: put prometheus, promtool, alertmanager and amtool on PATH instead"
            )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="download-") as scratch:
        apt = _Apt(Path(scratch))
        main = apt.download(*PACKAGES)
        for package in main:
            _unpack(package, folder)
        for name in OPTIONAL_PACKAGES:
            if not (folder / "usr" / "bin" / name).exists():
                for package in apt.download(name):
                    _unpack(package, folder)
        _fetch_web_scripts(apt, main, folder)
    for path in _DEAD_WEIGHT:
        shutil.rmtree(folder / path, ignore_errors=True)
    return _found(folder)


def _found(folder: Path) -> list[Path]:
    """Return the four programs, fit to run from where they are; raises ToolError when one is missing."""
    programs = [find_tool(tool, folder) for tool in Tool]
    relocate(find_tool(Tool.ALERTMANAGER, folder), folder)
    return programs


class _Apt:
    """Downloads packages into a folder, with the machine's package lists or, failing that, lists of its own."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._options: list[str] = ["-q", "-o", "APT::Sandbox::User=root"]
        self._has_own_lists = False

    def download(self, *names: str) -> list[Path]:
        """Return the downloaded files; raises ToolError with apt's last lines when one of *names* is not to be had."""
        # A short name: where the path of the folder has 300 letters, apt downloads into the root of the file system.
        target = Path(tempfile.mkdtemp(dir=self._scratch))
        result = self._run(target, "download", *names)
        if result.returncode != 0 and not self._has_own_lists:
            self._fetch_own_lists()
            result = self._run(target, "download", *names)
        if result.returncode != 0:
            last = " / ".join((result.stdout + result.stderr).strip().splitlines()[-3:])
            raise ToolError(f"apt-get cannot download {', '.join(names)}: {last}")
        return sorted(target.glob("*.deb"))

    def _fetch_own_lists(self) -> None:
        """Fetch package lists beside the machine's own, which only root may renew."""
        lists = (self._scratch / "lists").resolve()
        (lists / "partial").mkdir(parents=True)
        own = (f"Dir::State::Lists={lists}", "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=")
        self._options += [part for option in own for part in ("-o", option)]
        self._options += ["-o", "Debug::NoLocking=1", "-o", "Acquire::Languages=none"]
        self._has_own_lists = True
        self._run(self._scratch, "update")

    def _run(self, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["apt-get", *self._options, *arguments],
                cwd=cwd,
                capture_output=True,
                text=True,
                timeout=APT_TIMEOUT_SECONDS,
                check=False,
                env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"apt-get {arguments[0]} did not end within {APT_TIMEOUT_SECONDS:.0f} s") from error


def _fetch_web_scripts(apt: _Apt, packages: list[Path], folder: Path) -> None:
    """Unpack what Prometheus' web page needs; without it everything but that page works, so failing is no error."""
    depends = "".join(
        subprocess.run(["dpkg-deb", "-f", str(package), "Depends"], capture_output=True, text=True, check=True).stdout
        for package in packages
    )
    # libjs-rickshaw wants libjs-d3, which only apt's resolver would bring.
    names = sorted({*_WEB_SCRIPTS.findall(depends), *(["libjs-d3"] if "libjs-rickshaw" in depends else [])})
    if not names:
        return
    try:
        scripts = apt.download(*names)
    except ToolError as error:
        click.echo(f"note: Prometheus' web page will not work: {error}", err=True)
        return
    for package in scripts:
        _unpack(package, folder)


def _unpack(package: Path, folder: Path) -> None:
    """Extract one package's files; raises ToolError when it is damaged."""
    result = subprocess.run(
        ["dpkg-deb", "-x", str(package), str(folder)], capture_output=True, text=True, check=False, timeout=120
    )
    if result.returncode != 0:
        raise ToolError(f"{package.name} cannot be unpacked: {result.stderr.strip()}")


def relocate(program: Path, folder: Path) -> None:
    """Make an unpacked *program* find its templates in *folder* instead of /usr/share.

    Debian's Alertmanager reads its default templates from an absolute path and ends when they are not there; no flag
    moves it. The path in a copy of the program is replaced by one of the same length, below a file descriptor on
    which a small script opens the unpacked folder. Programs on PATH are never touched.
    """
    if not program.is_relative_to(folder.resolve()):
        return
    image = program.read_bytes()
    if image.startswith(b"#!") or _SHARED not in image:
        return
    moved = folder.resolve() / "usr" / "lib" / "relocated" / program.name
    moved.parent.mkdir(parents=True, exist_ok=True)
    moved.write_bytes(image.replace(_SHARED, _SHARED_BY_DESCRIPTOR))
    moved.chmod(0o755)
    program.write_text(
        "#!/bin/sh\n"
        "# Written by `outrider tools fetch`: opens the folder that the program's templates are in, then becomes it.\n"
        'usr=$(dirname "$(dirname "$(readlink -f "$0")")")\n'
        'exec "$usr/lib/relocated/$(basename "$0")" "$@" 9< "$usr/share"\n',
        "utf-8",
    )


@click.group()
def tools() -> None:
    """Programs of others that the local cluster runs: Prometheus, Alertmanager, promtool, amtool."""


@tools.command("fetch")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=TOOLS_FOLDER,
    show_default=True,
    help="Where to unpack them.",
)
def fetch_command(folder: Path) -> None:
    """Unpack Debian's packages of Prometheus and Alertmanager into a folder, without installing them."""
    try:
        for path in fetch(folder):
            click.echo(str(path))
    except ToolError as error:
        raise click.ClickException(str(error)) from error
