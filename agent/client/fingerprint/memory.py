"""Memory of the host. Source: Nomad, client/fingerprint/memory.go."""

import re

from agent.client.fingerprint.base import Finding, HostFiles
from agent.model.node import NodeMemory

MB = 1 << 20

_TOTAL = re.compile(r"^MemTotal:\s+(\d+) kB", re.MULTILINE)


def parse_meminfo_total(text: str) -> int:
    """Return the bytes of memory in /proc/meminfo, 0 when it does not say."""
    matched = _TOTAL.search(text)
    return int(matched[1]) * 1024 if matched else 0


def fingerprint(files: HostFiles, memory_total_mb: int) -> Finding:
    """Return what is known of the memory; *memory_total_mb* is the operator's, in place of what is found (0: as found)."""
    total = memory_total_mb * MB or parse_meminfo_total(files.text("/proc/meminfo"))
    return Finding(attributes={"memory.totalbytes": str(total)}, memory=NodeMemory(memory_mb=total // MB))
