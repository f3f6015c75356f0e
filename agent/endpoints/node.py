"""Clients: registration, heartbeats, their allocations and what becomes of them. Source: nomad/node_endpoint.go."""

import msgspec

from agent.endpoints.context import Context, Handlers
from agent.errors import NotFound, RequestRefused
from agent.leader.node_evals import evals_for_node
from agent.model.alloc import Allocation, ClientStatus
from agent.model.base import EvalID, JobKey, NodeID
from agent.model.command import (
    RegisterNode,
    UpdateAllocsFromClient,
    UpdateNodeDrain,
    UpdateNodeEligibility,
    UpdateNodeStatus,
)
from agent.model.evaluation import Evaluation, Trigger
from agent.model.node import Eligibility, Node, NodeEvent, NodeStatus, NodeStub
from agent.model.times import rfc3339_seconds
from agent.rpc import methods as m
from agent.state.drains import NODE_NOT_FOUND
from agent.state.nodes import DRAINING
from agent.state.store import State, Table


class NodeEndpoint:
    """`Node.*`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def handlers(self) -> Handlers:
        """Return what answers which method."""
        return {
            m.NODE_REGISTER: self.register,
            m.NODE_UPDATE_STATUS: self.update_status,
            m.NODE_UPDATE_ELIGIBILITY: self.update_eligibility,
            m.NODE_UPDATE_DRAIN: self.update_drain,
            m.NODE_UPDATE_ALLOC: self.update_alloc,
            m.NODE_GET_NODE: self.get_node,
            m.NODE_GET_ALLOCS: self.get_allocs,
            m.NODE_GET_CLIENT_ALLOCS: self.get_client_allocs,
            m.NODE_LIST: self.list_nodes,
        }

    async def register(self, request: m.NodeRegisterRequest) -> m.NodeUpdateResponse:
        """Take a client in, or again; raises RequestRefused when it does not say who it is."""
        node = request.node
        for field, value in (("ID", node.id), ("datacenter", node.datacenter), ("name", node.name)):
            if not value:
                raise RequestRefused(f"missing node {field} for client registration", 400)
        _require_status(node.status)
        # What a label of a series says must come from a closed set, not from whoever registers.
        _require_eligibility(node.scheduling_eligibility)
        before = self._context.state.node(node.id)
        result = await self._context.propose(
            RegisterNode(request_id=self._context.new_id(), at=self._context.now_ns(), node=node)
        )
        after = self._context.state.node(node.id)
        evals: list[Evaluation] = []
        if after is not None and _became_useful(before, after):
            evals = await self._evaluate(after)
        return self._answer(node.id, after, result.index, evals)

    async def update_status(self, request: m.NodeUpdateStatusRequest) -> m.NodeUpdateResponse:
        """Renew a heartbeat; goes through Raft only when the status changes."""
        _require_status(request.status)
        before = self._context.state.node(request.node_id)
        if before is None:
            # A protocol answer: the client registers again when it reads it.
            raise NotFound("node not found")
        index, evals = self._context.state.index, list[Evaluation]()
        if before.status != request.status:
            index, evals = await self._change_status(before, request)
        return self._answer(request.node_id, self._context.state.node(request.node_id), index, evals)

    async def update_eligibility(self, request: m.NodeUpdateEligibilityRequest) -> m.NodeEligibilityUpdateResponse:
        """Let new work onto a client or keep it off; raises RequestRefused in Nomad's words.

        A client that becomes eligible gets an evaluation for each system job, which may have been registered meanwhile.
        """
        context = self._context
        if not request.node_id:
            raise RequestRefused("missing node ID for setting scheduling eligibility")
        wanted = _require_eligibility(request.eligibility)
        node = context.state.node(request.node_id)
        if node is None:
            raise RequestRefused("node not found")
        if node.drain_strategy is not None and wanted is Eligibility.ELIGIBLE:
            raise RequestRefused(DRAINING)
        if node.scheduling_eligibility == wanted:
            return context.fresh(m.NodeEligibilityUpdateResponse(), 0)
        context.logger.info("node transitioning to %s state: node_id=%s", wanted.value, node.id)
        now_ns = context.now_ns()
        evals = evals_for_node(context.state, node, context.new_id, now_ns) if wanted is Eligibility.ELIGIBLE else []
        result = await context.propose(
            UpdateNodeEligibility(
                request_id=context.new_id(), at=now_ns, node_id=node.id, eligibility=wanted, evals=evals
            )
        )
        answer = m.NodeEligibilityUpdateResponse(
            eval_ids=[evaluation.id for evaluation in evals], eval_create_index=result.index if evals else 0
        )
        return context.fresh(answer, result.index)

    async def update_drain(self, request: m.NodeUpdateDrainRequest) -> m.NodeDrainUpdateResponse:
        """Begin, change or end a client's drain; raises NotFound, and RequestRefused in Nomad's words.

        A client that becomes eligible gets an evaluation for each system job, as in `update_eligibility`.
        """
        context = self._context
        if not request.node_id:
            raise RequestRefused("missing node ID for drain update")
        node = context.state.node(request.node_id)
        if node is None:
            raise NotFound(NODE_NOT_FOUND)
        now_ns = context.now_ns()
        returns = (
            request.spec is None and request.mark_eligible and node.scheduling_eligibility == Eligibility.INELIGIBLE
        )
        evals = evals_for_node(context.state, node, context.new_id, now_ns) if returns else []
        context.logger.info(
            "node drain updated: node_id=%s drain=%s deadline_ns=%s",
            node.id, request.spec is not None, request.spec.deadline if request.spec else 0,
        )  # fmt: skip
        result = await context.propose(
            UpdateNodeDrain(
                request_id=context.new_id(),
                at=now_ns,
                node_id=node.id,
                spec=request.spec,
                mark_eligible=request.mark_eligible,
                meta=request.meta,
                evals=evals,
            )
        )
        answer = m.NodeDrainUpdateResponse(
            node_modify_index=result.index,
            eval_ids=[evaluation.id for evaluation in evals],
            eval_create_index=result.index if evals else 0,
        )
        return context.fresh(answer, result.index)

    async def update_alloc(self, request: m.AllocUpdateRequest) -> m.Response:
        """Take what a client says of its allocations; a failed one makes an evaluation of its job."""
        context = self._context
        evals = _evals_for_updates(context.state, request.allocs, context)
        result = await context.propose(
            UpdateAllocsFromClient(request_id=context.new_id(), at=context.now_ns(), allocs=request.allocs, evals=evals)
        )
        return context.fresh(m.Response(), result.index)

    async def get_node(self, request: m.NodeSpecificRequest) -> m.NodeResponse:
        """Return one node."""
        return await self._context.read(
            request, (Table.NODES,), lambda state: m.NodeResponse(node=state.node(request.node_id))
        )

    async def list_nodes(self, request: m.Request) -> m.NodeListResponse:
        """Return all nodes whose id begins with the prefix."""
        return await self._context.read(
            request,
            (Table.NODES,),
            lambda state: m.NodeListResponse(nodes=[NodeStub.of(node) for node in state.nodes(request.prefix)]),
        )

    async def get_allocs(self, request: m.NodeSpecificRequest) -> m.AllocsResponse:
        """Return a node's whole allocations."""
        return await self._context.read(
            request,
            (Table.ALLOCS,),
            lambda state: m.AllocsResponse(allocs=list(state.allocs_by_node(request.node_id))),
        )

    async def get_client_allocs(self, request: m.NodeSpecificRequest) -> m.NodeClientAllocsResponse:
        """Return a node's allocations with the index at which the servers last changed each."""
        return await self._context.read(
            request,
            (Table.ALLOCS,),
            lambda state: m.NodeClientAllocsResponse(
                allocs={alloc.id: alloc.alloc_modify_index for alloc in state.allocs_by_node(request.node_id)}
            ),
        )

    def _answer(self, node_id: NodeID, node: Node | None, index: int, evals: list[Evaluation]) -> m.NodeUpdateResponse:
        duties = self._context.duties
        ttl = 0.0
        if node is not None and node.status != NodeStatus.DOWN:
            ttl = duties.renew_heartbeat(node_id)
        else:
            duties.heartbeats.forget(node_id)
        leader = self._context.status().leader
        response = m.NodeUpdateResponse(
            heartbeat_ttl_seconds=ttl,
            servers=self._context.server_addresses(),
            leader_rpc_addr=leader.rpc_address if leader else "",
            eval_ids=[evaluation.id for evaluation in evals],
            scheduling_eligibility=node.scheduling_eligibility if node is not None else "",
        )
        return self._context.fresh(response, index)

    async def _change_status(self, before: Node, request: m.NodeUpdateStatusRequest) -> tuple[int, list[Evaluation]]:
        context = self._context
        returns = before.status == NodeStatus.DOWN and request.status == NodeStatus.READY
        event = request.event
        if event is None and returns:
            event = NodeEvent(message="Node reregistered by heartbeat", timestamp=rfc3339_seconds(context.clock.wall()))
        now_ns = context.now_ns()
        evals = evals_for_node(context.state, before, context.new_id, now_ns)
        result = await context.propose(
            UpdateNodeStatus(
                request_id=context.new_id(),
                at=now_ns,
                node_id=before.id,
                status=request.status,
                event=event,
                evals=evals,
            )
        )
        return result.index, evals

    async def _evaluate(self, node: Node) -> list[Evaluation]:
        context = self._context
        evals = evals_for_node(context.state, node, context.new_id, context.now_ns())
        if evals:
            await context.propose(
                UpdateNodeStatus(
                    request_id=context.new_id(), at=context.now_ns(), node_id=node.id, status=node.status, evals=evals
                )
            )
        return evals


