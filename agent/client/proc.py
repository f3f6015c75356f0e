"""Processes as /proc shows them: who they are, and what a session of them uses."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from agent.client.drivers.base import TaskUsage

PROC = Path("/proc")

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcStat:
    """One line of /proc/PID/stat. CPU times, in ticks, include those of ended children that were waited for."""

    pid: int
    state: str
    session: int
    user_ticks: int
    system_ticks: int
    started_ticks: int
    rss_pages: int


def parse_stat(text: str) -> ProcStat | None:
    """Return what a /proc/PID/stat says, None when it is damaged.

    The name of the program stands in parentheses and may hold any character, spaces and parentheses among them.
    """
    head, found, tail = text.rpartition(")")
    fields = tail.split()
    if not found or len(fields) < 22:
        return None
    pid = head.partition(" ")[0]
    return ProcStat(
        pid=int(pid),
        state=fields[0],
        session=int(fields[3]),
        user_ticks=int(fields[11]) + int(fields[13]),
        system_ticks=int(fields[12]) + int(fields[14]),
        started_ticks=int(fields[19]),
        rss_pages=int(fields[21]),
    )


def stat_of(pid: int, proc: Path = PROC) -> ProcStat | None:
    """Return the process *pid* as it is now, None when there is none."""
    try:
        return parse_stat((proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def environ_of(pid: int, proc: Path = PROC) -> dict[str, str]:
    """Return the environment that *pid* was started with, empty when it cannot be read."""
    try:
        data = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition(b"=") for item in data.split(b"\0") if item)
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, _, value in pairs}


def usage_by_session(sessions: Collection[int], proc: Path = PROC) -> dict[int, TaskUsage]:
    """Return what the processes of each of *sessions* use together; one pass over all processes."""
    found: dict[int, list[ProcStat]] = {}
    for entry in os.scandir(proc) if sessions else ():
        if entry.name.isdigit() and (stat := stat_of(int(entry.name), proc)) and stat.session in sessions:
            found.setdefault(stat.session, []).append(stat)
    return {
        session: TaskUsage(
            user_seconds=sum(stat.user_ticks for stat in stats) / _TICKS_PER_SECOND,
            system_seconds=sum(stat.system_ticks for stat in stats) / _TICKS_PER_SECOND,
            rss_bytes=sum(stat.rss_pages for stat in stats) * _PAGE_BYTES,
            swap_bytes=sum(_swap_bytes(stat.pid, proc) for stat in stats),
        )
        for session, stats in found.items()
    }


def _swap_bytes(pid: int, proc: Path) -> int:
    try:
        text = (proc / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("VmSwap:"):
            return int(line.split()[1]) * 1024
    return 0
