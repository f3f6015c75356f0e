"""What is due about clients that drain, and whole drains carried out against the real scheduler, without processes."""

import random

import msgspec
import pytest

from agent.leader.drain import MIGRATIONS_AT_ONCE, DrainStep, draining_nodes, next_step
from agent.leader.node_evals import evals_for_migration
from agent.model.command import (
    CompleteNodeDrains,
    DeregisterJob,
    RegisterJob,
    RegisterNode,
    UpdateAllocDesiredTransition,
    UpdateNodeDrain,
    UpdateNodeStatus,
)
from agent.model.job import JobType
from agent.model.node import DrainSpec, NodeStatus
from tests.agent.scheduler.test_process import SECOND, World, job, recorded_node

MIGRATE = {"MaxParallel": 2}


class Draining(World):
    """A world in which every allocation runs once it is placed, and ends once it is told to stop."""

    def fill(self, *jobs):
        """Register jobs and let them run."""
        for each in jobs:
            self.register(each)
        self.settle()

    def settle(self):
        """Let the clients do what is wanted of them."""
        for alloc in self.state.allocs():
            if alloc.desired_status == "run" and alloc.client_status == "pending":
                self.report(alloc.id, "running")
            elif alloc.desired_status == "stop" and not alloc.client_terminal:
                self.report(alloc.id, "complete")

    def drain(self, name="n0", deadline_seconds=0, **spec):
        """Begin the drain of a node."""
        wanted = DrainSpec(deadline=int(deadline_seconds * SECOND), **spec)
        self.commit(UpdateNodeDrain, node_id=self.node(name).id, spec=wanted)

    def node(self, name="n0"):
        return next(node for node in self.state.nodes() if node.name == name)

    def step(self):
        return next_step(self.state, draining_nodes(self.state), self.now)

    def due(self):
        """Return the names of what is to be marked now."""
        return sorted(alloc.name for alloc in self.step().migrate)

    def write(self, step):
        """Write a step as the leader's shell does, and carry out the evaluations that come with it."""
        if step.migrate:
            evals = evals_for_migration(self.state, step.migrate, self.new_id, self.now)
            self.commit(UpdateAllocDesiredTransition, migrate=[alloc.id for alloc in step.migrate], evals=evals)
            for evaluation in evals:
                self.run(evaluation)
        if step.complete:
            self.commit(CompleteNodeDrains, drains=step.complete)

    def there(self, name="n0"):
        """Return the names of what may still run on a node."""
        allocs = self.state.allocs_by_node(self.node(name).id)
        return sorted(alloc.name for alloc in allocs if not alloc.client_terminal)


def world(*jobs, nodes=3):
    made = Draining(nodes=nodes)
    made.fill(*jobs)
    return made


def only_on_n0(*jobs, others=1):
    """Return a world whose jobs were placed while there was one node, and in which there are others now."""
    made = world(*jobs, nodes=1)
    for number in range(1, 1 + others):
        made.commit(RegisterNode, node=recorded_node(f"n{number}"))
    return made


def test_nothing_is_due_while_nothing_drains():
    """
    Nodes that are merely there, running work, are left alone.
    """
    made = world(job(count=3))

    assert [] == draining_nodes(made.state)
    assert DrainStep() == made.step()


@pytest.mark.parametrize(
    ("migrate", "moved"), [(None, 1), ({"MaxParallel": 0}, 1), (MIGRATE, 2), ({"MaxParallel": 9}, 4)]
)
def test_a_service_gives_up_as_many_as_its_migrate_block_lets(migrate, moved):
    """
    The next one goes when the replacement runs, not when it is placed.
    """
    made = only_on_n0(job(count=4, migrate=migrate))
    made.drain()

    first = made.due()
    made.write(made.step())
    waiting = made.due()
    made.settle()
    second = made.due()

    assert moved == len(first)
    assert [] == waiting
    assert min(moved, 4 - moved) == len(second)
    assert set() == set(first) & set(second)


def test_a_whole_drain_loses_nothing_and_ends():
    """
    At each step the count less `max_parallel` runs; at the end all of it, elsewhere, and the drain is complete.
    """
    made = only_on_n0(job("web", count=5), job("api", count=3, migrate=MIGRATE), others=2)
    made.drain()
    least = {"web": 5, "api": 3}

    for _ in range(30):
        step = made.step()
        made.write(step)
        running = {name: sum(a.client_status == "running" for a in made.live(name)) for name in least}
        least = {name: min(least[name], running[name]) for name in least}
        made.settle()
        if step.complete:
            break

    assert {"web": 4, "api": 1} == least
    assert [] == made.there()
    assert {"web": 5, "api": 3} == {name: len(made.live(name)) for name in least}
    node = made.node()
    assert (None, "complete", "ineligible") == (
        node.drain_strategy, node.last_drain.status, node.scheduling_eligibility,
    )  # fmt: skip


