"""Cases of the alerts about clients and their heartbeats."""

from tests.alert_rules.case import Case, fires

CASES = (
    Case(
        alert="NomadClientDown",
        name="dead for longer than a restart",
        series={'up{role="client",instance="c1"}': "1x3 0x20", 'up{role="client",instance="c2"}': "1x23"},
        fires=(fires(70.0, instance="c1", value=0),),
        silent=(15.0, 60.0),
    ),
    Case(
        alert="NomadClientDown",
        name="back after a restart",
        series={'up{role="client",instance="c1"}': "1x3 0x8 1x20", 'up{role="server",instance="s1"}': "1x3 0x28"},
        silent=(50.0, 70.0, 140.0),
    ),
)
