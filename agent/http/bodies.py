"""The JSON bodies that differ from the model: what Nomad leaves out, adds, or hides. Pure.

Source: bodies recorded from Nomad 2.0.5.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.model.alloc import Allocation, AllocStub
from agent.model.evaluation import Evaluation
from agent.model.job import Job
from agent.model.node import Node
from agent.model.times import rfc3339_nanoseconds
from agent.rpc.methods import (
    JobRegisterResponse,
    JobWithSummary,
    NodeDrainUpdateResponse,
    NodeEligibilityUpdateResponse,
    Response,
    TaskGroupScale,
)

EVALUATION_ALWAYS = frozenset({
    "CreateIndex", "CreateTime", "ID", "JobID", "ModifyIndex", "ModifyTime", "Namespace", "Priority", "SnapshotIndex",
    "Status", "TriggeredBy", "Type",
})  # fmt: skip
"""What an evaluation shows even when it is zero; everything else is left out then."""

ALLOCATION_OPTIONAL = frozenset({
    "DeploymentID", "DeploymentStatus", "DesiredDescription", "DesiredTransition", "FollowupEvalID", "NextAllocation",
    "PreemptedAllocations", "PreemptedByAllocation", "PreviousAllocation", "RescheduleTracker",
})  # fmt: skip
"""What an allocation leaves out when it is zero."""

_EVENT_ZEROS: dict[str, Any] = {
    "DiskLimit": 0, "DownloadError": "", "DriverMessage": "", "FailedSibling": "", "GenericSource": "",
    "KillError": "", "KillReason": "", "SetupError": "", "TaskSignal": "", "TaskSignalReason": "",
    "ValidationError": "", "VaultError": "",
}  # fmt: skip
"""Deprecated fields of a task event that Nomad still sends, and that older readers expect."""


def evaluation_body(evaluation: Evaluation) -> dict[str, Any]:
    """Return *evaluation* without its optional fields that are zero."""
    body: dict[str, Any] = msgspec.to_builtins(evaluation)
    if evaluation.wait_until:
        body["WaitUntil"] = rfc3339_nanoseconds(evaluation.wait_until)
    return {key: value for key, value in body.items() if value or key in EVALUATION_ALWAYS}


def allocation_body(alloc: Allocation) -> dict[str, Any]:
    """Return the whole of *alloc*, with the resources in Nomad's newer shape beside the older one."""
    body: dict[str, Any] = msgspec.to_builtins(alloc)
    if not any(value is not None for value in body["DesiredTransition"].values()):
        body["DesiredTransition"] = None
    body = {key: value for key, value in body.items() if value or key not in ALLOCATION_OPTIONAL}
    body["AllocatedResources"] = _allocated_resources(body)
    body["TaskStates"] = _task_states(body["TaskStates"])
    return body


def alloc_stub_body(stub: AllocStub) -> dict[str, Any]:
    """Return *stub* as a list shows it."""
    body: dict[str, Any] = msgspec.to_builtins(stub)
    body["TaskStates"] = _task_states(body["TaskStates"])
    return body


def node_body(node: Node) -> Node:
    """Return *node* without its secret."""
    return msgspec.structs.replace(node, secret_id="")


def eligibility_body(response: NodeEligibilityUpdateResponse) -> dict[str, Any]:
    """Return the answer to a change of eligibility; Nomad never fills NodeModifyIndex in."""
    return {
        "NodeModifyIndex": 0, "EvalIDs": response.eval_ids or None, "EvalCreateIndex": response.eval_create_index,
        "Index": response.index,
    }  # fmt: skip


def drain_body(response: NodeDrainUpdateResponse) -> dict[str, Any]:
    """Return the answer to a change of a drain."""
    return {
        "NodeModifyIndex": response.node_modify_index, "EvalIDs": response.eval_ids or None,
        "EvalCreateIndex": response.eval_create_index, "Index": response.index,
    }  # fmt: skip


