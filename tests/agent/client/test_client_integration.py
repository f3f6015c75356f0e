"""A whole client against a leader behind real gRPC: registration, heartbeats, real processes, restarts of the agent."""

import asyncio
import itertools
import signal
import socket
import statistics
import sys
import uuid
from pathlib import Path

import msgspec
import pytest

from agent.client.heartbeat import RENEW_EARLIEST
from agent.client.proc import stat_of
from agent.model.job import SECOND_NS, RestartPolicy
from telemetry.catalogue import client as catalogue
from tests.agent.client.leader import Leader, allocation, client, eventually, serving, settings_for
from tests.agent.client.test_client_telemetry import Kept

pytestmark = pytest.mark.integration

RESTART_AT_ONCE = RestartPolicy(attempts=2, interval=60 * SECOND_NS, delay=10_000_000, mode="fail")


def shell(script):
    return {"command": "/bin/sh", "args": ["-c", script]}


def event_types(alloc):
    return [event.type for event in alloc.task_states["main"].events]


def alive(pid):
    stat = stat_of(pid)
    return stat is not None and stat.state not in {"Z", "X"}


async def pid_in(path):
    await eventually(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def test_a_client_registers_and_heartbeats_at_the_ttl_it_is_given(tmp_path):
    """
    A client registers, is ready at once, and then renews within each time to live.
    """

    async def run():
        leader = Leader(ttl_seconds=0.6)
        async with serving(leader) as address, client(settings_for(tmp_path), address) as agent:
            await leader.until(lambda: len(leader.heartbeats) >= 6)
            await agent.collect()
            return leader, agent.node(), agent.stats(), [entry.value for entry in agent.sample()]

    leader, node, stats, (age, ttl, connected) = asyncio.run(run())

    assert "ready" == leader.nodes[node.id].status
    assert "ready" == node.status
    assert stats["known_servers"].startswith("127.0.0.1:")
    assert "600ms" == stats["heartbeat_ttl"]
    assert 0.6 == ttl
    assert 1 == connected
    assert 0 <= age <= leader.heartbeats[-1][0] - leader.heartbeats[0][0] + 0.6
    times = [at for at, _ in leader.heartbeats]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    # The middle one, because a busy machine delays single ones.
    assert 0.6 * RENEW_EARLIEST <= statistics.median(gaps) <= 0.6


def test_a_client_keeps_its_id_and_registers_again_when_forgotten(tmp_path):
    """
    The id survives a restart; a server that does not know the node gets it registered again.
    """

    async def run():
        leader = Leader(ttl_seconds=0.4)
        async with serving(leader) as address:
            async with client(settings_for(tmp_path), address) as agent:
                first = agent.node().id
                await leader.until(lambda: leader.heartbeats)
                leader.nodes.clear()
                await leader.until(lambda: first in leader.nodes and leader.nodes[first].status == "ready")
            async with client(settings_for(tmp_path), address) as agent:
                return first, agent.node().id

    first, second = asyncio.run(run())

    assert first == second


def test_a_silent_server_does_not_cost_the_node_its_heartbeats(tmp_path):
    """
    A server that accepts and says nothing, as a stopped one does, is passed over for one that answers.
    """

    async def run():
        leader = Leader(ttl_seconds=0.5)
        mute = socket.create_server(("127.0.0.1", 0))
        with mute:
            silent = f"127.0.0.1:{mute.getsockname()[1]}"
            async with serving(leader) as address, client(settings_for(tmp_path), silent, address) as agent:
                await leader.until(lambda: len(leader.heartbeats) >= 4)
                return agent.servers(), silent

    servers, silent = asyncio.run(run())

    assert silent == servers[-1]


def test_the_use_of_tasks_and_host_is_published(tmp_path):
    """
    With both switches on, a real task's CPU and memory and the host's are emitted under its labels.
    """

    async def run():
        leader, recorder = Leader(), Kept()
        settings = settings_for(tmp_path, publish_allocation_metrics=True, publish_node_metrics=True)
        async with serving(leader) as address, client(settings, address, recorder=recorder) as agent:
            alloc = allocation(agent.node().id, shell("while :; do :; done"), alloc_id=str(uuid.uuid4()))
            await leader.put(alloc)
            await leader.until_status(alloc.id, "running")
            await agent.collect()
            await asyncio.sleep(0.5)
            await agent.collect()
            await leader.put(msgspec.structs.replace(alloc, desired_status="stop"))
            await leader.until_status(alloc.id, "complete")
        return recorder.values, alloc.id

    values, alloc_id = asyncio.run(run())

    task = (alloc_id, "web", "default", "main", "app", "", "")
    assert values[catalogue.ALLOCS_CPU_TOTAL_PERCENT, task] > 5
    assert values[catalogue.ALLOCS_MEMORY_RSS, task] > 100_000
    assert values[catalogue.ALLOCS_MEMORY_ALLOCATED, task] == 64 << 20
    assert {1.0} == {values[metric, task] for metric in (catalogue.ALLOCS_RUNNING, catalogue.ALLOCS_COMPLETE)}
    hooks = {
        labels[1]: value for (metric, labels), value in values.items() if metric is catalogue.ALLOC_HOOK_PRERUN_ELAPSED
    }
    assert hooks
    assert all(0 < milliseconds < 10_000 for milliseconds in hooks.values())
    host = {metric: value for (metric, _), value in values.items()}
    assert host[catalogue.HOST_MEMORY_TOTAL] > host[catalogue.HOST_MEMORY_FREE] > 0
    assert host[catalogue.HOST_DISK_SIZE] > 0
    assert 0 <= host[catalogue.HOST_CPU_TOTAL] <= 100


def test_a_client_that_leaves_ends_its_tasks_and_says_that_it_is_down(tmp_path):
    """
    On leaving, tasks end and their end is told before the node is called down.
    """

    async def run():
        leader = Leader()
        async with serving(leader) as address, client(settings_for(tmp_path), address) as agent:
            alloc = allocation(agent.node().id, shell("exec sleep 300"))
            await leader.put(alloc)
            await leader.until_status(alloc.id, "running")
            await agent.stop(leave=True)
            return leader.told[alloc.id].client_status, leader.heartbeats[-1][1]

    assert ("complete", "down") == asyncio.run(run())


def test_a_task_runs_with_its_environment_and_completes(tmp_path):
    """
    A command of a batch job gets Nomad's environment and interpolation, and its end is told with code and events.
    """

    async def run():
        leader = Leader()
        async with serving(leader) as address, client(settings_for(tmp_path), address) as agent:
            node = agent.node()
            script = "echo $NOMAD_TASK_NAME $1 $NOMAD_JOB_NAME; pwd; exit 0"
            config = {"command": "sh", "args": ["-c", script, "x", "${attr.kernel.name}-${node.datacenter}"]}
            await leader.put(allocation(node.id, config, job_type="batch"))
            return await leader.until_status("11111111-0000-4000-8000-000000000001", "complete")

    told = asyncio.run(run())

    assert ["Received", "Task Setup", "Started", "Terminated"] == event_types(told)
    assert told.task_states["main"].finished_at.endswith("Z")
    logs = tmp_path / "alloc" / told.id / "alloc" / "logs" / "main.stdout.0"
    assert f"main linux-dc1 web\n{tmp_path}/alloc/{told.id}/main\n" == logs.read_text()


def test_a_task_that_dies_is_restarted_until_its_policy_is_spent(tmp_path):
    """
    A failing task is started again as often as its policy says, then the allocation has failed.
    """

    async def run():
        leader = Leader()
        async with serving(leader) as address, client(settings_for(tmp_path), address) as agent:
            await leader.put(allocation(agent.node().id, shell("exit 3"), policy=RESTART_AT_ONCE))
            return await leader.until_status("11111111-0000-4000-8000-000000000001", "failed")

    told = asyncio.run(run())

    state = told.task_states["main"]
    assert (2, True, "dead") == (state.restarts, state.failed, state.state)
    assert 3 == event_types(told).count("Terminated")
    assert {3} == {event.exit_code for event in state.events if event.type == "Terminated"}
    assert 'Exceeded allowed attempts 2 in interval 1m0s and mode is "fail"' == state.events[-1].restart_reason


def test_a_task_is_stopped_with_its_signal_and_its_children_with_it(tmp_path):
    """
    A stop sends the task's signal; what it leaves running in its group is killed.
    """

    async def run():
        leader = Leader()
        async with serving(leader) as address, client(settings_for(tmp_path), address) as agent:
            script = f"(trap '' USR1; exec sleep 300) & trap 'exit 7' USR1; echo $! > {tmp_path}/child; while :; do sleep 0.05; done"
            alloc = allocation(agent.node().id, shell(script), kill_signal="SIGUSR1")
            await leader.put(alloc)
            await leader.until_status(alloc.id, "running")
            child = await pid_in(tmp_path / "child")
            assert alive(child)
            await leader.put(msgspec.structs.replace(alloc, desired_status="stop"))
            return await leader.until_status(alloc.id, "complete"), child

    told, child = asyncio.run(run())

    assert ["Killing", "Terminated", "Killed"] == event_types(told)[-3:]
    assert 7 == told.task_states["main"].events[-2].exit_code
    assert not alive(child)


def test_a_task_that_ignores_its_signal_is_killed_after_its_timeout(tmp_path):
    """
    A task that will not end is made to when its kill_timeout is over.
    """

    async def run():
        leader = Leader()
        async with serving(leader) as address, client(settings_for(tmp_path), address) as agent:
            script = "trap '' INT; while :; do sleep 0.05; done"
            alloc = allocation(agent.node().id, shell(script), kill_timeout=SECOND_NS // 5)
            await leader.put(alloc)
            await leader.until_status(alloc.id, "running")
            await leader.put(msgspec.structs.replace(alloc, desired_status="stop"))
            return await leader.until_status(alloc.id, "complete")

    told = asyncio.run(run())

    assert 9 == told.task_states["main"].events[-2].signal


def test_an_allocation_that_the_servers_forget_is_removed_with_its_data(tmp_path):
    """
    Garbage collection at the servers ends the task, its directory and its record.
    """

    async def run():
        leader = Leader()
        async with serving(leader) as address, client(settings_for(tmp_path), address) as agent:
            alloc = allocation(agent.node().id, shell("exec sleep 300"))
            await leader.put(alloc)
            await leader.until_status(alloc.id, "running")
            await leader.drop(alloc.id)
            await eventually(lambda: not (tmp_path / "alloc" / alloc.id).exists())
            return agent.stats(), list((tmp_path / "client" / "allocs").iterdir())

    stats, records = asyncio.run(run())

    assert "0" == stats["num_allocations"]
    assert [] == records


async def start_process(tmp_path, address):
    """Return a process that runs a client, so that it can be killed."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.agent.client.agent_process",
        str(tmp_path),
        address,
        cwd=Path(__file__).parents[3],
    )


def test_a_killed_agent_finds_its_task_again_and_learns_how_it_ended(tmp_path):
    """
    After kill -9 of the agent its task runs on; the next agent attaches to the same process and stops it on request.
    """

    async def run():
        leader = Leader()
        async with serving(leader) as address:
            process = await start_process(tmp_path, address)
            await leader.until(lambda: leader.nodes, 20)
            node_id = next(iter(leader.nodes))
            alloc = allocation(node_id, shell(f"echo $$ > {tmp_path}/pid; exec sleep 300"))
            await leader.put(alloc)
            await leader.until_status(alloc.id, "running")
            pid = await pid_in(tmp_path / "pid")
            process.send_signal(signal.SIGKILL)
            await process.wait()
            assert alive(pid)
            leader.told.clear()
            async with client(settings_for(tmp_path), address) as agent:
                assert node_id == agent.node().id
                running = await leader.until_status(alloc.id, "running")
                assert alive(pid)
                await leader.put(msgspec.structs.replace(alloc, desired_status="stop"))
                stopped = await leader.until_status(alloc.id, "complete")
            return running, stopped, pid

    running, stopped, pid = asyncio.run(run())

    assert ["Received", "Task Setup", "Started"] == event_types(running)
    assert ["Killing", "Terminated", "Killed"] == event_types(stopped)[-3:]
    assert not alive(pid)


def test_a_task_that_ended_while_no_agent_watched_is_told_with_its_code(tmp_path):
    """
    The exit code of a task that ends between two agents is not lost.
    """

    async def run():
        leader = Leader()
        async with serving(leader) as address:
            process = await start_process(tmp_path, address)
            await leader.until(lambda: leader.nodes, 20)
            script = f"echo $$ > {tmp_path}/pid; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; exit 5"
            alloc = allocation(next(iter(leader.nodes)), shell(script))
            await leader.put(alloc)
            await leader.until_status(alloc.id, "running")
            pid = await pid_in(tmp_path / "pid")
            process.send_signal(signal.SIGKILL)
            await process.wait()
            (tmp_path / "go").touch()
            await eventually(lambda: not alive(pid))
            async with client(settings_for(tmp_path), address):
                return await leader.until_status(alloc.id, "failed")

    told = asyncio.run(run())

    assert 5 == next(event for event in told.task_states["main"].events if event.type == "Terminated").exit_code
