"""Every route that reads gives back what a real Nomad gave: the recorded bodies go in as models and come out again."""

import gzip
import json

import msgspec
import pytest

from agent.http.api import AgentHealth, HealthCheck
from agent.model.alloc import Allocation, AllocStub
from agent.model.evaluation import Evaluation
from agent.model.job import Job, JobSummary
from agent.model.node import Node, NodeStub
from agent.rpc import methods as rpc

EVAL_ID = "9e3f5229-88ed-4ccf-6d8e-d8d55f9de6f0"
NODE_ID = "cfef12ce-ddcc-3d83-e15c-c30de4b45557"
ALLOC_ID = "54624495-1c36-932a-c986-29d011b39632"

NODE_NOT_YET = {"NodeNetworks", "Processors"}
"""What a real node says of its resources and ours does not."""

WAITS = {
    "2026-11-22T19:26:40.592320088Z": 1795375600592320088,
    "2026-11-22T19:26:55.872085243Z": 1795375615872085243,
    "2026-11-22T19:27:10.628873205Z": 1795375630628873205,
}
"""The waits of the recorded evaluations, in Unix nanoseconds."""

ALLOC_NOT_YET = {"NetworkStatus", "SigningKeyID"}
"""What a real allocation says and ours does not."""


def of(kind, body):
    return msgspec.convert(body, kind)


def without(body, keys):
    return {key: value for key, value in body.items() if key not in keys}


def test_nodes(agent, ask, body):
    """
    The list of nodes is what Nomad gave, field by field.
    """
    agent.answer(rpc.NODE_LIST, rpc.NodeListResponse(index=83, nodes=of(list[NodeStub], body("nodes"))))

    answer = ask("GET", "/v1/nodes")

    assert body("nodes") == answer.json
    assert (200, "application/json") == (answer.status, answer.headers["Content-Type"])


def test_node(agent, ask, body):
    """
    One node is what Nomad gave, but for the parts listed here.
    """
    agent.answer(rpc.NODE_GET_NODE, rpc.NodeResponse(index=13, node=of(Node, body("node"))))

    answer = ask("GET", f"/v1/node/{NODE_ID}")

    wanted = body("node")
    resources = without(wanted["NodeResources"], NODE_NOT_YET)
    assert without(wanted, {"NodeResources"}) == without(answer.json, {"NodeResources"})
    assert resources.keys() == answer.json["NodeResources"].keys()
    assert resources["Cpu"] == answer.json["NodeResources"]["Cpu"]


def test_node_secret_stays(agent, ask, body):
    """
    The secret of a node is never shown.
    """
    node = msgspec.structs.replace(of(Node, body("node")), secret_id="5ec7e7")
    agent.answer(rpc.NODE_GET_NODE, rpc.NodeResponse(index=13, node=node))

    answer = ask("GET", f"/v1/node/{NODE_ID}")

    assert "" == answer.json["SecretID"]
    assert "5ec7e7" not in answer.text


def test_node_allocations(agent, ask, body):
    """
    The allocations of a node are what Nomad gave, but for the parts listed here.
    """
    allocs = of(list[Allocation], body("node-allocations"))
    agent.answer(rpc.NODE_GET_ALLOCS, rpc.AllocsResponse(index=86, allocs=allocs))

    answer = ask("GET", f"/v1/node/{NODE_ID}/allocations")

    assert [without(alloc, ALLOC_NOT_YET) for alloc in body("node-allocations")] == answer.json


@pytest.mark.parametrize("name", ["allocation", "allocation-failing"])
def test_allocation(agent, ask, body, name):
    """
    One allocation is what Nomad gave, with its job and its newer resources, but for the parts listed here.
    """
    agent.answer(rpc.ALLOC_GET_ALLOC, rpc.AllocResponse(index=24, alloc=of(Allocation, body(name))))

    answer = ask("GET", f"/v1/allocation/{ALLOC_ID}")

    assert without(body(name), ALLOC_NOT_YET) == answer.json


