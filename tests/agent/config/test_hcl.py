import json
import string
from collections.abc import Callable
from pathlib import Path

import hcl2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.config import hcl_ast as ast
from agent.config.hcl_ast import Body, HclError
from agent.config.hcl_eval import Scope, evaluate
from agent.config.hcl_parser import Dialect, parse, parse_expression, parse_json_object
from agent.config.reader import plain

DATA = Path(__file__).parent / "data"

VARIABLES = {"n": 3, "name": "web", "list": ["a", "b"], "map": {"x": 1, "y": 2}, "people": [{"n": "ann"}, {"n": "bob"}]}


def value_of(text: str) -> object:
    return evaluate(parse_expression(text, "f.hcl"), Scope(variables=VARIABLES))


def evaluate_all(text: str, dialect: Dialect = Dialect.JOB) -> None:
    for item in parse(text, "f.hcl", dialect).attributes:
        evaluate(item.value, Scope(variables=VARIABLES))


def error_of(action: Callable[[], object]) -> HclError | None:
    """Return the HclError that *action* ends in, or None; anything else it raises goes through."""
    try:
        action()
    except HclError as error:
        return error
    return None


def as_data(body: Body) -> object:
    """Return a body as nested lists: easy to compare."""
    return [
        [item.name, plain(item.value)]
        if isinstance(item, ast.Attribute)
        else [item.type, *item.labels, as_data(item.body)]
        for item in body.items
    ]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a = 1", [["a", 1]]),
        ("\ufeffa = 1\r\nb = true\r\n", [["a", 1], ["b", True]]),
        ("# x\n// y\n/* z\n*/ a = null", [["a", None]]),
        ("a = -1.5e3", [["a", -1500.0]]),
        ("a = 0x1F", [["a", 31]]),
        (r'a = "tab\t quote\" back\\ \u00e9 \U0001F600"', [["a", 'tab\t quote" back\\ é 😀']]),
        ('meta { "rack.id" = "r1" }', [["meta", [["rack.id", "r1"]]]]),
        ("options { driver.raw_exec.enable = 1 }", [["options", [["driver.raw_exec.enable", 1]]]]),
        ('plugin "docker" { config { a = 1 } }', [["plugin", "docker", [["config", [["a", 1]]]]]]),
        ("a = [1, 2,\n 3,\n]", [["a", [1, 2, 3]]]),
        ("a = {x = 1, y = 2\n z = 3}", [["a", {"x": 1, "y": 2, "z": 3}]]),
        ("ports { http = 1 rpc = 2 }", [["ports", [["http", 1], ["rpc", 2]]]]),
        ("a = <<EOF\n  one\n two\nEOF\nb = 2", [["a", "  one\n two\n"], ["b", 2]]),
        ("a = <<-EOF\n    one\n      two\n\n    EOF\n", [["a", "one\n  two\n\n"]]),
        ('a = "${not_a_template}"', [["a", "${not_a_template}"]]),
        ("", []),
    ],
)
def test_agent_files_are_parsed_as_hcl1_means_them(text, data):
    """
    Quoted and dotted keys, several settings on a line, heredocs, comments, a byte order mark; ${ is text.
    """
    assert data == as_data(parse(text, "f.hcl", Dialect.AGENT))


