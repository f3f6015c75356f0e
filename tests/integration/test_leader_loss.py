"""A cluster without a majority: what the survivor answers and measures, and who believes to lead."""

import signal
import threading
import time

import pytest
import requests

from tests.figures import record
from tests.integration.agents import batch_job, leader_of, server_agents
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

HOLD_SECONDS = 5.0
AT_ONCE_SECONDS = 1.0
EXPIRY_SECONDS = 60.0


@pytest.fixture
def servers(tmp_path):
    """Three servers with a leader; all are ended after the test."""
    agents = server_agents(tmp_path, 3)
    try:
        for agent in agents:
            agent.start()
        for agent in agents:
            agent.ready().leads()
        yield agents
    finally:
        for agent in agents:
            agent.close()


def leader_and_rest(agents):
    leader = wait_until(lambda: leader_of(agents), 20, "a leader")[1]
    return leader, [agent for agent in agents if agent is not leader]


def timed(agent, path):
    """Return the answer and the seconds it took."""
    began = time.monotonic()
    answer = agent.get(path, timeout=20)
    return answer, time.monotonic() - began


@pytest.mark.parametrize("survivor_led", [True, False], ids=["leader survives", "follower survives"])
def test_a_survivor_without_a_majority_says_so(servers, survivor_led):
    """
    Reads of the leader wait out the hold and fail in Nomad's words, stale ones and metrics answer at once.
    """
    leader, rest = leader_and_rest(servers)
    survivor, *dead = [leader, *rest] if survivor_led else [*rest, leader]
    wait_until(lambda: survivor.metric("nomad_nomad_heartbeat_active") is not None, 15, "gauges")
    if survivor_led:
        wait_until(lambda: survivor.metric("nomad_nomad_autopilot_healthy") is not None, 15, "autopilot's gauges")
    lost_at = time.monotonic()
    for agent in dead:
        agent.kill(signal.SIGKILL)

    unled, _ = wait_until(lambda: survivor.metric("outrider_server_has_leader") == 0, 10, "no leader is measured")
    status, status_seconds = timed(survivor, "/v1/status/leader")
    health, health_seconds = timed(survivor, "/v1/agent/health")
    write_began = time.monotonic()
    write = survivor.put("/v1/jobs", batch_job("lost"), timeout=20)
    write_seconds = time.monotonic() - write_began
    stale, stale_seconds = timed(survivor, "/v1/jobs?stale")
    stale_leader, _ = timed(survivor, "/v1/status/leader?stale")
    metrics, metrics_seconds = timed(survivor, "/v1/metrics?format=prometheus")

    record("leaderless.measured", unled)
    record("leaderless.answer", status_seconds)
    assert unled < 2.5
    assert (500, "No cluster leader") == (status.status_code, status.text)
    assert HOLD_SECONDS - 0.5 < status_seconds < HOLD_SECONDS + 1.5
    assert (500, False) == (health.status_code, health.json()["server"]["ok"])
    assert health_seconds < HOLD_SECONDS + 1.5
    assert (500, "No cluster leader") == (write.status_code, write.text)
    assert write_seconds < HOLD_SECONDS + 1.5
    assert (200, "false") == (stale.status_code, stale.headers["X-Nomad-Knownleader"])
    assert int(stale.headers["X-Nomad-Lastcontact"]) >= 5_000
    assert (200, "") == (stale_leader.status_code, stale_leader.json())
    assert 200 == metrics.status_code
    assert max(stale_seconds, metrics_seconds) < AT_ONCE_SECONDS
    assert 0 == survivor.metric("outrider_server_is_leader")
    assert 0 == survivor.metric("nomad_nomad_heartbeat_active")
    candidacies = survivor.metric("nomad_raft_state_candidate")
    wait_until(lambda: survivor.metric("nomad_raft_state_candidate") > candidacies, 10, "it stands for election again")
    if survivor_led:
        _frozen_then_gone(survivor, lost_at)
    for agent in dead:
        agent.wait()
        agent.start()
    survivor.leads(30)


def _frozen_then_gone(survivor, lost_at):
    """Autopilot's gauges stay as they were for a minute and then end, as on Nomad: rules must live with it."""
    assert 1 == survivor.metric("nomad_nomad_autopilot_healthy")
    wait_until(lambda: survivor.metric("nomad_nomad_autopilot_healthy") is None, 75, "the gauge ends")
    assert EXPIRY_SECONDS - 5 < time.monotonic() - lost_at < EXPIRY_SECONDS + 10


def test_a_paused_leader_that_goes_on_leads_no_more(servers):
    """
    After SIGCONT it gives no old answer for a fresh one, and two leaders are never seen together for long.
    """
    old, rest = leader_and_rest(servers)
    assert 200 == old.put("/v1/jobs", batch_job("before")).status_code
    old.kill(signal.SIGSTOP)
    new = wait_until(lambda: leader_of(rest), 15, "a successor")[1]
    wait_until(lambda: new.put("/v1/jobs", batch_job("after")).status_code == 200, 10, "a write at the successor")
    answers = []
    asked = [threading.Thread(target=_ask, args=(old, answers), daemon=True) for _ in range(3)]
    for thread in asked:
        thread.start()
    threading.Event().wait(0.3)

    old.kill(signal.SIGCONT)
    led = []
    began = time.monotonic()
    while time.monotonic() - began < 2:
        led.append((time.monotonic() - began, old.metric("outrider_server_is_leader")))
    for thread in asked:
        thread.join(15)

    assert [] == [moment for moment, value in led if value == 1], led
    assert len(led) > 5
    assert 1 <= len(answers)
    assert all("after" in ids for ids in answers), answers
    assert 1 == new.metric("outrider_server_is_leader")


def _ask(agent, answers):
    """Keep the jobs that *agent* gives as fresh; an error is an honest answer."""
    try:
        answer = requests.get(agent.url("/v1/jobs"), timeout=14)
    except requests.RequestException:
        return
    if answer.status_code == 200:
        answers.append([job["ID"] for job in answer.json()])


def test_a_follower_finds_the_successor_of_a_paused_leader(servers):
    """
    A read that waits for a leader that is paused is answered by the next one.
    """
    old, rest = leader_and_rest(servers)
    old.kill(signal.SIGSTOP)

    answers = [timed(agent, "/v1/jobs") for agent in rest]

    record("paused_leader.read", max(seconds for _, seconds in answers))
    assert [200, 200] == [answer.status_code for answer, _ in answers], [answer.text for answer, _ in answers]
    assert max(seconds for _, seconds in answers) < HOLD_SECONDS
