"""Defaults and refusals of jobs, as Nomad has them."""

import msgspec
import pytest

from agent.model.base import JobID
from agent.model.canonical import canonicalize, refusal
from agent.model.job import SECOND_NS, Job, JobType, Resources, Task, TaskGroup


def job(**fields):
    task = Task(name="sleep", driver="raw_exec", resources=Resources(cpu=50, memory_mb=32))
    values = {"id": JobID("web"), "task_groups": [TaskGroup(name="app", count=2, tasks=[task])]}
    return Job(**(values | fields))


def test_a_bare_service_gets_the_defaults_of_a_recorded_one():
    """
    What Nomad 2.0.5 filled in for a service, in `GET /v1/job/failing`, is what is filled in here.
    """
    filled = canonicalize(job())

    group = filled.task_groups[0]
    assert ("web", ["*"], "default", 50) == (filled.name, filled.datacenters, filled.node_pool, filled.priority)
    assert {
        "AutoPromote": False, "AutoRevert": False, "Canary": 0, "HealthCheck": "checks",
        "HealthyDeadline": 300000000000, "MaxParallel": 1, "MinHealthyTime": 10000000000,
        "ProgressDeadline": 600000000000, "Stagger": 30000000000,
    } == group.update  # fmt: skip
    assert {
        "HealthCheck": "checks", "HealthyDeadline": 300000000000, "MaxParallel": 1, "MinHealthyTime": 10000000000,
    } == group.migrate  # fmt: skip
    assert (30 * SECOND_NS, "exponential", 3600 * SECOND_NS, True) == (
        group.reschedule_policy.delay, group.reschedule_policy.delay_function,
        group.reschedule_policy.max_delay, group.reschedule_policy.unlimited,
    )  # fmt: skip
    assert (300, 10, 10) == (
        group.ephemeral_disk.size_mb, group.tasks[0].log_config.max_files, group.tasks[0].log_config.max_file_size_mb
    )  # fmt: skip


def test_a_batch_job_gets_the_defaults_of_a_recorded_one():
    """
    What Nomad 2.0.5 filled in for a batch job, in `GET /v1/job/once`, is what is filled in here.
    """
    group = canonicalize(job(type=JobType.BATCH)).task_groups[0]

    assert (None, None) == (group.update, group.migrate)
    assert {
        "Attempts": 1, "Delay": 5000000000, "DelayFunction": "constant", "Interval": 86400000000000, "MaxDelay": 0,
        "Unlimited": False,
    } == msgspec.to_builtins(group.reschedule_policy)  # fmt: skip
    assert {
        "Attempts": 3, "Delay": 15000000000, "Interval": 86400000000000, "Mode": "fail", "RenderTemplates": False,
    } == msgspec.to_builtins(group.tasks[0].restart_policy)  # fmt: skip


@pytest.mark.parametrize("kind", list(JobType))
def test_filling_in_twice_changes_nothing_more(kind):
    """
    A job that has its defaults keeps them: registering what was read back is no change.
    """
    once = canonicalize(job(type=kind))

    assert once == canonicalize(once)


def test_the_recorded_refusal_is_given_byte_for_byte():
    """
    The body of the recorded refusal, with its two problems and its empty line at the end.
    """
    bad = canonicalize(Job(id=JobID("x"), name="x", type="nope"))

    assert '2 errors occurred:\n\t* Invalid job type: "nope"\n\t* Missing job task groups\n\n' == refusal(bad)


def test_a_sound_job_is_not_refused():
    """
    A job with a group and a task passes.
    """
    assert "" == refusal(canonicalize(job()))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id": JobID("")}, "Missing job ID"),
        ({"id": JobID("a b")}, "Job ID contains a space"),
        ({"priority": 101}, "Job priority must be between [1, 100]"),
        ({"priority": -1}, "Job priority must be between [1, 100]"),
        ({"task_groups": []}, "Missing job task groups"),
        ({"task_groups": [TaskGroup(name="g")]}, "Missing tasks for task group"),
        ({"task_groups": [TaskGroup(name="g", count=-1)]}, "Task group count can't be negative"),
        ({"task_groups": [TaskGroup(name="g"), TaskGroup(name="g")]}, "Job task group 2 redefines 'g' from group 1"),
        ({"task_groups": [TaskGroup(name="g", tasks=[Task(name="t")])]}, "Missing task driver"),
        ({"task_groups": [TaskGroup(name="g", tasks=[Task(driver="exec")])]}, "Task 1 missing name"),
        ({"type": JobType.SYSTEM}, "Job task group app has count 2. Count cannot exceed 1 with system scheduler"),
        ({"datacenters": [""]}, "datacenter must be non-empty string"),
    ],
)
def test_each_problem_is_named(fields, problem):
    """
    What is wrong with a job is in its refusal.
    """
    assert problem in refusal(canonicalize(job(**fields)))


def test_too_small_resources_are_named_with_their_value():
    """
    CPU and memory below the minimum are two problems of the task.
    """
    small = Task(name="t", driver="exec", resources=Resources(cpu=0, memory_mb=5))

    text = refusal(canonicalize(job(task_groups=[TaskGroup(name="g", tasks=[small])])))

    assert "minimum CPU value is 1; got 0" in text
    assert "minimum MemoryMB value is 10; got 5" in text
