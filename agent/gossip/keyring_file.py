"""The file that keeps the keys of gossip over a restart: a JSON list, the primary key first. Shell."""

import json
import os
from pathlib import Path

from agent.config.gossip_keys import BadKey, key_text, parse_key
from agent.errors import ConfigError


def read_keys(path: Path) -> list[bytes]:
    """Return the keys in *path*, none when there is no such file; raises ConfigError when it is damaged."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the keyring {path} cannot be read: {error}; restore it, or remove it to use encrypt"
        ) from error
    if not isinstance(listed, list) or not listed:
        raise ConfigError(f"the keyring {path} is no list of keys; restore it, or remove it to use encrypt")
    try:
        return [parse_key(str(text)) for text in listed]
    except BadKey as error:
        raise ConfigError(f"the keyring {path}: {error}; restore it, or remove it to use encrypt") from error


def write_keys(path: Path, keys: list[bytes]) -> None:
    """Replace *path* in one step by one that holds *keys* and only its owner may read; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump([key_text(key) for key in keys], file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
