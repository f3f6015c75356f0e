"""Every remote procedure of the servers: its name, what it takes, what it gives, and who may answer it.

The names are Nomad's (`Node.Register`, `Job.Register`, `Eval.Dequeue` …). The same methods serve the HTTP API, the
clients, and servers that forward to their leader.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from agent.model.alloc import Allocation, AllocStub
from agent.model.autopilot import AutopilotConfig
from agent.model.base import DEFAULT_NAMESPACE, AllocID, EvalID, JobID, Model, NodeID
from agent.model.evaluation import Evaluation
from agent.model.job import Job, JobSummary
from agent.model.node import DrainSpec, Node, NodeEvent, NodeStub
from agent.model.plan import Plan, PlanResult


class Request(Model, frozen=True):
    """What every request may say. A blocking query waits until the index of what it reads passes `min_query_index`."""

    region: str = "global"
    namespace: str = DEFAULT_NAMESPACE
    min_query_index: int = 0
    max_query_time_seconds: float = 0.0
    allow_stale: bool = False
    prefix: str = ""
    forwarded: bool = False
    """Set by a server that passes the request on: whoever gets it answers or refuses, and never passes it on again."""


class Response(Model, frozen=True):
    """What every answer says: the index it stands at, and how fresh it is."""

    index: int = 0
    last_contact_seconds: float = 0.0
    known_leader: bool = True


class Access(Enum):
    """Who may answer a request."""

    WRITE = "write"
    """Only the leader; others forward."""
    READ = "read"
    """The leader, or with `allow_stale` any server."""
    LEADER_LOCAL = "leader_local"
    """Only the leader, and from memory: broker, plan queue, heartbeats."""
    LOCAL = "local"
    """Whichever server is asked."""


Q = TypeVar("Q", bound=Request)
R = TypeVar("R", bound=Response)


@dataclass(frozen=True, slots=True)
class Method(Generic[Q, R]):
    """One remote procedure: `Endpoint.Name` with the types of its request and response."""

    name: str
    request: type[Q]
    response: type[R]
    access: Access


# --- Node -------------------------------------------------------------------------------------------------------


class NodeRegisterRequest(Request, frozen=True, kw_only=True):
    """A client tells who it is and what it has."""

    node: Node


class NodeUpdateStatusRequest(Request, frozen=True, kw_only=True):
    """A heartbeat (status "ready"), or a change of status."""

    node_id: NodeID
    status: str
    event: NodeEvent | None = None


class NodeUpdateResponse(Response, frozen=True, kw_only=True):
    """How long the client may stay silent, and the servers it may ask next; addresses are host:port of gRPC."""

    heartbeat_ttl_seconds: float = 0.0
    servers: list[str] = []
    leader_rpc_addr: str = ""
    eval_ids: list[EvalID] = []
    scheduling_eligibility: str = ""
    """What the servers hold of the node, by which a client learns it; empty when they do not know the node."""


class NodeUpdateEligibilityRequest(Request, frozen=True, kw_only=True):
    """An operator says whether new work may be placed on a client: "eligible" or "ineligible"."""

    node_id: NodeID
    eligibility: str


class NodeEligibilityUpdateResponse(Response, frozen=True, kw_only=True):
    """The evaluations that a client which became eligible got; an index of 0 says that nothing was to change."""

    eval_ids: list[EvalID] = []
    eval_create_index: int = 0


class NodeUpdateDrainRequest(Request, frozen=True, kw_only=True):
    """An operator drains a client, or without `spec` ends its drain; `mark_eligible` then lets new work onto it."""

    node_id: NodeID
    spec: DrainSpec | None = None
    mark_eligible: bool = False
    meta: dict[str, str] | None = None


class NodeDrainUpdateResponse(Response, frozen=True, kw_only=True):
    """The index at which the node changed, and the evaluations that it got if it became eligible."""

    node_modify_index: int = 0
    eval_ids: list[EvalID] = []
    eval_create_index: int = 0


class NodeSpecificRequest(Request, frozen=True, kw_only=True):
    """A question about one node."""

    node_id: NodeID


class NodeResponse(Response, frozen=True, kw_only=True):
    """One node, or None when there is none."""

    node: Node | None = None


class NodeListResponse(Response, frozen=True, kw_only=True):
    """Nodes, by id."""

    nodes: list[NodeStub] = []


class NodeClientAllocsResponse(Response, frozen=True, kw_only=True):
    """The allocations of a node with their `alloc_modify_index`: the client fetches those that changed."""

    allocs: dict[AllocID, int] = {}


class AllocUpdateRequest(Request, frozen=True, kw_only=True):
    """A client tells what became of its allocations; only the client's fields are read."""

    allocs: list[Allocation]


