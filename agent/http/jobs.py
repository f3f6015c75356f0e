"""Jobs: /v1/jobs, /v1/jobs/parse, /v1/job/:id and what belongs to it. Ids may hold slashes, as children's do."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from agent.errors import ConfigError, RequestRefused
from agent.http.api import AgentApi
from agent.http.bodies import (
    alloc_stub_body,
    deregister_body,
    evaluation_body,
    job_stub_body,
    meta,
    register_body,
    scale_body,
    validate_body,
)
from agent.http.decode import decode_body, read_body
from agent.http.query import CALL_TIMEOUT_SECONDS, boolean, read_query
from agent.http.reply import Reply, Route, get, json_reply, paged, read_headers, text_reply, write_headers
from agent.model.base import JobID, Model
from agent.model.job import Job
from agent.rpc.methods import (
    JOB_ALLOCATIONS,
    JOB_DEREGISTER,
    JOB_EVALUATIONS,
    JOB_GET_JOB,
    JOB_GET_JOB_VERSIONS,
    JOB_LIST,
    JOB_REGISTER,
    JOB_SCALE_STATUS,
    JOB_SUMMARY,
    JOB_VALIDATE,
    JobDeregisterRequest,
    JobRegisterRequest,
    JobSpecificRequest,
    JobValidateRequest,
    Request,
)

NO_JOB = "job not found"


class RegisterBody(Model, frozen=True):
    """What is posted to register a job."""

    job: dict[str, Any] | None = None
    enforce_index: bool = False
    job_modify_index: int = 0


class PostedJob(Model, frozen=True):
    """A job inside a posted body, so that errors name it from the root of the body."""

    job: Job


class ParseBody(Model, frozen=True):
    """What is posted to turn a job file into JSON."""

    job_hcl: str = msgspec.field(name="JobHCL", default="")
    variables: str = ""
    canonicalize: bool = False


async def jobs(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the jobs and the counts of their allocations, by id."""
    query = read_query(api, request)
    response = await api.caller.call(JOB_LIST, Request(**query.options()), CALL_TIMEOUT_SECONDS)
    page = paged(response.jobs, lambda entry: f"{entry.job.namespace}.{entry.job.id}", query)
    headers = {**read_headers(response), **page.headers()}
    return json_reply([job_stub_body(entry) for entry in page.items], headers=headers)


async def register(api: AgentApi, request: web.Request) -> Reply:
    """Create a job or change it; answers with the evaluation that will place it."""
    query = read_query(api, request)
    body = await read_body(request)
    posted = decode_body(body, RegisterBody)
    if not posted.job:
        raise RequestRefused("Job must be specified" if posted.job is None else "Job ID hasn't been provided", 400)
    job = decode_body(body, PostedJob).job
    if not job.id:
        raise RequestRefused("Job ID hasn't been provided", 400)
    named = request.match_info.get("job_id")
    if named is not None and named != job.id:
        raise RequestRefused("Job ID does not match", 400)
    if posted.job.get("Region") and job.region not in {api.region, "global"}:
        raise RequestRefused("No path to region", 500)
    namespace = _one_namespace(job.namespace if posted.job.get("Namespace") else query.namespace)
    asked = JobRegisterRequest(
        region=query.region,
        namespace=namespace,
        job=msgspec.structs.replace(job, region=query.region, namespace=namespace),
        enforce_index=posted.enforce_index,
        job_modify_index=posted.job_modify_index,
    )
    response = await api.caller.call(JOB_REGISTER, asked, CALL_TIMEOUT_SECONDS)
    return json_reply(register_body(response), headers=write_headers(response))


async def parse(_api: AgentApi, request: web.Request) -> Reply:
    """Answer with the JSON of a job file; nothing is registered."""
    # Late, because few agents are ever asked, and the parser of job files is large.
    from agent.config.jobspec import parse_job  # noqa: PLC0415

    posted = decode_body(await read_body(request), ParseBody)
    if not posted.job_hcl:
        raise RequestRefused("Job spec is empty", 400)
    try:
        job = await asyncio.to_thread(parse_job, posted.job_hcl, "input.hcl", _variables(posted.variables))
    except ConfigError as error:
        raise RequestRefused(str(error), 400) from error
    return json_reply(job)


async def job(api: AgentApi, request: web.Request) -> Reply:
    """Answer with one job."""
    response = await api.caller.call(JOB_GET_JOB, _asked(api, request), CALL_TIMEOUT_SECONDS)
    if response.job is None:
        return text_reply(NO_JOB, 404, read_headers(response))
    return json_reply(response.job, headers=read_headers(response))


