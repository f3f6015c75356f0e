"""Versions of Alertmanager, as far as they decide what a configuration may say."""

import re
from dataclasses import dataclass

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.\d+)?\Z")


@dataclass(frozen=True, slots=True, order=True)
class AlertmanagerVersion:
    """A minor version: settings come with these, patches only mend."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


OLDEST = AlertmanagerVersion(0, 25)
"""Debian 12's. What is generated for it, all later ones take."""


def parse_version(text: str) -> AlertmanagerVersion:
    """Return the version that *text*, such as "0.25" or "v0.33.1", names; raise ValueError when it names none."""
    found = _VERSION.match(text)
    if found is None:
        raise ValueError(f"{text!r} is not a version of Alertmanager")
    return AlertmanagerVersion(int(found[1]), int(found[2]))
