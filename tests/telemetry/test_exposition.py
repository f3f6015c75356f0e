"""The text format: numbers as Go prints them, escaping, and two outside judges."""

import math
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from telemetry.catalogue import broker, find, job, outrider, raft
from telemetry.clock import ManualClock
from telemetry.exposition import CONTENT_TYPE, Family, encode, float32, format_value, header, prefix
from telemetry.registry import Registry
from tests.tools import find_or_explain

GOLDEN = Path(__file__).parent.parent / "golden" / "nomad-2.0.5"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("0", -0.0),
        ("1", 1.0),
        ("-1", -1.0),
        ("0.5", 0.5),
        ("999999", 999_999.0),
        ("1e+06", 1_000_000.0),
        ("1.376256e+06", 1_376_256.0),
        ("-1.376256e+06", -1_376_256.0),
        ("2.208582144e+09", 2_208_582_144.0),
        ("1.2345678901234e+12", 1_234_567_890_123.4),
        ("1.0000001e+06", 1_000_000.1),
        ("9.223372036854776e+18", 2.0**63),
        ("1.8446744073709552e+19", 2.0**64),
        ("1e+16", 1e16),
        ("1e-05", 0.00001),
        ("0.0001", 0.0001),
        ("5.4907e-05", 5.4907e-05),
        ("0.013054000213742256", 0.013054000213742256),
        ("1.7953756195825555e+09", 1795375619.5825555),
        ("NaN", math.nan),
        ("+Inf", math.inf),
        ("-Inf", -math.inf),
    ],
)
def test_numbers_are_printed_as_go_prints_them(text, value):
    """
    An exponent of at least two digits below 1e-4 and from 1e6 on, no trailing zeros, NaN and signed Inf.
    """
    assert f"{text}\n" == format_value(value)


@pytest.mark.parametrize("role", ["leader", "follower", "client"])
def test_every_recorded_number_is_printed_as_recorded(role):
    """
    Each value a real Nomad printed is printed the same after parsing.
    """
    texts = [line.rpartition(" ")[2] for line in (GOLDEN / f"{role}.prom").read_text().splitlines() if line[0] != "#"]

    wrong = [text for text in texts if format_value(float(text)) != f"{text}\n"]

    assert len(texts) > 300
    assert [] == wrong


@given(st.floats())
def test_no_number_is_changed(value):
    """
    What is printed is read back as the same float.
    """
    back = float(format_value(value))

    assert back == value or (math.isnan(back) and math.isnan(value))


def test_a_family_is_printed_as_nomad_prints_it():
    """
    The help of a metric with Nomad's name is the name again; the type is Nomad's even for counters without _total.
    """
    family = Family(header(raft.APPLY, raft.APPLY.name), [(prefix(raft.APPLY.name, ()), 3.0)])

    assert (
        b"# HELP nomad_raft_apply nomad_raft_apply\n# TYPE nomad_raft_apply counter\nnomad_raft_apply 3\n"
    ) == encode([family])


def test_help_of_ours_is_the_meaning():
    """
    An outrider_ metric says what it means.
    """
    line = header(outrider.RAFT_TERM, outrider.RAFT_TERM.name).splitlines()[0]

    assert f"# HELP outrider_raft_term {outrider.RAFT_TERM.meaning}" == line


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_label_values_survive_escaping(value):
    r"""
    Whatever stands in a value, quotes, backslashes and newlines included, comes back from prometheus_client's parser.
    """
    body = encode([Family("# TYPE x gauge\n", [(prefix("x", (("a", value), ("b", "c"))), 1.0)])]).decode()

    (family,) = text_string_to_metric_families(body)

    assert {"a": value, "b": "c"} == family.samples[0].labels


def test_only_optional_labels_are_left_out():
    """
    A label without a value is printed empty, as Nomad prints it, unless it is one that Nomad leaves out.
    """
    registry = Registry(ManualClock())

    registry.set(broker.BLOCKED_CPU, 900_000.0, ("dc1", "", "default"))
    registry.set(job.SUMMARY_LOST, 1.0, ("web", "default", "app", "", ""))
    body = registry.exposition()

    assert b'blocked_evals_cpu{datacenter="dc1",node_class="",node_pool="default"} 900000\n' in body
    assert b'job_summary_lost{job="web",namespace="default",task_group="app"} 1\n' in body


def test_float32_rounds_as_nomad_does():
    """
    24 bits of mantissa; what is too large is infinite, and NaN stays.
    """
    assert 16_777_216.0 == float32(16_777_217.0)
    assert 0.10000000149011612 == float32(0.1)
    assert -math.inf == float32(-1e300)
    assert math.isnan(float32(math.nan))


def test_the_content_type_is_the_recorded_one():
    """
    Format 0.0.4, in the words of a real Nomad.
    """
    assert "text/plain; version=0.0.4; charset=utf-8; escaping=underscores" == CONTENT_TYPE


def rebuilt(role):
    """
    A registry that was told what a recorded scrape says, gauges and counters.
    """
    registry = Registry(ManualClock())
    for family in text_string_to_metric_families((GOLDEN / f"{role}.prom").read_text()):
        entry = find(family.name) or find(f"{family.name}_total")
        if entry is None or not family.name.startswith("nomad_") or family.type not in {"gauge", "counter"}:
            continue
        record = registry.set if family.type == "gauge" else registry.add
        for sample in family.samples:
            labels = tuple(sample.labels.get(label, "") for label in entry.metric.labels)
            record(entry.metric, sample.value, labels, entry.expansion)
    return registry


@pytest.mark.parametrize("role", ["leader", "follower", "client"])
def test_a_recorded_scrape_is_reproduced_byte_for_byte(role):
    """
    Gauges and counters told to the registry come out as the lines Nomad printed, in the same order.
    """
    expected = []
    for line in (GOLDEN / f"{role}.prom").read_text().splitlines():
        name = re.match(r"(?:# (?:HELP|TYPE) )?(\w+)", line)[1]
        wanted = name.startswith("nomad_") and not re.search(r"[0-9a-f]{12}$", name) and find(name)
        if wanted and find(name).metric.kind.value in {"gauge", "counter"} and find(name).part.value == "":
            expected.append(line)

    ours = [line for line in rebuilt(role).exposition().decode().splitlines() if "outrider_" not in line]

    assert len(expected) > 100
    assert expected == ours


PROMTOOLS, NO_PROMTOOL = find_or_explain("promtool")


@pytest.mark.skipif(not PROMTOOLS, reason=NO_PROMTOOL)
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
def test_promtool_accepts_a_scrape(promtool):
    """
    Prometheus' own checker parses our text; what it says of names is lint of Nomad's own names.
    """
    registry = rebuilt("leader")
    registry.observe(raft.COMMIT_TIME, 2.5)
    registry.set(job.SUMMARY_LOST, 1.0, ('we"b\\', "default\n", "app", "", ""))

    done = subprocess.run(
        [promtool.path, "check", "metrics"],
        input=registry.exposition(),
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert b"error while linting" not in done.stderr
    assert done.returncode in {0, 3}, done.stderr  # 3: lint, such as counters without _total
    assert not re.search(rb"(?m)^outrider_", done.stdout + done.stderr)
