"""Cases of the alerts about scheduler."""

from tests.alert_rules.case import Case

CASES: tuple[Case, ...] = ()
