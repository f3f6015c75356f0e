"""A disk that can be slowed while it is used: a small library, preloaded into the agents, that delays each sync.

Unprivileged, and the agents know nothing of it. It takes a C compiler.
"""

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from compose.drill.fault import Unable

_COMPILERS = ("cc", "gcc", "clang")
_COMPILE_TIMEOUT_SECONDS = 60.0
_TOLD_BY = "OUTRIDER_DRILL_SLOW_DISK"
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The file that the variable names holds the milliseconds by which a sync is late; without a file none is. */
static void wait_as_told(void) {
    const char *path = getenv("OUTRIDER_DRILL_SLOW_DISK");
    FILE *told = path ? fopen(path, "r") : NULL;
    long milliseconds = 0;
    if (!told) return;
    if (fscanf(told, "%ld", &milliseconds) == 1 && milliseconds > 0) {
        struct timespec pause = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
        nanosleep(&pause, NULL);
    }
    fclose(told);
}

int fsync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_as_told();
    return real(fd);
}

int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_as_told();
    return real(fd);
}
"""


class SlowDisks:
    """The library in *folder*, and for each agent the file that says how slow its disk is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Compile the library; raises Unable where there is no compiler or it fails."""
        compiler = next((found for name in _COMPILERS if (found := shutil.which(name))), None)
        if compiler is None:
            raise Unable(f"a slow disk needs a C compiler ({', '.join(_COMPILERS)}): install Debian's package gcc")
        self._folder.mkdir(parents=True, exist_ok=True)
        source = self._folder / "slow_disk.c"
        source.write_text(_SOURCE, "utf-8")
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(self._library), str(source), "-ldl"]
        made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_COMPILE_TIMEOUT_SECONDS)
        if made.returncode != 0:
            raise Unable(f"{compiler} cannot make the library of slow disks: {made.stderr.strip()[-300:]}")

    def environments(self, names: Iterable[str]) -> dict[str, Mapping[str, str]]:
        """Return what the agents *names* need in their environment."""
        return {name: {"LD_PRELOAD": str(self._library), _TOLD_BY: str(self._told(name))} for name in names}

    def slow(self, name: str, milliseconds: int) -> None:
        """Let each sync of *name* take *milliseconds* longer, from now on."""
        self._told(name).write_text(f"{milliseconds}\n", "ascii")

    def mend(self) -> None:
        """Give every disk its own speed again."""
        for told in self._folder.glob("*.milliseconds"):
            told.unlink()

    @property
    def _library(self) -> Path:
        return self._folder.absolute() / "slow_disk.so"

    def _told(self, name: str) -> Path:
        return self._folder.absolute() / f"{name}.milliseconds"
