"""Cases of the alerts about what is missing, and about what watches itself."""

from tests.alert_rules.case import Case, fires

CASES = (
    Case(
        alert="Watchdog",
        name="always",
        severity="none",
        series={'up{job="prometheus"}': "1x20"},
        fires=(fires(0.0, value=1, cluster="demo"), fires(60.0)),
        alone=True,
    ),
)
