"""What was acknowledged stays: under kill -9, with a full disk, and with a damaged one."""

import os
import random
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.figures import record
from tests.integration.agents import STARTED, batch_job, leader_of, server_agents
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

KILLS = 5
SEED_VARIABLE = "OUTRIDER_DURABILITY_SEED"
FULL_DISK_BYTES = 300_000
"""Room for a log of some hundred jobs."""


@pytest.fixture
def cluster(tmp_path):
    """Return a function that makes servers; all are ended after the test."""
    made = []

    def make(count, extra=""):
        made.extend(server_agents(tmp_path, count, extra))
        return made

    yield make
    for agent in made:
        agent.close()


class Writer:
    """Registers one job after another over HTTP, at whichever server answers, and keeps what was acknowledged."""

    def __init__(self, agents):
        self.acknowledged = []
        self.refused = []
        self._agents = agents
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(30)

    def _write(self):
        number = 0
        while not self._over.is_set():
            number += 1
            id_ = f"job-{number:05}"
            agent = self._agents[number % len(self._agents)]
            try:
                answer = agent.put("/v1/jobs", batch_job(id_), timeout=12)
            except requests.RequestException:
                self._over.wait(0.05)
                continue
            if answer.status_code == 200:
                self.acknowledged.append(id_)
            else:
                self.refused.append((id_, answer.text))


def jobs(agent):
    """Return the ids and versions of the jobs that *agent* itself knows."""
    answer = agent.get("/v1/jobs?stale")
    return sorted((job["ID"], job["ModifyIndex"]) for job in answer.json())


def start_all(agents):
    for agent in agents:
        if agent.process is None or agent.process.poll() is not None:
            agent.start()
    for agent in agents:
        agent.ready()
    for agent in agents:
        agent.leads()


def agreed(agents):
    """Return the jobs once all servers list the same."""
    return wait_until(lambda: len({tuple(jobs(agent)) for agent in agents}) == 1 and jobs(agents[0]), 20, "agreement")[
        1
    ]


def test_no_acknowledged_job_is_lost_by_kills(cluster):
    """
    Servers are killed under a stream of writes, the leader first, then all at once; every acknowledged job is there
    on every server, and they agree.
    """
    seed = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().getrandbits(32))
    print(f"replay: {SEED_VARIABLE}={seed}")
    rng = random.Random(seed)
    agents = cluster(3)
    start_all(agents)

    with Writer(agents) as writer:
        for round_ in range(KILLS):
            threading.Event().wait(rng.uniform(0.5, 1.5))
            leader = wait_until(lambda: leader_of(agents), 20, "a leader")[1]
            victim = leader if round_ % 2 == 0 else rng.choice(agents)
            victim.kill(signal.SIGKILL)
            victim.wait()
            threading.Event().wait(rng.uniform(0.2, 2.0))
            victim.start().ready()
    for agent in agents:
        agent.kill(signal.SIGKILL)
        agent.wait()
    start_all(agents)
    found = {id_ for id_, _ in agreed(agents)}

    record("durability.acknowledged", len(writer.acknowledged), "count")
    record("durability.not_acknowledged", len(writer.refused), "count")
    assert len(writer.acknowledged) > 10 * KILLS
    assert set() == set(writer.acknowledged) - found


def test_a_short_log_is_cut_and_nothing_is_lost(cluster):
    """
    With raft_snapshot_threshold and raft_trailing_logs a server makes snapshots as often as they say, keeps a short log,
    and has every job after a kill.
    """
    (agent,) = cluster(1, "server { raft_snapshot_threshold = 20 raft_trailing_logs = 5 }\n")
    start_all([agent])

    for number in range(30):
        assert 200 == agent.put("/v1/jobs", batch_job(f"job-{number:02}")).status_code
    wait_until(lambda: (agent.metric("nomad_raft_snapshot_persist_count") or 0) >= 1, 20, "a snapshot")
    stats = agent.get("/v1/agent/self").json()["stats"]["raft"]
    agent.kill(signal.SIGKILL)
    agent.wait()
    start_all([agent])

    assert 20 < int(stats["last_snapshot_index"])
    assert [f"job-{number:02}" for number in range(30)] == [id_ for id_, _ in jobs(agent)]


def test_a_full_disk_ends_the_server_that_has_it(cluster):
    """
    A server that cannot write ends and says why; what it acknowledged is there when it has room again.
    """
    (agent,) = cluster(1)
    agent.start(file_bytes_max=FULL_DISK_BYTES).ready().leads()

    with Writer([agent]) as writer:
        code = agent.wait(60)

    said = agent.text()
    start_all([agent])
    found = {id_ for id_, _ in jobs(agent)}
    record("full_disk.acknowledged", len(writer.acknowledged), "count")
    assert 1 == code
    assert "File too large" in said.splitlines()[-1] + "".join(line for line in said.splitlines() if "[ERROR]" in line)
    assert "Traceback" not in agent.errors()
    assert len(writer.acknowledged) > 10
    assert set() == set(writer.acknowledged) - found
    assert 200 == agent.put("/v1/jobs", batch_job("after")).status_code


def test_a_full_disk_of_one_server_leaves_the_others_working(cluster):
    """
    Two of three go on, and nothing acknowledged is lost when the third comes back.
    """
    agents = cluster(3)
    agents[0].start(file_bytes_max=FULL_DISK_BYTES)
    for agent in agents[1:]:
        agent.start()
    for agent in agents:
        agent.ready().leads()

    with Writer(agents[1:]) as writer:
        assert 1 == agents[0].wait(90)
        wait_until(lambda: leader_of(agents[1:]), 20, "a leader among the rest")
        before = len(writer.acknowledged)
        wait_until(lambda: len(writer.acknowledged) > before + 20, 20, "writes go on")
    agents[0].start().ready().leads()

    assert set() == set(writer.acknowledged) - {id_ for id_, _ in agreed(agents)}


@pytest.mark.parametrize("what", ["log", "id"])
def test_damage_is_refused_with_the_name_of_the_file(cluster, tmp_path, what):
    """
    A byte that turned over in the middle of the log, or of the id, stops the start; the file is named.
    """
    (agent,) = cluster(1)
    agent.start().ready().leads()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: agent.put("/v1/jobs", batch_job(f"job-{number}")), range(40)))
    assert {200} == {answer.status_code for answer in answers}
    agent.kill(signal.SIGKILL)
    agent.wait()
    folder = tmp_path / "data-s1" / "server"
    files = (
        [folder / "node-id"] if what == "id" else sorted(path for path in (folder / "raft").glob("*") if path.is_file())
    )
    victim = max(files, key=lambda path: path.stat().st_size)
    shutil.copy(victim, tmp_path / "whole")
    data = bytearray(victim.read_bytes())
    data[len(data) // 3] ^= 0x80  # no ASCII any more, so that an id is none by any luck
    victim.write_bytes(data)
    started_before = agent.text().count(STARTED)

    code = agent.start().wait(30)

    said = agent.errors()
    assert 1 == code
    assert str(victim) in said, said
    assert 1 == len(said.strip().splitlines()), said
    assert started_before == agent.text().count(STARTED)
    shutil.copy(tmp_path / "whole", victim)
    agent.start().ready().leads()
    assert 40 == len(jobs(agent))