NODE_REGISTER = Method("Node.Register", NodeRegisterRequest, NodeUpdateResponse, Access.WRITE)
NODE_UPDATE_STATUS = Method("Node.UpdateStatus", NodeUpdateStatusRequest, NodeUpdateResponse, Access.WRITE)
NODE_UPDATE_ELIGIBILITY = Method(
    "Node.UpdateEligibility", NodeUpdateEligibilityRequest, NodeEligibilityUpdateResponse, Access.WRITE
)
NODE_UPDATE_DRAIN = Method("Node.UpdateDrain", NodeUpdateDrainRequest, NodeDrainUpdateResponse, Access.WRITE)
NODE_UPDATE_ALLOC = Method("Node.UpdateAlloc", AllocUpdateRequest, Response, Access.WRITE)
NODE_GET_NODE = Method("Node.GetNode", NodeSpecificRequest, NodeResponse, Access.READ)
NODE_LIST = Method("Node.List", Request, NodeListResponse, Access.READ)
NODE_GET_CLIENT_ALLOCS = Method("Node.GetClientAllocs", NodeSpecificRequest, NodeClientAllocsResponse, Access.READ)

# --- Alloc ------------------------------------------------------------------------------------------------------


class AllocSpecificRequest(Request, frozen=True, kw_only=True):
    """A question about one allocation."""

    alloc_id: AllocID


class AllocsGetRequest(Request, frozen=True, kw_only=True):
    """A question about several allocations."""

    alloc_ids: list[AllocID]


class AllocResponse(Response, frozen=True, kw_only=True):
    """One allocation, or None when there is none."""

    alloc: Allocation | None = None


class AllocsResponse(Response, frozen=True, kw_only=True):
    """Whole allocations."""

    allocs: list[Allocation] = []


class AllocListResponse(Response, frozen=True, kw_only=True):
    """Allocations as a list shows them, newest first."""

    allocs: list[AllocStub] = []


ALLOC_GET_ALLOC = Method("Alloc.GetAlloc", AllocSpecificRequest, AllocResponse, Access.READ)
ALLOC_GET_ALLOCS = Method("Alloc.GetAllocs", AllocsGetRequest, AllocsResponse, Access.READ)
ALLOC_LIST = Method("Alloc.List", Request, AllocListResponse, Access.READ)
NODE_GET_ALLOCS = Method("Node.GetAllocs", NodeSpecificRequest, AllocsResponse, Access.READ)

# --- Job --------------------------------------------------------------------------------------------------------


class JobRegisterRequest(Request, frozen=True, kw_only=True):
    """A job to create or change. With `enforce_index` only if its modify index is `job_modify_index`."""

    job: Job
    enforce_index: bool = False
    job_modify_index: int = 0


class JobRegisterResponse(Response, frozen=True, kw_only=True):
    """The evaluation that will place the job."""

    eval_id: str = ""
    eval_create_index: int = 0
    job_modify_index: int = 0
    warnings: str = ""


class JobDeregisterRequest(Request, frozen=True, kw_only=True):
    """A job to stop, or to remove with `purge`."""

    job_id: JobID
    purge: bool = False


class JobSpecificRequest(Request, frozen=True, kw_only=True):
    """A question about one job."""

    job_id: JobID


class JobResponse(Response, frozen=True, kw_only=True):
    """One job, or None when there is none."""

    job: Job | None = None


class JobWithSummary(Model, frozen=True):
    """A job and the counts of its allocations."""

    job: Job
    summary: JobSummary | None = None


class JobListResponse(Response, frozen=True, kw_only=True):
    """Jobs with their summaries, by id."""

    jobs: list[JobWithSummary] = []


