"""Snapshots of the state: GET and PUT /v1/operator/snapshot.

A file that is to be restored is checked as a whole here, before any server hears of it.
"""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from aiohttp import web

from agent.errors import Overloaded, RequestRefused, UnknownOutcome
from agent.http.api import AgentApi
from agent.http.query import CALL_TIMEOUT_SECONDS, Query, read_query
from agent.http.reply import Reply, Route, write_headers
from agent.rpc import methods as m
from agent.state.archive import ARCHIVE_BYTES_MAX, ArchiveError, read_archive
from agent.state.restore import PACKED_BYTES_MAX, PIECE_BYTES_MAX, pack

GZIP = "application/x-gzip"

SAVE_SECONDS = 60.0
"""For a server to make the file: 20,000 allocations take a second or two."""

RESTORE_SECONDS = 60.0
"""For all servers to have the pieces and put the state in place."""

UPLOAD_SECONDS = 300.0
"""For a file to arrive."""


async def save(api: AgentApi, request: web.Request) -> Reply:
    """Answer with a snapshot of the leader's state, with `?stale` of any server's, and its checksum in Digest."""
    query = read_query(api, request)
    asked = m.SnapshotSaveRequest(region=query.region, allow_stale=query.allow_stale)
    first = await api.caller.call(m.OPERATOR_SNAPSHOT_SAVE, asked, SAVE_SECONDS)
    digest = base64.b64encode(bytes.fromhex(first.sha256)).decode()
    headers = {
        "Content-Length": str(first.size_bytes),
        "Digest": f"sha-256={digest}",
        "X-Nomad-Knownleader": "true" if first.known_leader else "false",
        "X-Nomad-Lastcontact": str(int(first.last_contact_seconds * 1000)),
    }
    return Reply(b"", content_type=GZIP, headers=headers, parts=_parts(api, query, first))


async def _parts(api: AgentApi, query: Query, first: m.SnapshotSaveResponse) -> AsyncIterator[bytes]:
    """Yield the file; an error in the middle ends the connection before its length is reached."""
    yield first.data
    sent = len(first.data)
    while sent < first.size_bytes:
        asked = m.SnapshotSaveRequest(
            region=query.region, allow_stale=query.allow_stale, snapshot_id=first.snapshot_id, offset=sent
        )
        part = await api.caller.call(m.OPERATOR_SNAPSHOT_SAVE, asked, CALL_TIMEOUT_SECONDS)
        yield part.data
        sent += len(part.data)


async def restore(api: AgentApi, request: web.Request) -> Reply:
    """Put the snapshot in the body in place of the state of all servers, or say what is wrong with it with 400."""
    region = read_query(api, request).region
    with _alone():
        packed, state_bytes = await asyncio.to_thread(_checked, await _body(request))
        response = await _put_in_place(api, region, packed, state_bytes)
    return Reply(b"", content_type="", headers=write_headers(response))


async def _body(request: web.Request) -> bytes:
    """Return the body, of a size that no other request may have; raises RequestRefused."""
    body = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for part in request.content.iter_any():
                body += part
                if len(body) > ARCHIVE_BYTES_MAX:
                    raise RequestRefused(f"a snapshot is not larger than {ARCHIVE_BYTES_MAX} bytes", 413)
    except TimeoutError as error:
        raise RequestRefused(f"the snapshot did not arrive within {UPLOAD_SECONDS:.0f} s", 408) from error
    return bytes(body)


def _checked(file: bytes) -> tuple[bytes, int]:
    """Return the state in *file*, packed, and its size unpacked; raises RequestRefused. For a thread: may take seconds."""
    try:
        dumped = read_archive(file).dumped
    except ArchiveError as error:
        raise RequestRefused(f"the snapshot cannot be restored, and nothing was changed: {error}", 400) from error
    packed = pack(dumped)
    if len(packed) > PACKED_BYTES_MAX:
        raise RequestRefused(f"the snapshot's state is larger than {PACKED_BYTES_MAX} bytes when packed", 413)
    return packed, len(dumped)


async def _put_in_place(api: AgentApi, region: str, packed: bytes, state_bytes: int) -> m.Response:
    restore_id = str(uuid.uuid4())
    try:
        for offset in range(0, len(packed), PIECE_BYTES_MAX):
            piece = m.SnapshotStageRequest(
                region=region,
                restore_id=restore_id,
                packed_bytes=len(packed),
                state_bytes=state_bytes,
                offset=offset,
                data=packed[offset : offset + PIECE_BYTES_MAX],
            )
            await api.caller.call(m.OPERATOR_SNAPSHOT_STAGE, piece, CALL_TIMEOUT_SECONDS)
    except UnknownOutcome as error:
        raise RequestRefused(f"nothing was restored, try again: a piece was lost on its way: {error}", 500) from error
    swap = m.SnapshotRestoreRequest(region=region, restore_id=restore_id)
    try:
        return await api.caller.call(m.OPERATOR_SNAPSHOT_RESTORE, swap, RESTORE_SECONDS)
    except UnknownOutcome as error:
        raise UnknownOutcome(
            f"the snapshot may or may not have been restored, look before trying again: {error}"
        ) from error


_busy: set[str] = set()


@contextmanager
def _alone() -> Iterator[None]:
    """Let one restore of this process be under way: each holds its file in memory; raises Overloaded."""
    if _busy:
        raise Overloaded("another restore is under way at this agent; wait for its end")
    _busy.add("restore")
    try:
        yield
    finally:
        _busy.clear()


ROUTES = (Route("/v1/operator/snapshot", {"GET": save, "PUT": restore, "POST": restore}),)
