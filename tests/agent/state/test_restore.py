"""A saved state that takes the place of the state: what stays, what goes on, and what is refused."""

import pytest

from agent.model.alloc import Allocation, ClientStatus
from agent.model.base import AllocID, EvalID, JobID, NodeID
from agent.model.command import (
    ApplyPlanResults,
    Noop,
    RegisterJob,
    RegisterNode,
    RestoreSnapshot,
    StageSnapshot,
    UpdateAllocsFromClient,
)
from agent.model.job import Job, TaskGroup
from agent.model.node import Node
from agent.state import restore
from agent.state.fsm import apply, dump, load
from agent.state.store import State, Table

MINUTE_NS = 60 * 10**9


class Log:
    """A state that grows by commands."""

    def __init__(self, state=None):
        self.state = state or State()

    def __call__(self, command_type, at=1, **fields):
        index = self.state.index + 1
        applied = apply(self.state, index, command_type(request_id=f"request-{index}", at=at, **fields))
        self.state = applied.state
        self.state.check_invariants()
        return applied

    def register(self, *names):
        for name in names:
            self(RegisterJob, job=Job(id=JobID(name), task_groups=[TaskGroup(name="app", count=1)]))
        return self

    def stage(self, packed, dumped=b"x", restore_id="r", piece_bytes=64, at=1, **sizes):
        sizes = {"packed_bytes": len(packed), "state_bytes": len(dumped)} | sizes
        for offset in range(0, len(packed), piece_bytes):
            data = packed[offset : offset + piece_bytes]
            applied = self(StageSnapshot, at=at, restore_id=restore_id, offset=offset, data=data, **sizes)
            assert "" == applied.result.error
        return self

    def put_in_place(self, restore_id="r"):
        return self(RestoreSnapshot, restore_id=restore_id)


@pytest.fixture
def log():
    return Log().register("kept")


def alloc(id_, **fields):
    values = {
        "id": AllocID(id_), "name": "kept.app[0]", "eval_id": EvalID("e"), "node_id": NodeID("n"), "node_name": "n",
        "job_id": JobID("kept"), "task_group": "app",
    }  # fmt: skip
    return Allocation(**(values | fields))


def names(state):
    return [job.id for job in state.jobs()]


def saved(state):
    dumped = dump(state)
    return restore.pack(dumped), dumped


def test_the_restored_state_is_the_saved_one_at_a_later_index(log):
    """
    What came after the save is gone, the index goes on, every table counts as changed, and the change says so.
    """
    packed, dumped = saved(log.state)
    log.register("later").stage(packed, dumped)
    before = log.state.index

    applied = log.put_in_place()

    assert ["kept"] == names(log.state)
    assert before + 1 == applied.result.index == log.state.index == log.state.restored_at
    assert {before + 1} == {log.state.table_index(table) for table in Table}
    assert (True, frozenset(Table)) == (applied.changes.restored, applied.changes.tables)
    assert log.state.staged is None


def test_until_the_last_entry_there_is_only_the_old_state(log):
    """
    Staged pieces change nothing that anybody can read, and wake nobody; saving and loading keeps them.
    """
    packed, _ = saved(Log().state)
    tables = log.state.table_indexes

    log.stage(packed)

    assert (["kept"], tables) == (names(log.state), log.state.table_indexes)
    assert log.state == load(dump(log.state))


def test_a_snapshot_of_a_cluster_that_had_gone_further_moves_indexes_ahead(log):
    """
    Nothing in the restored state is newer than the state itself, and the log's next entry is above it.
    """
    other = Log().register(*(f"job-{number}" for number in range(40)))
    packed, dumped = saved(other.state)
    log.stage(packed, dumped)
    entry = log.state.index + 1

    log.put_in_place()

    assert other.state.index + 1 == log.state.index
    assert entry + log.state.index_offset == log.state.index
    assert log.state == load(dump(log.state))


def test_clients_see_allocations_as_changed_unless_they_ended(log):
    """
    A client that was told of a later stop must fetch the allocation again; one that ended concerns no client.
    """
    log(RegisterNode, node=Node(id=NodeID("n")))
    log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc("lives"), alloc("ended")])
    ended = alloc("ended", client_status=ClientStatus.COMPLETE)
    log(UpdateAllocsFromClient, allocs=[ended])
    packed, dumped = saved(log.state)
    version = log.state.alloc("ended").alloc_modify_index

    log.stage(packed, dumped).put_in_place()

    assert log.state.restored_at == log.state.alloc("lives").alloc_modify_index
    assert version == log.state.alloc("ended").alloc_modify_index


def test_a_plan_from_before_the_restore_is_refused(log):
    """
    It was made for another state; one that was made after it is carried out.
    """
    packed, dumped = saved(log.state)
    log.stage(packed, dumped).put_in_place()
    restored_at = log.state.restored_at

    late = log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc("a")], snapshot_index=restored_at - 1)
    fresh = log(ApplyPlanResults, eval_id=EvalID("e"), updated=[alloc("b")], snapshot_index=restored_at)

    assert "the plan was made before a snapshot was restored" == late.result.error
    assert "" == fresh.result.error
    assert ["b"] == [found.id for found in log.state.allocs()]


