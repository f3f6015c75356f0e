"""The disk that allocations live on. Source: Nomad, client/fingerprint/storage.go."""

import os
from pathlib import Path

from agent.client.fingerprint.base import Finding, HostFiles
from agent.model.node import NodeDisk

MB = 1 << 20


def device_of(mounts: str, path: str) -> str:
    """Return the device mounted where *path* lies, of the lines of /proc/mounts; empty when none fits."""
    best, device = -1, ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 2:
            continue
        point = fields[1].replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:  # the last mount on a point hides the earlier ones
            best, device = len(point), fields[0]
    return device


def fingerprint(files: HostFiles, alloc_dir: Path) -> Finding:
    """Return the size and device of the file system that holds *alloc_dir*, which must exist."""
    room = os.statvfs(alloc_dir)
    total = room.f_blocks * room.f_frsize
    attributes = {
        "unique.storage.bytestotal": str(total),
        "unique.storage.volume": device_of(files.text("/proc/mounts"), str(alloc_dir.resolve())),
    }
    return Finding(attributes=attributes, disk=NodeDisk(disk_mb=total // MB))
