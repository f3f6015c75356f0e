"""How rules are made wrong, what is left out, and how copies of them are told apart."""

from collections import Counter

import pytest

from tests.alert_rules.mutation import document_in, mutants_of, mutants_of_rule
from tests.alert_rules.mutation_equivalents import REASONS, Facts
from tests.alert_rules.mutation_expressions import parse
from tests.alert_rules.mutation_graph import RuleGraph, name_of
from tests.alert_rules.timeline import settings
from tests.alert_rules.trial import documents_of, rule_graph

DOCUMENTS = documents_of(settings())
FACTS = Facts(5.0, frozenset({"ALERTS"}))


def wrong_expressions(expr, facts=FACTS):
    """Return every wrong form of an expression, without spaces that only the printing makes."""
    found = mutants_of_rule({"record": "r", "expr": expr}, 0, facts, Counter())
    return {mutant.document["expr"] for mutant in found}


def skipped(expr):
    """Return the reasons for which forms of an expression are left out."""
    left_out = Counter()
    list(mutants_of_rule({"record": "r", "expr": expr}, 0, FACTS, left_out))
    return set(left_out)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_an_expression_written_out_means_the_same(document):
    """
    What is parsed and written is parsed as the same again.
    """
    node = parse(document["expr"])

    assert node == parse(str(node))


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("a > 9", {"a >= 9", "a < 9", "a", "a > 18", "a > 4.5"}),
        (
            "a - b < 0",
            {"(a - b) <= 0", "(a - b) > 0", "a - b", "(a - b) < 1", "a < 0", "b < 0", "(b - a) < 0", "(a + b) < 0"},
        ),
        ("a == 2", {"a != 2", "a >= 2", "a <= 2", "a", "a == 3", "a == 1"}),
        ("a and b", {"a", "b", "b and a", "a unless b"}),
        ("a or b", {"a", "b", "b or a"}),
        ("a unless b", {"a", "b", "a and b"}),
        ("a - b", {"a", "b", "b - a", "a + b"}),
        ("a * on (c, d) b", {"a", "b", "a / on (c, d) b", "a * on (d) b", "a * on (c) b"}),
        ("max by (c, d) (a)", {"min by (c, d) (a)", "sum by (c, d) (a)", "max by (d) (a)", "max by (c) (a)"}),
        ("max_over_time(a[1m])", {"min_over_time(a[1m])", "max_over_time(a[2m])", "max_over_time(a[30s])"}),
        ("a offset 1m", {"a", "a offset 2m"}),
        ("floor(a)", {"a"}),
        ("vector(3)", {"vector(4)", "vector(2)"}),
        ('a{b="c"}', {"a", 'a{b!="c"}', 'a{b="cx"}'}),
        ('a{b=~"c|d"}', {"a", 'a{b!~"c|d"}', 'a{b=~"c"}', 'a{b=~"d"}'}),
        (
            'label_replace(a, "b", "c", "", "")',
            {'label_replace(a, "bx", "c", "", "")', 'label_replace(a, "b", "cx", "", "")'},
        ),
        (
            "max_over_time((a > 9)[1h:1m])",
            {
                "min_over_time((a > 9)[1h:1m])",
                "max_over_time((a > 9)[2h:1m])",
                "max_over_time((a > 9)[30m:1m])",
                "max_over_time((a > 9)[1h:2m])",
                "max_over_time((a > 9)[1h:30s])",
                "max_over_time((a >= 9)[1h:1m])",
                "max_over_time((a < 9)[1h:1m])",
                "max_over_time(a[1h:1m])",
                "max_over_time((a > 18)[1h:1m])",
                "max_over_time((a > 4.5)[1h:1m])",
            },
        ),
    ],
)
def test_an_expression_is_made_wrong_in_every_place(expr, expected):
    """
    Comparisons, thresholds, operands, labels, matchers, aggregations, windows and offsets are changed one by one.
    """
    assert expected == wrong_expressions(expr)


def test_holds_and_labels_are_made_wrong():
    """
    A hold is taken away, doubled and halved; a label gets another value, a severity a milder one.
    """
    document = {
        "alert": "A",
        "expr": "vector(1)",
        "for": "1m",
        "keep_firing_for": "40s",
        "labels": {"severity": "critical"},
    }

    found = [mutant.document for mutant in mutants_of_rule(document, 0, FACTS, Counter())]

    assert [None, "2m", "30s"] == [each.get("for") for each in found if each.get("for") != "1m"]
    assert [None, "1m20s", "20s"] == [
        each.get("keep_firing_for") for each in found if each.get("keep_firing_for") != "40s"
    ]
    assert [{"severity": "warning"}] == [each["labels"] for each in found if each["labels"] != document["labels"]]


