"""How many samples a scrape gives, held against recorded scrapes of a real Nomad."""

import pytest

from telemetry.scrape.description import AgentRole
from telemetry.scrape.limits import MARGIN, Size, predicted_samples, sample_limits

RECORDED = {"jobs": 7, "task_groups_per_job": 1, "tasks_per_client": 4}
"""Jobs of the recorded cluster; its client ran three tasks."""


@pytest.mark.parametrize(("role", "samples"), [(AgentRole.SERVER, 734), (AgentRole.CLIENT, 312)])
def test_a_recorded_scrape_has_no_more_samples_than_predicted(role, samples):
    """
    A leader of Nomad 2.0.5 with seven jobs exported 734 samples, and a client with three tasks 312.
    """
    assert samples <= predicted_samples(role, Size(**RECORDED))


def test_a_limit_leaves_room():
    """
    It is the prediction times a margin, so that only an accident reaches it.
    """
    size = Size(jobs=500, tasks_per_client=200)

    for role, limit in sample_limits(size).items():
        assert MARGIN * predicted_samples(role, size) <= limit


def test_more_jobs_and_tasks_are_more_samples():
    """
    A server exports by job, a client by task.
    """
    small, large = Size(jobs=10, tasks_per_client=10), Size(jobs=20, tasks_per_client=20)

    assert all(predicted_samples(role, small) < predicted_samples(role, large) for role in sample_limits(small))


def test_each_client_may_have_refused_a_plan():
    """
    A leader counts refusals by client, and a tracker scores each; a client's own scrape does not grow with the others.
    """
    few, many = (Size(jobs=10, tasks_per_client=10, clients=clients) for clients in (100, 5_000))

    assert 2 * 4_900 == predicted_samples(AgentRole.SERVER, many) - predicted_samples(AgentRole.SERVER, few)
    assert predicted_samples(AgentRole.CLIENT, many) == predicted_samples(AgentRole.CLIENT, few)


def test_a_size_of_nothing_is_refused():
    """
    A cluster without jobs could have no limit.
    """
    with pytest.raises(ValueError, match="jobs is 0; it must be at least 1"):
        Size(jobs=0, tasks_per_client=1)
