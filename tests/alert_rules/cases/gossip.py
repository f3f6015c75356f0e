"""Cases of the alerts about gossip."""

from tests.alert_rules.case import Case

CASES: tuple[Case, ...] = ()
