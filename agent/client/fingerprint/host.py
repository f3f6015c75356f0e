"""The operating system: kernel, distribution, name, signals, cgroups. Source: Nomad, client/fingerprint/host.go."""

import shlex
import signal

from agent.client.fingerprint.base import Finding, HostFiles


def parse_os_release(text: str) -> dict[str, str]:
    """Return the variables of /etc/os-release, unquoted."""
    values = {}
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator and not key.startswith("#"):
            try:
                words = shlex.split(value)
            except ValueError:  # an unbalanced quote
                continue
            values[key.strip()] = words[0] if words else ""
    return values


def cgroups_version(files: HostFiles) -> str:
    """Return "2" for the unified hierarchy, "1" for the older ones, "off" for a host without."""
    if files.exists("/sys/fs/cgroup/cgroup.controllers"):
        return "2"
    return "1" if files.exists("/proc/cgroups") else "off"


def fingerprint(files: HostFiles, *, system: str, release: str, machine: str, hostname: str) -> Finding:
    """Return what is known of the system; the words are those of uname."""
    values = parse_os_release(files.text("/etc/os-release"))
    # Debian's own file tells the point release, which os-release lacks.
    debian = files.text("/etc/debian_version").strip() if values.get("ID") == "debian" else ""
    attributes = {
        "kernel.name": system.lower(),
        "kernel.version": release,
        "kernel.arch": machine,
        "os.name": values.get("ID", system.lower()),
        "os.version": debian or values.get("VERSION_ID", ""),
        "os.signals": ",".join(sorted(one.name for one in signal.Signals if not one.name.startswith("SIGRT"))),
        "os.cgroups.version": cgroups_version(files),
        "unique.hostname": hostname,
    }
    return Finding(attributes=attributes)
