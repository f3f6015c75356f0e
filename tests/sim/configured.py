"""Who belongs to a simulated group, by the log of each server, and what must hold of every change of it.

- Two configurations in a row differ by one server, or by the vote of one.
- A leader changes the group once the change before is committed, and an entry of its own term.
- What counts on a server is what the newest configuration of its log says, or what was committed behind its snapshot.

Source: Raft dissertation (Ongaro), section 4.1, and its correction, "bug in single-server membership changes", 2015.
"""

from itertools import pairwise

from agent.consensus.codec import CommandKind
from agent.consensus.configuration import decode_configuration
from agent.consensus.replicator import FIRST_INDEX


def votes_of(configuration):
    """Return who is in *configuration*: by name, whether it votes."""
    return {server.raft_address: server.voter for server in configuration.servers}


def voters_of(server):
    """Return the names of those that vote in the newest configuration of *server*, sorted."""
    return sorted(name for name, votes in votes_of(server.engine._configurations.newest).items() if votes)


def is_configuration(command):
    """Say whether *command*, of an entry, holds a configuration."""
    return command[:1] == bytes([CommandKind.CONFIGURATION])


class Watch:
    """Looks at the configurations of one server, in *world*, which knows what is committed."""

    def __init__(self, world, name):
        self._world, self._name = world, name
        self._looked_at = None
        self._founders = dict.fromkeys(world.founders, True)

    def appended_by_leader(self, server, term):
        """Assert that the leader *server* may change the group in *term* now."""
        committed, first = self._world.committed, server.log.entries[0][1]
        open_changes = [
            index
            for command, index, _ in server.log.entries
            if is_configuration(command) and index > first and index not in committed
        ]
        assert not open_changes, f"{self._name} changes the group while its change {open_changes[0]} is not committed"
        assert any(known == term for _, known in committed.values()), (
            f"{self._name} changes the group before an entry of its term {term} is committed"
        )

    def look(self, server):
        """Assert what must hold of the configurations of *server*."""
        history = server.engine._configurations._history
        entries = server.log.entries
        seen = (len(history), history[-1][0], entries[0][1], entries[-1][1:], server.boots)
        if seen == self._looked_at:
            return
        self._looked_at = seen
        for (_, before), (index, after) in pairwise(history):
            # With whom the group began is in no log: who came later learns its servers by the first change.
            old, new = votes_of(before) or self._founders, votes_of(after)
            changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
            assert len(changed) <= 1, f"{self._name} holds a change of {changed} at once, at {index}"
        expected, counted = self._by_the_log(entries), votes_of(history[-1][1])
        assert expected is None or expected == counted, (
            f"{self._name} goes by the servers {counted}, and its log says {expected}"
        )

    def _by_the_log(self, entries):
        for command, _, _ in reversed(entries):
            if is_configuration(command):
                return votes_of(decode_configuration(command[1:]))
        first, committed = entries[0][1], self._world.committed
        if any(index not in committed for index in range(FIRST_INDEX + 1, first + 1)):
            return None  # it went with the power of whoever committed it, before anybody looked
        for index in range(first, FIRST_INDEX, -1):
            if is_configuration(committed[index][0]):
                return votes_of(decode_configuration(committed[index][0][1:]))
        return self._founders if self._name in self._founders else {}
