"""Query options become the fields of a request."""

import pytest

from agent.errors import RequestRefused
from agent.http.query import Query, parse_query
from agent.http.reply import paged


def test_nothing_asked():
    """
    Without options a read is consistent, of the default namespace, and does not wait.
    """
    assert Query(region="global") == parse_query({}, "global", 0.5)


def test_wait_without_index():
    """
    A wait alone does not block, as there is nothing to wait for.
    """
    assert 0.0 == parse_query({"wait": "5s"}, "global", 0.5).max_query_time_seconds


@pytest.mark.parametrize(
    ("wait", "jitter", "seconds"),
    [
        ("2s", 0.0, 2.0),
        ("2s", 0.5, 2.0625),
        ("", 0.0, 300.0),
        ("0", 0.0, 300.0),
        ("-1s", 0.0, 300.0),
        ("1h", 0.0, 600.0),
    ],
)
def test_wait_has_jitter_and_bounds(wait, jitter, seconds):
    """
    A wait is five minutes when not said, ten at most, and up to a sixteenth longer.
    """
    query = parse_query({"index": "83", "wait": wait}, "global", jitter)

    assert (83, seconds) == (query.min_query_index, query.max_query_time_seconds)


@pytest.mark.parametrize(("text", "stale"), [("", True), ("true", True), ("1", True), ("false", False)])
def test_stale(text, stale):
    """
    Stale is true when named alone, and may be said in full.
    """
    assert stale == parse_query({"stale": text}, "global", 0.0).allow_stale


@pytest.mark.parametrize("index", ["1.5", "18446744073709551616", "\u0661", "+1", "9" * 5000])
def test_index_that_is_none(index):
    """
    An index is a 64-bit number in ASCII digits.
    """
    with pytest.raises(RequestRefused, match="Invalid index"):
        parse_query({"index": index}, "global", 0.0)


def test_token_of_an_item_that_is_gone():
    """
    A page that begins at an item removed meanwhile is empty, so that its reader ends.
    """
    page = paged(["a", "b"], str, Query(region="global", per_page=1, next_token="gone"))

    assert ([], "") == (list(page.items), page.next_token)
