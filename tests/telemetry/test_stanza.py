import dataclasses

import pytest

from telemetry.stanza import TelemetryConfig


def test_defaults_are_nomads():
    """
    A collection each second, in-memory intervals of 10 s kept for a minute, everything published, Prometheus off.
    """
    config = TelemetryConfig()

    assert (1.0, 10.0, 60.0) == (
        config.collection_interval_seconds,
        config.in_memory_collection_interval_seconds,
        config.in_memory_retention_period_seconds,
    )
    assert (True, False, False) == (config.filter_default, config.prometheus_metrics, config.disable_hostname)
    assert () == config.problems()
    config.validate()


def test_a_configuration_cannot_be_changed():
    """
    The stanza is a value: assignment raises.
    """
    config = TelemetryConfig()

    with pytest.raises(dataclasses.FrozenInstanceError):
        config.prometheus_metrics = True


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"collection_interval_seconds": 0.0}, "collection_interval"),
        ({"collection_interval_seconds": -1.0}, "collection_interval"),
        ({"collection_interval_seconds": 60.0}, "collection_interval"),
        ({"in_memory_collection_interval_seconds": 0.0}, "in_memory_collection_interval"),
        ({"in_memory_retention_period_seconds": 0.0}, "in_memory_retention_period"),
        ({"in_memory_retention_period_seconds": 5.0}, "in_memory_retention_period"),
        ({"prefix_filter": ("nomad.raft",)}, "prefix_filter"),
        ({"prefix_filter": ("+",)}, "prefix_filter"),
        (
            {
                "prefix_filter": (
                    "+nomad",
                    "",
                )
            },
            "prefix_filter",
        ),
    ],
)
def test_a_value_that_cannot_work_is_named(changes, key):
    """
    Intervals that are nothing or longer than a series lives, and filters without a sign, are refused with the key.
    """
    config = TelemetryConfig(**changes)

    assert [key] == [name for name, _ in config.problems()]
    with pytest.raises(ValueError, match=rf"^telemetry\.{key} .*: "):
        config.validate()


def test_a_collection_just_within_the_life_of_a_series_is_allowed():
    """
    59.9 s still reaches every series before it expires.
    """
    assert () == TelemetryConfig(collection_interval_seconds=59.9).problems()


def test_all_problems_are_listed():
    """
    Problems come sorted by key, one for each filter that is wrong.
    """
    config = TelemetryConfig(collection_interval_seconds=0.0, prefix_filter=("a", "+b", "c"))

    assert ["collection_interval", "prefix_filter", "prefix_filter"] == [name for name, _ in config.problems()]
