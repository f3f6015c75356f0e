"""The page of alerts is what the rules say."""

from pathlib import Path

from alert_rules.reference import document
from alert_rules.settings import ExpectedRegion, RuleSettings

PAGE = Path(__file__).parents[2] / "alert_rules" / "ALERTS.md"


def test_the_page_of_alerts_is_current():
    """
    alert_rules/ALERTS.md is what the rules say; `python -m alert_rules.reference` writes it anew.
    """
    shipped = RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))

    assert PAGE.read_text(encoding="utf-8") == document(shipped)