def test_what_does_not_run_goes_at_once():
    """
    A task that never starts would hold the drain for ever, and moving it costs nobody.
    """
    made = Draining(nodes=1)
    made.register(job(count=2))
    made.drain()

    assert ["web.app[0]", "web.app[1]"] == made.due()


def test_a_group_that_is_short_waits():
    """
    While a replacement is missing nothing more may go; this is what the deadline is for.
    """
    made = world(job(count=2), nodes=1)
    made.drain(deadline_seconds=60)
    made.write(made.step())
    made.settle()

    short, ahead = made.due(), made.step().next_deadline_ns
    made.now += 60 * SECOND

    assert [] == short
    assert made.now == ahead
    assert 1 == len(made.due())


@pytest.mark.parametrize("kind", [JobType.BATCH, JobType.SYSBATCH])
def test_batch_work_is_let_finish_until_the_deadline(kind):
    """
    Without a deadline it holds the drain as long as it runs.
    """
    made = world(job(count=1, kind=kind), nodes=1)
    made.drain()
    endless = made.due()
    made.drain(deadline_seconds=60)
    before = made.due()
    made.now += 60 * SECOND
    after = made.due()
    made.write(made.step())
    made.settle()

    assert ([], [], ["web.app[0]"]) == (endless, before, after)
    assert [made.node().id] == list(made.step().complete)


def test_batch_work_that_ends_ends_the_drain():
    """
    Nothing was moved, and the node is free.
    """
    made = world(job(count=1, kind=JobType.BATCH), nodes=2)
    (alloc,) = made.allocs()
    made.drain(alloc.node_name)

    before = made.step()
    made.report(alloc.id, "complete")
    after = made.step()

    assert ((), {}) == (before.migrate, before.complete)
    assert ((), [alloc.node_id]) == (after.migrate, list(after.complete))


def test_force_moves_everything_at_once():
    """
    Services, batch work and system jobs alike, without regard to `max_parallel`.
    """
    made = world(
        job("web", count=3), job("work", count=1, kind=JobType.BATCH), job("all", kind=JobType.SYSTEM), nodes=1
    )
    made.drain(deadline_seconds=-1)

    assert made.there() == made.due()
    assert 5 == len(made.due())


def test_system_jobs_go_last():
    """
    Only when nothing else may run there any more; then the drain ends when they have.
    """
    made = only_on_n0(job("web", count=1), job("all", count=1, kind=JobType.SYSTEM))
    made.drain()
    first = made.due()
    made.write(made.step())
    stopping = made.due()
    made.settle()
    last, early = made.due(), made.step().complete
    made.write(made.step())
    going = made.step().complete
    made.settle()

    assert (["web.app[0]"], [], ["all.app[0]"]) == (first, stopping, last)
    assert ({}, {}) == (early, going)
    assert [made.node().id] == list(made.step().complete)


def test_ignored_system_jobs_stay():
    """
    The drain does not wait for them, not even at its deadline.
    """
    made = world(job("all", count=1, kind=JobType.SYSTEM), nodes=1)
    made.drain(deadline_seconds=-1, ignore_system_jobs=True)

    step = made.step()
    made.write(step)

    assert ((), [made.node().id]) == (step.migrate, list(step.complete))
    assert ["all.app[0]"] == made.there()


def test_a_node_that_dies_has_drained():
    """
    Its allocations are lost, as on any node, and replaced; the drain has nothing left.
    """
    made = only_on_n0(job(count=2))
    made.drain()
    made.commit(UpdateNodeStatus, node_id=made.node().id, status=NodeStatus.DOWN)
    made.run(made.evaluation(trigger="node-update"))

    assert [made.node().id] == list(made.step().complete)
    assert {"n1"} == {alloc.node_name for alloc in made.live()}


def test_two_nodes_that_drain_share_the_room_of_a_group():
    """
    `max_parallel` is the group's, however many of its nodes drain.
    """
    made = world(job(count=4), nodes=2)
    assert {"n0", "n1"} == {alloc.node_name for alloc in made.live()}
    made.drain("n0")
    made.drain("n1")

    assert 1 == len(made.due())


