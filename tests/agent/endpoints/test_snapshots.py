"""Snapshots at a server: handed out in parts, put in place of the state, and what goes on afterwards."""

import asyncio

import msgspec
import pytest

from agent.endpoints import snapshots as module
from agent.errors import Overloaded, RequestRefused
from agent.model.alloc import ClientStatus
from agent.rpc import methods as m
from agent.state.archive import read_archive
from agent.state.restore import PIECE_BYTES_MAX, pack
from tests.agent.endpoints.test_server_endpoints import call, job, node, run, until

pytestmark = pytest.mark.integration


async def save(server, **fields):
    """Return the whole file, and how many parts it came in."""
    part = await call(server, m.OPERATOR_SNAPSHOT_SAVE, m.SnapshotSaveRequest(**fields))
    file, parts = part.data, 1
    while len(file) < part.size_bytes:
        asked = m.SnapshotSaveRequest(snapshot_id=part.snapshot_id, offset=len(file), **fields)
        part = await call(server, m.OPERATOR_SNAPSHOT_SAVE, asked)
        file, parts = file + part.data, parts + 1
    return file, parts


async def restore(server, file):
    dumped = read_archive(file).dumped
    packed = pack(dumped)
    for offset in range(0, len(packed), PIECE_BYTES_MAX):
        data = packed[offset : offset + PIECE_BYTES_MAX]
        sizes = {"packed_bytes": len(packed), "state_bytes": len(dumped)}
        piece = m.SnapshotStageRequest(restore_id="r", offset=offset, data=data, **sizes)
        await call(server, m.OPERATOR_SNAPSHOT_STAGE, piece)
    return await call(server, m.OPERATOR_SNAPSHOT_RESTORE, m.SnapshotRestoreRequest(restore_id="r"))


def test_a_restore_brings_back_what_was_and_wakes_who_waits(start_server):
    """
    The job that came after the save is gone, and a query that waited for news of jobs has its answer.
    """

    async def scenario(server):
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job("kept", count=0)))
        file, _ = await save(server)
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job("later", count=0)))
        await until(lambda: all(found.terminal for found in server.replicated.state.evals()))
        seen = await call(server, m.JOB_LIST, m.Request())
        waits = m.Request(min_query_index=seen.index, max_query_time_seconds=10)
        waiting = asyncio.create_task(call(server, m.JOB_LIST, waits))
        await asyncio.sleep(0.05)
        restored = await restore(server, file)
        answer = await asyncio.wait_for(waiting, 5)
        after = await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job("next", count=0)))
        return seen.index, restored.index, answer, after.index

    before, at, answer, after = run(start_server, scenario)

    assert before < at == answer.index < after
    assert ["kept"] == [entry.job.id for entry in answer.jobs]


def test_the_duties_are_taken_up_anew_from_the_restored_state(start_server):
    """
    An evaluation that waited for room when it was saved waits again and gets it; the known client has a deadline, the
    one that came later is told to register; the log is cut to a snapshot that has the restored state.
    """

    async def scenario(server):
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job()))
        await until(lambda: server.duties.blocked.stats().blocked == 1)
        file, _ = await save(server)
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        await until(lambda: list(server.replicated.state.allocs_by_id.values()))
        before = server.status().snapshot_index
        await restore(server, file)
        await until(lambda: server.duties.established and server.duties.blocked.stats().blocked == 1)
        nodes, deadlines = len(server.replicated.state.nodes()), len(server.duties.heartbeats)
        await until(lambda: server.status().snapshot_index > before)
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("2")))
        placed = await until(lambda: list(server.replicated.state.allocs_by_id.values()))
        return nodes, deadlines, placed

    nodes, deadlines, placed = run(start_server, scenario)

    assert (0, 0) == (nodes, deadlines)
    assert [node("2").id] == [alloc.node_id for alloc in placed]


