"""A staged snapshot is decoded beside whoever applies the log, which then only takes what is ready."""

import asyncio
from dataclasses import replace

import pytest

from agent.endpoints.preparation import Preparation
from agent.endpoints.replicated import ReplicatedState
from agent.model.command import RestoreSnapshot, StageSnapshot, encode
from agent.state import restore
from agent.state.snapshot import dump
from agent.state.store import Staged, State
from telemetry.clock import ManualClock
from telemetry.recorder import NullRecorder

DUMPED = dump(State(index=40))
PACKED = restore.pack(DUMPED)
STAGED = Staged("r", 1, len(PACKED), len(DUMPED), len(PACKED), (PACKED,))


def test_what_is_staged_as_a_whole_is_decoded_once(monkeypatch):
    """
    However often it is seen; who takes it gets the state, and only once.
    """
    decoded = []
    monkeypatch.setattr(restore, "decode", lambda staged: decoded.append(staged) or State(index=40))
    preparation = Preparation()

    for _ in range(3):
        preparation.see(STAGED)

    assert State(index=40) == preparation.take(STAGED)
    assert [STAGED] == decoded
    assert preparation.take(STAGED) is None


@pytest.mark.parametrize(
    "seen",
    [
        [],
        [replace(STAGED, size_bytes=1)],
        [STAGED, None],
        [STAGED, replace(STAGED, restore_id="other", size_bytes=1)],
        [STAGED, replace(STAGED, pieces=(b"sent anew",))],
    ],
)
def test_nothing_is_taken_that_is_not_whole_sound_and_still_staged(seen):
    """
    Parts, what was abandoned, pushed aside by another restore, or sent anew with another content under the same id.
    """
    preparation = Preparation()

    for staged in seen:
        preparation.see(staged)

    assert preparation.take(STAGED) is None


def test_damage_is_left_to_the_entry():
    """
    It finds the same, and records why.
    """
    damaged = replace(STAGED, pieces=(b"damaged",))
    preparation = Preparation()
    preparation.see(damaged)

    assert preparation.take(damaged) is None


def test_the_entry_that_swaps_decodes_nothing(monkeypatch):
    """
    The state machine prepares with the last piece; when the entry comes, the state is there.
    """
    whole = []
    monkeypatch.setattr(restore, "decode", lambda staged: whole.append(staged.restore_id) or State(index=40))

    async def run():
        replicated = ReplicatedState(asyncio.get_running_loop(), ManualClock(), NullRecorder())
        half = len(PACKED) // 2
        sizes = {"restore_id": "r", "packed_bytes": len(PACKED), "state_bytes": len(DUMPED)}
        for index, offset in enumerate((0, half), start=1):
            data = PACKED[offset : offset + half] if offset == 0 else PACKED[half:]
            piece = StageSnapshot(request_id=f"p{index}", at=1, offset=offset, data=data, **sizes)
            replicated.apply(index, encode(piece))
        await replicated.until_prepared("r")
        before = list(whole)
        replicated.apply(3, encode(RestoreSnapshot(request_id="swap", at=1, restore_id="r")))
        replicated.apply(4, encode(RestoreSnapshot(request_id="again", at=1, restore_id="r")))
        return before, replicated.state

    before, state = asyncio.run(run())

    assert ["r"] == before == whole
    assert (41 + 1, 38) == (state.index, state.index_offset)