class JobSummaryResponse(Response, frozen=True, kw_only=True):
    """Counts of a job's allocations, or None when there is no such job."""

    summary: JobSummary | None = None


class EvalListResponse(Response, frozen=True, kw_only=True):
    """Evaluations, newest first."""

    evals: list[Evaluation] = []


class JobVersionsResponse(Response, frozen=True, kw_only=True):
    """The kept versions of a job, newest first; none when there is no such job."""

    versions: list[Job] = []


class JobValidateRequest(Request, frozen=True, kw_only=True):
    """A job that is to be looked at, and nothing more."""

    job: Job


class JobValidateResponse(Response, frozen=True, kw_only=True):
    """What is wrong with the job; empty when it would be registered."""

    problem: str = ""


class TaskGroupScale(Model, frozen=True):
    """How many allocations a task group is to have, and those that may still run, by what is known of them."""

    desired: int
    placed: int = 0
    running: int = 0
    healthy: int = 0
    unhealthy: int = 0


class JobScaleStatusResponse(Response, frozen=True, kw_only=True):
    """A job and its task groups by name; without a job when there is none."""

    job: Job | None = None
    groups: dict[str, TaskGroupScale] = {}


JOB_GET_JOB_VERSIONS = Method("Job.GetJobVersions", JobSpecificRequest, JobVersionsResponse, Access.READ)
JOB_VALIDATE = Method("Job.Validate", JobValidateRequest, JobValidateResponse, Access.READ)
JOB_SCALE_STATUS = Method("Job.ScaleStatus", JobSpecificRequest, JobScaleStatusResponse, Access.READ)
JOB_REGISTER = Method("Job.Register", JobRegisterRequest, JobRegisterResponse, Access.WRITE)
JOB_DEREGISTER = Method("Job.Deregister", JobDeregisterRequest, JobRegisterResponse, Access.WRITE)
JOB_GET_JOB = Method("Job.GetJob", JobSpecificRequest, JobResponse, Access.READ)
JOB_LIST = Method("Job.List", Request, JobListResponse, Access.READ)
JOB_SUMMARY = Method("Job.Summary", JobSpecificRequest, JobSummaryResponse, Access.READ)
JOB_ALLOCATIONS = Method("Job.Allocations", JobSpecificRequest, AllocListResponse, Access.READ)
JOB_EVALUATIONS = Method("Job.Evaluations", JobSpecificRequest, EvalListResponse, Access.READ)

# --- Eval and Plan ----------------------------------------------------------------------------------------------


class EvalSpecificRequest(Request, frozen=True, kw_only=True):
    """A question about one evaluation."""

    eval_id: EvalID


class EvalResponse(Response, frozen=True, kw_only=True):
    """One evaluation, or None when there is none."""

    eval: Evaluation | None = None


class EvalDequeueRequest(Request, frozen=True, kw_only=True):
    """A worker asks for work, for one of *schedulers*, and waits up to `timeout_seconds` for it."""

    schedulers: list[str]
    timeout_seconds: float = 0.5


class EvalDequeueResponse(Response, frozen=True, kw_only=True):
    """Work and the token that goes with it; None when there was none in time."""

    eval: Evaluation | None = None
    token: str = ""
    wait_index: int = 0
    """The state that the scheduler must have seen before it begins."""


class EvalAckRequest(Request, frozen=True, kw_only=True):
    """The work is done (Eval.Ack) or must be given to another (Eval.Nack)."""

    eval_id: EvalID
    token: str


class EvalUpdateRequest(Request, frozen=True, kw_only=True):
    """Evaluations to write, under the token of the one that the worker holds."""

    evals: list[Evaluation]
    eval_token: str


class PlanSubmitRequest(Request, frozen=True, kw_only=True):
    """A plan to check and commit."""

    plan: Plan


class PlanSubmitResponse(Response, frozen=True, kw_only=True):
    """What of a plan was committed."""

    result: PlanResult


class CountResponse(Response, frozen=True, kw_only=True):
    """How many there are."""

    count: int = 0


