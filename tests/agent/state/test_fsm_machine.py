"""Random sequences of commands: whatever comes, the state stays consistent, deterministic and fit to be saved."""

import random
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.model.alloc import Allocation, ClientStatus, DesiredStatus, TaskStateInfo
from agent.model.base import AllocID, EvalID, JobID, NodeID
from agent.model.command import (
    AnyCommand,
    ApplyPlanResults,
    CompleteNodeDrains,
    DeleteEvals,
    DeregisterJob,
    Noop,
    RegisterJob,
    RegisterNode,
    UpdateAllocDesiredTransition,
    UpdateAllocsFromClient,
    UpdateEvals,
    UpdateNodeDrain,
    UpdateNodeEligibility,
    UpdateNodeStatus,
    encode,
)
from agent.model.evaluation import EvalStatus, Evaluation
from agent.model.job import Job, JobType, Resources, Task, TaskGroup
from agent.model.node import DrainSpec, DrainStrategy, Eligibility, Node, NodeStatus
from agent.state.fsm import apply, apply_bytes, dump, load
from agent.state.store import State

# Few names, so that commands meet each other's things.
_NODE_IDS = st.sampled_from([NodeID(f"node-{n}") for n in range(2)])
_JOB_IDS = st.sampled_from([JobID(f"job-{n}") for n in range(2)])
_EVAL_IDS = st.sampled_from([EvalID(f"eval-{n}") for n in range(6)])
_ALLOC_IDS = st.sampled_from([AllocID(f"alloc-{n}") for n in range(5)])
_GROUPS = st.sampled_from(["web", "db"])
_NAMESPACES = st.sampled_from(["default", "default", "default", "other"])
_COMMON: Any = {"request_id": st.sampled_from(["", *(f"request-{n}" for n in range(40))]), "at": st.integers(0, 2**62)}

_nodes = st.builds(
    Node, id=_NODE_IDS, status=st.sampled_from(NodeStatus), scheduling_eligibility=st.sampled_from(Eligibility)
)
_jobs = st.builds(
    Job,
    id=_JOB_IDS,
    namespace=_NAMESPACES,
    type=st.sampled_from([JobType.SERVICE, JobType.BATCH, JobType.SYSTEM]),
    priority=st.integers(1, 3),
    task_groups=st.lists(st.builds(TaskGroup, name=_GROUPS, count=st.integers(0, 3)), max_size=2),
)
_evals = st.builds(
    Evaluation,
    id=_EVAL_IDS,
    job_id=_JOB_IDS,
    namespace=_NAMESPACES,
    triggered_by=st.just("job-register"),
    status=st.sampled_from(EvalStatus),
    queued_allocations=st.none() | st.dictionaries(_GROUPS, st.integers(0, 5), max_size=2),
)
_allocs = st.builds(
    Allocation,
    id=_ALLOC_IDS,
    name=st.just("a"),
    eval_id=_EVAL_IDS,
    node_id=_NODE_IDS,
    node_name=st.just("n"),
    job_id=_JOB_IDS,
    namespace=_NAMESPACES,
    task_group=_GROUPS,
    resources=st.none() | st.builds(Resources, cpu=st.integers(0, 500), memory_mb=st.integers(0, 500)),
    client_status=st.sampled_from(ClientStatus) | st.just("odd"),
    desired_status=st.sampled_from(DesiredStatus),
    previous_allocation=st.just("") | _ALLOC_IDS,
    task_states=st.none() | st.just({"t": TaskStateInfo()}),
)
_drain_specs = st.builds(DrainSpec, deadline=st.sampled_from([-1, 0, 1, 2**63 - 1]), ignore_system_jobs=st.booleans())
_strategies = st.builds(DrainStrategy, deadline=st.integers(-1, 0), ignore_system_jobs=st.booleans())
_commands: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(RegisterNode, node=_nodes, **_COMMON),
    st.builds(
        UpdateNodeStatus, node_id=_NODE_IDS, status=st.sampled_from(NodeStatus), evals=st.lists(_evals, max_size=2), **_COMMON
    ),
    st.builds(
        UpdateNodeEligibility,
        node_id=_NODE_IDS,
        eligibility=st.sampled_from(Eligibility),
        evals=st.lists(_evals, max_size=2),
        **_COMMON,
    ),
    st.builds(
        UpdateNodeDrain,
        node_id=_NODE_IDS,
        spec=st.none() | _drain_specs,
        mark_eligible=st.booleans(),
        meta=st.none() | st.just({"message": "m"}),
        evals=st.lists(_evals, max_size=1),
        **_COMMON,
    ),
    st.builds(CompleteNodeDrains, drains=st.dictionaries(_NODE_IDS, _strategies, max_size=2), **_COMMON),
    st.builds(
        UpdateAllocDesiredTransition,
        migrate=st.lists(_ALLOC_IDS, max_size=3),
        evals=st.lists(_evals, max_size=1),
        **_COMMON,
    ),
    st.builds(
        RegisterJob, job=_jobs, eval=st.none() | _evals, enforce_index=st.booleans(), job_modify_index=st.integers(0, 4), **_COMMON
    ),
    st.builds(
        DeregisterJob, namespace=_NAMESPACES, job_id=_JOB_IDS, purge=st.booleans(), eval=st.none() | _evals, **_COMMON
    ),
    st.builds(UpdateEvals, evals=st.lists(_evals, max_size=3), **_COMMON),
    st.builds(
        ApplyPlanResults,
        eval_id=_EVAL_IDS,
        updated=st.lists(_allocs, max_size=4),
        snapshot_index=st.integers(0, 30),
        **_COMMON,
    ),
    st.builds(
        UpdateAllocsFromClient, allocs=st.lists(_allocs, max_size=3), evals=st.lists(_evals, max_size=1), **_COMMON
    ),
    st.builds(
        DeleteEvals, eval_ids=st.lists(_EVAL_IDS, max_size=3), alloc_ids=st.lists(_ALLOC_IDS, max_size=3), **_COMMON
    ),
    st.builds(Noop, **_COMMON),
)  # fmt: skip