async def deregister(api: AgentApi, request: web.Request) -> Reply:
    """Stop a job, or remove it with `?purge=true`; an unknown one is no error."""
    query = read_query(api, request)
    asked = JobDeregisterRequest(
        region=query.region,
        namespace=_one_namespace(query.namespace),
        job_id=JobID(request.match_info["job_id"]),
        purge=boolean(request.query, "purge"),
    )
    response = await api.caller.call(JOB_DEREGISTER, asked, CALL_TIMEOUT_SECONDS)
    return json_reply(deregister_body(response), headers=write_headers(response))


async def summary(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the counts of a job's allocations."""
    response = await api.caller.call(JOB_SUMMARY, _asked(api, request), CALL_TIMEOUT_SECONDS)
    if response.summary is None:
        return text_reply(NO_JOB, 404, read_headers(response))
    return json_reply(response.summary, headers=read_headers(response))


async def allocations(api: AgentApi, request: web.Request) -> Reply:
    """Answer with a job's allocations, newest first; an unknown job has none."""
    response = await api.caller.call(JOB_ALLOCATIONS, _asked(api, request), CALL_TIMEOUT_SECONDS)
    return json_reply([alloc_stub_body(stub) for stub in response.allocs], headers=read_headers(response))


async def evaluations(api: AgentApi, request: web.Request) -> Reply:
    """Answer with a job's evaluations; an unknown job has none."""
    response = await api.caller.call(JOB_EVALUATIONS, _asked(api, request), CALL_TIMEOUT_SECONDS)
    return json_reply([evaluation_body(found) for found in response.evals], headers=read_headers(response))


async def versions(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the kept versions of a job, newest first."""
    response = await api.caller.call(JOB_GET_JOB_VERSIONS, _asked(api, request), CALL_TIMEOUT_SECONDS)
    if not response.versions:
        return text_reply("job versions not found", 404, read_headers(response))
    return json_reply({"Versions": response.versions, "Diffs": None, **meta(response)}, headers=read_headers(response))


async def scale_status(api: AgentApi, request: web.Request) -> Reply:
    """Answer with what a job's task groups are to have and have; scaling is not built."""
    response = await api.caller.call(JOB_SCALE_STATUS, _asked(api, request), CALL_TIMEOUT_SECONDS)
    if response.job is None:
        return text_reply(NO_JOB, 404, read_headers(response))
    return json_reply(scale_body(response.job, response.groups), headers=read_headers(response))


async def validate(api: AgentApi, request: web.Request) -> Reply:
    """Say what registering a job would be refused for; nothing is written."""
    query = read_query(api, request)
    body = await read_body(request)
    if not decode_body(body, RegisterBody).job:
        raise RequestRefused("Job must be specified", 400)
    job = decode_body(body, PostedJob).job
    response = await api.caller.call(
        JOB_VALIDATE, JobValidateRequest(region=query.region, job=job), CALL_TIMEOUT_SECONDS
    )
    return json_reply(validate_body(response.problem))


def _asked(api: AgentApi, request: web.Request) -> JobSpecificRequest:
    """Return the question about the job in the path."""
    query = read_query(api, request)
    return JobSpecificRequest(job_id=JobID(request.match_info["job_id"]), **query.options())


def _one_namespace(namespace: str) -> str:
    """Return *namespace*; refuses the one that means all of them."""
    if namespace == "*":
        raise RequestRefused("a job is written in one namespace, not in *", 400)
    return namespace


def _variables(text: str) -> dict[str, str]:
    """Return the variables of a variables file that assigns plain values, one `name = value` a line."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}


async def not_built(_api: AgentApi, _request: web.Request) -> Reply:
    """Answer as to an unknown path: Nomad has something here, this agent does not."""
    return Reply(b"", 404, "")


_ID = "{job_id:.+}"

_NOT_BUILT = "actions|deployment|deployments|dispatch|evaluate|periodic/force|plan|revert|services|stable|submission"
"""Ends of paths that belong to a job in Nomad; without them here they would pass for part of the job's id."""

# The longer paths come first: an id may itself hold slashes.
ROUTES = (
    Route("/v1/jobs", {"GET": jobs, "POST": register, "PUT": register}),
    Route("/v1/jobs/parse", {"POST": parse, "PUT": parse}),
    get(f"/v1/job/{_ID}/allocations", allocations),
    get(f"/v1/job/{_ID}/evaluations", evaluations),
    get(f"/v1/job/{_ID}/summary", summary),
    get(f"/v1/job/{_ID}/versions", versions),
    get(f"/v1/job/{_ID}/scale", scale_status),
    Route("/v1/validate/job", {"POST": validate, "PUT": validate}),
    Route(f"/v1/job/{_ID}/{{_what:(?:{_NOT_BUILT})}}", dict.fromkeys(("GET", "POST", "PUT", "DELETE"), not_built)),
    Route(f"/v1/job/{_ID}", {"GET": job, "POST": register, "PUT": register, "DELETE": deregister}),
)