EVAL_COUNT = Method("Eval.Count", Request, CountResponse, Access.READ)
EVAL_ALLOCATIONS = Method("Eval.Allocations", EvalSpecificRequest, AllocListResponse, Access.READ)
EVAL_GET_EVAL = Method("Eval.GetEval", EvalSpecificRequest, EvalResponse, Access.READ)
EVAL_LIST = Method("Eval.List", Request, EvalListResponse, Access.READ)
EVAL_DEQUEUE = Method("Eval.Dequeue", EvalDequeueRequest, EvalDequeueResponse, Access.LEADER_LOCAL)
EVAL_ACK = Method("Eval.Ack", EvalAckRequest, Response, Access.LEADER_LOCAL)
EVAL_NACK = Method("Eval.Nack", EvalAckRequest, Response, Access.LEADER_LOCAL)
EVAL_UPDATE = Method("Eval.Update", EvalUpdateRequest, Response, Access.WRITE)
EVAL_CREATE = Method("Eval.Create", EvalUpdateRequest, Response, Access.WRITE)
EVAL_REBLOCK = Method("Eval.Reblock", EvalUpdateRequest, Response, Access.WRITE)
PLAN_SUBMIT = Method("Plan.Submit", PlanSubmitRequest, PlanSubmitResponse, Access.LEADER_LOCAL)

# --- Status and Operator ----------------------------------------------------------------------------------------


class StatusLeaderResponse(Response, frozen=True, kw_only=True):
    """The leader's gRPC address, empty when none is known."""

    leader: str = ""


class StatusPeersResponse(Response, frozen=True, kw_only=True):
    """The gRPC addresses of the servers in the Raft configuration."""

    peers: list[str] = []


class RaftServer(Model, frozen=True):
    """A server in the Raft configuration. Source: `GET /v1/operator/raft/configuration`."""

    id: str
    node: str
    address: str
    leader: bool
    voter: bool
    raft_protocol: str = "3"


class RaftConfigurationResponse(Response, frozen=True, kw_only=True):
    """The Raft configuration."""

    servers: list[RaftServer] = []


class ServerHealth(Model, frozen=True):
    """What autopilot thinks of a server; `last_contact` is a Go duration, `stable_since` RFC 3339."""

    id: str
    name: str
    address: str
    serf_status: str
    version: str
    leader: bool
    last_contact: str
    last_term: int
    last_index: int
    healthy: bool
    voter: bool
    stable_since: str


class AutopilotHealthResponse(Response, frozen=True, kw_only=True):
    """Health of all servers. Source: `GET /v1/operator/autopilot/health`."""

    healthy: bool = False
    failure_tolerance: int = 0
    leader: str = ""
    voters: list[str] = []
    servers: list[ServerHealth] = []


class MembersResponse(Response, frozen=True, kw_only=True):
    """Servers as `GET /v1/agent/members` shows them: one dictionary in Nomad's shape each."""

    members: list[dict[str, Any]] = []


class SnapshotSaveRequest(Request, frozen=True, kw_only=True):
    """Ask for a snapshot of the state, or with `snapshot_id` for more of one: its bytes from `offset` on."""

    snapshot_id: str = ""
    offset: int = 0


class SnapshotSaveResponse(Response, frozen=True, kw_only=True):
    """A part of a snapshot's file. `size_bytes` and `sha256` (hexadecimal) are of the whole file."""

    snapshot_id: str = ""
    size_bytes: int = 0
    sha256: str = ""
    data: bytes = b""


class SnapshotStageRequest(Request, frozen=True, kw_only=True):
    """Keep a piece of a packed state that is to be restored: what is at `offset` of its `packed_bytes`."""

    restore_id: str
    packed_bytes: int
    state_bytes: int
    offset: int
    data: bytes


class SnapshotRestoreRequest(Request, frozen=True, kw_only=True):
    """Make the state of the pieces that are kept under `restore_id`."""

    restore_id: str


class RaftTransferRequest(Request, frozen=True, kw_only=True):
    """Hand the lead to the server with this id, or at this gRPC address; one of both is empty."""

    peer_id: str = ""
    peer_address: str = ""


class RaftTransferResponse(Response, frozen=True, kw_only=True):
    """Who led and who leads: id and gRPC address each; the same when there was nothing to do."""

    from_id: str
    from_address: str
    to_id: str
    to_address: str


STATUS_PING = Method("Status.Ping", Request, Response, Access.LOCAL)
STATUS_LEADER = Method("Status.Leader", Request, StatusLeaderResponse, Access.READ)