def test_allocations(agent, ask, body):
    """
    The list of allocations is what Nomad gave, oldest first whatever the order of the answer.
    """
    stubs = of(list[AllocStub], list(reversed(body("allocations"))))
    agent.answer(rpc.ALLOC_LIST, rpc.AllocListResponse(index=86, allocs=stubs))

    answer = ask("GET", "/v1/allocations")

    assert body("allocations") == answer.json


def test_allocations_reversed(agent, ask, body):
    """
    With reverse the newest allocation comes first.
    """
    agent.answer(rpc.ALLOC_LIST, rpc.AllocListResponse(allocs=of(list[AllocStub], body("allocations"))))

    answer = ask("GET", "/v1/allocations?reverse=true")

    assert list(reversed(body("allocations"))) == answer.json


def test_evaluations(agent, ask, body):
    """
    The list of evaluations is what Nomad gave: optional fields that are zero are left out.
    """
    evals = of(list[Evaluation], [with_wait(found) for found in body("evaluations")])
    agent.answer(rpc.EVAL_LIST, rpc.EvalListResponse(index=87, evals=evals))

    answer = ask("GET", "/v1/evaluations")

    assert body("evaluations") == answer.json


def with_wait(found):
    """The model keeps Unix nanoseconds where Nomad's JSON has a text."""
    return {**found, "WaitUntil": WAITS[found["WaitUntil"]]} if "WaitUntil" in found else found


@pytest.mark.parametrize("name", ["evaluation-blocked", "evaluation-complete-with-failed-placement"])
def test_evaluation(agent, ask, body, name):
    """
    One evaluation is what Nomad gave, with the reasons why nothing could be placed.
    """
    agent.answer(rpc.EVAL_GET_EVAL, rpc.EvalResponse(index=49, eval=of(Evaluation, body(name))))

    answer = ask("GET", f"/v1/evaluation/{EVAL_ID}")

    assert body(name) == answer.json


def jobs_of(body):
    """The jobs behind the recorded list."""
    full = {
        "Periodic": lambda stub: {"Enabled": True} if stub["Periodic"] else None,
        "ParameterizedJob": lambda stub: {} if stub["ParameterizedJob"] else None,
    }
    return [
        rpc.JobWithSummary(
            job=of(Job, {**without(stub, {"JobSummary"}), **{key: make(stub) for key, make in full.items()}}),
            summary=of(JobSummary, stub["JobSummary"]),
        )
        for stub in body("jobs")
    ]


def test_jobs(agent, ask, body):
    """
    The list of jobs is what Nomad gave, with the summaries.
    """
    agent.answer(rpc.JOB_LIST, rpc.JobListResponse(index=83, jobs=jobs_of(body)))

    answer = ask("GET", "/v1/jobs")

    assert body("jobs") == answer.json


def test_jobs_paged(agent, ask, body):
    """
    A page holds per_page jobs, and names the one after it.
    """
    agent.answer(rpc.JOB_LIST, rpc.JobListResponse(index=83, jobs=jobs_of(body)))

    first = ask("GET", "/v1/jobs?per_page=2")
    second = ask("GET", "/v1/jobs?per_page=2&next_token=default.once")

    assert body("jobs-paged") == first.json
    assert "default.once" == first.headers["X-Nomad-Nexttoken"]
    assert ["once", "tick"] == [job["ID"] for job in second.json]


def test_job(agent, ask, body):
    """
    One job is what Nomad gave.
    """
    agent.answer(rpc.JOB_GET_JOB, rpc.JobResponse(index=26, job=of(Job, body("job-web"))))

    answer = ask("GET", "/v1/job/web")

    assert body("job-web") == answer.json


def test_job_summary(agent, ask, body):
    """
    The summary of a job is what Nomad gave.
    """
    summary = of(JobSummary, body("job-web-summary"))
    agent.answer(rpc.JOB_SUMMARY, rpc.JobSummaryResponse(index=22, summary=summary))

    answer = ask("GET", "/v1/job/web/summary")

    assert body("job-web-summary") == answer.json


