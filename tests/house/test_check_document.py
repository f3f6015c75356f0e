"""The page of checks is what the checks say."""

from compose.check.checks import CHECKS, PAGE, page


def test_the_page_of_checks_is_current():
    """
    compose/check/CHECK.md is what the checks say; `python -m compose.check.checks` writes it anew.
    """
    assert page() == PAGE.read_text(encoding="utf-8"), "stale: run python -m compose.check.checks"


def test_no_two_checks_have_one_name():
    """
    A finding names its check, so that its row on the page is found.
    """
    names = [check.name for check in CHECKS]

    assert sorted(set(names)) == sorted(names)
