"""Follows an evaluation until it ends, and says what it did, as `nomad job run` does.

Deployments are not followed: the command ends with the evaluation.
Source: Nomad, command/monitor.go.
"""

from collections.abc import Mapping
from typing import Any

import click

from agent.cli.formats import NANOSECONDS, short, wall_time
from agent.cli.placements import placement_reasons
from agent.cli.session import World, job_path, told
from telemetry.nomad_api import NomadApi

POLL_SECONDS = 0.25
"""Between two looks; a placement on an idle cluster takes less."""

PLACEMENT_FAILED = 2
"""The exit code when something could not be placed, as Nomad's."""

_TERMINAL = frozenset({"complete", "failed", "canceled"})


class Monitor:
    """One evaluation being followed; and the one it leads to, when that is soon."""

    def __init__(self, api: NomadApi, world: World, namespace: str) -> None:
        self._api = api
        self._world = world
        self._params = {"namespace": namespace}
        self._seen: dict[str, str] = {}

    def follow(self, eval_id: str) -> int:
        """Say what happens until the evaluation ends; returns the exit code."""
        self._head(f'Monitoring evaluation "{short(eval_id)}"')
        status = ""
        while True:
            with told("Error reading evaluation"):
                found = self._api.get(f"/v1/evaluation/{eval_id}", self._params).value
            status = self._report(found, status)
            if status in _TERMINAL:
                return self._end(found)
            self._world.pause(POLL_SECONDS)

    def _report(self, found: Mapping[str, Any], before: str) -> str:
        """Say what is new since the status *before*, and return the status now."""
        if not before:
            self._line(_trigger(found))
            if found.get("DeploymentID"):
                self._line(f'Evaluation within deployment: "{short(found["DeploymentID"])}"')
        self._allocations(found)
        status: str = found["Status"]
        if before != status and (before or status in _TERMINAL):
            self._line(f'Evaluation status changed: "{before or "pending"}" -> "{status}"')
        return status

    def _allocations(self, found: Mapping[str, Any]) -> None:
        """Say which allocations of the evaluation are new or have changed."""
        with told("Error reading allocations"):
            allocs = self._api.get(f"{job_path(found['JobID'])}/allocations", self._params).value
        for alloc in allocs:
            before = self._seen.get(alloc["ID"])
            now = alloc["ClientStatus"]
            if alloc["EvalID"] != found["ID"]:
                continue
            if before is None:
                where = f'node "{short(alloc["NodeID"])}", group "{alloc["TaskGroup"]}"'
                self._line(f'Allocation "{short(alloc["ID"])}" created: {where}')
            elif before != now:
                self._line(f'Allocation "{short(alloc["ID"])}" status changed: "{before}" -> "{now}"')
            self._seen[alloc["ID"]] = now

    def _end(self, found: Mapping[str, Any]) -> int:
        """Say how it ended; returns the exit code."""
        finished = f'Evaluation "{short(found["ID"])}" finished with status "{found["Status"]}"'
        failed = found.get("FailedTGAllocs") or {}
        if not failed:
            self._head(finished)
            return 0 if found["Status"] == "complete" else 1
        self._head(f"{finished} but failed to place all allocations:")
        for group, metric in sorted(failed.items()):
            count = metric.get("CoalescedFailures", 0) + 1
            noun = "allocation" if count == 1 else "allocations"
            self._line(f'Task Group "{group}" (failed to place {count} {noun}):')
            for reason in placement_reasons(metric, prefix="      "):
                click.echo(reason)
        if found.get("BlockedEval"):
            self._line(f'Evaluation "{short(found["BlockedEval"])}" waiting for additional capacity to place remainder')
        return PLACEMENT_FAILED

    def _head(self, text: str) -> None:
        click.echo(f"==> {self._now()}: {text}")

    def _line(self, text: str) -> None:
        click.echo(f"    {self._now()}: {text}")

    def _now(self) -> str:
        return wall_time(int(self._world.now()) * NANOSECONDS)


def _trigger(found: Mapping[str, Any]) -> str:
    """Return why the evaluation was made."""
    match found["TriggeredBy"]:
        case "node-update":
            return f'Evaluation triggered by node "{short(found.get("NodeID", ""))}"'
        case _:
            return f'Evaluation triggered by job "{found["JobID"]}"'
