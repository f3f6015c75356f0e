"""Carries drains out: looks at every change that may matter, writes what is due, wakes at the next deadline.

It keeps nothing that the state does not say. Source: Nomad, nomad/drainer/drainer.go.
"""

import asyncio

from agent.errors import OutriderError
from agent.leader.drain import DrainStep, draining_nodes, next_step
from agent.leader.node_evals import evals_for_migration
from agent.leader.surroundings import Surroundings
from agent.model.base import NodeID
from agent.model.command import CompleteNodeDrains, UpdateAllocDesiredTransition
from agent.state.store import Changes, State, Table

PACE_SECONDS = 0.2
"""Between two steps: what changes together is looked at together. Nomad gathers for a second."""

WAIT_SECONDS_MAX = 1.0
"""The longest sleep while a deadline is ahead or a write failed, as the wall clock may be set."""


class Drainer:
    """The drains of one leader. Belongs to one event loop."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._changed = asyncio.Event()
        self._nodes: list[NodeID] = []
        self._nodes_index = -1

    def on_changes(self, changes: Changes) -> None:
        """Wake the loop when *changes* may concern a drain."""
        if changes.nodes or (self._nodes and (changes.allocs or changes.jobs)):
            self._changed.set()

    async def run(self) -> None:
        """Carry drains out until cancelled; starts from the state as it is."""
        self._nodes_index = -1
        while True:
            self._changed.clear()
            step = self._look()
            failed = not await self._write(step)
            await self._wait(step, failed=failed)

    def _look(self) -> DrainStep:
        state = self._around.state()
        index = state.table_index(Table.NODES)
        if index != self._nodes_index:
            # Thousands of nodes cost milliseconds to read, and seldom change.
            self._nodes, self._nodes_index = draining_nodes(state), index
        return next_step(state, self._nodes, self._now_ns()) if self._nodes else DrainStep()

    async def _write(self, step: DrainStep) -> bool:
        """Write what is due; returns whether it was written."""
        around = self._around
        try:
            if step.migrate:
                await self._migrate(around.state(), step)
            if step.complete:
                around.logger.info("node drains complete: nodes=%s", ",".join(step.complete))
                await around.propose(
                    CompleteNodeDrains(request_id=around.new_id(), at=self._now_ns(), drains=step.complete)
                )
        except OutriderError as error:
            around.logger.warning("drain not carried on: reason=%s", error)
            return False
        return True

    async def _migrate(self, state: State, step: DrainStep) -> None:
        around, now_ns = self._around, self._now_ns()
        around.logger.info("allocations marked for migration: count=%d", len(step.migrate))
        await around.propose(
            UpdateAllocDesiredTransition(
                request_id=around.new_id(),
                at=now_ns,
                migrate=[alloc.id for alloc in step.migrate],
                evals=evals_for_migration(state, step.migrate, around.new_id, now_ns),
            )
        )

    async def _wait(self, step: DrainStep, *, failed: bool) -> None:
        if self._nodes:
            await asyncio.sleep(PACE_SECONDS)
        timeout: float | None = None
        if failed:
            timeout = WAIT_SECONDS_MAX
        elif step.next_deadline_ns is not None:
            timeout = min(WAIT_SECONDS_MAX, max(0.0, (step.next_deadline_ns - self._now_ns()) / 1e9))
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    def _now_ns(self) -> int:
        return int(self._around.clock.wall() * 1e9)
