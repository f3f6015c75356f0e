"""Alerts about what the other alerts rest on: that metrics arrive, live, in time, and that agents can go on."""

from alert_rules import budget
from alert_rules.quorum import KEPT_SECONDS
from alert_rules.settings import Severity
from alert_rules.spec import AlertSpec, Number
from telemetry.catalogue.external import UP
from telemetry.catalogue.metric import Unit

MISSING = AlertSpec(
    alert="NomadMetricsMissing",
    # Proof that servers live which are not seen: no target at all; clients that are connected to servers of which none
    # answers; servers that answer with nothing about Raft; more voters than servers that answer; a live leader without
    # a majority that answers. On a real Nomad the number of voters follows from the tolerance only when it is odd, for
    # n and n - 1 voters tolerate the same when n is even.
    expr="""
    (outrider:servers_up - outrider:servers_blind)
    and (
        (outrider:servers_expected unless on (cluster, region) outrider:server_up)
      or
        (outrider:clients_connected > 0 and outrider:servers_up == 0)
      or
        outrider:servers_blind > 0
      or
        outrider:servers_up < outrider:voters_healthy
      or
        (
          outrider:servers_up < outrider:servers_expected
          and outrider:servers_expected % 2 == 1
          and outrider:failure_tolerance == outrider:servers_expected - outrider:servers_quorum
        )
      or
        (
          outrider:servers_up < outrider:servers_quorum
          and outrider:leader_signals > 0
          unless outrider:failure_tolerance
        )
    )
    """,
    onset=budget.WINDOW,
    hold_seconds=45.0,
    hold_why="Longer than a restart, and than the leader takes to count a lost server out.",
    keep_firing_seconds=KEPT_SECONDS,
    severity=Severity.WARNING,
    summary="Metrics of Nomad cluster {{ $labels.cluster }} are missing in region {{ $labels.region }}.",
    description="""
    Servers that give their metrics: {{ $value }}, although more of them live, or none is a target of Prometheus
    any more. The cluster may be well; an outage would be noticed late or not at all.
    """,
)

FROZEN = AlertSpec(
    alert="NomadMetricsFrozen",
    # A server that answers with what it said before, or without what it collected before: its collection
    # has stopped, or something between gives old answers. Of two counts of the heap one always moves: the first grows in
    # steps of its 32 bits on an agent that is months old.
    expr="""
    outrider:server_up == 1
    and on (cluster, region, instance) (
        (
          changes(nomad_runtime_malloc_count[$window]) == 0
          and on (cluster, region, instance) changes(nomad_runtime_heap_objects[$window]) == 0
        )
      or
        (present_over_time(nomad_runtime_malloc_count[$memory]) unless nomad_runtime_malloc_count)
    )
    """,
    onset=budget.WINDOW,
    hold_seconds=75.0,
    hold_why="Longer than missing metrics and slow scrapes take to be noticed, which explain it.",
    numbers=(
        Number(
            name="memory",
            default=3_600.0,
            unit=Unit.SECONDS,
            least=300.0,
            is_window=True,
            why="How long a server that exported this once is expected to go on: what stands still vanishes after 60 s.",
        ),
    ),
    keep_firing_seconds=KEPT_SECONDS,
    severity=Severity.WARNING,
    unit=UP.unit,
    summary="Metrics of Nomad server {{ $labels.instance }} of cluster {{ $labels.cluster }} stand still.",
    description="""
    It answers (up is {{ $value }}) in region {{ $labels.region }} with values that no longer change. Nothing it says can
    be believed: restart the agent, or look for a proxy or cache in front of it.
    """,
)