def test_every_item_knows_its_place():
    """
    Line and column count from 1 and point at the first character of the name and of the value.
    """
    body = parse('\n  server {\n    enabled = "x"\n  }\n', "f.hcl", Dialect.AGENT)

    block = next(body.blocks)
    attribute = next(block.body.attributes)
    assert ("f.hcl:2:3", "f.hcl:3:5") == (block.position.exact, attribute.position.exact)
    assert "f.hcl:3:15" == attribute.value.position.exact


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "f.hcl:1:5: found the end of the file, expected a value"),
        ("a = [1", 'f.hcl:1:7: found the end of the file, expected "]" or a comma in the list'),
        ('a = "x', 'f.hcl:1:5: found the end of the file inside a string, expected "'),
        ('a = "x\n"', 'f.hcl:1:5: found the end of the line inside a string, expected "'),
        ("a {\n b = 1", 'f.hcl:2:7: found the end of the file, expected "}" to close a of line 1'),
        ("a b c", 'f.hcl:1:6: found the end of the file, expected "=" or "{" after a'),
        ("a = 1 b = 2", 'f.hcl:1:7: found "b", expected the end of the line'),
        ("}", 'f.hcl:1:1: found "}" that closes nothing'),
        ("a = [1}", 'f.hcl:1:7: found "}", expected "]"'),
        ('a = "${x', "f.hcl:1:9: found the end of the file inside ${ }, expected }"),
        ("a = <<E\n x", "f.hcl:1:5: found the end of the file inside the heredoc, expected a line E"),
        ("a = {b 1}", 'f.hcl:1:8: found "1", expected "=" after the key'),
        ('a = "\\q"', r"f.hcl:1:6: found the escape \q, expected one of \n \r \t \" \\ \uNNNN \UNNNNNNNN"),
        ('a = "\\ud800"', "f.hcl:1:6: found a broken unicode escape, expected 4 hexadecimal digits of a character"),
        ("/* x", "f.hcl:1:1: found a comment without its end, expected */"),
        ("a = $", "f.hcl:1:5: found '$', which begins nothing in HCL"),
        (
            'a = "%{ if x }"',
            "f.hcl:1:6: found %{, a template directive, which is not supported here; write %%{ for the text itself",
        ),
        ("a = " + "[" * 40, "f.hcl:1:37: nested deeper than 32 levels"),
        ("a = " + "9" * 99, "f.hcl:1:5: found a number of 99 characters, at most 64 are read"),
        ("a = for", "f.hcl:1:5: found for, which"),
    ],
)
def test_errors_say_where_what_was_found_and_what_was_expected(text, message):
    """
    Each broken text is refused with file, line, column and one sentence.
    """
    with pytest.raises(HclError) as raised:
        evaluate_all(text)

    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4", 3),
        ("(1 + 2) * 3", 9),
        ("7 / 2", 3.5),
        ("8 / 2", 4),
        ("-7 % 3", -1),
        ("1 < 2 && !(2 >= 3) || false", True),
        ('1 == "1"', False),
        ("true == 1", False),
        ('"a" != "b"', True),
        ('var.n > 2 ? "many" : "few"', "many"),
        ('"${var.name}-${var.n + 1}"', "web-4"),
        ('"${var.list}"', ["a", "b"]),
        ('"$${x} %%{y}"', "${x} %{y}"),
        ("var.list[1]", "b"),
        ('var.map["x"]', 1),
        ("var.map.y", 2),
        ("var.people[*].n", ["ann", "bob"]),
        ("var.people.*.n", ["ann", "bob"]),
        ("[for p in var.people : upper(p.n)]", ["ANN", "BOB"]),
        ('{for k, v in var.map : "k-${k}" => v * 10 if v > 1}', {"k-y": 20}),
        ("{for p in var.people : length(p.n) => p.n...}", {"3": ["ann", "bob"]}),
        ("[for i, v in var.list : i]", [0, 1]),
        ('"${attr.kernel.name}"', "${attr.kernel.name}"),
        ('"a-${NOMAD_PORT_http}-${var.n}"', "a-${NOMAD_PORT_http}-3"),
        ('"${env["HOME"]}"', '${env["HOME"]}'),
        ("meta.rack", "${meta.rack}"),
        ('node.meta["a.b"]', '${node.meta["a.b"]}'),
        ('format("%s-%03d-%5.1f-%q-%t%%", "a", 7, 2.25, "x", true)', 'a-007-  2.2-"x"-true%'),
        ('join(",", ["a", "b"], ["c"])', "a,b,c"),
        ('split(",", "a,b")', ["a", "b"]),
        ('toset(["b", "a", "b"])', ["a", "b"]),
        ('concat(["a"], [1])', ["a", 1]),
        ("max([1, 5, 3]...)", 5),
        ('lookup({a = 1}, "b", 2)', 2),
        ("merge({a = 1}, {b = 2})", {"a": 1, "b": 2}),
        ("range(3)", [0, 1, 2]),
        ("range(6, 0, -2)", [6, 4, 2]),
        ("flatten([[1, [2]], 3])", [1, 2, 3]),
        ("jsonencode({a = [1, true, null]})", '{"a":[1,true,null]}'),
        ('jsondecode("{\\"a\\": 1}").a', 1),
        ('try(var.map.nothing, "else")', "else"),
        ("can(var.map.nothing)", False),
        ('substr("hello", 1, 3)', "ell"),
        ('replace("a-b-c", "-", ".")', "a.b.c"),
        ('zipmap(["a"], [1])', {"a": 1}),
        ('sha256("x")', "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
        ('{a = {"b" = [1, {c = 2}]}}.a.b[1].c', 2),
        ('sort(["b", "a"])', ["a", "b"]),
        ("(\n1\n+ 2\n)", 3),
    ],
)
def test_expressions_have_the_values_that_hcl2_gives_them(text, value):
    """
    Operators, references, loops, calls and templates; what only a client knows stays text.
    """
    assert value == value_of(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("var.nam", 'f.hcl:1:1: found the variable "nam", which is not declared; did you mean "name"?'),
        ("service", "f.hcl:1:1: found service, which has no value here"),
        ("1 / 0", "f.hcl:1:5: found a division by zero"),
        ("1 + true", "f.hcl:1:5: a bool is no number"),
        ("var.list[7]", "f.hcl:1:10: found index 7 in a list of 2, which begins at 0"),
        ("var.map.z", 'f.hcl:1:9: found no key "z"'),
        ('"${var.map}"[0]', "f.hcl:1:14: "),
        ('"x${var.map}"', "f.hcl:1:5: an object cannot stand in a string; use jsonencode() or join()"),
        ("uper(1)", 'f.hcl:1:1: found the function uper(), which does not exist; did you mean "upper"?'),
        ("upper()", "f.hcl:1:1: found 0 arguments of upper(), expected 1"),
        ('file("/etc/passwd")', "f.hcl:1:1: found file(), which reads files and is not supported here"),
        ('upper("${NOMAD_X + 1}")', "f.hcl:1:10: "),
        ("range(1, 1e9)", "f.hcl:1:1: range(): a range has at most 1024 numbers"),
        ('format("%9999d", 1)', "f.hcl:1:1: format(): %9999d is too wide"),
        ("{for v in var.list : 1 => v}", 'f.hcl:1:22: found the key "1" twice'),
        ("[for a in range(1000) : [for b in range(1000) : a]]", "the file needs more than 200000 steps"),
    ],
)
def test_expressions_without_a_value_say_why(text, message):
    """
    Each is an HclError at the place of the part that is wrong.
    """
    with pytest.raises(HclError) as raised:
        value_of(text)

    assert message in str(raised.value)


