"""Shared by the tests of telemetry: reading an exposition with prometheus_client's parser, as a second opinion."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture
def parse():
    """
    A function from text 0.0.4 to (name, labels, value) of each sample, named as printed.

    The parser gives counters OpenMetrics' `_total`, which Nomad's names do not have.
    """

    def parsed(text):
        printed = set(re.findall(r"(?m)^([a-zA-Z_:][a-zA-Z0-9_:]*)", text))
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return [
            (s.name if s.name in printed else s.name.removesuffix("_total"), dict(s.labels), s.value) for s in samples
        ]

    return parsed