SCRAPE_SLOW = AlertSpec(
    alert="NomadScrapeSlow",
    expr="""
    scrape_duration_seconds{role="server"} > $share * $scrape_seconds
    and on (cluster, region, instance) up{role="server"} == 1
    or
    scrape_duration_seconds{role="client"} > $share * $scrape_seconds
    and on (cluster, region, instance) up{role="client"} == 1
    """,
    onset=budget.SCRAPE,
    hold_seconds=60.0,
    hold_why="A burst of work passes.",
    keep_firing_seconds=KEPT_SECONDS,
    unit=Unit.SECONDS,
    numbers=(
        Number(
            name="share",
            default=0.5,
            unit=Unit.RATIO,
            least=0.01,
            most=1.0,
            why="Of the interval, at which a scrape is given up. 77,000 series took a real Nomad 0.5 s.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Scrapes of Nomad agent {{ $labels.instance }} of cluster {{ $labels.cluster }} are slow.",
    description="""
    They take {{ $value | printf "%.1f" }} s, more than $share of the interval, in region {{ $labels.region }}. When they
    take as long as the interval the agent looks dead. A leader exports ten series a job: drop some with prefix_filter, or scrape less often.
    """,
)

CERTIFICATE_EXPIRING = AlertSpec(
    alert="NomadCertificateExpiring",
    expr="""
    min by (cluster, region, instance) (nomad_agent_tls_cert_expiration_seconds) < $left
    or
    min by (cluster, region, instance) (nomad_agent_tls_ca_expiration_seconds) < $left
    """,
    onset=budget.SCRAPE,
    hold_seconds=240.0,
    hold_why="An agent that was just given a new certificate has to read it.",
    keep_firing_seconds=KEPT_SECONDS,
    unit=Unit.SECONDS,
    numbers=(
        Number(
            name="left",
            default=14 * 86_400.0,
            unit=Unit.SECONDS,
            least=3_600.0,
            why="Time to order, roll out and restart without haste.",
        ),
    ),
    severity=Severity.WARNING,
    summary="A certificate of Nomad agent {{ $labels.instance }} of cluster {{ $labels.cluster }} expires soon.",
    description="""
    In {{ $value | humanizeDuration }}, in region {{ $labels.region }}. From then on nobody talks to this agent: renew its
    certificate, or the authority's, and reload the agent.
    """,
)

CERTIFICATE_ALMOST_EXPIRED = AlertSpec(
    alert="NomadCertificateAlmostExpired",
    expr="""
    min by (cluster, region, instance) (nomad_agent_tls_cert_expiration_seconds) < $left
    or
    min by (cluster, region, instance) (nomad_agent_tls_ca_expiration_seconds) < $left
    """,
    onset=budget.SCRAPE,
    hold_seconds=20.0,
    hold_why="Two scrapes.",
    keep_firing_seconds=KEPT_SECONDS,
    unit=Unit.SECONDS,
    numbers=(
        Number(
            name="left",
            default=86_400.0,
            unit=Unit.SECONDS,
            least=0.0,
            why="The last day in which a renewal costs no outage.",
        ),
    ),
    severity=Severity.CRITICAL,
    summary="A certificate of Nomad agent {{ $labels.instance }} of cluster {{ $labels.cluster }} is about to expire.",
    description="""
    In {{ $value | humanizeDuration }}, in region {{ $labels.region }}; a negative time has passed. Servers whose
    certificates have expired lose each other, and with them the quorum: renew it now.
    """,
)

DESCRIPTORS = AlertSpec(
    alert="NomadFileDescriptorsLow",
    expr="""
    process_open_fds{role="server"} / process_max_fds{role="server"} > $share
    or
    process_open_fds{role="client"} / process_max_fds{role="client"} > $share
    """,
    onset=budget.SCRAPE,
    hold_seconds=60.0,
    hold_why="A burst of connections passes.",
    unit=Unit.RATIO,
    numbers=(
        Number(
            name="share",
            default=0.8,
            unit=Unit.RATIO,
            least=0.1,
            most=1.0,
            why="What is left serves a fail-over, at which every client connects anew.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Nomad agent {{ $labels.instance }} of cluster {{ $labels.cluster }} is short of file descriptors.",
    description="""
    It uses {{ $value | humanizePercentage }} of those it may open (limit $share), in region {{ $labels.region }}. At the
    limit it takes no connection any more: raise LimitNOFILE, and look for clients that leave connections open.
    """,
)

VERSION_SKEW = AlertSpec(
    alert="NomadVersionSkew",
    # A real Nomad says no version of its own; the version of Go it was built with differs between most releases.
    expr="""
      count by (cluster, region) (count by (cluster, region, version) (outrider_agent_info{role="server"})) > 1
    or
      count by (cluster, region) (count by (cluster, region, version) (go_info{role="server"})) > 1
    """,
    onset=budget.SCRAPE,
    hold_seconds=3_600.0,
    hold_why="A rolling upgrade of all servers takes less.",
    hold_is_stated=True,
    severity=Severity.WARNING,
    summary="Servers of Nomad cluster {{ $labels.cluster }} run different versions in region {{ $labels.region }}.",
    description="""
    {{ $value }} versions for longer than $hold. An upgrade that stopped half-way leaves servers that may not understand
    what the newer ones write: bring all to the same version.
    """,
)

EXPORTER_DOWN = AlertSpec(
    alert="OutriderExporterDown",
    expr='up{role="exporter"} == 0',
    onset=budget.GONE,
    hold_seconds=60.0,
    hold_why="Longer than a restart.",
    unit=UP.unit,
    severity=Severity.WARNING,
    summary="The exporter {{ $labels.instance }} beside Nomad cluster {{ $labels.cluster }} is down.",
    description="""
    It gives no answer (up is {{ $value }}). Alerts rest on what Nomad itself exports again: a lost leader is told some
    10 s later, draining clients not at all. The cluster is no worse for it.
    """,
)

TRUST = (
    MISSING,
    SCRAPE_SLOW,
    FROZEN,
    CERTIFICATE_ALMOST_EXPIRED,
    CERTIFICATE_EXPIRING,
    DESCRIPTORS,
    VERSION_SKEW,
    EXPORTER_DOWN,
)
"""Causes before what they bring about."""
