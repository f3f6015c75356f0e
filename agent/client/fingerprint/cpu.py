"""Processors: architecture, cores, clock rate, compute in MHz. Source: Nomad, client/fingerprint/cpu.go."""

from agent.client.fingerprint.base import Finding, HostFiles, whole
from agent.model.node import NodeCpu

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
"""Go's word for the kernel's."""

FREQUENCY_FALLBACK_MHZ = 1000
"""Where the host tells no clock rate, as in many virtual machines on ARM; Nomad's own fallback."""

_CPUFREQ = "/sys/devices/system/cpu/cpu0/cpufreq"


def parse_cpuinfo(text: str) -> tuple[int, str, int]:
    """Return (cores, model name, MHz) of /proc/cpuinfo; 0 or empty where it does not say."""
    cores, model, mhz = 0, "", 0.0
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        match key:
            case "processor":
                cores += 1
            case "model name":
                model = model or value
            case "cpu MHz":
                mhz = max(mhz, _number(value))
    return cores, model, round(mhz)


def fingerprint(files: HostFiles, machine: str, cores_seen: int, total_compute: int) -> Finding:
    """Return what is known of the processors.

    *machine* is the kernel's word for the architecture, *cores_seen* the count for hosts without a usable cpuinfo,
    *total_compute* the operator's MHz in place of what is found (0: as found).
    """
    cores, model, mhz = parse_cpuinfo(files.text("/proc/cpuinfo"))
    cores = cores or cores_seen
    for name in ("base_frequency", "cpuinfo_max_freq"):
        # kHz; the rated clock is steadier than the momentary one in cpuinfo, which follows the load.
        rated = whole(files.text(f"{_CPUFREQ}/{name}")) // 1000
        if rated:
            mhz = rated
            break
    mhz = mhz or FREQUENCY_FALLBACK_MHZ
    compute = total_compute or cores * mhz
    attributes = {
        "cpu.arch": ARCHITECTURES.get(machine, machine),
        "cpu.numcores": str(cores),
        "cpu.reservablecores": str(cores),
        "cpu.frequency": str(mhz),
        "cpu.totalcompute": str(compute),
        "cpu.usablecompute": str(compute),
    }
    if model:
        attributes["cpu.modelname"] = model
    cpu = NodeCpu(cpu_shares=compute, reservable_cpu_cores=list(range(cores)), total_cpu_cores=cores)
    return Finding(attributes=attributes, cpu=cpu)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
