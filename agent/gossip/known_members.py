"""The members that a server knew, kept over a restart: it finds its cluster again although nobody is configured.

A file of a first line and one line a member, `checksum name host:port`, replaced in one step; at most KNOWN_MAX. A line
that is damaged is passed over: the file is a memory, and what an operator configured is joined in any case.

Source: Nomad, `server/serf/snapshot`; hashicorp/serf, snapshot.go. Theirs forgets members that failed, so that a server
that was cut off from all and restarted would find nobody.
"""

import logging
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

HEADER = "outrider-members 1"

KNOWN_MAX = 64
"""Members that are kept: one that answers is enough to find the others."""

_FILE_BYTES_MAX = 64 * 1024


class KnownMembers:
    """Addresses (host:port) by name. Not thread-safe; `write` may block, so it is given what to write."""

    def __init__(self, path: Path | None, logger: logging.Logger) -> None:
        """Read *path*; without one, or when it cannot be read, nobody is known."""
        self._path = path
        self._logger = logger
        self._failed = False
        self.addresses: dict[str, str] = {} if path is None else _read(path, logger)

    def add(self, name: str, address: str) -> bool:
        """Know *name* at *address*; return whether that is news. The one that was known for longest may have to go."""
        if self.addresses.get(name) == address:
            return False
        self.addresses.pop(name, None)
        self.addresses[name] = address
        if len(self.addresses) > KNOWN_MAX:
            del self.addresses[next(iter(self.addresses))]
        return True

    def drop(self, name: str) -> bool:
        """Know *name* no more; return whether it was known."""
        return self.addresses.pop(name, None) is not None

    def forget_self(self, name: str, address: str) -> None:
        """Drop whoever has the name or the address of this server: joining itself would look like success."""
        self.addresses = {known: at for known, at in self.addresses.items() if known != name and at != address}

    def write(self, addresses: Mapping[str, str]) -> None:
        """Put *addresses* into the file, durably; a failure is logged once and costs only the memory. For any thread."""
        if self._path is None:
            return
        lines = [HEADER, *(_line(name, address) for name, address in addresses.items())]
        scratch = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self._path)
        except OSError as error:
            if not self._failed:
                self._logger.warning("members are not remembered over a restart: file=%s reason=%s", self._path, error)
            self._failed = True
        else:
            self._failed = False


def _line(name: str, address: str) -> str:
    text = f"{name} {address}"
    return f"{zlib.crc32(text.encode()):08x} {text}"


def _read(path: Path, logger: logging.Logger) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX).decode("utf-8", "replace")
    except FileNotFoundError:
        return {}
    except OSError as error:
        logger.warning("the members known before are not read: file=%s reason=%s", path, error)
        return {}
    header, *lines = content.split("\n")
    found: dict[str, str] = {}
    for line in lines:
        _, _, text = line.partition(" ")
        name, _, address = text.rpartition(" ")
        if header == HEADER and name and line == _line(name, address):
            found[name] = address
    damaged = sum(bool(line) for line in lines) - len(found)
    if damaged or header != HEADER:
        logger.warning("lines of the members known before are damaged and passed over: file=%s lines=%d", path, damaged)
    return dict(list(found.items())[-KNOWN_MAX:])