def job_stub_body(entry: JobWithSummary) -> dict[str, Any]:
    """Return a job as a list shows it."""
    job: Job = entry.job
    return {
        "ID": job.id, "ParentID": job.parent_id, "Name": job.name, "Namespace": job.namespace,
        "Datacenters": job.datacenters, "NodePool": job.node_pool, "Multiregion": job.multiregion, "Type": job.type,
        "Priority": job.priority, "Periodic": job.periodic is not None,
        "ParameterizedJob": job.parameterized_job is not None, "Stop": job.stop, "Status": job.status,
        "StatusDescription": job.status_description, "JobSummary": entry.summary, "CreateIndex": job.create_index,
        "ModifyIndex": job.modify_index, "JobModifyIndex": job.job_modify_index, "SubmitTime": job.submit_time,
    }  # fmt: skip


def register_body(response: JobRegisterResponse) -> dict[str, Any]:
    """Return the answer to a registration."""
    return {
        "EvalID": response.eval_id, "EvalCreateIndex": response.eval_create_index,
        "JobModifyIndex": response.job_modify_index, "Warnings": response.warnings, "Index": response.index,
        "LastContact": 0, "KnownLeader": False, "NextToken": "",
    }  # fmt: skip


def scale_body(job: Job, groups: Mapping[str, TaskGroupScale]) -> dict[str, Any]:
    """Return what a job's task groups are to have and have; nothing scales them, so there are no events."""
    return {
        "JobID": job.id, "Namespace": job.namespace, "JobCreateIndex": job.create_index,
        "JobModifyIndex": job.modify_index, "JobStopped": job.stop,
        "TaskGroups": {name: {**msgspec.to_builtins(group), "Events": None} for name, group in groups.items()},
    }  # fmt: skip


def validate_body(problem: str) -> dict[str, Any]:
    """Return what is wrong with a job, if anything; what a driver is told is looked at by the client alone."""
    return {
        "DriverConfigValidated": True, "ValidationErrors": [problem] if problem else None, "Error": problem,
        "Warnings": "",
    }  # fmt: skip


def meta(response: Response) -> dict[str, Any]:
    """Return what some bodies repeat of the headers."""
    return {
        "Index": max(response.index, 1), "KnownLeader": response.known_leader,
        "LastContact": int(response.last_contact_seconds * 1e9), "NextToken": "",
    }  # fmt: skip


def deregister_body(response: JobRegisterResponse) -> dict[str, Any]:
    """Return the answer to a deregistration."""
    return {
        "EvalID": response.eval_id, "EvalCreateIndex": response.eval_create_index,
        "JobModifyIndex": response.job_modify_index, "VolumeEvalID": "", "VolumeEvalIndex": 0,
        "Index": response.index, "LastContact": 0, "KnownLeader": False, "NextToken": "",
    }  # fmt: skip


def _task_states(states: Mapping[str, dict[str, Any]] | None) -> dict[str, dict[str, Any]] | None:
    if states is None:
        return None
    return {
        task: {
            **{key: value for key, value in state.items() if key != "TaskHandle" or value is not None},
            "Events": [{**_EVENT_ZEROS, **event} for event in state["Events"]],
        }
        for task, state in states.items()
    }


def _allocated_resources(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the tasks hold: the older fields of *body* under the newer names."""
    tasks: Mapping[str, Mapping[str, Any]] = body["TaskResources"]
    shared: Mapping[str, Any] = body["SharedResources"] or {}
    return {
        "Shared": {"DiskMB": shared.get("DiskMB", 0), "Networks": shared.get("Networks"), "Ports": None},
        "TaskLifecycles": dict.fromkeys(tasks),
        "Tasks": {
            name: {
                "Cpu": {"CpuShares": task["CPU"], "ReservedCores": None},
                "Memory": {"MemoryMB": task["MemoryMB"], "MemoryMaxMB": task["MemoryMaxMB"]},
                "Networks": task["Networks"],
                "Devices": task["Devices"],
            }
            for name, task in tasks.items()
        },
    }
