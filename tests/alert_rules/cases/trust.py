"""Cases of the alerts about what is missing, stale or about to expire."""

from tests.alert_rules.case import Case, fires


def missing(name: str, series: dict[str, str], **said: object) -> Case:
    """Return a case of NomadMetricsMissing in a cluster of three in which all is well but for *series*."""
    usual = {
        'up{role="server",instance="s1"}': "1x60",
        "outrider:servers_expected": "3x60",
        "outrider:servers_quorum": "2x60",
        "outrider:servers_up": "3x60",
        "outrider:servers_blind": "0x60",
        "outrider:voters_healthy": "_x60",
        "outrider:failure_tolerance": "_x60",
        "outrider:leader_signals": "3x60",
    }
    return Case(alert="NomadMetricsMissing", name=name, series=usual | series, **said)  # type: ignore[arg-type]


MISSING = (
    missing(
        "one of three servers tells nothing",
        {"outrider:servers_blind": "0x5 1x20 0x30"},
        fires=(fires(95.0, value=2), fires(125.0, value=2)),
        silent=(70.0, 80.0, 135.0),
    ),
    missing("all is well", {"outrider:failure_tolerance": "1x60", "outrider:voters_healthy": "3x60"}, silent=(95.0,)),
    missing(
        "no server is a target",
        {
            'up{role="server",instance="s1"}': "_x60",
            'up{role="client",instance="c1"}': "1x60",
            "outrider:servers_up": "0x60",
            "outrider:leader_signals": "0x60",
        },
        fires=(fires(95.0, value=0),),
    ),
    missing(
        "the leader counts more voters than servers answer",
        {"outrider:servers_up": "2x60", "outrider:voters_healthy": "3x60", "outrider:failure_tolerance": "0x60"},
        fires=(fires(95.0, value=2),),
    ),
    missing(
        "the leader counts fewer voters than servers answer",
        {"outrider:voters_healthy": "2x60", "outrider:failure_tolerance": "0x60"},
        silent=(95.0,),
    ),
    missing(
        "one of three does not answer, and the tolerance says that all live",
        {"outrider:servers_up": "2x60", "outrider:failure_tolerance": "1x60"},
        fires=(fires(95.0, value=2),),
    ),
    missing(
        "one of three does not answer, and the tolerance says so too",
        {"outrider:servers_up": "2x60", "outrider:failure_tolerance": "0x60"},
        silent=(95.0,),
    ),
    missing(
        "one of four does not answer, which the tolerance cannot say",
        {
            "outrider:servers_expected": "4x60",
            "outrider:servers_quorum": "3x60",
            "outrider:failure_tolerance": "1x60",
        },
        silent=(95.0,),
    ),
    missing(
        "five servers with a tolerance that they cannot have",
        {
            "outrider:servers_expected": "5x60",
            "outrider:servers_quorum": "3x60",
            "outrider:servers_up": "4x60",
            "outrider:failure_tolerance": "3x60",
        },
        silent=(95.0,),
    ),
    missing(
        "no majority answers, and one hears a leader",
        {"outrider:servers_up": "1x60", "outrider:leader_signals": "1x60"},
        fires=(fires(95.0, value=1),),
    ),
    missing(
        "just the majority answers, and hears a leader",
        {"outrider:servers_up": "2x60", "outrider:leader_signals": "2x60"},
        silent=(95.0,),
    ),
    missing(
        "no majority answers, and none hears a leader",
        {"outrider:servers_up": "1x60", "outrider:leader_signals": "0x60"},
        silent=(95.0,),
    ),
    missing(
        "no majority answers, and a leader knows of the loss",
        {"outrider:servers_up": "1x60", "outrider:leader_signals": "1x60", "outrider:failure_tolerance": "0x60"},
        silent=(95.0,),
    ),
)

CASES = MISSING
