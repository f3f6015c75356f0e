"""The old switches below client { options { … } }: those with an effect, those that protect, and the rest.

Source: the options parameters of Nomad's client block; the names from before 1.0 (whitelist, blacklist) still count.
"""

from collections.abc import Mapping
from dataclasses import dataclass

RAW_EXEC = "raw_exec"

_ENABLE = f"driver.{RAW_EXEC}.enable"
_ALLOWED = ("driver.allowlist", "driver.whitelist")
_DENIED = ("driver.denylist", "driver.blacklist")
_PROTECTIVE = ("env.blacklist", "env.denylist", "user.blacklist", "user.checked_drivers", "user.denylist")


@dataclass(frozen=True, slots=True)
class Options:
    """What the options say. `raw_exec_allowed` is false where a list forbids the driver, whatever enables it."""

    raw_exec_enabled: bool
    raw_exec_allowed: bool
    protective: tuple[str, ...]
    without_effect: tuple[str, ...]


def read_options(options: Mapping[str, str]) -> Options:
    """Return what *options* mean; names in both tuples are sorted."""
    allowed = _names(options, _ALLOWED)
    known = {_ENABLE, *_ALLOWED, *_DENIED, *_PROTECTIVE}
    return Options(
        raw_exec_enabled=options.get(_ENABLE, "").lower() in {"1", "true"},
        raw_exec_allowed=(not allowed or RAW_EXEC in allowed) and RAW_EXEC not in _names(options, _DENIED),
        protective=tuple(sorted(name for name in _PROTECTIVE if options.get(name))),
        without_effect=tuple(sorted(name for name in options if name not in known)),
    )


def _names(options: Mapping[str, str], keys: tuple[str, ...]) -> set[str]:
    """Return the drivers that any of *keys* lists, separated by commas."""
    return {name.strip() for key in keys for name in options.get(key, "").split(",") if name.strip()}
