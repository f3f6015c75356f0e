"""Registering, parsing and stopping jobs, and the bodies that are refused."""

import json

import pytest

from agent.rpc import methods as rpc

NODE_ID = "cfef12ce-ddcc-3d83-e15c-c30de4b45557"
REGISTERED = rpc.JobRegisterResponse(index=90, eval_id="e1", eval_create_index=90, job_modify_index=89, warnings="w")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"Job": ', "unexpected EOF"),
        ('{"Job": {"ID": "we', "unexpected EOF"),
        ("", "EOF"),
        ("{}", "Job must be specified"),
        ('{"Job": null}', "Job must be specified"),
        ('{"Job":{}}', "Job ID hasn't been provided"),
        ('{"Job":{"Name":"x"}}', "Job ID hasn't been provided"),
        ('{"Job":{"ID":7}}', "json: cannot unmarshal number into Go struct field Job.Job.ID of type string"),
        ('{"Job":7}', "json: cannot unmarshal number into Go struct field RegisterBody.Job of type map"),
        (
            '{"Job":{"ID":"x","TaskGroups":[{"Tasks":[{"Name":true}]}]}}',
            "json: cannot unmarshal bool into Go struct field Task.Job.TaskGroups.Tasks.Name of type string",
        ),
        (
            '{"Job":{"ID":"x","TaskGroups":{}}}',
            "json: cannot unmarshal object into Go struct field Job.Job.TaskGroups of type slice",
        ),
    ],
)
def test_bodies_that_are_refused(agent, ask, body, text):
    """
    A body that is no job is refused with 400 in Nomad's words, and no server is asked.
    """
    answer = ask("POST", "/v1/jobs", data=body)

    assert (400, text) == (answer.status, answer.text)
    assert [] == agent.caller.asked


def test_syntax_error_names_the_place(ask):
    """
    A character that is no JSON is named with its line and column.
    """
    answer = ask("POST", "/v1/jobs", data='{"Job":\n {"ID": x}}')

    assert 400 == answer.status
    assert "invalid character 'x' at line 2, column 9" in answer.text


def test_deep_nesting_is_refused(ask):
    """
    A body that is nested without end is refused, not followed.
    """
    answer = ask("POST", "/v1/jobs", data='{"Job":{"ID":"x","UI":' + "[" * 5000 + "]" * 5000 + "}}")

    assert 400 == answer.status


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_register(agent, ask, body, method):
    """
    A job is registered with its condition, null fields take their defaults, and only the index is in the headers.
    """
    agent.answer(rpc.JOB_REGISTER, REGISTERED)
    job = {**body("job-web"), "Namespace": None, "Priority": None}
    posted = {"Job": job, "EnforceIndex": True, "JobModifyIndex": 16, "Unknown": 1}

    answer = ask(method, "/v1/jobs?namespace=ops", data=json.dumps(posted))

    (request,) = agent.requests()
    assert ("web", "ops", "ops", 50) == (request.job.id, request.namespace, request.job.namespace, request.job.priority)
    assert (True, 16) == (request.enforce_index, request.job_modify_index)
    assert {
        "EvalID": "e1", "EvalCreateIndex": 90, "JobModifyIndex": 89, "Warnings": "w", "Index": 90,
        "LastContact": 0, "KnownLeader": False, "NextToken": "",
    } == answer.json  # fmt: skip
    assert ["X-Nomad-Index"] == [name for name in answer.headers if name.startswith("X-Nomad")]


def test_null_config_values_are_kept(agent, ask):
    """
    What a task hands to its driver is passed on unread, nulls included.
    """
    agent.answer(rpc.JOB_REGISTER, REGISTERED)
    task = {"Name": "t", "Config": {"command": "x", "auth": None}}

    ask("POST", "/v1/jobs", data=json.dumps({"Job": {"ID": "x", "TaskGroups": [{"Name": "g", "Tasks": [task]}]}}))

    assert {"command": "x", "auth": None} == agent.requests()[0].job.task_groups[0].tasks[0].config


def test_update_of_another_job_is_refused(agent, ask):
    """
    The job in the body must be the job in the path.
    """
    answer = ask("POST", "/v1/job/api", data='{"Job":{"ID":"web"}}')

    assert (400, "Job ID does not match") == (answer.status, answer.text)


def test_job_of_another_region_is_refused(agent, ask):
    """
    A job for a region that cannot be reached is not registered in this one.
    """
    answer = ask("POST", "/v1/jobs", data='{"Job":{"ID":"web","Region":"mars"}}')

    assert (500, "No path to region") == (answer.status, answer.text)


