"""A task's environment and the words in its configuration."""

import pytest

from agent.client.environment import TaskPaths, Words, task_env
from agent.model.alloc import Allocation
from agent.model.job import Job, Resources, Task, TaskGroup
from agent.model.node import Node

NODE = Node(id="n1", name="c1", attributes={"kernel.name": "linux"}, meta={"rack": "r1"}, node_class="big")
PATHS = TaskPaths(alloc="/a/alloc", local="/a/t/local", secrets="/a/t/secrets")
TASK = Task(name="t", env={"MINE": "${NOMAD_TASK_NAME}@${node.unique.name}", "PATH": "/mine"}, meta={"a-b": "task"})
ALLOC = Allocation(
    id="54624495-1c36-932a-c986-29d011b39632", name="web.app[3]", eval_id="e", node_id="n1", node_name="c1",
    job_id="web", task_group="app", task_resources={"t": Resources(cpu=50, memory_mb=32)},
    job=Job(id="web", name="Web", meta={"a-b": "job", "c": "job"}, task_groups=[TaskGroup(name="app", tasks=[TASK])]),
)  # fmt: skip


def test_the_environment_says_who_and_where_the_task_is():
    """
    Nomad's variables, the meta of job, group and task, and the task's own env, which wins.
    """
    env = task_env(ALLOC, TASK, NODE, "global", PATHS, {"PATH": "/bin", "VAULT_TOKEN": "s", "LANG": "C"})

    assert {
        "NOMAD_ALLOC_DIR": "/a/alloc", "NOMAD_TASK_DIR": "/a/t/local", "NOMAD_SECRETS_DIR": "/a/t/secrets",
        "NOMAD_ALLOC_ID": ALLOC.id, "NOMAD_SHORT_ALLOC_ID": "54624495", "NOMAD_ALLOC_NAME": "web.app[3]",
        "NOMAD_ALLOC_INDEX": "3", "NOMAD_GROUP_NAME": "app", "NOMAD_TASK_NAME": "t", "NOMAD_JOB_ID": "web",
        "NOMAD_JOB_NAME": "Web", "NOMAD_NAMESPACE": "default", "NOMAD_DC": "dc1", "NOMAD_REGION": "global",
        "NOMAD_CPU_LIMIT": "50", "NOMAD_MEMORY_LIMIT": "32", "NOMAD_META_a_b": "task", "NOMAD_META_A_B": "task",
        "NOMAD_META_c": "job", "NOMAD_META_C": "job", "LANG": "C", "MINE": "t@c1", "PATH": "/mine",
    } == env  # fmt: skip


def test_secrets_of_the_agent_stay_with_the_agent():
    """
    Only harmless variables of the agent's own environment reach a task.
    """
    env = task_env(ALLOC, TASK, NODE, "global", PATHS, {"NOMAD_TOKEN": "s", "AWS_SECRET_ACCESS_KEY": "s"})

    assert "s" not in env.values()


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${attr.kernel.name}", "linux"),
        ('${meta.rack}/${meta["rack"]}', "r1/r1"),
        ("${node.class} ${node.datacenter} ${node.pool} ${node.unique.id} ${node.region}", "big dc1 default n1 eu"),
        ('${env["X"]} ${env.X} ${NOMAD_DC}', "x x dc9"),
        ("${attr.unknown} ${NOPE} $X {X}", "${attr.unknown} ${NOPE} $X {X}"),
    ],
)  # fmt: skip
def test_references_are_filled_in(text, filled):
    """
    Known references are replaced, unknown ones stay as they are.
    """
    words = Words({"X": "x", "NOMAD_DC": "dc9"}, NODE, "eu")

    assert filled == words.fill(text)


def test_configurations_are_filled_in_all_their_depth():
    """
    Strings in lists and maps are filled, numbers stay what they are.
    """
    words = Words({}, NODE, "eu")

    assert {"args": ["n1", 1, {"k": "linux"}]} == words.fill_all(
        {"args": ["${node.unique.id}", 1, {"k": "${attr.kernel.name}"}]}
    )