def test_job_allocations(agent, ask, body):
    """
    The allocations of a job are what Nomad gave, in the order of the answer.
    """
    stubs = of(list[AllocStub], body("job-web-allocations"))
    agent.answer(rpc.JOB_ALLOCATIONS, rpc.AllocListResponse(index=86, allocs=stubs))

    answer = ask("GET", "/v1/job/web/allocations")

    assert body("job-web-allocations") == answer.json


def test_job_evaluations(agent, ask, body):
    """
    The evaluations of a job are what Nomad gave.
    """
    evals = of(list[Evaluation], body("job-web-evaluations"))
    agent.answer(rpc.JOB_EVALUATIONS, rpc.EvalListResponse(index=87, evals=evals))

    answer = ask("GET", "/v1/job/web/evaluations")

    assert body("job-web-evaluations") == answer.json


@pytest.mark.parametrize("path", ["tick/periodic-1795375620", "tick%2Fperiodic-1795375620"])
def test_job_id_with_slash(agent, ask, path):
    """
    The id of a periodic child holds a slash, bare or escaped, also before a suffix.
    """
    agent.answer(rpc.JOB_SUMMARY, rpc.JobSummaryResponse())
    agent.answer(rpc.JOB_GET_JOB, rpc.JobResponse())

    ask("GET", f"/v1/job/{path}/summary")
    ask("GET", f"/v1/job/{path}")

    assert [("Job.Summary", "tick/periodic-1795375620"), ("Job.GetJob", "tick/periodic-1795375620")] == [
        (name, request.job_id) for name, request in agent.caller.asked
    ]


@pytest.mark.parametrize(("path", "name"), [("self", "agent-self"), ("members", "agent-members")])
def test_agent_itself(ask, body, path, name):
    """
    What the agent says of itself carries no index.
    """
    answer = ask("GET", f"/v1/agent/{path}")

    assert body(name) == answer.json
    assert "X-Nomad-Index" not in answer.headers


def test_health(ask, body):
    """
    A healthy server answers 200 as Nomad does.
    """
    answer = ask("GET", "/v1/agent/health")

    assert (200, body("agent-health")) == (answer.status, answer.json)


def test_health_without_leader(agent, ask):
    """
    A server without a leader is unhealthy with 500, and so is an agent whose client alone is well.
    """
    agent.found_health = AgentHealth(server=HealthCheck(False, "No cluster leader"), client=HealthCheck(True, "ok"))

    whole = ask("GET", "/v1/agent/health")
    client = ask("GET", "/v1/agent/health?type=client")

    assert (500, {"ok": False, "message": "No cluster leader"}) == (whole.status, whole.json["server"])
    assert (200, {"client": {"ok": True, "message": "ok"}}) == (client.status, client.json)


def test_servers_of_a_client(agent, ask):
    """
    A client lists the servers it knows, sorted; a server refuses with 501.
    """
    refused = ask("GET", "/v1/agent/servers")
    agent.is_client, agent.is_server = True, False
    listed = ask("GET", "/v1/agent/servers")

    assert (501, "Invalid method") == (refused.status, refused.text)
    assert (200, ["127.0.0.11:4647", "127.0.0.13:4647"]) == (listed.status, listed.json)


def test_status(agent, ask):
    """
    Leader and peers are a bare string and list, without X-Nomad headers.
    """
    agent.answer(rpc.STATUS_LEADER, rpc.StatusLeaderResponse(leader="127.0.0.12:4647"))
    agent.answer(rpc.STATUS_PEERS, rpc.StatusPeersResponse(peers=["127.0.0.11:4647", "127.0.0.12:4647"]))

    leader, peers = ask("GET", "/v1/status/leader"), ask("GET", "/v1/status/peers")

    assert "127.0.0.12:4647" == leader.json
    assert ["127.0.0.11:4647", "127.0.0.12:4647"] == peers.json
    assert not [name for name in (*leader.headers, *peers.headers) if name.startswith("X-Nomad")]


