"""The parts of the command line: dashes, tables, times and sizes."""

import importlib
import subprocess
import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli import COMMANDS, SUMMARIES
from agent.cli.dashes import DashedCommand, two_dashes
from agent.cli.formats import ago, mebibytes, stamp, unix_seconds, wall_time
from agent.cli.placements import placement_reasons
from agent.cli.tables import columns, key_values

OPTIONS = (
    click.Option(["--address"]),
    click.Option(["--json", "as_json"], is_flag=True),
    click.Option(["-n", "--count"], type=int),
)


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["-address=a", "-json"], ["--address=a", "--json"]),
        (["--address", "a", "--json"], ["--address=a", "--json"]),
        (["-address", "-json", "x"], ["--address=-json", "x"]),
        (["-json=true", "-json=false", "x"], ["--json", "x"]),
        (["-json=maybe"], ["--json=maybe"]),
        (["-n", "-5", "-count", "-5"], ["-n", "-5", "--count=-5"]),
        (["-h", "-", "-1.5"], ["-h", "-", "-1.5"]),
        (["x", "-json"], ["x", "--json"]),
        (["-json", "--", "-json", "-address=a"], ["--json", "--", "-json", "-address=a"]),
        (["-address"], ["--address"]),
        (["-nonsense=1"], ["--nonsense=1"]),
    ],
)
def test_dashes(args, wanted):
    """
    Long options get two dashes; values, numbers, short options and what follows -- stay.
    """
    assert wanted == two_dashes(args, OPTIONS, interspersed=True)


def test_dashes_of_a_group_end_at_its_command():
    """
    What follows the name of a subcommand is left to it.
    """
    assert ["--json", "sub", "-json"] == two_dashes(["-json", "sub", "-json"], OPTIONS, interspersed=False)


@given(st.lists(st.sampled_from(["-address", "-address=x", "-json", "--json", "x", "-", "--", "-n", "7", "-7"])))
def test_dashes_do_not_change_twice(args):
    """
    What has two dashes is left as it is.
    """
    once = two_dashes(args, OPTIONS, interspersed=True)

    assert once == two_dashes(once, OPTIONS, interspersed=True)


def test_help_with_one_dash():
    """
    -h, -help and --help are the same.
    """
    from click.testing import CliRunner

    command = DashedCommand("x", params=[], callback=lambda: None, help="Does x.")

    outputs = {CliRunner().invoke(command, [flag]).output for flag in ("-h", "-help", "--help")}

    assert 1 == len(outputs)
    assert "Does x." in outputs.pop()


def test_columns():
    """
    Columns are two spaces apart, the last is not filled up, and an empty cell says so.
    """
    assert "ID    Name    X\na     <none>  1\nlong" == columns([("ID", "Name", "X"), ("a", "", 1), ("long",)])
    assert "A = 1\nB = <none>" == key_values([("A", 1), ("B", "")])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s ago"), (58, "58s ago"), (60, "1m ago"), (62, "1m2s ago"), (3600, "1h ago"), (90061, "1d1h ago"),
        (-4, "4s from now"), (86400 * 30, "1mo ago"), (86400 * 400, "1y1mo ago"),
    ],
)  # fmt: skip
def test_ago(seconds, text):
    """
    An age is told in its two largest units.
    """
    assert text == ago((1_000_000_000 - seconds) * 10**9, 1_000_000_000.0)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1, "1.0 MiB"), (48, "48 MiB"), (1536, "1.5 GiB"), (24105, "24 GiB"), (258019, "252 GiB")],
)
def test_mebibytes(count, text):
    """
    Sizes are told in their largest unit, with one decimal below ten.
    """
    assert text == mebibytes(count)


def test_times():
    """
    Times are to the second and in UTC; what is none is N/A.
    """
    assert "2026-11-22T19:26:06Z" == wall_time(1795375566935539406)
    assert "2026-11-22T19:26:06Z" == stamp("2026-11-22T20:26:06.935539406+01:00")
    assert ("N/A", "N/A", "N/A", "N/A") == (wall_time(0), stamp(None), stamp("0001-01-01T00:00:00Z"), stamp("soon"))
    assert 0.5 == unix_seconds("1970-01-01T00:00:00.5Z")


def test_placement_reasons():
    """
    Every reason is told, sorted within its kind.
    """
    metric = {
        "NodesEvaluated": 0, "NodesAvailable": {"dc2": 0, "dc1": 1}, "ClassFiltered": {"big": 1},
        "ConstraintFiltered": {"${attr.kernel.name} = windows": 2}, "NodesExhausted": 2,
        "DimensionExhausted": {"memory": 1, "cpu": 1}, "QuotaExhausted": ["q"],
    }  # fmt: skip

    assert [
        "* No nodes were eligible for evaluation",
        '* No nodes are available in datacenter "dc2"',
        '* Class "big": 1 nodes excluded by filter',
        '* Constraint "${attr.kernel.name} = windows": 2 nodes excluded by filter',
        "* Resources exhausted on 2 nodes",
        '* Dimension "cpu" exhausted on 1 nodes',
        '* Dimension "memory" exhausted on 1 nodes',
        '* Quota limit hit "q"',
    ] == placement_reasons(metric, prefix="")


def test_commands_are_where_they_say():
    """
    Every command is found at its place, and has a line for the list of commands.
    """
    assert COMMANDS.keys() == SUMMARIES.keys()
    for name, place in COMMANDS.items():
        module, _, attribute = place.partition(":")
        assert name == getattr(importlib.import_module(module), attribute).name


def test_needs_no_agent_packages():
    """
    The commands load without the packages of the extra "agent", and listing them loads none of their modules.
    """
    blocked = "import sys\nfor name in ('aiohttp','grpc','immutables','psutil','pysyncobj'): sys.modules[name] = None\n"
    listing = "import agent.cli; assert 'requests' not in sys.modules and 'click' not in sys.modules\n"
    places = {place.partition(":")[0] for place in COMMANDS.values()}

    found = subprocess.run(
        [sys.executable, "-c", blocked + listing + f"import {', '.join(sorted(places))}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (0, "") == (found.returncode, found.stderr)
