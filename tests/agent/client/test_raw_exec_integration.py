"""The raw_exec driver with real processes."""

import asyncio
import logging
import os
import signal
import subprocess
import uuid

import pytest

from agent.client.drivers.base import DriverError, ExitResult, TaskHandle, TaskSpec
from agent.client.drivers.raw_exec import RawExec
from tests.agent.client.leader import eventually

pytestmark = pytest.mark.integration

LOGGER = logging.getLogger("test.raw_exec")
ALLOC = str(uuid.uuid4())


def driver(*, enabled=True):
    return RawExec(LOGGER, enabled=enabled)


def spec(tmp_path, script, **changes):
    body = {
        "task_id": f"{ALLOC}/main/0",
        "name": "main",
        "config": {"command": "sh", "args": ["-c", script]},
        "env": {"PATH": os.defpath, "NOMAD_ALLOC_ID": ALLOC},
        "user": "",
        "task_dir": tmp_path,
        "status_file": tmp_path / "status",
        "stdout": tmp_path / "out",
        "stderr": tmp_path / "err",
    }
    return TaskSpec(**{**body, **changes})


async def ran(task):
    one = driver()
    return await asyncio.wait_for(one.wait(await one.start(task)), 10)


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ("exit 0", ExitResult(0)),
        ("exit 3", ExitResult(3)),
        ("kill -TERM $$", ExitResult(143, 15)),
        ("kill -KILL $$", ExitResult(137, 9)),
    ],
)
def test_an_end_is_told_by_code_and_signal(tmp_path, script, result):
    """
    Codes pass through; a signal that ended the task is named; the shell adds nothing to the task's stderr.
    """
    assert result == asyncio.run(ran(spec(tmp_path, script)))
    assert "" == (tmp_path / "err").read_text()


def test_output_is_appended_and_input_is_empty(tmp_path):
    """
    Both streams go to their files, behind what is there; a task that reads gets nothing.
    """
    (tmp_path / "out").write_text("before\n")

    asyncio.run(ran(spec(tmp_path, "cat; echo out; echo err >&2; ls /proc/self/fd | wc -l")))

    assert ["before", "out"] == (tmp_path / "out").read_text().split("\n")[:2]
    assert "err\n" == (tmp_path / "err").read_text()
    # 0, 1, 2 and the directory that ls reads: none of the agent's descriptors reach a task.
    assert "4" == (tmp_path / "out").read_text().split("\n")[2].strip()


@pytest.mark.parametrize(
    ("changes", "message", "recoverable"),
    [
        ({"config": {"command": "no-such-command"}}, "'no-such-command' is not found", True),
        ({"config": {"args": ["x"]}}, "config of task 'main': .*command", False),
        ({"config": {"command": "sh", "work_dir": "/no/such/place"}}, "cannot start", True),
        ({"user": "no-such-user"}, "cannot start", True),
    ],
)
def test_a_command_that_cannot_be_started_says_why(tmp_path, changes, message, recoverable):
    """
    Missing commands, bad configurations and unknown users are errors of the driver, with their reason.
    """
    with pytest.raises(DriverError, match=message) as caught:
        asyncio.run(driver().start(spec(tmp_path, "", **changes)))

    assert recoverable is caught.value.recoverable


def test_a_disabled_driver_runs_nothing(tmp_path):
    """
    Unless it was enabled the driver is neither offered nor willing.
    """
    with pytest.raises(DriverError, match="disabled"):
        asyncio.run(driver(enabled=False).start(spec(tmp_path, "touch ran")))

    assert not driver(enabled=False).fingerprint("").detected
    assert driver().fingerprint("").healthy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_task_runs_as_its_user_with_that_users_groups(tmp_path):
    """
    A task of another user has neither the agent's user nor its groups.
    """
    (tmp_path / "out").touch()

    asyncio.run(ran(spec(tmp_path, "id -un; id -Gn", user="nobody", task_dir="/")))

    assert "nobody\nnogroup\n" == (tmp_path / "out").read_text()


def test_a_task_is_found_by_its_status_file_alone(tmp_path):
    """
    A driver that was killed before it could note the handle finds the task, and its end, again.
    """

    async def run():
        handle = await driver().start(spec(tmp_path, "echo on; exec sleep 300"))
        await eventually((tmp_path / "out").read_text)
        unknown = TaskHandle("raw_exec", handle.task_id, status_file=handle.status_file)
        second = driver()
        found = second.find(unknown)
        waiting = asyncio.create_task(second.wait(found))
        second.signal(found, signal.SIGTERM)
        return handle, found, await asyncio.wait_for(waiting, 5)

    handle, found, result = asyncio.run(run())

    assert handle == found
    assert ExitResult(143, 15) == result


def test_a_number_that_now_belongs_to_another_process_is_left_alone(tmp_path):
    """
    A pid that came round is not taken for the task: it is neither signalled nor waited for.
    """
    other = subprocess.Popen(["sleep", "30"], start_new_session=True)
    (tmp_path / "status").write_text(f"pid {other.pid}\n")

    async def run():
        one = driver()
        found = one.find(TaskHandle("raw_exec", f"{ALLOC}/main/0", status_file=str(tmp_path / "status")))
        one.signal(found, signal.SIGKILL)
        return await asyncio.wait_for(one.wait(found), 5)

    try:
        result = asyncio.run(run())
        lives = other.poll() is None
    finally:
        other.kill()
        other.wait()

    assert (ExitResult(known=False), True) == (result, lives)


def test_a_run_that_never_began_is_not_found(tmp_path):
    """
    Without a pid in the status file there is nothing to attach to.
    """
    unknown = TaskHandle("raw_exec", f"{ALLOC}/main/0", status_file=str(tmp_path / "status"))

    assert driver().find(unknown) is None