def test_regions(ask, body):
    """
    There is one region.
    """
    assert body("regions") == ask("GET", "/v1/regions").json


def test_raft_configuration(agent, ask, body):
    """
    The Raft configuration is what Nomad gave, index 0 included, without X-Nomad headers.
    """
    servers = of(list[rpc.RaftServer], body("operator-raft-configuration")["Servers"])
    agent.answer(rpc.OPERATOR_RAFT_CONFIGURATION, rpc.RaftConfigurationResponse(index=87, servers=servers))

    answer = ask("GET", "/v1/operator/raft/configuration")

    assert body("operator-raft-configuration") == answer.json
    assert "X-Nomad-Index" not in answer.headers


@pytest.mark.parametrize(("healthy", "status"), [(True, 200), (False, 429)])
def test_autopilot_health(agent, ask, body, healthy, status):
    """
    Autopilot's body is what Nomad gave, and its status is 429 when something is unhealthy; stale is not passed on.
    """
    wanted = {**body("operator-autopilot-health"), "Healthy": healthy}
    agent.answer(rpc.OPERATOR_SERVER_HEALTH, of(rpc.AutopilotHealthResponse, wanted))

    answer = ask("GET", "/v1/operator/autopilot/health?stale")

    assert (status, wanted) == (answer.status, answer.json)
    assert not agent.requests()[0].allow_stale


def test_metrics(agent, ask):
    """
    Prometheus gets text 0.0.4 with Nomad's content type; any other format is JSON; switched off it is 415.
    """
    text = ask("GET", "/v1/metrics?format=prometheus")
    other = ask("GET", "/v1/metrics?format=nope")
    agent.prometheus = None
    off = ask("GET", "/v1/metrics?format=prometheus")

    assert "text/plain; version=0.0.4; charset=utf-8; escaping=underscores" == text.headers["Content-Type"]
    assert agent.metrics_json() == other.body
    assert (415, "Prometheus is not enabled") == (off.status, off.text)


def test_gzip_pays(agent, ask):
    """
    A large body is compressed for those who ask, a small one is not.
    """
    agent.prometheus = b"nomad_x 1\n" * 200

    large = ask("GET", "/v1/metrics?format=prometheus", headers={"Accept-Encoding": "gzip"})
    small = ask("GET", "/v1/regions", headers={"Accept-Encoding": "gzip"})

    assert "gzip" == large.headers["Content-Encoding"]
    assert agent.prometheus == gzip.decompress(large.body)
    assert "Content-Encoding" not in small.headers


def test_pretty(ask):
    """
    JSON is in one line, or indented by four with pretty.
    """
    assert b'["global"]' == ask("GET", "/v1/regions").body
    assert b'[\n    "global"\n]' == ask("GET", "/v1/regions?pretty").body


def test_versions_of_a_job(agent, ask, body):
    """
    The kept versions, newest first, with what the headers say; a job without any is not found.
    """
    wanted = body("job-web-versions")
    versions = of(list[Job], wanted["Versions"])
    agent.answer(rpc.JOB_GET_JOB_VERSIONS, rpc.JobVersionsResponse(index=26, versions=versions))
    answer = ask("GET", "/v1/job/web/versions")
    agent.answer(rpc.JOB_GET_JOB_VERSIONS, rpc.JobVersionsResponse(index=26))
    missing = ask("GET", "/v1/job/web/versions")

    assert without(wanted, {"Versions"}) == without(answer.json, {"Versions"})
    assert [(job["ID"], job["Version"]) for job in wanted["Versions"]] == [
        (job["ID"], job["Version"]) for job in answer.json["Versions"]
    ]
    assert (404, "job versions not found") == (missing.status, missing.text)