def test_what_was_stopped_meanwhile_is_placed_again(start_server):
    """
    The restored state says that it runs; its client says that it does not; the job gets another.
    """

    async def scenario(server):
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job()))
        (alloc,) = await until(lambda: list(server.replicated.state.allocs_by_id.values()))
        file, _ = await save(server)
        await restore(server, file)
        ended = msgspec.structs.replace(alloc, client_status=ClientStatus.COMPLETE)
        await call(server, m.NODE_UPDATE_ALLOC, m.AllocUpdateRequest(allocs=[ended]))
        return alloc, await until(lambda: [a for a in server.replicated.state.allocs() if not a.terminal])

    before, after = run(start_server, scenario)

    assert before.name == after[0].name
    assert before.id != after[0].id


def test_a_client_that_stops_its_work_by_itself_is_given_no_more(start_server):
    """
    Without a restore a service that completes is no reason to place it again: its client is going.
    """

    async def scenario(server):
        await call(server, m.NODE_REGISTER, m.NodeRegisterRequest(node=node("1")))
        answer = await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job()))
        (alloc,) = await until(lambda: list(server.replicated.state.allocs_by_id.values()))
        ended = msgspec.structs.replace(alloc, client_status=ClientStatus.COMPLETE)
        await call(server, m.NODE_UPDATE_ALLOC, m.AllocUpdateRequest(allocs=[ended]))
        return answer.eval_id, server.replicated.state.evals()

    first, evals = run(start_server, scenario)

    assert [first] == [evaluation.id for evaluation in evals]


def test_a_file_comes_in_parts_and_is_forgotten_with_the_last(start_server, monkeypatch):
    """
    All parts are of the state at the first question, whatever is written between; the last one frees it.
    """
    monkeypatch.setattr(module, "PART_BYTES", 100)

    async def scenario(server):
        file, parts = await save(server)
        first = await call(server, m.OPERATOR_SNAPSHOT_SAVE, m.SnapshotSaveRequest())
        rest = first.data
        while len(rest) < first.size_bytes:
            await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job(f"job-{len(rest)}", count=0)))
            asked = m.SnapshotSaveRequest(snapshot_id=first.snapshot_id, offset=len(rest))
            rest += (await call(server, m.OPERATOR_SNAPSHOT_SAVE, asked)).data
        with pytest.raises(RequestRefused, match="does not hold that snapshot any more") as caught:
            await call(server, m.OPERATOR_SNAPSHOT_SAVE, m.SnapshotSaveRequest(snapshot_id=first.snapshot_id))
        return file, parts, rest, caught.value.status

    file, parts, rest, status = run(start_server, scenario)

    assert -(-len(file) // 100) == parts
    assert read_archive(file).state.jobs() == read_archive(rest).state.jobs() == []
    assert 409 == status


def test_files_that_nobody_fetches_are_bounded_and_forgotten(start_server, monkeypatch):
    """
    Two at a time; a third is refused until one was not asked for in a while.
    """
    monkeypatch.setattr(module, "PART_BYTES", 100)

    async def scenario(server):
        for _ in range(module.KEPT_MAX):
            await call(server, m.OPERATOR_SNAPSHOT_SAVE, m.SnapshotSaveRequest())
        with pytest.raises(Overloaded, match="2 snapshots are being fetched"):
            await call(server, m.OPERATOR_SNAPSHOT_SAVE, m.SnapshotSaveRequest())
        endpoint = server.caller._handlers[m.OPERATOR_SNAPSHOT_SAVE.name].__self__
        for kept in endpoint._kept.values():
            kept.until = 0.0
        return await save(server)

    file, parts = run(start_server, scenario)

    assert -(-len(file) // 100) == parts


def test_a_snapshot_of_this_server_needs_no_leader(start_server):
    """
    With stale, its own state is handed out.
    """

    async def scenario(server):
        await call(server, m.JOB_REGISTER, m.JobRegisterRequest(job=job("kept", count=0)))
        await server.duties.revoke()
        return await save(server, allow_stale=True)

    file, _ = run(start_server, scenario)

    assert ["kept"] == [found.id for found in read_archive(file).state.jobs()]
