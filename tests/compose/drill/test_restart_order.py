import random

import pytest

from alert_rules.settings import Times
from compose.drill.actions import NoSchedulers
from compose.drill.local_stage import LocalStage, StageSettings
from compose.drill.pause import Pause
from telemetry.clock import ManualClock


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """A stage of which nothing runs: `restarted` are the servers that were to be, the leader is server-1."""
    clock = ManualClock()
    settings = StageSettings(directory=tmp_path, ports=1024, servers=3, clients=3, times=Times())
    stage = LocalStage(settings, random.Random(1), Pause(clock), clock)
    (tmp_path / "agents").mkdir()
    stage.restarted = []
    monkeypatch.setattr(stage.cluster, "leader", lambda: "server-1")
    monkeypatch.setattr(stage.cluster, "restart", stage.restarted.append)
    monkeypatch.setattr(stage.cluster, "wait_ready", lambda seconds: None)
    return stage


def test_all_servers_are_restarted_with_the_leader_last(stage):
    """
    A leader that is restarted first hands over to one that is restarted next: an election for each is a fault of its
    own, and is told.
    """
    NoSchedulers(jobs=0).inject(stage)
    taken = list(stage.restarted)
    stage.reconfigure_all()

    assert ["server-2", "server-3", "server-1"] * 2 == stage.restarted
    assert ["server-2", "server-3", "server-1"] == taken


def test_nothing_is_restarted_that_was_not_changed(stage, monkeypatch):
    """
    Where there is nothing to take back, no leader is asked for: there may be none.
    """
    monkeypatch.setattr(stage.cluster, "leader", lambda: pytest.fail("asked for the leader"))

    stage.reconfigure_all()

    assert [] == stage.restarted
