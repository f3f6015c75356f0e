"""How a leader makes sure, for a read, that it leads: with a round of appends that a majority answers.

No entry, no write to disk. The appends are those that a heartbeat would send, to everybody, with the round's number;
where writes leave anyway the reads go with them. A group of one answers at once.
"""

from agent.consensus.pysyncobj_membership import MembershipCore
from agent.consensus.read_rounds import Finish
from agent.consensus.replicator import RaftState
from agent.errors import NotLeader


class ReadingCore(MembershipCore):
    """A `MembershipCore` whose leader confirms reads; takes its arguments."""

    def confirm_read(self, finish: Finish) -> None:
        """Have *finish* called with nothing once a read that came before may be answered here; from any thread.

        It gets NotLeader when this server does not lead, or leads no more.
        """
        if self._reads.ask(finish):
            self._links.wake()

    @property
    def reads_waiting(self) -> int:
        """Reads that no round was begun for."""
        return self._reads.waiting

    def _reads_are_due(self) -> bool:
        """Tell whether reads wait that can be sent for, or refused, now."""
        return self._reads.is_due and (self.state is not RaftState.LEADER or self._knows_commits())

    def _knows_commits(self) -> bool:
        """Tell whether this leader knows all that was committed before it: from the first entry of its own term on."""
        return self._entry(self.commit_index)[2] == self.term

    def _begin_read_round(self) -> None:
        """Let what is sent next be the round of all reads that wait."""
        if self._reads.waiting and self._knows_commits():
            self.totals["reads"] += self._reads.begin(self.commit_index)
            self.totals["read_rounds"] += 1

    def _settle_reads(self) -> None:
        """Answer the reads that may be answered."""
        if self.state is RaftState.LEADER:
            self._reads.settle([str(node.id) for node in self._SyncObj__otherNodes], self.applied_index)
        elif self._reads.waiting:
            self._reads.fail(NotLeader(self._leader_rpc_address()))