class RaftPeerRequest(Request, frozen=True, kw_only=True):
    """An operator removes a server from the Raft configuration, named by its id or by its address."""

    id: str = ""
    address: str = ""


class AutopilotConfigResponse(Response, frozen=True, kw_only=True):
    """The settings of autopilot."""

    config: AutopilotConfig = AutopilotConfig()


class AutopilotSetConfigRequest(Request, frozen=True, kw_only=True):
    """An operator changes autopilot; with `check_index` only if the settings were last modified at it."""

    config: AutopilotConfig
    check_index: int | None = None


class AutopilotSetConfigResponse(Response, frozen=True, kw_only=True):
    """`updated` is False when the settings were not those of the index that was asked for."""

    updated: bool = True


STATUS_PEERS = Method("Status.Peers", Request, StatusPeersResponse, Access.READ)
STATUS_MEMBERS = Method("Status.Members", Request, MembersResponse, Access.LOCAL)
OPERATOR_RAFT_CONFIGURATION = Method("Operator.RaftGetConfiguration", Request, RaftConfigurationResponse, Access.READ)
OPERATOR_RAFT_REMOVE_PEER = Method("Operator.RaftRemovePeer", RaftPeerRequest, Response, Access.WRITE)
OPERATOR_AUTOPILOT_CONFIG = Method("Operator.AutopilotGetConfiguration", Request, AutopilotConfigResponse, Access.READ)
OPERATOR_AUTOPILOT_SET_CONFIG = Method(
    "Operator.AutopilotSetConfiguration", AutopilotSetConfigRequest, AutopilotSetConfigResponse, Access.WRITE
)
OPERATOR_SERVER_HEALTH = Method("Operator.ServerHealth", Request, AutopilotHealthResponse, Access.READ)
OPERATOR_RAFT_TRANSFER = Method(
    "Operator.TransferLeadershipToPeer", RaftTransferRequest, RaftTransferResponse, Access.WRITE
)
OPERATOR_SNAPSHOT_SAVE = Method("Operator.SnapshotSave", SnapshotSaveRequest, SnapshotSaveResponse, Access.READ)
OPERATOR_SNAPSHOT_STAGE = Method("Operator.SnapshotStage", SnapshotStageRequest, Response, Access.WRITE)
OPERATOR_SNAPSHOT_RESTORE = Method("Operator.SnapshotRestore", SnapshotRestoreRequest, Response, Access.WRITE)

# --- What there is, by name -------------------------------------------------------------------------------------


class NamesResponse(Response, frozen=True, kw_only=True):
    """Names, sorted."""

    names: list[str] = []


class SearchRequest(Request, frozen=True, kw_only=True):
    """What begins with `prefix`, of one of `agent.endpoints.names.CONTEXTS`, or of all of them with "all"."""

    context: str = "all"


class SearchResponse(Response, frozen=True, kw_only=True):
    """Ids by context, and whether there are more than are named."""

    matches: dict[str, list[str]] = {}
    truncations: dict[str, bool] = {}


NODE_POOL_LIST = Method("NodePool.List", Request, NamesResponse, Access.READ)
NAMESPACE_LIST = Method("Namespace.ListNamespaces", Request, NamesResponse, Access.READ)
SEARCH_PREFIX = Method("Search.PrefixSearch", SearchRequest, SearchResponse, Access.READ)

METHODS: dict[str, Method[Any, Any]] = {
    value.name: value for value in list(globals().values()) if isinstance(value, Method)
}
"""All methods by name."""

SERVER_ONLY = frozenset(
    method.name
    for method in (
        EVAL_DEQUEUE, EVAL_ACK, EVAL_NACK, EVAL_UPDATE, EVAL_CREATE, EVAL_REBLOCK, PLAN_SUBMIT,
        OPERATOR_SNAPSHOT_SAVE, OPERATOR_SNAPSHOT_STAGE, OPERATOR_SNAPSHOT_RESTORE,
    )
)  # fmt: skip
"""What scheduling workers ask the leader for, and the state as a whole with every node's secret: no client's business.
Source: Nomad, AuthenticateServerOnly; a snapshot there takes a management token."""
