"""The README says what is so."""

import re
from pathlib import Path

from alert_rules.rules import SPECS
from compose.cli import SECTIONS
from compose.settings import load_settings, parse_settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_example_of_outrider_yaml_is_accepted(tmp_path):
    """
    What a newcomer copies builds.
    """
    example = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)[1]
    file = tmp_path / "outrider.yaml"
    file.write_text(example)

    assert "production" == load_settings(file).cluster


def test_every_command_named_exists():
    """
    No `make` target and no `outrider` command is promised that is not there.
    """
    known = {name for _, commands in SECTIONS for name in commands}
    prose = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = "\n".join(inline or block for inline, block in re.findall(r"`([^`\n]+)`|```sh\n(.*?)```", prose, re.DOTALL))
    targets = set(re.findall(r"\bmake ([a-z-]+)", code))
    commands = set(re.findall(r"\boutrider ([a-z]+)", code))

    assert {"up", "test"} <= targets
    assert {"agent", "build"} <= commands
    assert set() == {target for target in targets if not re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)}
    assert set() == commands - known


def test_every_example_of_settings_is_accepted():
    """
    What is shown beside the first example can be added to it.
    """
    first, *others = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)

    assert len(others) >= 2
    for example in others:
        assert "production" == parse_settings(first + example).cluster


def test_every_alert_is_in_the_table():
    """
    The table of alerts names each alert once, and nothing that is none.
    """
    table = README.partition("## The alerts")[2].partition("\nOne fault is one notification")[0]
    words = re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b|\bWatchdog\b", table)
    alerts = [spec.alert for spec in SPECS] + ["Watchdog"]

    # The one that never notifies is not among pages and warnings.
    notifying = {name.removeprefix("Nomad").removeprefix("Outrider") for name in alerts} - {"ServerCountUnwise"}
    assert notifying == set(words)
    assert len(words) == len(set(words))


def test_the_pictures_are_there_and_small():
    """
    Two, with a text for who does not see them, and no more than 150 kB each to load.
    """
    pictures = re.findall(r"!\[([^\]]{20,})\]\((\S+)\)", README)

    assert 2 == len(pictures) == README.count("![")
    for _, name in pictures:
        content = (ROOT / name).read_bytes()
        assert content.startswith(b"\x89PNG\r\n")
        assert len(content) <= 150_000, name
