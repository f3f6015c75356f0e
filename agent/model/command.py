"""Every command of the replicated log, with its codec and version.

A command carries everything that depends on who proposes it or when: ids, times and the request's own id. The state
machine takes them as given. Adding a field with a default is compatible; anything else is a new tag.
"""

from typing import ClassVar

import msgspec

from agent.model.alloc import Allocation
from agent.model.autopilot import AutopilotConfig
from agent.model.base import AllocID, EvalID, Model, NodeID
from agent.model.evaluation import Evaluation
from agent.model.job import Job
from agent.model.node import DrainSpec, DrainStrategy, Eligibility, Node, NodeEvent

VERSION = 1


class Command(Model, frozen=True, tag_field="C"):
    """The base of all commands. `request_id` makes a repeated request count once; `at` is Unix nanoseconds."""

    kind: ClassVar[str] = ""
    """The word of the command in the series nomad_nomad_fsm_<kind>."""
    request_id: str
    at: int


class RegisterNode(Command, tag="register_node", frozen=True):
    """A client registers, or registers again with what changed."""

    kind: ClassVar[str] = "register_node"
    node: Node


class UpdateNodeStatus(Command, tag="node_status_update", frozen=True):
    """A client is ready, down or initializing; evaluations for its jobs come with it."""

    kind: ClassVar[str] = "node_status_update"
    node_id: NodeID
    status: str
    event: NodeEvent | None = None
    evals: list[Evaluation] = []


class UpdateNodeEligibility(Command, tag="node_eligibility_update", frozen=True):
    """An operator says whether new work may be placed on a client; evaluations for its jobs come with it."""

    kind: ClassVar[str] = "node_eligibility_update"
    node_id: NodeID
    eligibility: Eligibility
    event: NodeEvent | None = None
    evals: list[Evaluation] = []


class UpdateNodeDrain(Command, tag="node_drain_update", frozen=True):
    """An operator drains a client, changes how, or with no specification ends it.

    `mark_eligible` lets new work onto it again when the drain ends; evaluations for its jobs come with that.
    """

    kind: ClassVar[str] = "node_drain_update"
    node_id: NodeID
    spec: DrainSpec | None = None
    mark_eligible: bool = False
    meta: dict[str, str] | None = None
    evals: list[Evaluation] = []


class CompleteNodeDrains(Command, tag="batch_node_drain_update", frozen=True):
    """The leader found nothing left on clients that drain.

    `drains` are the strategies that it saw: one that an operator changed or ended meanwhile is left alone.
    """

    kind: ClassVar[str] = "batch_node_drain_update"
    drains: dict[NodeID, DrainStrategy]


class UpdateAllocDesiredTransition(Command, tag="alloc_update_desired_transition", frozen=True):
    """The leader asks for allocations to be moved; evaluations for their jobs come with it."""

    kind: ClassVar[str] = "alloc_update_desired_transition"
    migrate: list[AllocID]
    evals: list[Evaluation]


class RegisterJob(Command, tag="register_job", frozen=True):
    """A job is created or changed, together with the evaluation that looks at it.

    With `enforce_index`, the job's modify index must be `job_modify_index` (0: the job must not exist).
    """

    kind: ClassVar[str] = "register_job"
    job: Job
    eval: Evaluation | None = None
    enforce_index: bool = False
    job_modify_index: int = 0


class DeregisterJob(Command, tag="deregister_job", frozen=True):
    """A job is stopped, or removed with `purge`."""

    kind: ClassVar[str] = "deregister_job"
    namespace: str
    job_id: str
    purge: bool = False
    eval: Evaluation | None = None


class UpdateEvals(Command, tag="update_eval", frozen=True):
    """Evaluations are created or changed."""

    kind: ClassVar[str] = "update_eval"
    evals: list[Evaluation]


class ApplyPlanResults(Command, tag="apply_plan_results", frozen=True):
    """The leader commits what it accepted of a plan."""

    kind: ClassVar[str] = "apply_plan_results"
    eval_id: EvalID
    updated: list[Allocation] = []
    """Allocations placed or stopped, as they shall be; jobs are taken from the state when absent."""
    snapshot_index: int = 0
    """The plan's: an absent job is the version that its scheduler saw there, with 0 the newest."""


class UpdateAllocsFromClient(Command, tag="alloc_client_update", frozen=True):
    """A client tells what became of its allocations; evaluations for the failed ones come with it."""

    kind: ClassVar[str] = "alloc_client_update"
    allocs: list[Allocation]
    evals: list[Evaluation] = []


class DeleteEvals(Command, tag="delete_eval", frozen=True):
    """Garbage collection removes evaluations and allocations."""

    kind: ClassVar[str] = "eval_delete"
    eval_ids: list[EvalID]
    alloc_ids: list[AllocID]


class UpdateAutopilot(Command, tag="autopilot", frozen=True):
    """An operator changes autopilot; with `check_index` only if the settings were last modified at it."""

    kind: ClassVar[str] = "autopilot"
    config: AutopilotConfig
    check_index: int | None = None


class StageSnapshot(Command, tag="snapshot_stage", frozen=True):
    """A piece of a snapshot that an operator restores; nothing but memory is used until `RestoreSnapshot`.

    `offset` 0 begins anew, and ends what another operator had begun. All pieces together are `packed_bytes`, and unpack
    to `state_bytes`.
    """

    kind: ClassVar[str] = "snapshot_stage"
    restore_id: str
    packed_bytes: int
    state_bytes: int
    offset: int
    data: bytes


class RestoreSnapshot(Command, tag="snapshot_restore", frozen=True):
    """The staged pieces become the state."""

    kind: ClassVar[str] = "snapshot_restore"
    restore_id: str


class Noop(Command, tag="noop", frozen=True):
    """Changes nothing; committed by a new leader, so that it knows what is committed."""

    kind: ClassVar[str] = "noop"


AnyCommand = (
    RegisterNode
    | UpdateNodeStatus
    | UpdateNodeEligibility
    | UpdateNodeDrain
    | CompleteNodeDrains
    | UpdateAllocDesiredTransition
    | RegisterJob
    | DeregisterJob
    | UpdateEvals
    | ApplyPlanResults
    | UpdateAllocsFromClient
    | DeleteEvals
    | UpdateAutopilot
    | StageSnapshot
    | RestoreSnapshot
    | Noop
)


class Result(Model, frozen=True):
    """What applying a command said: the index it got, or why it was refused."""

    index: int = 0
    error: str = ""
    status: int = 0
    """The HTTP status of the refusal, 0 when it was not refused."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[AnyCommand] = msgspec.msgpack.Decoder(AnyCommand)
_RESULT = msgspec.msgpack.Decoder(Result)


def encode(command: AnyCommand) -> bytes:
    """Return *command* as bytes for the log: one byte of version, then MessagePack."""
    return bytes((VERSION,)) + _ENCODER.encode(command)


def decode(data: bytes) -> AnyCommand:
    """Return the command in *data*; raises ValueError on an unknown version or damaged bytes."""
    if data[:1] != bytes((VERSION,)):
        raise ValueError(f"command version {data[:1].hex() or 'missing'}, this server knows {VERSION}")
    try:
        return _DECODER.decode(memoryview(data)[1:])
    except msgspec.MsgspecError as error:
        raise ValueError(f"damaged command: {error}") from error


def encode_result(result: Result) -> bytes:
    """Return *result* as MessagePack."""
    return _ENCODER.encode(result)


def decode_result(data: bytes) -> Result:
    """Return the result in *data*."""
    return _RESULT.decode(data)
