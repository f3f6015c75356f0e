"""Keeps this node's allocations as the servers want them, and the servers told what became of them.

Source: Nomad, client/client.go, watchAllocations, runAllocs and allocSync.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable, Mapping

import msgspec

from agent.client.heartbeat import after_failure
from agent.client.runner import AllocRunner, RunnerContext
from agent.errors import OutriderError, Unreachable
from agent.model.alloc import Allocation, ClientStatus, DesiredStatus
from agent.model.base import AllocID, NodeID
from agent.rpc.caller import Caller
from agent.rpc.methods import (
    ALLOC_GET_ALLOCS,
    NODE_GET_CLIENT_ALLOCS,
    NODE_UPDATE_ALLOC,
    AllocsGetRequest,
    AllocUpdateRequest,
    NodeSpecificRequest,
)

WAIT_SECONDS = 60.0
"""How long the servers may hold a question for news. Nomad's 5 minutes hide a dead connection for longer."""

CALL_SECONDS = 5.0

BATCH_SECONDS = 0.2
"""Changes of this long go to the servers together. Source: Nomad, allocSyncIntv."""

FETCH_MAX = 64
"""Allocations asked for, or told of, in one call: with jobs of 50 KB well below the cap of a message."""


class AllocSync:
    """The runners of this node, one an allocation, and the two loops that keep them in step with the servers."""

    def __init__(self, node_id: NodeID, caller: Caller, context: RunnerContext, rng: random.Random) -> None:
        """*context* is what runners share; its `on_change` is expected to be `queue` of this object."""
        self._node_id = node_id
        self._region = context.settings.region
        self._caller = caller
        self._context = context
        self._logger = context.logger
        self._rng = rng
        self._runners: dict[AllocID, AllocRunner] = {}
        self._index = 0
        self._updates: dict[AllocID, Allocation] = {}
        self._updated = asyncio.Event()
        self._failures = 0

    @property
    def runners(self) -> Mapping[AllocID, AllocRunner]:
        """The runners by allocation."""
        return self._runners

    @property
    def queue_depth(self) -> int:
        """Changes that the servers do not know yet; at most one an allocation."""
        return len(self._updates)

    def restore(self) -> None:
        """Go on with the allocations of an earlier agent; raises OSError."""
        for record in self._context.store.load():
            runner = AllocRunner(self._context, record.alloc, record.tasks)
            self._runners[record.alloc.id] = runner
            runner.resume()

    def begin_anew(self) -> None:
        """Ask for everything again, from the leader: the node was registered, maybe with another cluster state."""
        self._index = 0

    def queue(self, alloc: Allocation) -> None:
        """Tell the servers of *alloc* with the next batch; a later change replaces an earlier one."""
        self._updates[alloc.id] = msgspec.structs.replace(
            alloc, job=None, resources=None, task_resources={}, shared_resources=None, metrics=None
        )
        self._updated.set()

    async def watch(self) -> None:
        """Follow what the servers want, until cancelled."""
        failures = 0
        while True:
            try:
                await self._follow()
            except OutriderError as error:
                failures += 1
                if failures & (failures - 1) == 0:
                    self._logger.warning("allocations not fetched: failures=%d reason=%s", failures, error)
                await asyncio.sleep(after_failure(failures, 0.0, self._rng))
            else:
                failures = 0

    async def push(self) -> None:
        """Tell the servers of changes, until cancelled."""
        while True:
            await self._updated.wait()
            await asyncio.sleep(BATCH_SECONDS)
            try:
                await self.flush(CALL_SECONDS)
            except OutriderError as error:
                self._failures += 1
                if self._failures & (self._failures - 1) == 0:
                    self._logger.warning("allocations not updated: failures=%d reason=%s", self._failures, error)
                await asyncio.sleep(after_failure(self._failures, 0.0, self._rng))
            else:
                self._failures = 0

    async def flush(self, timeout_seconds: float) -> None:
        """Tell the servers of all changes now; raises OutriderError, and keeps what they did not take."""
        self._updated.clear()
        for part in list(_parts(self._updates, FETCH_MAX)):
            sent = {alloc_id: self._updates[alloc_id] for alloc_id in part}
            request = AllocUpdateRequest(region=self._region, allocs=list(sent.values()))
            try:
                await self._caller.call(NODE_UPDATE_ALLOC, request, timeout_seconds)
            except OutriderError:
                # What was sent says how things are, not what to do: sending it again is harmless.
                self._updated.set()
                raise
            for alloc_id, alloc in sent.items():
                if self._updates.get(alloc_id) is alloc:
                    del self._updates[alloc_id]

    async def stop_all(self, timeout_seconds: float) -> None:
        """End every task, and wait for that up to *timeout_seconds*."""
        for runner in self._runners.values():
            runner.kill()
        await self._until(lambda: all(runner.done for runner in self._runners.values()), timeout_seconds)

    def detach(self) -> None:
        """Leave the tasks running and look after them no more."""
        for runner in self._runners.values():
            runner.detach()

    async def _follow(self) -> None:
        """Ask once, and do what the answer says."""
        index = self._index
        request = NodeSpecificRequest(
            region=self._region,
            node_id=self._node_id,
            min_query_index=index,
            max_query_time_seconds=WAIT_SECONDS,
            # The first answer decides which tasks found again may go on: only the leader is asked that.
            allow_stale=index > 0,
        )
        response = await self._caller.call(NODE_GET_CLIENT_ALLOCS, request, CALL_SECONDS)
        if self._index != index:
            return
        if response.index < index:
            # A server that lags behind: what it does not know yet must not be taken for removed.
            raise Unreachable(f"the server stands at {response.index}, before {index}")
        await self._take(response.allocs)
        if self._index == index:
            self._index = max(response.index, 1)

    async def _take(self, wanted: Mapping[AllocID, int]) -> None:
        changed = [
            alloc_id
            for alloc_id, version in sorted(wanted.items())
            if alloc_id not in self._runners or self._runners[alloc_id].alloc_modify_index < version
        ]
        for part in _parts(changed, FETCH_MAX):
            for alloc in await self._fetch(part, wanted):
                self._apply(alloc)
        for alloc_id in [alloc_id for alloc_id in self._runners if alloc_id not in wanted]:
            self._remove(alloc_id)

    async def _fetch(self, alloc_ids: list[AllocID], wanted: Mapping[AllocID, int]) -> list[Allocation]:
        """Return the allocations in the version wanted; raises Unreachable when not even the leader has it."""
        for stale in (True, False):
            request = AllocsGetRequest(region=self._region, alloc_ids=alloc_ids, allow_stale=stale)
            response = await self._caller.call(ALLOC_GET_ALLOCS, request, CALL_SECONDS)
            found = {alloc.id: alloc for alloc in response.allocs}
            if all(
                alloc_id in found and found[alloc_id].alloc_modify_index >= wanted[alloc_id] for alloc_id in alloc_ids
            ):
                return [found[alloc_id] for alloc_id in alloc_ids]
        raise Unreachable(f"the servers do not have {len(alloc_ids)} allocations in the version they named")

    def _apply(self, alloc: Allocation) -> None:
        runner = self._runners.get(alloc.id)
        if runner is not None:
            runner.update(alloc)
            if runner.done and not alloc.client_terminal:
                # The servers know less than they did: a snapshot from before the end was restored.
                self.queue(runner.alloc)
        elif not alloc.terminal:
            self._logger.info("allocation received: alloc=%s job=%s group=%s", alloc.id, alloc.job_id, alloc.task_group)
            self._runners[alloc.id] = runner = AllocRunner(self._context, alloc)
            runner.start()
        elif alloc.desired_status != DesiredStatus.RUN and not alloc.client_terminal:
            # To be stopped, and never begun here: the servers wait to hear that it is over.
            description = "Stopped before this client had begun it"
            self.queue(
                msgspec.structs.replace(
                    alloc, client_status=ClientStatus.COMPLETE, client_description=description, task_states={}
                )
            )

    def _remove(self, alloc_id: AllocID) -> None:
        """End an allocation that the servers know no more, and remove its data once its tasks are dead."""
        runner = self._runners[alloc_id]
        if runner.done:
            del self._runners[alloc_id]
            self._updates.pop(alloc_id, None)
            self._context.background.spawn(
                f"client-alloc-destroy:{alloc_id[:8]}", lambda: asyncio.to_thread(runner.destroy)
            )
        elif not runner.stopping:
            runner.kill()
            self._context.background.spawn(f"client-alloc-remove:{alloc_id[:8]}", lambda: self._remove_later(alloc_id))

    async def _remove_later(self, alloc_id: AllocID) -> None:
        runner = self._runners[alloc_id]
        if await self._until(lambda: runner.done, self._context.settings.kill_timeout_max_seconds + CALL_SECONDS):
            self._remove(alloc_id)

    async def _until(self, reached: Callable[[], bool], timeout_seconds: float) -> bool:
        """Wait until *reached*, looking often; return whether it was in time."""
        for _ in range(int(timeout_seconds / _LOOK_SECONDS) + 1):
            if reached():
                return True
            await asyncio.sleep(_LOOK_SECONDS)
        return reached()


_LOOK_SECONDS = 0.05


def _parts(items: Iterable[AllocID], size: int) -> Iterable[list[AllocID]]:
    iterator = iter(list(items))
    while part := list(itertools.islice(iterator, size)):
        yield part
