import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.config.hcl_ast import HclError
from agent.config.jobspec import parse_job
from agent.config.jobspec_schema import GROUP, JOB, TASK

DATA = Path(__file__).parent / "data"
WEB = (DATA / "web.nomad.hcl").read_text()


def job_of(text: str, **variables: str) -> dict:
    return parse_job(text, "j.hcl", variables)


def task_of(text: str) -> dict:
    return job_of(f'job "j" {{\n group "g" {{\n task "t" {{\n{text}\n}}\n}}\n}}')["TaskGroups"][0]["Tasks"][0]


def test_a_job_of_everything_becomes_the_body_of_the_api():
    """
    Variables, locals, dynamic blocks, short constraints, static ports, services, templates: each in its API field.
    """
    job = parse_job(WEB, "web.nomad.hcl", {"count": "3", "image_tag": "2.0"})

    assert json.loads((DATA / "web.job.json").read_text()) == job


def test_the_job_of_a_real_nomad_is_parsed_the_same():
    """
    What a real Nomad's parser made of this file has, for every key given in it, the same value.
    """
    text = """
    job "web" {
      type = "service"
      group "app" {
        count = 2
        update { min_healthy_time = "3s" }
        task "sleep" {
          driver = "raw_exec"
          config {
            command = "/bin/sleep"
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

    job = job_of(text)

    # Source: the answer of /v1/jobs/parse, without the defaults that its canonicalising adds.
    expected = {
        "ID": "web",
        "Name": "web",
        "Type": "service",
        "TaskGroups": [
            {
                "Name": "app",
                "Count": 2,
                "Update": {"MinHealthyTime": 3000000000},
                "Tasks": [
                    {
                        "Name": "sleep",
                        "Driver": "raw_exec",
                        "Config": {"command": "/bin/sleep", "args": ["100000"]},
                        "Resources": {"CPU": 50, "MemoryMB": 32},
                    }
                ],
            }
        ],
    }
    assert expected == job


@pytest.mark.parametrize("text", ['{"Job": {"ID": "a", "TaskGroups": []}}', '\ufeff {"ID": "a", "TaskGroups": []}'])
def test_a_json_job_is_taken_as_it_is(text):
    """
    JSON may hold the job bare or below "Job".
    """
    assert {"ID": "a", "TaskGroups": []} == job_of(text)


@pytest.mark.parametrize(
    ("block", "constraint"),
    [
        (
            'attribute = "${attr.os.name}"\n value = "debian"',
            {"LTarget": "${attr.os.name}", "Operand": "=", "RTarget": "debian"},
        ),
        ('attribute = "a"\n operator = "!="\n value = "b"', {"LTarget": "a", "Operand": "!=", "RTarget": "b"}),
        ('attribute = "a"\n version = "> 1"', {"LTarget": "a", "Operand": "version", "RTarget": "> 1"}),
        ('attribute = "a"\n regexp = "x.*"', {"LTarget": "a", "Operand": "regexp", "RTarget": "x.*"}),
        (
            'attribute = "a"\n set_contains_any = "x,y"',
            {"LTarget": "a", "Operand": "set_contains_any", "RTarget": "x,y"},
        ),
        ("distinct_hosts = true", {"Operand": "distinct_hosts"}),
        (
            'distinct_property = "${meta.rack}"\n value = "2"',
            {"Operand": "distinct_property", "LTarget": "${meta.rack}", "RTarget": "2"},
        ),
    ],
)
def test_constraints_have_short_forms(block, constraint):
    """
    The short forms become operator and operands, as the API has them.
    """
    assert [constraint] == job_of(f'job "j" {{\n constraint {{\n {block}\n }}\n}}')["Constraints"]


def test_a_lone_task_gets_a_group_of_its_name():
    """
    A task directly below the job stands in a group of its own; the job's vault block goes to the tasks.
    """
    job = job_of('job "j" {\n vault { role = "r" }\n task "t" { driver = "raw_exec" }\n}')

    assert [{"Name": "t", "Tasks": [{"Name": "t", "Driver": "raw_exec", "Vault": {"Role": "r"}}]}] == job["TaskGroups"]
    assert "Vault" not in job


def test_identities_part_into_the_default_and_the_named():
    """
    A task's unnamed identity block is the default identity; named ones are listed.
    """
    task = task_of('identity { env = true }\nidentity {\n name = "aws"\n aud = ["sts"]\n ttl = "1h"\n}')

    assert {"Name": "default", "Env": True} == task["Identity"]
    assert [{"Name": "aws", "Audience": ["sts"], "TTL": 3600 * 10**9}] == task["Identities"]


def test_a_periodic_job_says_that_its_spec_is_cron():
    """
    The API wants the kind of a schedule beside it; a job file has only one kind.
    """
    job = job_of('job "j" {\n periodic {\n cron = "*/5 * * * *"\n prohibit_overlap = true\n }\n}')

    assert {"Spec": "*/5 * * * *", "SpecType": "cron", "ProhibitOverlap": True} == job["Periodic"]


def test_a_group_s_vault_block_goes_to_its_tasks():
    """
    Vault of a group is that of every task without one of its own.
    """
    job = job_of(
        'job "j" {\n group "g" {\n vault { role = "r" }\n task "a" {}\n task "b" { vault { role = "own" } }\n }\n}'
    )

    assert ["r", "own"] == [task["Vault"]["Role"] for task in job["TaskGroups"][0]["Tasks"]]
    assert "Vault" not in job["TaskGroups"][0]


def test_scaling_policies_know_their_type():
    """
    Scaling of a group is horizontal, of a task by the label cpu or mem.
    """
    group = job_of('job "j" {\n group "g" {\n scaling {\n max = 3\n policy { cooldown = "1m" }\n }\n }\n}')[
        "TaskGroups"
    ][0]
    task = task_of('scaling "cpu" { max = 500 }')

    assert {"Type": "horizontal", "Max": 3, "Policy": {"cooldown": "1m"}} == group["Scaling"]
    assert [{"Type": "vertical_cpu", "Max": 500}] == task["ScalingPolicies"]


def test_a_driver_s_blocks_become_lists_of_objects():
    """
    Inner blocks of config, which only the driver knows, are lists; labels are keys.
    """
    task = task_of('config {\n mount { a = 1 }\n mount { a = 2 }\n log "x" { b = true }\n}')

    assert {"mount": [{"a": 1}, {"a": 2}], "log": [{"x": {"b": True}}]} == task["Config"]


@pytest.mark.parametrize(
    ("declaration", "given", "value"),
    [
        ('default = "x"', {}, "x"),
        ('default = "x"', {"v": "[1]"}, "[1]"),
        ("type = number\n default = 1", {"v": "7"}, 7),
        ("default = 1", {"v": "7"}, 7),
        ("type = bool", {"v": "true"}, True),
        ("type = list(string)", {"v": '["a", 1]'}, ["a", "1"]),
        ("type = map(number)", {"v": '{a = "1"}'}, {"a": 1}),
        ("type = object({a = string, b = optional(number)})", {"v": '{a = "x"}'}, {"a": "x", "b": None}),
        ("", {"v": "text"}, "text"),
    ],
)
def test_variables_take_their_values_in_their_types(declaration, given, value):
    """
    A given value is read in the declared type, or in that of the default, or as a string.
    """
    text = f'variable "v" {{\n{declaration}\n}}\njob "j" {{\n meta {{ v = jsonencode(var.v) }}\n}}'

    assert value == json.loads(job_of(text, **given)["Meta"]["v"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'j.hcl:1:1: found no job, expected job "name" { … }'),
        ("jobs {}", 'j.hcl:1:1: found "jobs", expected job "name" { … }; did you mean "job"?'),
        ("job {}", 'j.hcl:1:1: found 0 labels, expected job "name" { … }'),
        ('job "a" {}\njob "b" {}', "j.hcl:2:1: found a second job, expected one; the first is at j.hcl:1"),
        ('job "j" {\n tpye = "batch"\n}', 'j.hcl:2:2: found "tpye", which job "j" does not have; did you mean "type"?'),
        ('job "j" {\n grup "g" {}\n}', 'j.hcl:2:2: found "grup", which job "j" does not have; did you mean "group"?'),
        ('job "j" {\n priority = "high"\n}', 'j.hcl:2:13: priority: "high" is no number, expected a whole number'),
        ('job "j" {\n type = "a"\n type = "b"\n}', 'j.hcl:3:2: found type again in job "j", first set at j.hcl:2'),
        ('job "j" {\n group "g" {}\n group "g" {}\n}', 'j.hcl:3:2: found group "g" again, first at j.hcl:2'),
        ('job "j" {\n group {}\n}', 'j.hcl:2:2: found 0 labels, expected group "name" { … }'),
        ('job "j" {\n update "x" {}\n}', "j.hcl:2:2: found 1 labels, expected update { … }"),
        ('job "j" {\n update { stagger = "3 s" }\n}', 'j.hcl:2:21: stagger: "3 s" is no duration'),
        ('job "j" {\n multiregion {}\n}', 'j.hcl:2:2: found multiregion in job "j", but jobs over several regions'),
        ('job "j" {\n type = var.x\n}', 'j.hcl:2:9: found the variable "x", which is not declared'),
        ('variable "x" {}\njob "j" {}', 'j.hcl:1:1: the variable "x" has no value: give it with -var x=… or a default'),
        ('variable "n" { type = number }\njob "j" {}', "the value of variable n"),
        ('locals {\n a = local.b\n b = local.a\n}\njob "j" { type = local.a }', "j.hcl:3:6: found a circle: a → b → a"),
        ('job "j" {\n dynamic "group" {\n  labels = ["g"]\n }\n}', "j.hcl:2:2: found a dynamic block without for_each"),
        ('{"Job": [}', "j.hcl:1:10: found no JSON: expecting value"),
        ('{"a": 1}', 'j.hcl:1:1: found a JSON object without "ID"'),
    ],
)
def test_a_wrong_job_is_refused_with_its_place(text, message):
    """
    File, line, column, what was found, and the nearest name there is.
    """
    variables = {"n": "many"} if "number }" in text else {}

    with pytest.raises(HclError) as raised:
        job_of(text, **variables)

    assert str(raised.value).startswith(message)


def test_a_value_for_no_variable_is_refused():
    """
    A typing error in -var is told, with the nearest declared name.
    """
    with pytest.raises(HclError, match='the variable "image_tga", which is not declared; did you mean "image_tag"'):
        parse_job(WEB, "web.nomad.hcl", {"image_tga": "1"})


def test_a_validation_refuses_with_its_own_words():
    """
    The error_message of a validation block reaches the operator.
    """
    with pytest.raises(HclError, match="The count must be positive"):
        parse_job(WEB, "web.nomad.hcl", {"count": "0"})


def test_an_error_inside_try_leaves_nothing_behind():
    """
    After try() caught the error of a local value, asking for it anew gives that error again, not a circle.
    """
    text = (
        'locals {\n bad = var.nothing\n a = try(local.bad, 1)\n}\njob "j" {\n priority = local.a\n type = local.bad\n}'
    )

    with pytest.raises(HclError, match='the variable "nothing", which is not declared'):
        job_of(text)


def test_local_values_cannot_grow_without_bound():
    """
    Values that double at each step are refused before they fill the memory.
    """
    doubling = "\n".join(f"a{n} = [local.a{n - 1}, local.a{n - 1}]" for n in range(1, 25))
    text = f'locals {{\na0 = ["x", "y"]\n{doubling}\n}}\njob "j" {{\n meta {{ a = jsonencode(local.a24) }}\n}}'

    with pytest.raises(HclError, match="levels or 100000 parts"):
        job_of(text)


WORDS = sorted(
    {*JOB.fields, *JOB.blocks, *GROUP.fields, *GROUP.blocks, *TASK.fields, *TASK.blocks, "dynamic", "content"}
)
VALUES = ['"x"', "1", "true", "null", "[]", '["a"]', "{}", "{ a = 1 }", "[{ a = 1 }]", "var.v", '"${local.l}"', '"30s"']


def items(inner):
    attribute = st.builds("{} = {}".format, st.sampled_from(WORDS), st.sampled_from(VALUES))
    block = st.builds(
        lambda name, label, body: f"{name}{label} {{\n" + "\n".join(body) + "\n}",
        st.sampled_from(WORDS),
        st.sampled_from(["", ' "l"', ' "l" "m"']),
        st.lists(inner, max_size=3),
    )
    return attribute | block


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.just("# nothing"), items, max_leaves=12))
@example("all_at_once = []")
def test_no_job_raises_anything_but_an_hcl_error(body):
    """
    Whatever blocks and values stand where, the end is a job that JSON can carry, or an HclError with a place.
    """
    text = f'variable "v" {{ default = [1] }}\nlocals {{ l = var.v }}\njob "j" {{\n{body}\n}}'

    try:
        ended = json.dumps(job_of(text))
    except HclError as error:
        ended = str(error)

    assert ended.startswith(("{", "j.hcl:"))
