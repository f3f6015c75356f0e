"""A disk in memory that can lose power: what the log's own calls wrote, and what of it would still be there.

The real `FileLog` and `SnapshotStore` run on it unchanged. `DiskPath` stands where they take a `Path`, `on_disks` puts
a look-alike of `os` into their module for as long as it is entered. What a crash leaves is what POSIX promises and no
more: the content of a file up to its last fsync, a name up to the last fsync of its folder; names change in the order
in which they were changed. What came after may be there, in part, or as zeros where only the length was written.

A `fuse` runs down with every byte written and every other change; at its end the power goes, in the middle of a write
as well, and `PowerLost` unwinds the process that made the call.
"""

import os
from contextlib import contextmanager
from fnmatch import fnmatch
from io import BytesIO
from itertools import count
from types import SimpleNamespace

from agent.consensus import wal
from agent.consensus.wal_format import read_record, read_segment_header

SECTOR_BYTES = 512
"""Where zeros may begin, beside the end of what is durable."""


class PowerLost(BaseException):
    """The process on *disk* is gone; nothing in it may catch this."""

    def __init__(self, disk):
        super().__init__(disk.name)
        self.disk = disk


class File:
    """The bytes that a process reads, and those that outlive it."""

    def __init__(self, content=b""):
        self.data, self.durable = bytearray(content), bytes(content)

    def left(self, kept_bytes, *, zeros=False):
        """Return what a crash leaves that kept *kept_bytes* of what is not synced, and the rest as *zeros*."""
        if not self.data.startswith(self.durable):
            return bytes(self.data) if kept_bytes else self.durable  # it was made shorter, and that is there or not
        keep = min(len(self.data), len(self.durable) + kept_bytes)
        return bytes(self.data[:keep]) + (bytes(len(self.data) - keep) if zeros else b"")


class Disk:
    """The files of one server, by name. *on_change* is called after each byte written and each other change."""

    def __init__(self, name="disk", contents=(), on_change=None):
        self.name, self.on_change = name, on_change
        self.fuse = None
        self.files = {key: File(content) for key, content in dict(contents).items()}
        self._names = [self.files]

    # Losing power.

    def survivors(self, *, names, data, zeros=False):
        """Return bytes by name after a loss of power: with the changes of *names* and the *data* that are unsynced."""
        files = self._names[-1 if names else 0]
        return {name: file.left(len(file.data) if data else 0, zeros=zeros) for name, file in files.items()}

    def crash(self, rng):
        """Lose power: *rng* decides what of the unsynced is there."""
        contents = {}
        for name, file in rng.choice(self._names).items():
            unsynced = max(0, len(file.data) - len(file.durable))
            kept, zeros = rng.choice((0, rng.randint(0, unsynced), unsynced)), rng.random() < 0.2
            if zeros:
                # A sector is written whole or not at all.
                kept = max(0, (len(file.durable) + kept) // SECTOR_BYTES * SECTOR_BYTES - len(file.durable))
            contents[name] = file.left(kept, zeros=zeros)
        self.__init__(self.name, contents, self.on_change)

    def _changed(self):
        if self.on_change is not None:
            self.on_change()

    def _spend(self):
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise PowerLost(self)

    # Changing.

    def write(self, file, data):
        if self.on_change is None and self.fuse is None:
            file.data += data
            return len(data)
        for number in range(len(data)):
            self._spend()
            file.data += data[number : number + 1]
            self._changed()
        return len(data)

    def truncate(self, name, size):
        self._spend()
        del self.files[name].data[size:]
        self._changed()

    def sync(self, file):
        """Make the content of *file* durable, of the folder for None."""
        self._spend()
        if file is None:
            self._names = [self.files]
        else:
            file.durable = bytes(file.data)
        self._changed()

    def create(self, name):
        self._rename({**self.files, name: File()})

    def unlink(self, name):
        self._rename({key: file for key, file in self.files.items() if key != name})

    def rename(self, name, to):
        self._rename({**{key: file for key, file in self.files.items() if key != name}, to: self.files[name]})

    def _rename(self, files):
        self._spend()
        self.files = files
        self._names.append(files)
        self._changed()


def begin_of(content):
    """Return where the records begin in the *content* of a segment."""
    return read_segment_header(content).size_bytes


def last_record(content):
    """Return the last whole record in the *content* of a segment, behind its offset; (None, None) for none."""
    last, record, offset = None, None, begin_of(content)
    while (found := read_record(content, offset)) is not None:
        last, record, offset = offset, found, found.end
    return last, record


class DiskPath:
    """A path on a disk: what the log and the snapshots ask of a `Path`. The folder itself has no name."""

    def __init__(self, disk, name=""):
        self.disk, self.name = disk, name

    def __truediv__(self, name):
        return DiskPath(self.disk, name)

    def __lt__(self, other):
        return self.name < other.name

    def __str__(self):
        return f"{self.disk.name}/{self.name}"

    @property
    def parent(self):
        return DiskPath(self.disk)

    def with_name(self, name):
        return DiskPath(self.disk, name)

    def mkdir(self, **_how):
        """The folder is there."""

    def glob(self, pattern):
        return [self / name for name in self.disk.files if fnmatch(name, pattern)]

    def read_bytes(self):
        return bytes(self._file().data)

    def open(self, _mode):
        return BytesIO(self.read_bytes())

    def stat(self):
        return SimpleNamespace(st_size=len(self._file().data), st_mtime=0.0)

    def unlink(self):
        self._file()
        self.disk.unlink(self.name)

    def replace(self, to):
        self._file()
        self.disk.rename(self.name, to.name)

    def _file(self):
        if self.name not in self.disk.files:
            raise FileNotFoundError(str(self))
        return self.disk.files[self.name]


class DiskOs:
    """The calls of `os` that the log makes, for paths on disks and descriptors of them; all else is `os` itself."""

    def __init__(self):
        self._open = {}
        self._numbers = count(1_000_000)

    def __getattr__(self, name):
        return getattr(os, name)

    def open(self, path, flags, mode=0o777):
        if not isinstance(path, DiskPath):
            return os.open(path, flags, mode)
        if path.name and (flags & os.O_TRUNC or path.name not in path.disk.files):
            assert flags & os.O_CREAT, f"{path} is not there"
            path.disk.create(path.name)
        number = next(self._numbers)
        self._open[number] = (path.disk, path.disk.files[path.name] if path.name else None)
        return number

    def write(self, descriptor, data):
        if descriptor not in self._open:
            return os.write(descriptor, data)
        disk, file = self._open[descriptor]
        return disk.write(file, data)

    def fsync(self, descriptor):
        if descriptor not in self._open:
            return os.fsync(descriptor)
        disk, file = self._open[descriptor]
        return disk.sync(file)

    fdatasync = fsync

    def close(self, descriptor):
        if descriptor not in self._open:
            return os.close(descriptor)
        return self._open.pop(descriptor)

    def truncate(self, path, size):
        if not isinstance(path, DiskPath):
            return os.truncate(path, size)
        return path.disk.truncate(path.name, size)


@contextmanager
def on_disks():
    """Let the log and the snapshots write to disks in memory where they are given paths on them."""
    before, wal.os = wal.os, DiskOs()
    try:
        yield
    finally:
        wal.os = before
