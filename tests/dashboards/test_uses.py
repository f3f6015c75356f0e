"""Every panel is of use: a runbook sends a person to it, or it is said what else it is for."""

from collections import Counter

import pytest

from alert_rules.panels import LINE_LETTERS_MAX, OTHER_USES, PANELS, looking, panels_of
from alert_rules.runbooks import runbooks
from alert_rules.views import RAFT, VIEWS
from dashboards.render import DASHBOARDS

TITLES = {(board.view, panel.title) for board in DASHBOARDS for panel in board.panels}
OURS = {(board.view, panel.title) for board in DASHBOARDS for row in board.rows if row.is_ours for panel in row.panels}
NAMED = {(each.view, each.title) for alert in PANELS for each in panels_of(alert)}
OTHERS = [(view, title) for view, uses in OTHER_USES.items() for titles in uses.values() for title in titles]
PAGES = runbooks()

each_alert = pytest.mark.parametrize("alert", VIEWS)


def test_every_alert_has_its_panels():
    """
    The table names the alerts that open a dashboard, and no others.
    """
    assert VIEWS.keys() == PANELS.keys() == PAGES.keys()


@each_alert
def test_a_runbook_names_panels_that_are_there(alert):
    """
    By dashboard and title, each once.
    """
    named = [(each.view, each.title) for each in panels_of(alert)]

    assert [] == [panel for panel in named if panel not in TITLES]
    assert len(named) == len(set(named))


@each_alert
def test_the_first_panel_is_on_the_dashboard_that_the_alert_opens(alert):
    """
    And not one that a real Nomad has nothing for.
    """
    first = panels_of(alert)[0]

    assert VIEWS[alert] is first.view
    assert (first.view, first.title) not in OURS or alert == "OutriderExporterDown"


@each_alert
def test_the_first_look_begins_with_the_panels(alert):
    """
    In short lines, with the dashboards by their names, before the commands.
    """
    said = looking(alert)
    text = " ".join(said.split())

    assert PAGES[alert].sections["First look"].startswith(f"{said}\n\n")
    assert all(len(line) <= LINE_LETTERS_MAX for line in said.splitlines())
    assert text.startswith(f"Dashboard “{VIEWS[alert].title}”: “{panels_of(alert)[0].title}”")
    assert all(f"“{each.title}”" in text for each in panels_of(alert))
    assert all(f"on “{each.view.title}”" in text for each in panels_of(alert) if each.view != VIEWS[alert])


def test_a_page_says_on_which_dashboard_a_panel_is():
    """
    Once for the alert's own, and behind each panel of another.
    """
    expected = (
        "Dashboard “Outrider: cluster overview”: “How many servers are alive, and how many are needed?”, then “How many "
        "voters may still be lost?” on “Outrider: Raft & quorum”, “How many voters does the leader hear?” on “Outrider: "
        "Raft & quorum”."
    )

    assert expected == " ".join(looking("NomadClusterShrunk").split())
    assert RAFT.title == "Outrider: Raft & quorum"


def test_every_panel_is_of_use():
    """
    Named by a runbook, or in the table of other uses, never in both, and nothing is there that is no panel.
    """
    assert [] == sorted(f"{view.title}: {title}" for view, title in TITLES - NAMED - set(OTHERS))
    assert [] == sorted(f"{view.title}: {title}" for view, title in NAMED & set(OTHERS))
    assert [] == sorted(f"{view.title}: {title}" for view, title in set(OTHERS) - TITLES)
    assert [] == [panel for panel, times in Counter(OTHERS).items() if times > 1]


def test_every_other_use_is_a_sentence():
    """
    It says to whom and when the panel says something.
    """
    reasons = [reason for uses in OTHER_USES.values() for reason in uses]

    assert reasons
    assert all(len(reason.split()) >= 5 and reason.endswith(".") for reason in reasons)
