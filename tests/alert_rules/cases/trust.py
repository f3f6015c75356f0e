"""Cases of the alerts about metrics that arrive, live and in time, and about agents that can go on."""

from tests.alert_rules.case import Case, fires
from tests.alert_rules.case_series import flat, growing, led, then

_LONG = 900.0
_DAY = 86_400.0


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
        fires=(fires(75.0, value=2), fires(125.0, value=2)),
        silent=(55.0, 65.0, 155.0),
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

CASES = (
    *MISSING,
    Case(
        alert="NomadMetricsMissing",
        name="the servers' job is removed, which leaves no marker of staleness",
        series={
            **{f'up{{role="server",instance="{name}"}}': "1x12 _x60" for name in ("s1", "s2", "s3")},
            **{
                f'outrider_server_has_leader{{instance="{name}",server="{name}"}}': "1x12 _x60"
                for name in ("s1", "s2", "s3")
            },
        },
        # The window of 22 s slides past the last scrape at 60 s.
        fires=(fires(140.0, value=0), fires(300.0, value=0)),
        silent=(55.0, 120.0),
    ),
    Case(
        alert="NomadQuorumLost",
        name="the servers' job is removed",
        severity="critical",
        series={
            **{f'up{{role="server",instance="{name}"}}': "1x12 _x60" for name in ("s1", "s2", "s3")},
            **{
                f'outrider_server_has_leader{{instance="{name}",server="{name}"}}': "1x12 _x60"
                for name in ("s1", "s2", "s3")
            },
        },
        silent=(90.0, 140.0, 300.0),
    ),
    Case(
        alert="NomadMetricsFrozen",
        name="a server answers with what it said before, then without it",
        series={
            **led(_LONG),
            'nomad_runtime_malloc_count{instance="s1"}': growing(1_000, _LONG),
            # Frozen from 100 s on, gone at 160 s.
            'nomad_runtime_malloc_count{instance="s2"}': "0+1000x20 20000x11 stale _x100",
            'nomad_runtime_heap_objects{instance="s1"}': flat(700, _LONG),
            'nomad_runtime_heap_objects{instance="s2"}': "500+1x20 520x11 stale _x100",
        },
        fires=(fires(230.0, instance="s2", value=1), fires(600.0, instance="s2", value=1)),
        silent=(110.0, 180.0),
    ),
    Case(
        alert="NomadMetricsFrozen",
        name="a collection that is late once",
        series={
            **led(_LONG),
            'nomad_runtime_malloc_count{instance="s1"}': "0+1000x20 20000x8 21000+1000x150",
            'nomad_runtime_heap_objects{instance="s1"}': flat(700, _LONG),
            # A count that moves in steps of its 32 bits, beside one that moves.
            'nomad_runtime_malloc_count{instance="s2"}': flat(2_000_000_000, _LONG),
            'nomad_runtime_heap_objects{instance="s2"}': "500+1x180",
        },
        silent=(120.0, 150.0, 230.0, 600.0),
    ),
    Case(
        alert="NomadMetricsFrozen",
        name="a server that is down, and one that never had them",
        series={
            'up{role="server",instance="s1"}': then((1, 20), (0, 161)),
            'up{role="server",instance="s2"}': flat(1, _LONG),
            'nomad_runtime_malloc_count{instance="s1"}': "0+1000x19 stale _x100",
        },
        silent=(230.0, 600.0),
    ),
    Case(
        alert="NomadScrapeSlow",
        name="a server and a client take more than half of the interval",
        series={
            'up{role="server",instance="s1"}': flat(1, 300),
            'up{role="client",instance="c1"}': flat(1, 300),
            'scrape_duration_seconds{role="server",instance="s1"}': then((2.5, 12), (2.6, 30), (0.1, 19)),
            'scrape_duration_seconds{role="client",instance="c1"}': then((2.5, 12), (3, 30), (0.1, 19)),
        },
        fires=(fires(130.0, instance="s1", value=2.6), fires(130.0, instance="c1", value=3)),
        silent=(55.0, 110.0, 240.0),
    ),
    Case(
        alert="NomadScrapeSlow",
        name="agents that do not answer at all",
        series={
            'up{role="server",instance="s1"}': flat(0, 300),
            'up{role="client",instance="c1"}': flat(0, 300),
            'scrape_duration_seconds{role="server",instance="s1"}': flat(5, 300),
            'scrape_duration_seconds{role="client",instance="c1"}': flat(5, 300),
        },
        silent=(130.0, 240.0),
    ),
    Case(
        alert="NomadCertificateExpiring",
        name="a certificate of one, an authority of another agent",
        series={
            'nomad_agent_tls_cert_expiration_seconds{role="server",instance="s1"}': f"{15 * _DAY:g}x3 {13 * _DAY:g}x80",
            'nomad_agent_tls_ca_expiration_seconds{role="server",instance="s1"}': flat(300 * _DAY, 420),
            'nomad_agent_tls_cert_expiration_seconds{role="client",instance="c1"}': flat(300 * _DAY, 420),
            'nomad_agent_tls_ca_expiration_seconds{role="client",instance="c1"}': f"{15 * _DAY:g}x3 {12 * _DAY:g}x80",
        },
        fires=(fires(280.0, instance="s1", value=13 * _DAY), fires(280.0, instance="c1", value=12 * _DAY)),
        silent=(15.0, 250.0),
    ),
    Case(
        alert="NomadCertificateExpiring",
        name="two weeks and more are left",
        series={
            'nomad_agent_tls_cert_expiration_seconds{role="server",instance="s1"}': flat(14 * _DAY, 420),
            'nomad_agent_tls_ca_expiration_seconds{role="server",instance="s1"}': flat(14 * _DAY, 420),
        },
        silent=(280.0, 400.0),
    ),
    Case(
        alert="NomadCertificateAlmostExpired",
        name="less than a day is left of either",
        severity="critical",
        series={
            'nomad_agent_tls_cert_expiration_seconds{role="server",instance="s1"}': f"{_DAY:g}x3 {_DAY - 10:g}x80",
            'nomad_agent_tls_ca_expiration_seconds{role="server",instance="s1"}': flat(300 * _DAY, 420),
            'nomad_agent_tls_ca_expiration_seconds{role="server",instance="s2"}': f"{_DAY:g}x3 -5x80",
        },
        fires=(fires(50.0, instance="s1", value=_DAY - 10), fires(50.0, instance="s2", value=-5)),
        silent=(15.0, 30.0),
    ),
    Case(
        alert="NomadCertificateAlmostExpired",
        name="a day is left",
        severity="critical",
        series={
            'nomad_agent_tls_cert_expiration_seconds{role="server",instance="s1"}': flat(_DAY, 420),
            'nomad_agent_tls_ca_expiration_seconds{role="server",instance="s1"}': flat(_DAY, 420),
        },
        silent=(50.0, 400.0),
    ),
    Case(
        alert="NomadFileDescriptorsLow",
        name="a server and a client use more than four fifths",
        series={
            'process_open_fds{role="server",instance="s1"}': then((800, 12), (810, 49)),
            'process_max_fds{role="server",instance="s1"}': flat(1_000, 300),
            'process_open_fds{role="client",instance="c1"}': then((80, 12), (90, 49)),
            'process_max_fds{role="client",instance="c1"}': flat(100, 300),
        },
        fires=(fires(130.0, instance="s1", value=0.81), fires(130.0, instance="c1", value=0.9)),
        silent=(55.0, 110.0),
    ),
    Case(
        alert="NomadFileDescriptorsLow",
        name="a burst of connections",
        series={
            'process_open_fds{role="server",instance="s1"}': then((800, 12), (990, 9), (800, 40)),
            'process_max_fds{role="server",instance="s1"}': flat(1_000, 300),
        },
        silent=(90.0, 130.0, 240.0),
    ),
    Case(
        alert="NomadVersionSkew",
        name="two versions of our agent for more than an hour",
        interval=60.0,
        series={
            'outrider_agent_info{role="server",instance="s1",version="1.0.0",node="s1",datacenter="dc1"}': "1x100",
            'outrider_agent_info{role="server",instance="s2",version="1.0.0",node="s2",datacenter="dc1"}': "1x9 _x90",
            'outrider_agent_info{role="server",instance="s2",version="1.1.0",node="s2",datacenter="dc1"}': "_x10 1x90",
            'outrider_agent_info{role="client",instance="c1",version="0.9.0",node="c1",datacenter="dc1"}': "1x100",
        },
        fires=(fires(4_380.0, value=2),),
        silent=(540.0, 4_140.0),
    ),
    Case(
        alert="NomadVersionSkew",
        name="two builds of Nomad for more than an hour",
        interval=60.0,
        series={
            'go_info{role="server",instance="s1",version="go1.25.1"}': "1x100",
            'go_info{role="server",instance="s2",version="go1.25.1"}': "1x9 _x90",
            'go_info{role="server",instance="s2",version="go1.26.0"}': "_x10 1x90",
        },
        fires=(fires(4_380.0, value=2),),
        silent=(540.0, 4_140.0),
    ),
    Case(
        alert="NomadVersionSkew",
        name="an upgrade of half an hour, and clients of another version",
        interval=60.0,
        series={
            'go_info{role="server",instance="s1",version="go1.25.1"}': "1x100",
            'go_info{role="server",instance="s2",version="go1.25.1"}': "1x9 _x30 1x60",
            'go_info{role="server",instance="s2",version="go1.26.0"}': "_x10 1x29 _x60",
            'go_info{role="client",instance="c1",version="go1.24.0"}': "1x100",
            'outrider_agent_info{role="server",instance="s1",version="1.0.0",node="s1",datacenter="dc1"}': "1x100",
            'outrider_agent_info{role="client",instance="c1",version="0.9.0",node="c1",datacenter="dc1"}': "1x100",
        },
        silent=(1_500.0, 4_380.0, 5_900.0),
    ),
    Case(
        alert="OutriderExporterDown",
        name="one of two exporters does not answer",
        series={
            'up{role="exporter",instance="e1"}': "1x60",
            'up{role="exporter",instance="e2"}': "1x11 0x48",
        },
        fires=(fires(130.0, instance="e2", value=0),),
        silent=(55.0, 110.0),
    ),
    Case(
        alert="OutriderExporterDown",
        name="a restart, and a server that is down",
        series={
            'up{role="exporter",instance="e1"}': "1x11 0x8 1x39",
            'up{role="server",instance="s1"}': "1x11 0x48",
        },
        silent=(90.0, 130.0, 240.0),
    ),
)
