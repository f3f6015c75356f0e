"""A server whose log lost its end to damage: it is *recovering*, and must not vote until its peers gave it back.

The damaged record may be one that it answered for. A majority that stored it, this server among them, could then elect
a leader that never had it. So while `due`, a server neither votes nor stands for election; it follows a leader, and
acknowledges what it really holds. It is healed as soon as its log is what it would be, had nothing been damaged:

- a leader vouched for its log up to the last index that can have been lost. Every leader whose election this server
  took no part in has what was committed before it, so what it sends there is the lost entry, or proves that it was not
  committed;
- or one record was lost and a leader replaced what stands before it: the lost one would have been replaced with it;
- or a leader vouched for an entry of a later term than any that can have been lost, by which all older ones that follow
  would have been replaced;
- or a snapshot covers it.

An answer that was given before the damage counts on: the leader that counts it has the entry, and while it leads, or
others of its majority live, it cannot be lost; if they do not, nobody is elected.

Source: Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018: a damaged entry is no missing
one, and its server must not let a log that lacks it win. CTRL keeps identifiers beside the entries to ask for each; with
one record at the end, its place in the log is enough.
"""

import logging
import math

from agent.consensus.raft_log import RaftLog
from agent.consensus.wal import REMEDY
from agent.errors import ConfigError
from telemetry.clock import Clock

_FIRST_REMINDER_SECONDS = 5.0
"""A group that starts together has a leader by then."""

_REMIND_SECONDS = 60.0
"""How often the log says that this server waits."""

_UNLED = (
    "and no leader is heard: start the other servers; if so many of them say the same or are gone that the rest is no "
    "majority, nobody can be elected: stop all, copy their data directories away, and name the servers in "
    "raft/peers.json of each, which gives up what was damaged"
)


class Healing:
    """What became of the damage of *log*. Belongs to the thread that steps."""

    def __init__(self, log: RaftLog, clock: Clock, logger: logging.Logger) -> None:
        self._log, self._clock, self._logger = log, clock, logger
        self._held = False
        self._replaced_at = math.inf
        self._remind_at = clock.monotonic() + _FIRST_REMINDER_SECONDS
        if log.damage is not None:
            logger.warning(
                "raft: recovering: the end of the log was damaged, and this server neither votes nor stands for "
                "election until a leader has replicated it file=%s offset=%d lost_index=%d last_index=%d",
                log.damage.file,
                log.damage.offset,
                log.damage.lost_index,
                log.entries[-1][1],
            )

    @property
    def due(self) -> bool:
        """Whether this server is recovering."""
        return self._log.damage is not None

    def vouched(self, index: int, term: int) -> None:
        """Take that a leader, or a snapshot, vouches for the log up to the entry *index*, which has *term*."""
        damage = self._log.damage
        if damage is not None and (index >= min(damage.lost_index, self._replaced_at) or term > damage.term):
            self._held = True

    def replaced(self, index: int) -> None:
        """Take that a leader has other entries from *index* on than stood here.

        One record behind the end of this log would have gone with them; of several, some may have replaced the same.
        """
        damage = self._log.damage
        if damage is not None and damage.single:
            self._replaced_at = min(self._replaced_at, index)

    def settle(self) -> None:
        """End the recovery, if it is over and what ended it is durable by now."""
        if not self._held:
            return
        self._held = False
        self._log.heal()
        self._logger.warning(
            "raft: healed: the log has again what it lost, and this server votes last_index=%d",
            self._log.entries[-1][1],
        )

    def accept_loss(self) -> None:
        """End the recovery by an operator's word: what was lost is lost."""
        damage = self._log.damage
        if damage is None:
            return
        self._log.heal()
        self._logger.warning(
            "raft: healed: by peers.json what was damaged is given up file=%s offset=%d lost_index=%d",
            damage.file,
            damage.offset,
            damage.lost_index,
        )

    def remind(self, *, led: bool) -> None:
        """Say now and then that this server still waits: for a leader, and what can be done; or, *led*, for its log."""
        damage = self._log.damage
        if damage is None or self._clock.monotonic() < self._remind_at:
            return
        self._remind_at = self._clock.monotonic() + _REMIND_SECONDS
        self._logger.warning(
            "raft: recovering, %s file=%s offset=%d lost_index=%d last_index=%d",
            "and the log of the leader does not reach beyond what may be lost: the next writes heal it"
            if led
            else _UNLED,
            damage.file,
            damage.offset,
            damage.lost_index,
            self._log.entries[-1][1],
        )

    def require_snapshot(self, *, there: bool) -> None:
        """Raise ConfigError when nothing was left of the log, and no snapshot is *there* to begin with."""
        damage = self._log.damage
        if damage is not None and damage.kept_index == 0 and not there:
            raise ConfigError(
                f"{damage.file}: offset {damage.offset}: the only record of the Raft log was damaged, and there is no "
                f"snapshot; {REMEDY}"
            )

    def require_peers(self) -> None:
        """Raise ConfigError when this server is recovering; called where no other server votes."""
        damage = self._log.damage
        if damage is not None:
            raise ConfigError(
                f"{damage.file}: offset {damage.offset}: the last record of the Raft log was damaged, entry "
                f"{damage.lost_index} may be lost, and there is no other voter to heal it from; restore the data "
                "directory, or give the entry up by a peers.json beside the file that names this server alone"
            )
