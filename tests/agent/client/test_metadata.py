"""Metadata of a job becomes labels as a Nomad makes it."""

import pytest

from agent.client.metadata import combined_metadata, metadata_labels
from agent.model.job import Job, Task, TaskGroup

TASK = Task(name="main", meta={"layer": "task", "own": "t"})
GROUP = TaskGroup(name="app", tasks=[TASK, Task(name="side")], meta={"layer": "group", "tier": "2"})
JOB = Job(id="web", name="web", task_groups=[GROUP], meta={"layer": "job", "owner": "core", "my-key": "v"})


def labels(allowed=(), task="main", job=JOB):
    """Return the labels as a dictionary, after checking that names are sorted and none stands twice."""
    flat = metadata_labels(job, "app", task, allowed)
    names = flat[::2]
    assert sorted(set(names)) == list(names)
    return dict(zip(names, flat[1::2], strict=True))


def test_the_inner_metadata_wins():
    """
    A task's own stands before its group's and that before its job's.
    """
    assert {"layer": "task", "own": "t", "owner": "core", "my_key": "v", "tier": "2"} == labels()
    assert "group" == labels(task="side")["layer"]
    assert {"layer": "job", "owner": "core", "my-key": "v"} == combined_metadata(JOB, "none", None)


def test_only_allowed_keys_become_labels():
    """
    Keys are held against the list as they are written in the job, before anything is replaced.
    """
    assert {"my_key": "v", "owner": "core"} == labels(("owner", "my-key", "absent"))
    assert {} == labels(("my_key",))


@pytest.mark.parametrize(
    ("key", "name"),
    [("a-b", "a_b"), ("a.b/c d", "a_b_c_d"), ("1st", "_st"), ("größe", "gr__e"), ("plain", "plain"), ("_x", "_x")],
)
def test_a_name_is_one_that_prometheus_takes(key, name):
    """
    A dash becomes an underscore, and so does whatever else no label may hold.
    """
    assert {name: "v"} == labels(job=Job(id="j", name="j", task_groups=[TaskGroup(name="app")], meta={key: "v"}))


@pytest.mark.parametrize("key", ["job", "alloc_id", "task-group", "host", "quantile", "__name__", "__x", ""])
def test_a_name_that_is_taken_is_left_out(key):
    """
    No job gives its series another job's name, a second label of one name or one of Prometheus' own.
    """
    assert {} == labels(job=Job(id="j", name="j", task_groups=[TaskGroup(name="app")], meta={key: "v"}))


def test_of_two_keys_with_one_name_the_first_counts():
    """
    "a-b" sorts before "a_b".
    """
    meta = {"a_b": "second", "a-b": "first"}

    assert {"a_b": "first"} == labels(job=Job(id="j", name="j", task_groups=[TaskGroup(name="app")], meta=meta))