def test_what_is_marked_serves_no_more():
    """
    Until its evaluation is looked at it still runs, and yet nothing else may go.
    """
    made = only_on_n0(job(count=3))
    made.drain()
    made.commit(UpdateAllocDesiredTransition, migrate=[alloc.id for alloc in made.step().migrate], evals=[])

    assert [] == made.due()


def test_what_a_deadline_takes_counts_against_the_group():
    """
    Two of four go because the deadline of their client has passed; the other client's wait for replacements.
    """
    made = world(job(count=4), nodes=2)
    assert {"n0": 2, "n1": 2} == {name: len(made.there(name)) for name in ("n0", "n1")}
    made.drain("n0", deadline_seconds=-1)
    made.drain("n1")

    assert made.there("n0") == made.due()


def test_the_next_deadline_is_the_earliest_ahead():
    """
    One that has passed or was never set wakes nobody.
    """
    made = world(*(job(f"job{number}", count=4) for number in range(3)), nodes=4)
    for name, seconds in (("n0", 90), ("n1", 60), ("n2", 10), ("n3", 0)):
        made.drain(name, deadline_seconds=seconds)
    began = made.now

    made.now += 20 * SECOND

    assert began + 60 * SECOND == made.step().next_deadline_ns


def test_a_job_that_is_stopped_is_left_to_its_own_evaluation():
    """
    Marking it would only make another one.
    """
    made = world(job(count=1), nodes=1)
    made.drain()
    made.commit(DeregisterJob, namespace="default", job_id="web")

    assert [] == made.due()


def test_a_drain_that_has_ended_is_left_alone():
    """
    What an operator ended moves nothing, although the leader still had the node on its list.
    """
    made = world(job(count=1), nodes=1)
    made.drain()
    listed = draining_nodes(made.state)
    made.commit(UpdateNodeDrain, node_id=made.node().id, mark_eligible=True)

    assert DrainStep() == next_step(made.state, listed, made.now)


def test_a_long_list_is_marked_in_parts():
    """
    One command does not hold thousands of allocations.
    """
    made = Draining(nodes=1)
    made.register(job(count=MIGRATIONS_AT_ONCE + 20, cpu=1))
    for alloc in made.state.allocs():
        assert alloc.client_status == "pending"
    made.drain(deadline_seconds=-1)
    there = len(made.state.allocs())

    sizes = []
    while (step := made.step()).migrate:
        sizes.append(len(step.migrate))
        made.commit(UpdateAllocDesiredTransition, migrate=[alloc.id for alloc in step.migrate], evals=[])

    assert sum(sizes) == there
    assert max(sizes) <= MIGRATIONS_AT_ONCE


@pytest.mark.parametrize("seed", range(20))
def test_any_drain_that_can_end_does(seed):
    """
    Random jobs on random nodes: with room elsewhere each drain ends, nothing is lost, and no group falls below its share.
    """
    rng = random.Random(seed)
    counts = {f"job{number}": rng.randint(1, 6) for number in range(3)}
    parallel = {name: rng.randint(1, 3) for name in counts}
    made = world(
        *(job(name, count=counts[name], cpu=10, migrate={"MaxParallel": parallel[name]}) for name in counts),
        nodes=4,
    )
    made.drain("n0")
    made.drain("n1")

    for _ in range(60):
        made.write(made.step())
        for name, count in counts.items():
            running = sum(alloc.client_status == "running" for alloc in made.live(name))
            assert running >= count - parallel[name], (seed, name)
        # Clients do not all answer at one time.
        for alloc in made.state.allocs():
            if rng.random() < 0.7:
                if alloc.desired_status == "run" and alloc.client_status == "pending":
                    made.report(alloc.id, "running")
                elif alloc.desired_status == "stop" and not alloc.client_terminal:
                    made.report(alloc.id, "complete")
        if not draining_nodes(made.state):
            break

    assert [] == draining_nodes(made.state), seed
    assert [] == made.there("n0") + made.there("n1"), seed
    assert counts == {name: len(made.live(name)) for name in counts}, seed


def test_a_migration_makes_one_evaluation_a_job():
    """
    With the job's own type and priority, as Nomad's drain makes them.
    """
    made = world(job("web", count=2), nodes=1)
    important = msgspec.structs.replace(job("top", count=1), priority=80)
    made.commit(RegisterJob, job=important)
    made.run(made.evaluation("top"))

    evals = evals_for_migration(made.state, made.state.allocs(), made.new_id, made.now)

    assert [("top", "service", 80, "node-drain"), ("web", "service", 50, "node-drain")] == [
        (each.job_id, each.type, each.priority, each.triggered_by) for each in evals
    ]
