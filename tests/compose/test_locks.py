import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "compose" / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def names(requirements: list[str]) -> set[str]:
    """Return the names of the packages in *requirements*, spelled as in a lock."""
    return {re.match(r"[\w.-]+", each)[0].lower().replace("_", "-").replace(".", "-") for each in requirements}


def locked(name: str) -> set[str]:
    text = (LOCKS / f"{name}.lock").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


BASE = names(PROJECT["project"]["dependencies"])
EXTRAS = {name: names(wanted) for name, wanted in PROJECT["project"]["optional-dependencies"].items()}
WANTED = {
    "agent": BASE | EXTRAS["agent"],
    "dev": BASE | EXTRAS["agent"] | EXTRAS["preview"] | EXTRAS["dev"],
    "build": names(PROJECT["build-system"]["requires"]),
}


@pytest.mark.parametrize("name", WANTED)
def test_every_dependency_is_locked(name):
    """
    Each dependency of pyproject.toml stands in the lock it belongs to.
    """
    assert set() == WANTED[name] - locked(name), "run `make lock`"


@pytest.mark.parametrize("name", WANTED)
def test_every_locked_package_has_a_hash(name):
    """
    Nothing is installed that was not seen when the lock was made.
    """
    entries = re.split(r"\n(?=\S)", (LOCKS / f"{name}.lock").read_text(encoding="utf-8").strip())

    assert all("--hash=sha256:" in entry for entry in entries if not entry.startswith("#"))


@pytest.mark.parametrize("name", WANTED)
def test_a_lock_names_no_host(name):
    """
    Where packages come from is the machine's own configuration.
    """
    text = (LOCKS / f"{name}.lock").read_text(encoding="utf-8")

    assert not re.search(r"https?://|--index-url|--find-links|--extra-index", text)


def test_the_agent_is_locked_as_it_is_tested():
    """
    Both locks hold the same version of every package they share.
    """
    versions = {}
    for name in ("agent", "dev"):
        text = (LOCKS / f"{name}.lock").read_text(encoding="utf-8")
        versions[name] = set(re.findall(r"^([a-z0-9-]+==\S+)", text, re.MULTILINE))

    assert set() == versions["agent"] - versions["dev"]