def test_the_scale_of_a_job(agent, ask, body):
    """
    What its groups are to have and have; an unknown job is not found.
    """
    groups = {"app": rpc.TaskGroupScale(desired=2, placed=2, running=2, healthy=2)}
    job = Job(id="web", create_index=16, modify_index=26)
    agent.answer(rpc.JOB_SCALE_STATUS, rpc.JobScaleStatusResponse(index=26, job=job, groups=groups))
    answer = ask("GET", "/v1/job/web/scale")
    agent.answer(rpc.JOB_SCALE_STATUS, rpc.JobScaleStatusResponse(index=26))
    missing = ask("GET", "/v1/job/web/scale")

    assert body("job-web-scale") == answer.json
    assert (404, "job not found") == (missing.status, missing.text)


def test_the_count_of_evaluations(agent, ask, body):
    """
    The number, with what the headers say.
    """
    agent.answer(rpc.EVAL_COUNT, rpc.CountResponse(index=87, count=18))

    answer = ask("GET", "/v1/evaluations/count")

    assert body("evaluations-count") == answer.json
    assert "87" == answer.headers["X-Nomad-Index"]


def test_allocations_of_an_evaluation(agent, ask, body):
    """
    Stubs, as in every list of allocations.
    """
    stubs = of(list[AllocStub], body("job-web-allocations"))
    agent.answer(rpc.EVAL_ALLOCATIONS, rpc.AllocListResponse(index=24, allocs=stubs))

    answer = ask("GET", f"/v1/evaluation/{EVAL_ID}/allocations")

    assert [stub["ID"] for stub in body("job-web-allocations")] == [stub["ID"] for stub in answer.json]
    assert [EVAL_ID] == [request.eval_id for request in agent.requests()]
    assert "UUID must be 36 characters" in ask("GET", "/v1/evaluation/x/allocations").text


@pytest.mark.parametrize(
    ("recorded", "path", "method", "names", "ours"),
    [
        ("node-pools", "/v1/node/pools", rpc.NODE_POOL_LIST, ["all", "default"], {"NodeIdentityTTL"}),
        ("namespaces", "/v1/namespaces", rpc.NAMESPACE_LIST, ["default"], {"Hash"}),
    ],
)
def test_names(agent, ask, body, recorded, path, method, names, ours):
    """
    Each as a Nomad has it that nobody changed; one that clients or jobs name has no description.
    """
    agent.answer(method, rpc.NamesResponse(index=1, names=[*names, "gpu"]))

    answer = ask("GET", path)

    assert [without(each, ours) for each in body(recorded)] == [without(each, ours) for each in answer.json[:-1]]
    assert all(each.keys() == answer.json[0].keys() for each in body(recorded))
    assert ("gpu", "") == (answer.json[-1]["Name"], answer.json[-1]["Description"])


def test_a_search(agent, ask, body):
    """
    The recorded question is passed on, and its answer given; without a context all are searched.
    """
    found = rpc.SearchResponse(index=79, matches={"jobs": ["web"]}, truncations={"jobs": False})
    agent.answer(rpc.SEARCH_PREFIX, found)

    answer = ask("POST", "/v1/search", data=json.dumps({"Prefix": "w", "Context": "jobs"}))
    ask("POST", "/v1/search", data=json.dumps({"Prefix": "w"}))

    assert body("search-jobs") == answer.json
    assert [("w", "jobs"), ("w", "all")] == [(request.prefix, request.context) for request in agent.requests()]


def test_a_job_that_is_validated(agent, ask, body):
    """
    What is wrong is said, and nothing where nothing is; a body without a job is refused.
    """
    job = {"Job": body("job-web")}
    agent.answer(rpc.JOB_VALIDATE, rpc.JobValidateResponse())
    good = ask("POST", "/v1/validate/job", data=json.dumps(job))
    agent.answer(rpc.JOB_VALIDATE, rpc.JobValidateResponse(problem="it has no group"))
    bad = ask("POST", "/v1/validate/job", data=json.dumps(job))

    assert body("validate-job") == good.json
    assert (["it has no group"], "it has no group") == (bad.json["ValidationErrors"], bad.json["Error"])
    assert 400 == ask("POST", "/v1/validate/job", data=json.dumps({})).status
    assert ["web", "web"] == [request.job.id for request in agent.requests()]
