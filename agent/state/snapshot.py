"""A state as bytes and back: what a server writes to disk and sends to one that lags behind.

Layout: 4 bytes of magic, 1 of version, 4 of CRC-32 of the rest (big-endian), then MessagePack. Equal states give equal
bytes. Indexes and counters are rebuilt. A job that many allocations share is written once and shared again after
loading: for a batch of a thousand, their jobs would be nine tenths of the file.
"""

import zlib

import msgspec
from immutables import Map

from agent.model.alloc import Allocation
from agent.model.autopilot import AutopilotConfig
from agent.model.base import JobKey, Model
from agent.model.evaluation import Evaluation
from agent.model.job import Job, JobSummary
from agent.model.node import Node
from agent.state.draft import index_allocs, index_evals
from agent.state.store import Staged, State, Table

MAGIC = b"ORST"
VERSION = 1
_HEADER_BYTES = len(MAGIC) + 1 + 4


class _Image(Model, frozen=True):
    """A state without what can be rebuilt; `job_pool` is referred to by position, -1 stands for no job."""

    index: int
    table_indexes: dict[str, int]
    nodes: list[Node]
    job_pool: list[Job]
    versions: list[list[int]]
    summaries: list[JobSummary]
    evals: list[Evaluation]
    allocs: list[Allocation]
    alloc_jobs: list[int]
    requests: list[tuple[str, bytes]]
    requests_seen: int
    autopilot: AutopilotConfig = AutopilotConfig()
    index_offset: int = 0
    restored_at: int = 0
    staged: Staged | None = None


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(_Image)


def dump(state: State) -> bytes:
    """Return *state* as bytes."""
    pool = _Pool()
    versions = [[pool.place(job) for job in kept] for _, kept in sorted(state.versions_by_key.items(), key=_key)]
    allocs = state.allocs()
    image = _Image(
        index=state.index,
        table_indexes={table.value: index for table, index in state.table_indexes.items()},
        nodes=state.nodes(),
        versions=versions,
        summaries=[summary for _, summary in sorted(state.summaries_by_key.items(), key=_summary_key)],
        evals=state.evals(),
        allocs=[msgspec.structs.replace(alloc, job=None) for alloc in allocs],
        alloc_jobs=[-1 if alloc.job is None else pool.place(alloc.job) for alloc in allocs],
        job_pool=pool.jobs,
        requests=[(id_, state.results[id_]) for _, id_ in sorted(state.request_order.items())],
        requests_seen=state.requests_seen,
        autopilot=state.autopilot,
        index_offset=state.index_offset,
        restored_at=state.restored_at,
        staged=state.staged,
    )
    payload = _ENCODER.encode(image)
    return MAGIC + bytes((VERSION,)) + zlib.crc32(payload).to_bytes(4, "big") + payload


def load(data: bytes) -> State:
    """Return the state in *data*; raises ValueError that says what is wrong when it is not one, or damaged."""
    if len(data) < _HEADER_BYTES or data[:4] != MAGIC:
        raise ValueError(f"not a snapshot of the state: it begins with {data[:4].hex() or 'nothing'}")
    if data[4] != VERSION:
        raise ValueError(f"snapshot version {data[4]}, this server knows {VERSION}")
    payload = memoryview(data)[_HEADER_BYTES:]
    if zlib.crc32(payload) != int.from_bytes(data[5:_HEADER_BYTES], "big"):
        raise ValueError(f"damaged snapshot: the checksum of its {len(payload)} bytes does not match")
    try:
        image = _DECODER.decode(payload)
        return _rebuild(image)
    except (msgspec.MsgspecError, IndexError) as error:
        raise ValueError(f"damaged snapshot: {error}") from error


def _rebuild(image: _Image) -> State:
    pool = image.job_pool
    versions = {pool[kept[0]].key: tuple(pool[place] for place in kept) for kept in image.versions}
    jobs = [pool[place] if place >= 0 else None for place in image.alloc_jobs]
    allocs = [msgspec.structs.replace(alloc, job=job) for alloc, job in zip(image.allocs, jobs, strict=True)]
    by_node, by_job, by_eval, live, usage = index_allocs(allocs)
    job_evals, open_evals = index_evals(image.evals)
    first = image.requests_seen - len(image.requests)
    return State(
        index=image.index,
        table_indexes=Map({Table(name): index for name, index in image.table_indexes.items()}),
        nodes_by_id=Map({node.id: node for node in image.nodes}),
        jobs_by_key=Map({key: kept[0] for key, kept in versions.items()}),
        versions_by_key=Map(versions),
        summaries_by_key=Map({(summary.namespace, summary.job_id): summary for summary in image.summaries}),
        evals_by_id=Map({evaluation.id: evaluation for evaluation in image.evals}),
        allocs_by_id=Map({alloc.id: alloc for alloc in allocs}),
        node_allocs=by_node,
        job_allocs=by_job,
        eval_allocs=by_eval,
        job_evals=job_evals,
        live_allocs=live,
        open_evals=open_evals,
        node_usage=usage,
        results=Map(dict(image.requests)),
        request_order=Map({first + place: id_ for place, (id_, _) in enumerate(image.requests)}),
        requests_seen=image.requests_seen,
        autopilot=image.autopilot,
        index_offset=image.index_offset,
        restored_at=image.restored_at,
        staged=image.staged,
    )


class _Pool:
    """Jobs by their first position. Objects are told apart by identity first: encoding each would cost far more."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._by_identity: dict[int, int] = {}
        self._by_bytes: dict[bytes, int] = {}

    def place(self, job: Job) -> int:
        """Return the position of *job*, adding it if an equal one is not there."""
        known = self._by_identity.get(id(job))
        if known is not None:
            return known
        place = self._by_bytes.setdefault(_ENCODER.encode(job), len(self.jobs))
        if place == len(self.jobs):
            self.jobs.append(job)
        self._by_identity[id(job)] = place
        return place


def _key(item: tuple[JobKey, tuple[Job, ...]]) -> JobKey:
    return item[0]


def _summary_key(item: tuple[JobKey, JobSummary]) -> JobKey:
    return item[0]