def test_json_files_have_places_too():
    """
    A JSON object is read by the same grammar: strings stay text, pairs of surrogates become one character.
    """
    body = parse_json_object('{\n "server": [{"enabled": true}],\n "u": "\\ud83d\\ude00 ${x} \\/"\n}', "f.json")

    assert [["server", [{"enabled": True}]], ["u", "😀 ${x} /"]] == as_data(body)
    assert "f.json:3:2" == body.items[1].position.exact


def test_a_line_of_megabytes_costs_time_in_proportion():
    """
    Places in one very long line are found without looking at the line again for each token.
    """
    text = "a = [" + "1," * 20_000 + "]"

    body = parse(text, "f.hcl", Dialect.AGENT)

    value = next(body.attributes).value
    assert isinstance(value, ast.ListExpression)
    assert 20_000 == len(value.items)
    assert 6 + 2 * 19_999 == value.items[-1].position.column


FRAGMENTS = [
    *"{}[]()=:?,.+-*/%<>!\"\\$#\n ~'|&@",
    *("${", "%{", "<<EOF\n", "<<-E\n", "\nEOF\n", "...", "=>", "==", "&&", "||", "/*", "*/", "//"),
    *("for ", "in ", "if ", "a", "var.n", "local.x", "true", "null", "1", "0x", "1e9", "99999", '"s"', "[*]", ".*"),
    *(
        "upper(",
        "format(",
        "jsondecode(",
        "range(",
        "join(",
        "pow(",
        "variable",
        "job",
        "\\u12",
        "\\ud83d",
        "é",
        "\ufeff",
    ),
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join) | st.text(string.printable, max_size=60))
@example('a = "${"${"${"${1}"}"}"}"')
@example("a = " + "-" * 500 + "1")
@example("a = " + "(" * 30 + "1" + ")" * 30 + "[0].a" * 40)
@example("a = " + "1+" * 5000 + "1")
@example("a = " + "!" * 33 + "true")
def test_no_text_raises_anything_but_an_hcl_error(text):
    """
    Whatever the text, parsing and evaluating it in either dialect ends in a value or an HclError.
    """
    errors = [
        error_of(lambda: evaluate_all(text, Dialect.AGENT)),
        error_of(lambda: evaluate_all(text, Dialect.JOB)),
        error_of(lambda: value_of(text)),
    ]

    assert [] == [str(error) for error in errors if error is not None and not str(error).startswith("f.hcl:")]


