"""What the engine needs of a log, whatever it is kept in. Pure."""

from typing import Protocol

from agent.consensus.wal_format import Damage

LogEntry = tuple[bytes, int, int]
"""(command, index, term)"""


class RaftLog(Protocol):
    """What the engine needs of a log. Never empty: the first entry may be a mere mark of index and term."""

    entries: list[LogEntry]
    """In order, without gaps; owned by the log, read by the engine."""
    damage: Damage | None
    """What was cut off this log as damaged, until `heal`."""
    begins_at: str
    """The place of the first record, for messages."""

    @property
    def term(self) -> int:
        """The newest term this server has seen."""

    @property
    def voted_for(self) -> str | None:
        """The server id this server voted for in `term`."""

    @property
    def durable_index(self) -> int:
        """The last index that survives a crash."""

    @property
    def disk_bytes(self) -> int:
        """Bytes of the log's files; 0 for a log in memory."""

    def append(self, command: bytes, index: int, term: int) -> None:
        """Add the entry that follows the last one; durable after `sync`."""

    def truncate_from(self, index: int) -> None:
        """Drop entries from *index* on; durable after `sync`."""

    def compact_to(self, index: int) -> None:
        """Forget entries before *index*, which stays; a snapshot must cover them."""

    def reset(self, index: int, term: int) -> None:
        """Forget everything and begin after (*index*, *term*), durably; a snapshot must cover them."""

    def sync(self) -> None:
        """Make everything appended and truncated durable; one write and one fdatasync for all of it."""

    def set_term_and_vote(self, term: int, voted_for: str | None) -> None:
        """Record the term and the vote in it; durable on return."""

    def heal(self) -> None:
        """Forget `damage`, durably: what was cut off is here again, or is known to count for nothing."""

    @property
    def cluster_id(self) -> str:
        """The id of the cluster that this log is of; empty while it is not known."""

    def identify(self, cluster_id: str) -> None:
        """Write down that this log is of *cluster_id*, once and for good; durable on return."""

    def oldest_age_seconds(self) -> float:
        """Seconds since the oldest entry was appended."""

    def close(self) -> None:
        """Make everything durable and close the files; idempotent."""
