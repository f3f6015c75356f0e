"""The `outrider` command as a whole."""

import pytest
from click.testing import CliRunner

from compose.cli import SECTIONS, outrider

NAMES = [name for _, commands in SECTIONS for name in commands]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_that_is_listed_loads_and_explains_itself(name):
    """
    No entry of the list leads nowhere.
    """
    result = CliRunner().invoke(outrider, [name, "--help"])

    assert 0 == result.exit_code, result.output
    assert result.output.startswith(f"Usage: outrider {name}")


def test_the_list_names_every_command_once_with_a_line():
    """
    A newcomer sees what there is.
    """
    output = CliRunner().invoke(outrider, ["--help"]).output

    assert all(f"\n  {name} " in output for name in NAMES)
    assert len(NAMES) == len(set(NAMES))


def test_an_unknown_command_is_an_error():
    """
    It says so and exits with 2.
    """
    result = CliRunner().invoke(outrider, ["agnet"])

    assert 2 == result.exit_code
    assert "agnet" in result.output


@pytest.mark.parametrize("flag", ["-v", "-version", "--version"])
def test_the_version_is_told_with_one_dash_or_two(flag):
    """
    Both spellings that a Nomad operator may try.
    """
    result = CliRunner().invoke(outrider, [flag])

    assert 0 == result.exit_code
    assert result.output.startswith("Outrider v")