@pytest.mark.parametrize("depth", [31, 200, 5000])
@pytest.mark.parametrize("pair", ["[]", "()", "{}", ('upper("${', '}")'), ("a ? 1 : ", ""), ("a || 1 + ", "")])
def test_nesting_is_bounded_long_before_the_interpreter_is(pair, depth):
    """
    Deep nesting of any kind is refused by name, never by a RecursionError.
    """
    opening, closing = pair
    text = f"a = {opening * depth}1{closing * depth}"

    error = error_of(lambda: evaluate_all(text))

    assert depth == 31 or error is not None


@pytest.mark.parametrize("dialect", Dialect)
def test_blocks_inside_blocks_are_bounded_too(dialect):
    """
    Thousands of open blocks are refused as nested too deeply.
    """
    error = error_of(lambda: parse("a {\n" * 3000 + "}\n" * 3000, "f.hcl", dialect))

    assert "f.hcl:33:3: nested deeper than 32 levels" == str(error)


ORACLE_TEXTS = [
    'a = 1\nb = "x"\nc = [1, 2, 3]\nd = true\n',
    'block "label" {\n  a = "b"\n  inner {\n    c = -3\n  }\n}\n',
    'x = {\n  a = 1\n  b = "two"\n}\n',
    "n = null\nf = 1.5\n",
    'a = "tab\\tend"\n# comment\nb = 2 // other\n',
]


def as_oracle(body: Body) -> dict[str, object]:
    """Return a body in the shape python-hcl2 gives it: blocks as lists of dictionaries, labels as keys."""
    result: dict[str, object] = {}
    for item in body.items:
        if isinstance(item, ast.Attribute):
            result[item.name] = plain(item.value)
            continue
        value: object = as_oracle(item.body)
        for label in reversed(item.labels):
            value = {label: value}
        listed = result.setdefault(item.type, [])
        assert isinstance(listed, list)
        listed.append(value)
    return result


def without_marks(value: object) -> object:
    """Drop python-hcl2's bookkeeping and the quotes it leaves around strings."""
    if isinstance(value, dict):
        return {
            str(without_marks(k)): without_marks(v)
            for k, v in value.items()
            if k not in {"__is_block__", "__comments__"}
        }
    if isinstance(value, list):
        return [without_marks(item) for item in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return json.loads(value)
    return value


@pytest.mark.parametrize("text", [*ORACLE_TEXTS, *(path.read_text() for path in sorted(DATA.glob("plain-*.hcl")))])
def test_python_hcl2_reads_the_same(text):
    """
    On files that both accept, the independent parser python-hcl2 finds the same keys and values.
    """
    expected = without_marks(hcl2.loads(text))

    found = as_oracle(parse(text, "f.hcl", Dialect.AGENT))

    assert expected == found


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in {"for", "in", "if", "null", "true", "false"}
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="$%"), max_size=12)
SCALARS = TEXTS | st.integers(-(10**9), 10**9) | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_is_written_as_json_values_is_read_back(document):
    """
    Any attributes written with JSON's values, which are HCL's too, come back as they were, in both dialects.
    """
    text = "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in document.items())

    for dialect in Dialect:
        assert document == dict(as_data(parse(text, "f.hcl", dialect)))
    assert document == dict(as_data(parse_json_object(json.dumps(document), "f.json")))


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(NAMES, st.integers(0, 99) | st.booleans() | st.lists(st.integers(0, 9), max_size=3), max_size=4))
def test_python_hcl2_reads_generated_files_the_same(document):
    """
    The same holds for generated blocks, with python-hcl2 as the judge.
    """
    inner = "".join(f"  {name} = {json.dumps(value)}\n" for name, value in document.items())
    text = f'block "label" {{\n{inner}}}\n'

    expected = without_marks(hcl2.loads(text))

    assert expected == as_oracle(parse(text, "f.hcl", Dialect.AGENT))