def test_deregister(agent, ask, body):
    """
    A job is stopped, or removed with purge; an unknown one answers as Nomad recorded it.
    """
    agent.answer(rpc.JOB_DEREGISTER, rpc.JobRegisterResponse())

    answer = ask("DELETE", "/v1/job/nope?purge=true")

    assert (200, body("err-deregister-unknown")) == (answer.status, answer.json)
    assert "0" == answer.headers["X-Nomad-Index"]
    assert ("nope", True) == (agent.requests()[0].job_id, agent.requests()[0].purge)


@pytest.mark.parametrize(("method", "path"), [("PUT", "/v1/jobs"), ("DELETE", "/v1/job/web")])
def test_write_in_all_namespaces(agent, ask, method, path):
    """
    A write names one namespace.
    """
    answer = ask(method, f"{path}?namespace=*", data='{"Job":{"ID":"web"}}')

    assert (400, "a job is written in one namespace, not in *") == (answer.status, answer.text)


def test_body_too_large(agent, ask):
    """
    A body above the limit is refused with 413 and the limit.
    """
    answer = ask("POST", "/v1/jobs", data="x" * 2000, body_bytes_max=1000)

    assert (413, "the body is larger than 1000 bytes") == (answer.status, answer.text)


def test_parse_needs_a_job(ask):
    """
    Parsing nothing is refused.
    """
    answer = ask("POST", "/v1/jobs/parse", data="{}")

    assert (400, "Job spec is empty") == (answer.status, answer.text)


@pytest.mark.parametrize(
    ("origin", "status"), [("http://evil.example", 403), ("null", 403), ("http://agent:4646", 200), (None, 200)]
)
def test_pages_of_another_origin(agent, ask, origin, status):
    """
    A browser on a foreign page may not stop or run jobs; a page of the agent's own, or no page at all, may.
    """
    agent.answer(rpc.JOB_DEREGISTER, rpc.JobRegisterResponse())
    headers = {"Host": "agent:4646"} | ({"Origin": origin} if origin else {})

    answer = ask("DELETE", "/v1/job/web", headers=headers)

    assert status == answer.status


def test_parse(ask, body):
    """
    A job file becomes JSON: what the file says is what Nomad read in it.
    """
    posted = {"JobHCL": HCL, "Variables": 'cmd = "/bin/sleep"\n# comment\n', "Canonicalize": True}

    answer = ask("POST", "/v1/jobs/parse", data=json.dumps(posted))

    wanted = body("jobs-parse")
    assert 200 == answer.status, answer.text
    assert (wanted["ID"], wanted["Type"]) == (answer.json["ID"], answer.json["Type"])
    group, recorded = answer.json["TaskGroups"][0], wanted["TaskGroups"][0]
    assert (recorded["Name"], recorded["Count"]) == (group["Name"], group["Count"])
    assert recorded["Tasks"][0]["Config"] == group["Tasks"][0]["Config"]


def test_parse_error_has_its_place(ask):
    """
    A job file with an error is refused with 400, line and column.
    """
    answer = ask("POST", "/v1/jobs/parse", data=json.dumps({"JobHCL": 'job "web" {\n  type = \n}\n'}))

    assert 400 == answer.status
    assert "input.hcl:2" in answer.text


HCL = """
variable "cmd" {
  type = string
}
job "web" {
  type = "service"
  group "app" {
    count = 2
    update {
      min_healthy_time = "3s"
    }
    task "sleep" {
      driver = "raw_exec"
      config {
        command = var.cmd
        args    = ["100000"]
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
"""


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_eligibility(agent, ask, body, method):
    """
    The node is the one in the path, and an answer without a change is the recorded one.
    """
    agent.answer(rpc.NODE_UPDATE_ELIGIBILITY, rpc.NodeEligibilityUpdateResponse())

    answer = ask(method, f"/v1/node/{NODE_ID}/eligibility", data='{"NodeID": "other", "Eligibility": "eligible"}')

    (request,) = agent.requests()
    assert (NODE_ID, "eligible", "global") == (request.node_id, request.eligibility, request.region)
    assert body("node-eligibility") == answer.json
    assert (200, "0") == (answer.status, answer.headers["X-Nomad-Index"])


