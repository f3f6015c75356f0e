import random
from types import SimpleNamespace

import pytest

from compose.drill.actions import SlowDisk
from compose.drill.fault import LEADER
from compose.drill.local_stage import LocalStage
from compose.local import LocalError
from telemetry.nomad_api import ApiError


class NoDisks(LocalStage):
    """A stage without processes, whose jobs are registered by *register*."""

    servers = ("server-1",)

    def __init__(self, register):
        self.jobs = SimpleNamespace(register=register)
        self.slowed = []
        self.rng = random.Random(1)

    def wait(self, seconds):
        pass

    def leader(self):
        return "server-1"

    def slow_disk(self, name, milliseconds):
        self.slowed.append((name, milliseconds))


def written(*failures):
    """Return how many jobs a slow disk of three seconds tried to write, the first failing as told, and what was slowed."""
    left, tries = list(failures), []

    def register(body):
        tries.append(body)
        if left:
            raise left.pop(0)

    stage = NoDisks(register)
    SlowDisk(LEADER, 160, 3.0).inject(stage)
    return len(tries), stage.slowed


def test_a_write_that_a_slow_leader_refused_is_tried_again():
    """
    The API's refusal ends no fault: what the slow disk costs the leader is what the fault is about.
    """
    assert (3, [("server-1", 160)]) == written(ApiError(500, "the leadership was lost"))


def test_a_cluster_that_does_not_run_ends_the_fault():
    """
    What is no answer of the API is no consequence of a slow disk.
    """
    with pytest.raises(LocalError):
        written(LocalError("server-1 does not run"))
