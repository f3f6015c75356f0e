"""Jobs: registration, stopping, and what is known of them. Source: nomad/job_endpoint.go."""

from collections.abc import Iterable

import msgspec

from agent.endpoints.context import Context, Handlers
from agent.errors import NotFound, RequestRefused
from agent.model.alloc import Allocation, AllocStub, ClientStatus
from agent.model.base import EvalID, JobID
from agent.model.canonical import canonicalize, refusal
from agent.model.command import DeregisterJob, RegisterJob
from agent.model.evaluation import Evaluation, Trigger
from agent.model.job import Job
from agent.rpc import methods as m
from agent.state.store import Table

ALL_NAMESPACES = "*"


class JobEndpoint:
    """`Job.*`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def handlers(self) -> Handlers:
        """Return what answers which method."""
        return {
            m.JOB_REGISTER: self.register,
            m.JOB_DEREGISTER: self.deregister,
            m.JOB_GET_JOB: self.get_job,
            m.JOB_LIST: self.list_jobs,
            m.JOB_SUMMARY: self.summary,
            m.JOB_ALLOCATIONS: self.allocations,
            m.JOB_EVALUATIONS: self.evaluations,
            m.JOB_GET_JOB_VERSIONS: self.versions,
            m.JOB_VALIDATE: self.validate,
            m.JOB_SCALE_STATUS: self.scale_status,
        }

    async def register(self, request: m.JobRegisterRequest) -> m.JobRegisterResponse:
        """Create or change a job, and the evaluation that places it; raises RequestRefused on an invalid one."""
        job = canonicalize(request.job)
        problem = _problem(job)
        if problem:
            raise RequestRefused(problem)
        context = self._context
        now_ns = context.now_ns()
        job = msgspec.structs.replace(job, submit_time=now_ns)
        evaluation = self._evaluation(job, Trigger.JOB_REGISTER, now_ns)
        result = await context.propose(
            RegisterJob(
                request_id=context.new_id(),
                at=now_ns,
                job=job,
                eval=evaluation,
                enforce_index=request.enforce_index,
                job_modify_index=request.job_modify_index,
            )
        )
        stored = context.state.job(job.namespace, job.id)
        response = m.JobRegisterResponse(
            eval_id=evaluation.id,
            eval_create_index=result.index,
            job_modify_index=stored.job_modify_index if stored else result.index,
        )
        return context.fresh(response, result.index)

    async def deregister(self, request: m.JobDeregisterRequest) -> m.JobRegisterResponse:
        """Stop a job, or remove it; an unknown one makes an evaluation all the same, as Nomad does."""
        context = self._context
        now_ns = context.now_ns()
        job = context.state.job(request.namespace, request.job_id)
        subject = job or Job(id=request.job_id, namespace=request.namespace)
        evaluation = self._evaluation(subject, Trigger.JOB_DEREGISTER, now_ns)
        result = await context.propose(
            DeregisterJob(
                request_id=context.new_id(),
                at=now_ns,
                namespace=request.namespace,
                job_id=request.job_id,
                purge=request.purge,
                eval=evaluation,
            )
        )
        response = m.JobRegisterResponse(
            eval_id=evaluation.id, eval_create_index=result.index, job_modify_index=result.index
        )
        return context.fresh(response, result.index)

    async def get_job(self, request: m.JobSpecificRequest) -> m.JobResponse:
        """Return one job."""
        return await self._context.read(
            request, (Table.JOBS,), lambda state: m.JobResponse(job=state.job(request.namespace, request.job_id))
        )

    async def list_jobs(self, request: m.Request) -> m.JobListResponse:
        """Return the jobs of a namespace, or of all with "*"."""
        namespace = None if request.namespace == ALL_NAMESPACES else request.namespace
        return await self._context.read(
            request,
            (Table.JOBS, Table.JOB_SUMMARIES),
            lambda state: m.JobListResponse(
                jobs=[
                    m.JobWithSummary(job=job, summary=state.job_summary(job.namespace, job.id))
                    for job in state.jobs(namespace)
                    if job.id.startswith(request.prefix)
                ]
            ),
        )

    async def summary(self, request: m.JobSpecificRequest) -> m.JobSummaryResponse:
        """Return the counts of a job's allocations; raises NotFound for an unknown one."""
        response = await self._context.read(
            request,
            (Table.JOB_SUMMARIES,),
            lambda state: m.JobSummaryResponse(summary=state.job_summary(request.namespace, request.job_id)),
        )
        if response.summary is None:
            raise NotFound("job not found")
        return response

    async def allocations(self, request: m.JobSpecificRequest) -> m.AllocListResponse:
        """Return a job's allocations."""
        return await self._context.read(
            request,
            (Table.ALLOCS,),
            lambda state: m.AllocListResponse(
                allocs=[AllocStub.of(alloc) for alloc in state.allocs_by_job(request.namespace, request.job_id)]
            ),
        )

    async def evaluations(self, request: m.JobSpecificRequest) -> m.EvalListResponse:
        """Return a job's evaluations."""
        return await self._context.read(
            request,
            (Table.EVALS,),
            lambda state: m.EvalListResponse(evals=list(state.evals_by_job(request.namespace, request.job_id))),
        )

    async def versions(self, request: m.JobSpecificRequest) -> m.JobVersionsResponse:
        """Return the kept versions of a job."""
        return await self._context.read(
            request,
            (Table.JOBS,),
            lambda state: m.JobVersionsResponse(versions=list(state.job_versions(request.namespace, request.job_id))),
        )

    async def validate(self, request: m.JobValidateRequest) -> m.JobValidateResponse:
        """Say what registering the job would be refused for; nothing is written."""
        return self._context.fresh(
            m.JobValidateResponse(problem=_problem(canonicalize(request.job))), self._context.state.index
        )

    async def scale_status(self, request: m.JobSpecificRequest) -> m.JobScaleStatusResponse:
        """Return what a job's task groups are to have and have."""
        return await self._context.read(
            request,
            (Table.JOBS, Table.ALLOCS),
            lambda state: _scale(
                state.job(request.namespace, request.job_id), state.allocs_by_job(request.namespace, request.job_id)
            ),
        )

    def _evaluation(self, job: Job, trigger: Trigger, now_ns: int) -> Evaluation:
        return Evaluation(
            id=EvalID(self._context.new_id()),
            namespace=job.namespace,
            job_id=JobID(job.id),
            type=job.type,
            priority=job.priority,
            triggered_by=trigger,
            create_time=now_ns,
            modify_time=now_ns,
        )


def _scale(job: Job | None, allocs: Iterable[Allocation]) -> m.JobScaleStatusResponse:
    """Count the allocations that may still run. Source: nomad/job_endpoint.go, ScaleStatus."""
    if job is None:
        return m.JobScaleStatusResponse()
    live = [alloc for alloc in allocs if not alloc.terminal]
    groups = {}
    for group in job.task_groups:
        own = [alloc for alloc in live if alloc.task_group == group.name]
        health = [alloc.deployment_status.healthy for alloc in own if alloc.deployment_status is not None]
        groups[group.name] = m.TaskGroupScale(
            desired=group.count,
            placed=len(own),
            running=sum(alloc.client_status == ClientStatus.RUNNING for alloc in own),
            healthy=sum(found is True for found in health),
            unhealthy=sum(found is False for found in health),
        )
    return m.JobScaleStatusResponse(job=job, groups=groups)


def _problem(job: Job) -> str:
    return refusal(job) or _not_scheduled(job)


def _not_scheduled(job: Job) -> str:
    if job.periodic is not None:
        return f'job "{job.id}": periodic jobs are not scheduled by this version of Outrider'
    if job.parameterized_job is not None:
        return f'job "{job.id}": parameterized jobs are not scheduled by this version of Outrider'
    return ""
