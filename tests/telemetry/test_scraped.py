"""Reading an exposition: held against prometheus_client's parser, and what is refused."""

from pathlib import Path

import pytest

from telemetry.scraped import NotAnExposition, read_exposition

GOLDEN = Path(__file__).parent.parent / "golden" / "nomad-2.0.5"


@pytest.mark.parametrize("role", ["leader", "follower", "client"])
def test_a_recorded_scrape_reads_as_another_parser_reads_it(role, parse):
    """
    Names, labels and values of every sample are those that prometheus_client finds.
    """
    text = (GOLDEN / f"{role}.prom").read_text()

    scrape = read_exposition(text)

    # NaN is not equal to itself, and the other parser groups what belongs to a family.
    mine = sorted((s.name, sorted(s.labels.items()), repr(s.value)) for s in scrape.samples)
    assert sorted((name, sorted(labels.items()), repr(float(value))) for name, labels, value in parse(text)) == mine
    assert "gauge" == scrape.kinds["nomad_runtime_num_goroutines"]


def test_escapes_and_timestamps_are_read():
    """
    A label may hold quotes, backslashes and new lines, and a sample may carry the time it was made.
    """
    scrape = read_exposition('# TYPE a gauge\n\na{x="1\\"}, y=\\"2\\n",z="\\\\"} 2.5e3 1700000000000\nb +Inf\n')

    assert {"x": '1"}, y="2\n', "z": "\\"} == scrape.samples[0].labels
    assert 2500.0 == scrape.value("a")
    assert float("inf") == scrape.value("b")
    assert scrape.value("c") is None


@pytest.mark.parametrize("line", ["<html>", 'a{x="1} 2', "a{x=1} 2", "a two", "1a 2"])
def test_what_is_no_exposition_is_refused(line):
    """
    The error names the line.
    """
    with pytest.raises(NotAnExposition, match="line 2"):
        read_exposition(f"a 1\n{line}\n")