def test_requests_of_this_cluster_stay_remembered(log):
    """
    A write whose answer was lost and that is sent again counts once, although the state it changed is gone.
    """
    packed, dumped = saved(log.state)
    command = RegisterJob(request_id="sent-twice", at=1, job=Job(id=JobID("late")))
    log.state = apply(log.state, log.state.index + 1, command).state
    log.stage(packed, dumped).put_in_place()

    again = apply(log.state, log.state.index + 1, command)

    assert ["kept"] == names(again.state)


@pytest.mark.parametrize(
    ("restore_id", "more_packed", "more_state", "status", "message"),
    [
        ("other", 0, 0, 409, "another restore began meanwhile"),
        ("r", 1, 0, 409, "bytes are staged"),
        ("r", 0, -1, 400, "unpacks to something else"),
        ("r", 0, 1, 400, "unpacks to something else"),
        ("r", 0, -(10**9), 400, "is not between 1 and"),
    ],
)
def test_what_does_not_fit_the_staged_pieces_restores_nothing(
    log, restore_id, more_packed, more_state, status, message
):
    """
    The refusal is recorded with its reason, and the old state stays as it was.
    """
    packed, dumped = saved(State(index=5))
    log.stage(packed, packed_bytes=len(packed) + more_packed, state_bytes=len(dumped) + more_state)

    applied = log.put_in_place(restore_id)

    assert status == applied.result.status
    assert message in applied.result.error
    assert (["kept"], False) == (names(log.state), applied.changes.restored)


def test_a_piece_that_unpacks_for_ever_is_given_up_at_the_size_it_states(log):
    """
    A megabyte of packed zeros that says to be a small state is refused without unpacking it.
    """
    packed = restore.pack(bytes(8 * 1024 * 1024))

    applied = log.stage(packed, b"small", piece_bytes=10_000).put_in_place()

    assert "unpacks to something else than the 5 bytes it states" in applied.result.error


@pytest.mark.parametrize("at", [0, 9, 40, -1])
def test_a_damaged_piece_restores_nothing(log, at):
    """
    The state's own checksum, or the packing, notices a changed byte wherever it is.
    """
    packed, dumped = saved(log.state)
    damaged = bytearray(packed)
    damaged[at] ^= 0x40

    applied = log.stage(bytes(damaged), dumped).put_in_place()

    assert 400 == applied.result.status
    assert "nothing was restored" in applied.result.error


def test_pieces_come_in_order_and_one_restore_at_a_time(log):
    """
    A gap, a piece of another restore, an empty and an overlong one are refused; offset 0 begins anew.
    """
    sizes = {"packed_bytes": 10**6, "state_bytes": 10**7}
    log.stage(b"x" * 64, restore_id="first", **sizes)

    gap = log(StageSnapshot, restore_id="first", offset=65, data=b"y", **sizes)
    stranger = log(StageSnapshot, restore_id="second", offset=64, data=b"y", **sizes)
    empty = log(StageSnapshot, restore_id="first", offset=64, data=b"", **sizes)
    long = log(StageSnapshot, restore_id="first", offset=64, data=bytes(restore.PIECE_BYTES_MAX + 1), **sizes)
    beyond = log(StageSnapshot, restore_id="first", offset=64, data=b"yy", packed_bytes=65, state_bytes=1)
    anew = log(StageSnapshot, restore_id="second", offset=0, data=b"z", **sizes)

    statuses = [found.result.status for found in (gap, stranger, empty, long, beyond, anew)]
    assert [409, 409, 400, 400, 400, 0] == statuses
    assert ("second", 1) == (log.state.staged.restore_id, log.state.staged.size_bytes)


@pytest.mark.parametrize(
    "sizes",
    [
        {"packed_bytes": restore.PACKED_BYTES_MAX + 1, "state_bytes": 1},
        {"packed_bytes": 1, "state_bytes": restore.STATE_BYTES_MAX + 1},
    ],
)
def test_what_would_be_too_large_is_refused_with_its_first_piece(log, sizes):
    """
    With 413, before anything of it takes room.
    """
    applied = log(StageSnapshot, restore_id="r", offset=0, data=b"y", **sizes)

    assert (413, None) == (applied.result.status, log.state.staged)


def test_abandoned_pieces_are_forgotten(log):
    """
    Ten minutes after the last piece the next command of whatever kind frees them.
    """
    log.stage(b"x" * 64, at=MINUTE_NS)

    log(Noop, at=11 * MINUTE_NS)
    assert log.state.staged is not None
    log(Noop, at=11 * MINUTE_NS + 1)

    assert log.state.staged is None
