"""What the states of its tasks make of an allocation."""

import pytest

from agent.client.alloc_runner import client_status, consequences, rules_of, unsupported
from agent.client.task_runner import Kill
from agent.model.alloc import Allocation, TaskStateInfo
from agent.model.job import SECOND_NS, Job, RestartPolicy, Task, TaskGroup

PENDING = TaskStateInfo(state="pending")
RUNNING = TaskStateInfo(state="running")
DONE = TaskStateInfo(state="dead")
FAILED = TaskStateInfo(state="dead", failed=True)


@pytest.mark.parametrize(
    ("states", "status", "description"),
    [
        ([PENDING, PENDING], "pending", "No tasks have started"),
        ([RUNNING, PENDING], "running", "Tasks are running"),
        ([RUNNING, DONE], "running", "Tasks are running"),
        ([PENDING, DONE], "pending", "No tasks have started"),
        ([DONE, DONE], "complete", "All tasks have completed"),
        ([FAILED, RUNNING], "failed", "Failed tasks"),
        ([FAILED, DONE], "failed", "Failed tasks"),
        ([], "complete", "All tasks have completed"),
    ],
)
def test_the_status_follows_from_the_tasks(states, status, description):
    """
    Status and description are Nomad's for the states of the tasks.
    """
    assert (status, description) == client_status({str(number): info for number, info in enumerate(states)})


def test_a_failed_task_ends_its_siblings():
    """
    One task's failure kills those that still live, and says who failed.
    """
    group = TaskGroup(name="g", tasks=[Task(name="a"), Task(name="b"), Task(name="c")])

    found = consequences(group, "a", {"a": FAILED, "b": RUNNING, "c": DONE})

    assert {"b": Kill("Sibling Task Failed", 'Task\'s sibling "a" failed')} == found


def test_only_a_leader_that_completes_ends_the_others():
    """
    A task that ends well leaves the others alone, unless it leads them.
    """
    group = TaskGroup(name="g", tasks=[Task(name="a", leader=True), Task(name="b"), Task(name="c")])

    assert {} == consequences(group, "b", {"a": RUNNING, "b": DONE, "c": RUNNING})
    assert {"b", "c"} == set(consequences(group, "a", {"a": DONE, "b": RUNNING, "c": RUNNING}))


def test_rules_come_from_task_group_and_job():
    """
    A task's own restart policy goes before its group's, and its kill_timeout is capped by the client's.
    """
    own, groups = RestartPolicy(attempts=9), RestartPolicy(attempts=4)
    plain = Task(name="a", kill_timeout=60 * SECOND_NS)
    group = TaskGroup(name="g", tasks=[plain], restart_policy=groups)
    alloc = Allocation(
        id="x", name="j.g[0]", eval_id="e", node_id="n", node_name="c", job_id="j", task_group="g",
        job=Job(id="j", type="batch", task_groups=[group]),
    )  # fmt: skip

    rules = rules_of(alloc, plain, 30.0)

    assert (groups, False, 30.0) == (rules.policy, rules.restart_on_success, rules.kill_timeout_seconds)
    assert own == rules_of(alloc, Task(name="a", restart_policy=own), 30.0).policy


def test_what_cannot_be_given_is_named():
    """
    A task that asks for what this client lacks is told so instead of run without.
    """
    assert ["templates"] == unsupported(Task(name="a", templates=[{"DestPath": "x"}], services=[{}]))
