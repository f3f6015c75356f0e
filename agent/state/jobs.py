"""Commands about jobs. Source: Nomad, Job.Register, Job.Deregister and the state store's upsertJobImpl."""

import msgspec

from agent.model.command import DeregisterJob, RegisterJob, Result
from agent.model.evaluation import Evaluation
from agent.model.job import Job, JobStatus
from agent.state.draft import Draft


def register(draft: Draft, command: RegisterJob) -> Result:
    """Insert a job, or a new version of it if its specification differs; either way insert the evaluation."""
    old = draft.jobs.get(command.job.key)
    conflict = _conflict(old, command) if command.enforce_index else ""
    if conflict:
        return Result(index=draft.index, error=conflict, status=500)
    job = command.job
    if old is not None and not spec_changed(old, job):
        _put_eval(draft, command.eval, old.job_modify_index)
        return Result(index=draft.index)
    draft.put_job(
        msgspec.structs.replace(
            job,
            version=old.version + 1 if old else 0,
            status=old.status if old else JobStatus.PENDING,
            stable=False,
            submit_time=job.submit_time or draft.at,
            create_index=old.create_index if old else draft.index,
            modify_index=draft.index,
            job_modify_index=draft.index,
        ),
        new_version=True,
    )
    _put_eval(draft, command.eval, draft.index)
    return Result(index=draft.index)


def deregister(draft: Draft, command: DeregisterJob) -> Result:
    """Stop a job, which is a new version of it, or remove it; a job that is not there is no error, as on Nomad."""
    key = (command.namespace, command.job_id)
    old = draft.jobs.get(key)
    if old is not None and command.purge:
        draft.remove_job(key)
    elif old is not None and not old.stop:
        stopped = msgspec.structs.replace(
            old, stop=True, version=old.version + 1, modify_index=draft.index, job_modify_index=draft.index
        )
        draft.put_job(stopped, new_version=True)
    _put_eval(draft, command.eval, draft.index)
    return Result(index=draft.index)


def spec_changed(old: Job, new: Job) -> bool:
    """Tell whether *new* asks for something else than *old*: what the servers keep beside the request is ignored."""
    return old != msgspec.structs.replace(
        new,
        status=old.status,
        status_description=old.status_description,
        stable=old.stable,
        version=old.version,
        submit_time=old.submit_time,
        create_index=old.create_index,
        modify_index=old.modify_index,
        job_modify_index=old.job_modify_index,
        nomad_token_id=old.nomad_token_id,
        version_tag=old.version_tag,
    )


def _conflict(old: Job | None, command: RegisterJob) -> str:
    """Return Nomad's words for a job whose modify index is not the one asked for, empty when it is."""
    wanted = command.job_modify_index
    if old is None:
        return f"Enforcing job modify index {wanted}: job does not exist" if wanted else ""
    if wanted == 0:
        return "Enforcing job modify index 0: job already exists"
    if wanted != old.job_modify_index:
        found = old.job_modify_index
        return f"Enforcing job modify index {wanted}: job exists with conflicting job modify index: {found}"
    return ""


def _put_eval(draft: Draft, evaluation: Evaluation | None, job_modify_index: int) -> None:
    if evaluation is not None:
        draft.put_eval(msgspec.structs.replace(evaluation, job_modify_index=job_modify_index))