_BEGINNING: list[AnyCommand] = [
    RegisterJob(request_id="", at=1, job=Job(id=JobID(f"job-{n}"), type=kind, task_groups=[TaskGroup(name="web")]))
    for n, kind in enumerate((JobType.SERVICE, JobType.BATCH))
]
"""Without jobs to begin with, few of the random placements would find theirs."""


@settings(max_examples=250, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_commands, max_size=30))
def test_any_commands_keep_the_state_consistent(commands):
    """
    After every command all indexes, counters and summaries agree with the tables, and the changes are named.
    """
    state = State()

    for index, command in enumerate([*_BEGINNING, *commands], start=1):
        applied = apply(state, index, command)

        applied.state.check_invariants()
        assert index == applied.state.index
        _check_changes_complete(state, applied.state, applied.changes)
        state = applied.state


@settings(max_examples=100, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_commands, max_size=30))
def test_a_dumped_state_is_loaded_unchanged(commands):
    """
    Saving and loading gives an equal state with equal bytes, which goes on as the original does.
    """
    state = _run(State(), [*_BEGINNING, *commands])

    saved = dump(state)
    loaded = load(saved)

    assert state == loaded
    assert saved == dump(loaded)
    loaded.check_invariants()
    follow_up = UpdateEvals(request_id="", at=1, evals=[])
    assert apply(state, state.index + 1, follow_up).state == apply(loaded, state.index + 1, follow_up).state


@settings(max_examples=60, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_commands, max_size=20), st.randoms(use_true_random=False))
def test_two_servers_that_apply_the_same_log_agree(commands, chance: random.Random):
    """
    A server that restarted from a snapshot somewhere in the log ends where one that never stopped does.
    """
    steady, restarted = State(), State()

    for index, command in enumerate([*_BEGINNING, *commands], start=1):
        data = encode(command)
        steady = apply_bytes(steady, index, data).state
        restarted = apply_bytes(restarted, index, data).state
        if chance.random() < 0.3:
            restarted = load(dump(restarted))

    assert steady == restarted
    assert dump(steady) == dump(restarted)


@settings(max_examples=200, deadline=None, print_blob=True)
@given(st.binary(max_size=60))
def test_any_bytes_are_applied_without_an_error(data):
    """
    Bytes that are no command are a refusal that moves the index and changes nothing else.
    """
    state = State(index=4)

    applied = apply_bytes(state, 5, data)

    assert 5 == applied.state.index
    assert applied.result.error != ""
    assert frozenset() == applied.changes.tables


def _run(state: State, commands: list[AnyCommand]) -> State:
    for index, command in enumerate(commands, start=1):
        # Through bytes, for what comes out of the log is what the state must be able to keep.
        state = apply_bytes(state, index, encode(command)).state
    return state


def _check_changes_complete(before: State, after: State, changes) -> None:
    for old, new, named in (
        (before.evals_by_id, after.evals_by_id, changes.evals),
        (before.allocs_by_id, after.allocs_by_id, changes.allocs),
        (before.jobs_by_key, after.jobs_by_key, changes.jobs),
        (before.nodes_by_id, after.nodes_by_id, changes.nodes),
    ):
        for key in {*old, *new}:
            if key not in named:
                assert _without_indexes(old.get(key)) == _without_indexes(new.get(key))
        assert len(named) == len(set(named))


def _without_indexes(value):
    """Drop what moves without being a change: where the client last reported, and where a plan was committed."""
    if isinstance(value, Node):
        return msgspec.structs.replace(value, last_alloc_update_index=0)
    if isinstance(value, Evaluation):
        return msgspec.structs.replace(value, modify_index=0)
    return value


def test_tasks_are_no_part_of_what_two_jobs_share():
    """
    The generated jobs have no tasks; one with tasks is saved and loaded as well.
    """
    job = Job(id=JobID("j"), task_groups=[TaskGroup(name="g", tasks=[Task(name="t", config={"args": ["1", 2]})])])

    state = apply(State(), 1, RegisterJob(request_id="r", at=1, job=job)).state

    assert job.task_groups == load(dump(state)).job("default", "j").task_groups
