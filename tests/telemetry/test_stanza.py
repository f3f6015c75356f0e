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


NOMADS_DEFAULTS = {
    "disable_hostname": False,
    "use_node_name": False,
    "collection_interval_seconds": 1.0,
    "in_memory_collection_interval_seconds": 10.0,
    "in_memory_retention_period_seconds": 60.0,
    "publish_allocation_metrics": False,
    "publish_node_metrics": False,
    "include_alloc_metadata_in_metrics": False,
    "allowed_metadata_keys_in_metrics": (),
    "filter_default": True,
    "prefix_filter": (),
    "disable_dispatched_job_summary_metrics": False,
    "disable_quota_utilization_metrics": False,
    "disable_allocation_hook_metrics": False,
    "disable_rpc_rate_metrics_labels": False,
    "prometheus_metrics": False,
    "statsd_address": "",
    "statsite_address": "",
    "datadog_address": "",
    "datadog_tags": (),
}


def test_every_default_is_nomads():
    """
    No key of the block has another default than a Nomad's, and none is missing here.
    """
    assert dataclasses.asdict(TelemetryConfig()) == NOMADS_DEFAULTS


def test_a_relation_that_does_not_hold_names_both_values():
    """
    Whoever reads the error sees which two values quarrel, and what would do.
    """
    config = TelemetryConfig(in_memory_collection_interval_seconds=45.0, in_memory_retention_period_seconds=40.0)

    problems = dict(config.problems())

    assert all(words in problems["in_memory_retention_period"] for words in ("40 s", "45 s", "one whole interval"))
    assert all(
        words in TelemetryConfig(collection_interval_seconds=75.0).problems()[0][1] for words in ("75 s", "60 s")
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"collection_interval_seconds": 15.0}, ("collection_interval is 15 s", "10 s", "without gauges")),
        ({"in_memory_collection_interval_seconds": 60.0}, ("interval is 60 s", "60 s after", "intervals of 30 s")),
        ({"allowed_metadata_keys_in_metrics": ("owner",)}, ('"owner"', "include_alloc_metadata_in_metrics is false")),
        ({"datadog_tags": ("env:prod", "x")}, ('"env:prod", "x"', "datadog_address is empty")),
    ],
)
def test_a_value_that_does_less_than_it_seems_is_a_warning(changes, words):
    """
    Legal on a Nomad, and so no error: a sentence says both values.
    """
    config = TelemetryConfig(**changes)

    (warning,) = config.warnings()

    assert () == config.problems()
    assert all(word in warning for word in words), warning
    assert warning.endswith(".")


@pytest.mark.parametrize(
    "changes",
    [
        {"collection_interval_seconds": 10.0},
        {"collection_interval_seconds": 15.0, "in_memory_collection_interval_seconds": 15.0},
        {"allowed_metadata_keys_in_metrics": ("owner",), "include_alloc_metadata_in_metrics": True},
        {"datadog_tags": ("x",), "datadog_address": "127.0.0.1:8125"},
    ],
)
def test_values_that_fit_are_no_warning(changes):
    """
    What has its effect is not worth a word.
    """
    config = TelemetryConfig(**changes)

    assert ((), ()) == (config.problems(), config.warnings())


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
        ({"in_memory_collection_interval_seconds": 0.5}, "in_memory_collection_interval"),
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


@pytest.mark.parametrize(
    ("interval", "retention", "length", "kept"),
    [(10.0, 60.0, 10.0, 6), (5.0, 24.0, 5.0, 4), (60.0, 60.0, 30.0, 1), (60.0, 180.0, 30.0, 3), (30.0, 60.0, 30.0, 2)],
)
def test_time_is_cut_as_the_intervals_say(interval, retention, length, kept):
    """
    Intervals are of the length that was set, 30 s at most, and as many are kept as were asked for.
    """
    frame = TelemetryConfig(
        in_memory_collection_interval_seconds=interval, in_memory_retention_period_seconds=retention
    ).frame

    assert (length, kept) == (frame.interval_seconds, frame.intervals_kept)
    assert frame.begins(frame.window(1e9) + 1) - frame.begins(frame.window(1e9)) <= 2.0
