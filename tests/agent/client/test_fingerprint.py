"""What the fingerprinters make of a host's files."""

import msgspec
import pytest

from agent.client.fingerprint import build, cpu, host, memory, network, nomad, storage
from agent.client.fingerprint.base import HostFiles, whole
from agent.model.node import DriverInfo, Node
from tests.agent.client.leader import settings_for

CPUINFO = """processor\t: 0
model name\t: Intel(R) Xeon(R) Processor
cpu MHz\t\t: 2299.998

processor\t: 1
model name\t: Intel(R) Xeon(R) Processor
cpu MHz\t\t: 2300.404
"""
CPUINFO_ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nprocessor\t: 1\nprocessor\t: 2\n"
OS_RELEASE = 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n# a comment=x\nBROKEN="\n'
ROUTES = (
    "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    "eth1\t00000000\t0101A8C0\t0003\t0\t0\t200\t00000000\n"
    "eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\n"
    "eth2\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
)
MOUNTS = (
    "/dev/vda / ext4 rw 0 0\ntmpfs /var/lib tmpfs rw 0 0\n/dev/vdb /var/lib ext4 rw 0 0\n/dev/vdc /var/li xfs rw 0 0\n"
)


def host_with(tmp_path, **files):
    """Return the files of a host that has only *files*, named with underscores for slashes."""
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return HostFiles(tmp_path)


def test_compute_is_cores_times_clock(tmp_path):
    """
    Without a rated clock the momentary one counts, rounded to MHz.
    """
    found = cpu.fingerprint(host_with(tmp_path, proc__cpuinfo=CPUINFO), "x86_64", 8, 0)

    assert {
        "cpu.arch": "amd64", "cpu.numcores": "2", "cpu.reservablecores": "2", "cpu.frequency": "2300",
        "cpu.totalcompute": "4600", "cpu.usablecompute": "4600", "cpu.modelname": "Intel(R) Xeon(R) Processor",
    } == found.attributes  # fmt: skip
    assert (4600, 2, [0, 1]) == (found.cpu.cpu_shares, found.cpu.total_cpu_cores, found.cpu.reservable_cpu_cores)


def test_the_rated_clock_goes_before_the_momentary_one(tmp_path):
    """
    A base frequency in kHz is what the host promises.
    """
    files = host_with(
        tmp_path, proc__cpuinfo=CPUINFO, sys__devices__system__cpu__cpu0__cpufreq__base_frequency="2000000\n"
    )

    assert "2000" == cpu.fingerprint(files, "x86_64", 2, 0).attributes["cpu.frequency"]


def test_a_host_that_tells_no_clock_gets_a_fallback(tmp_path):
    """
    On hosts without a clock rate 1 GHz is assumed, and an operator's figure wins over everything.
    """
    files = host_with(tmp_path, proc__cpuinfo=CPUINFO_ARM)

    found = cpu.fingerprint(files, "aarch64", 1, 0)

    assert ("arm64", "3000") == (found.attributes["cpu.arch"], found.attributes["cpu.totalcompute"])
    assert "cpu.modelname" not in found.attributes
    assert 7777 == cpu.fingerprint(files, "aarch64", 1, 7777).cpu.cpu_shares
    assert "4" == cpu.fingerprint(HostFiles(tmp_path / "nothing"), "riscv64", 4, 0).attributes["cpu.numcores"]


def test_memory_is_counted_in_bytes_and_mb(tmp_path):
    """
    MemTotal in kB becomes bytes in the attribute, MB in the resource; an operator's figure wins.
    """
    files = host_with(tmp_path, proc__meminfo="MemTotal:       24684084 kB\nMemFree:  1 kB\n")

    found = memory.fingerprint(files, 0)

    assert ("25276502016", 24105) == (found.attributes["memory.totalbytes"], found.memory.memory_mb)
    assert 512 == memory.fingerprint(files, 512).memory.memory_mb


def test_storage_is_the_file_system_of_the_allocations(tmp_path):
    """
    The size is that of the directory's file system; the device the longest mount above it, the last of several.
    """
    found = storage.fingerprint(HostFiles(tmp_path), tmp_path)

    assert found.disk.disk_mb == int(found.attributes["unique.storage.bytestotal"]) >> 20 > 0
    assert "/dev/vdb" == storage.device_of(MOUNTS, "/var/lib/outrider")
    assert "/dev/vda" == storage.device_of(MOUNTS, "/var/library")
    assert "" == storage.device_of("", "/var")