def test_eligibility_with_evaluations(agent, ask):
    """
    What a node that became eligible got is told, with the index of the write.
    """
    response = rpc.NodeEligibilityUpdateResponse(index=90, eval_ids=["e1", "e2"], eval_create_index=90)
    agent.answer(rpc.NODE_UPDATE_ELIGIBILITY, response)

    answer = ask("PUT", f"/v1/node/{NODE_ID}/eligibility", data='{"Eligibility": "eligible"}')

    assert {"NodeModifyIndex": 0, "EvalIDs": ["e1", "e2"], "EvalCreateIndex": 90, "Index": 90} == answer.json
    assert "90" == answer.headers["X-Nomad-Index"]


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "text"),
    [
        ("GET", f"/v1/node/{NODE_ID}/eligibility", "", 405, "Invalid method"),
        ("PUT", f"/v1/node/{NODE_ID}/eligibility", "", 400, "EOF"),
        ("PUT", "/v1/node/zz/eligibility", "{}", 500, "node lookup failed: index error: UUID must be 36 characters"),
        (
            "PUT", f"/v1/node/{NODE_ID}/eligibility", '{"Eligibility": 1}', 400,
            "json: cannot unmarshal number into Go struct field EligibilityBody.Eligibility of type string",
        ),
    ],
)  # fmt: skip
def test_eligibility_that_is_refused(agent, ask, method, path, data, status, text):
    """
    What is wrong with the request itself is said without asking a server.
    """
    answer = ask(method, path, data=data)

    assert (status, text) == (answer.status, answer.text)
    assert [] == agent.caller.asked


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_drain(agent, ask, method):
    """
    The node is the one in the path, and the answer has the index of the write.
    """
    agent.answer(rpc.NODE_UPDATE_DRAIN, rpc.NodeDrainUpdateResponse(index=90, node_modify_index=90))
    body = '{"NodeID": "x", "DrainSpec": {"Deadline": 60000000000, "IgnoreSystemJobs": true}, "Meta": {"message": "m"}}'

    answer = ask(method, f"/v1/node/{NODE_ID}/drain", data=body)

    (request,) = agent.requests()
    assert (NODE_ID, "global", False, {"message": "m"}) == (
        request.node_id, request.region, request.mark_eligible, request.meta,
    )  # fmt: skip
    assert (60_000_000_000, True) == (request.spec.deadline, request.spec.ignore_system_jobs)
    assert {"NodeModifyIndex": 90, "EvalIDs": None, "EvalCreateIndex": 0, "Index": 90} == answer.json
    assert (200, "90") == (answer.status, answer.headers["X-Nomad-Index"])


@pytest.mark.parametrize("spec", ['"DrainSpec": null, ', ""])
def test_drain_without_a_specification_ends_it(agent, ask, spec):
    """
    Null and nothing mean the same; the evaluations of a node that became eligible are told.
    """
    response = rpc.NodeDrainUpdateResponse(index=91, node_modify_index=91, eval_ids=["e1"], eval_create_index=91)
    agent.answer(rpc.NODE_UPDATE_DRAIN, response)

    answer = ask("PUT", f"/v1/node/{NODE_ID}/drain", data=f'{{{spec}"MarkEligible": true, "Meta": null}}')

    (request,) = agent.requests()
    assert (None, True, None) == (request.spec, request.mark_eligible, request.meta)
    assert {"NodeModifyIndex": 91, "EvalIDs": ["e1"], "EvalCreateIndex": 91, "Index": 91} == answer.json


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "text"),
    [
        ("GET", f"/v1/node/{NODE_ID}/drain", "", 405, "Invalid method"),
        ("PUT", f"/v1/node/{NODE_ID}/drain", "", 400, "EOF"),
        ("PUT", "/v1/node/zz/drain", "{}", 500, "node lookup failed: index error: UUID must be 36 characters"),
        (
            "PUT", f"/v1/node/{NODE_ID}/drain", f'{{"DrainSpec": {{"Deadline": {2**63}}}}}', 400,
            "json: cannot unmarshal number into Go struct field DrainSpec.DrainSpec.Deadline of type time.Duration",
        ),
        (
            "PUT", f"/v1/node/{NODE_ID}/drain", '{"MarkEligible": 1}', 400,
            "json: cannot unmarshal number into Go struct field DrainBody.MarkEligible of type bool",
        ),
    ],
)  # fmt: skip
def test_drain_that_is_refused(agent, ask, method, path, data, status, text):
    """
    What is wrong with the request itself is said without asking a server.
    """
    answer = ask(method, path, data=data)

    assert (status, text) == (answer.status, answer.text)
    assert [] == agent.caller.asked