def _require_status(status: str) -> None:
    if status not in {known.value for known in NodeStatus}:
        raise RequestRefused(f"invalid status for node: {status!r}", 400)


def _require_eligibility(eligibility: str) -> Eligibility:
    try:
        return Eligibility(eligibility)
    except ValueError:
        raise RequestRefused(f'invalid scheduling eligibility "{eligibility}"') from None


def _became_useful(before: Node | None, after: Node) -> bool:
    return after.status == NodeStatus.READY and (before is None or before.status != NodeStatus.READY)


def _leaves_a_gap(known: Allocation, update: Allocation, state: State) -> bool:
    """Tell whether an allocation ended that its job needs another for."""
    if update.client_status == ClientStatus.FAILED:
        return known.client_status != ClientStatus.FAILED
    # It shall run in the state that a snapshot brought back, and was stopped meanwhile.
    return update.client_terminal and not known.terminal and known.alloc_modify_index == state.restored_at


def _evals_for_updates(state: State, updates: list[Allocation], context: Context) -> list[Evaluation]:
    jobs: dict[JobKey, tuple[str, int]] = {}
    for update in updates:
        known = state.alloc(update.id)
        if known is None or not _leaves_a_gap(known, update, state):
            continue
        job = state.job(known.namespace, known.job_id)
        if job is not None and not job.stop:
            jobs[job.key] = (job.type, job.priority)
    now_ns = context.now_ns()
    return [
        msgspec.structs.replace(
            Evaluation(id=EvalID(context.new_id()), job_id=key[1], triggered_by=Trigger.ALLOC_FAILURE),  # type: ignore[arg-type]
            namespace=key[0],
            type=kind,
            priority=priority,
            create_time=now_ns,
            modify_time=now_ns,
        )
        for key, (kind, priority) in sorted(jobs.items())
    ]