@pytest.mark.parametrize(
    ("expr", "reason", "other"),
    [
        (
            "up unless on (instance) max by (instance) (scrape_duration_seconds)",
            "nobody reads the value there",
            "max by (instance) (scrape_duration_seconds)",
        ),
        ("count(up == 1)", "all values are 1", "count(up == 0)"),
        ("max by (instance) (up)", "one series in each group", "max by (cluster) (up)"),
        ("scrape_duration_seconds == 0", "never below 0", "scrape_duration_seconds - up == 0"),
        (
            'max without (alertname, alertstate) (ALERTS{alertname="A", alertstate="firing"})',
            "one series in each group",
            'max without (alertstate) (ALERTS{alertstate="firing"})',
        ),
        (
            "nomad_raft_peers unless on (cluster) ALERTS or scrape_duration_seconds and on (cluster) ALERTS",
            "one of the two sides at a time",
            "nomad_raft_peers unless on (cluster) ALERTS or scrape_duration_seconds and on (region) ALERTS",
        ),
        (
            'up unless up or max without (alertname, alertstate) (ALERTS{alertname="A", alertstate="firing"}) and up',
            "the alert's own label is written over it",
            'max without (alertname, alertstate) (ALERTS{alertname="A", alertstate="firing"}) and up',
        ),
        ("up == 1", "0 or 1", "scrape_duration_seconds == 1"),
        (
            "scrape_duration_seconds > 0",
            "the same as without the comparison, which is tried",
            "scrape_duration_seconds > 1",
        ),
        ('nomad_raft_peers{role="server"}', "only agents of that role have the series", 'up{role="server"}'),
        ("0 * up", "0 times anything is 0", "3 * up"),
        ("up and nomad_serf_member_left > 0", "born above 0", "up and scrape_samples_scraped > 0"),
    ],
)
def test_a_change_without_consequence_is_left_out_for_its_reason(expr, reason, other):
    """
    Each reason holds where it should, and not in the expression beside it.
    """
    assert reason in skipped(expr)
    assert reason not in skipped(other)


def test_every_reason_is_shown():
    """
    A reason without an example above would be one that nobody has judged.
    """
    [mark] = test_a_change_without_consequence_is_left_out_for_its_reason.pytestmark

    assert set(REASONS) == {reason for _, reason, _ in mark.args[1]}


def test_a_hold_of_as_many_evaluations_is_left_out():
    """
    At an evaluation each 5 s, 5 s and 2.5 s are one, 10 s and 5 s are not.
    """
    texts = {
        mutant.text
        for hold in ("5s", "10s")
        for mutant in mutants_of_rule({"alert": "A", "expr": "vector(1)", "for": hold}, 0, FACTS, Counter())
    }

    assert "for: 5s → 2s500ms" not in texts
    assert "for: 10s → 5s" in texts


def test_what_is_always_one_is_found_by_what_records_it():
    """
    A series is 1 when it is there if its rule says so, through others.
    """
    graph = RuleGraph(
        [
            {"record": "a", "expr": "group by (x) (up)"},
            {"record": "b", "expr": "a and up"},
            {"record": "c", "expr": "2 * b"},
        ]
    )

    assert {"ALERTS", "a", "b"} == Facts.of(graph, 5.0).ones


def test_no_two_mutants_have_one_name():
    """
    A list of survivors says which they are.
    """
    mutants, _ = mutants_of(RuleGraph(DOCUMENTS))

    assert len(mutants) == len({str(mutant) for mutant in mutants}) == len({mutant.identity for mutant in mutants})


def test_a_mutant_is_found_again_in_rules_of_other_settings():
    """
    The same place of the same rule is made wrong in a cluster of five.
    """
    mutants, _ = mutants_of(RuleGraph(DOCUMENTS))
    five = rule_graph(settings(5))
    [mutant] = [mutant for mutant in mutants if mutant.text == "vector(3): 3 → 4"]

    assert "vector(6)" == document_in(mutant, five)["expr"]


GRAPH = RuleGraph(
    [
        {"record": "a", "expr": "up"},
        {"record": "b", "expr": "a == 1"},
        {"alert": "X", "expr": "b > 0"},
        {"alert": "Y", "expr": 'scrape_duration_seconds unless ALERTS{alertname=~"X|Z",alertstate="firing"}'},
        {"alert": "Z", "expr": 'ALERTS{alertname!="X"}'},
    ]
)


def test_a_rule_rests_on_what_it_reads():
    """
    Recorded series and alerts are followed, through rings as well.
    """
    assert {"a", "b", "X"} == GRAPH.ancestors({"X"})
    assert {"a", "b", "X", "Y", "Z"} == GRAPH.ancestors({"Z"})
    assert {"b", "X", "Y", "Z"} == GRAPH.descendants("b")
    assert {"up", "scrape_duration_seconds", "ALERTS"} == GRAPH.metrics("Y")


def test_copies_read_one_another():
    """
    A copy reads the copies of what was copied and the originals of the rest, whatever a matcher of alerts says.
    """
    names = {"b": "b_m1", "X": "X_m1"}

    copies = [GRAPH.renamed(document, names) for document in GRAPH.documents]

    assert ["a", "b_m1", "X_m1", "Y", "Z"] == [name_of(copy) for copy in copies]
    assert "b_m1 > 0" == copies[2]["expr"]
    assert 'scrape_duration_seconds unless ALERTS{alertname=~"X_m1|Z",alertstate="firing"}' == copies[3]["expr"]
    assert 'ALERTS{alertname=~"Y|Z"}' == copies[4]["expr"]