def test_the_interface_is_the_default_routes(tmp_path):
    """
    The default route with the least metric names the interface; its IPv4 address comes first.
    """
    files = host_with(tmp_path, proc__net__route=ROUTES, sys__class__net__eth0__speed="10000\n")
    addresses = {"eth0": [("fe80::1%eth0", ""), ("fd00::5", ""), ("192.168.0.5", "255.255.255.0")], "lo": []}

    found = network.fingerprint(files, addresses, "")

    assert {"unique.network.ip-address": "192.168.0.5"} == found.attributes
    assert [("192.168.0.5/32", 10000), ("fd00::5/128", 10000)] == [(one.cidr, one.mbits) for one in found.networks]


@pytest.mark.parametrize(("wanted", "device"), [("eth9", "lo"), ("", "lo"), ("eth0", "eth0")])
def test_loopback_stands_in_for_an_interface_that_is_not_there(tmp_path, wanted, device):
    """
    Without a usable interface a client is still reachable from its own host; unknown speeds count as 1 Gbit.
    """
    addresses = {"lo": [("127.0.0.1", "")], "eth0": [("10.0.0.1", "")]}
    files = host_with(tmp_path, sys__class__net__lo__speed="-1\n")

    found = network.fingerprint(files, addresses, wanted)

    assert (device, 1000) == (found.networks[0].device, found.networks[0].mbits)


def test_the_system_is_named_as_nomad_names_it(tmp_path):
    """
    Distribution, point release of Debian, kernel and cgroups stand under Nomad's attributes.
    """
    files = host_with(tmp_path, etc__os_release=OS_RELEASE, etc__debian_version="12.11\n", proc__cgroups="")
    (tmp_path / "etc/os_release").rename(tmp_path / "etc/os-release")

    found = host.fingerprint(files, system="Linux", release="6.18.44", machine="x86_64", hostname="vm").attributes

    signals = found.pop("os.signals").split(",")
    assert {
        "kernel.name": "linux", "kernel.version": "6.18.44", "kernel.arch": "x86_64", "os.name": "debian",
        "os.version": "12.11", "os.cgroups.version": "1", "unique.hostname": "vm",
    } == found  # fmt: skip
    assert {"SIGINT", "SIGKILL", "SIGTERM", "SIGUSR1"} <= set(signals)


def test_cgroups_are_told_apart(tmp_path):
    """
    The unified hierarchy is version 2; a host without any says off.
    """
    assert "off" == host.cgroups_version(HostFiles(tmp_path))
    assert "1" == host.cgroups_version(host_with(tmp_path, proc__cgroups=""))
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").touch()
    assert "2" == host.cgroups_version(HostFiles(tmp_path))


def test_a_node_is_made_of_what_was_found(tmp_path):
    """
    Attributes and resources come together with the drivers, of which only healthy ones get an attribute.
    """
    settings = settings_for(tmp_path, cpu_total_compute=1000, memory_total_mb=512, meta={"rack": "r1"})
    settings.alloc_dir.mkdir()
    drivers = {"raw_exec": DriverInfo(detected=True, healthy=True), "exec": DriverInfo(detected=True)}

    node = build.node_of(settings, "n1", "s1", build.findings(settings, HostFiles()), drivers)

    resources = node.node_resources
    assert (1000, 512) == (resources.cpu.cpu_shares, resources.memory.memory_mb)
    assert resources.disk.disk_mb > 0
    assert resources.networks
    assert "1" == node.attributes["driver.raw_exec"]
    assert "driver.exec" not in node.attributes
    assert (build.version(), "initializing", {"rack": "r1"}) == (node.version, node.status, node.meta)


def test_the_class_of_a_node_is_what_constraints_can_tell():
    """
    Hosts that differ in unique attributes alone share a class; any other difference makes another.
    """
    node = Node(id="a", attributes={"cpu.arch": "amd64", "unique.hostname": "a"}, meta={"unique.x": "1"})
    twin = Node(id="b", attributes={"unique.hostname": "b", "cpu.arch": "amd64"}, meta={})

    assert build.computed_class(node) == build.computed_class(twin)
    for change in ({"attributes": {"cpu.arch": "arm64"}}, {"meta": {"rack": "1"}}, {"node_pool": "x"}):
        assert build.computed_class(node) != build.computed_class(msgspec.structs.replace(node, **change))


def test_small_parts():
    """
    Numbers with blanks are read, anything else gives the default; the agent tells its version and address.
    """
    assert (-1, 12, 5) == (whole("-1\n"), whole(" 12 "), whole("x", 5))
    found = nomad.fingerprint("1.2.3", "127.0.0.1:4646").attributes
    assert {"nomad.version": "1.2.3", "unique.advertise.address": "127.0.0.1:4646"} == found
