"""Faults of clients and of work, and of what watches: scrapes, Prometheus, Alertmanager and their configuration."""

from agent.leader.heartbeats import HeartbeatSettings
from compose.drill.actions import (
    ALERTMANAGER,
    EXPORTER,
    PROMETHEUS,
    Both,
    CutScrapes,
    Delayed,
    DrainForGood,
    ExpectFewer,
    FewDescriptors,
    For,
    Isolate,
    Kill,
    MetricsOff,
    NoSchedulers,
    Pause,
    Process,
    Register,
    Reload,
    RemoveTargets,
    SpoilConfiguration,
    Terminate,
    crash_looping_job,
    oversized_job,
)
from compose.drill.fault import ALL_SERVERS, FOLLOWER, LEADER, MAJORITY, SIZES, Clients, Fault, Setup, on, one
from compose.drill.faults_of_servers import AT_RISK, AWAY_SECONDS, CLIENTS_DOWN, LOST

_SILENCE_SECONDS = 20.0
_MINUTE_SECONDS = 60.0
_PATIENCE_SECONDS = 45.0
"""How long work is left alone that is bad and nobody's business here."""
_RESEND_SECONDS = 60.0
"""How often Prometheus repeats an alert to an Alertmanager: what was down hears of it this much later."""
_SHARE_OF_DESCRIPTORS = 0.95
_WAITING_JOBS = 150
_ALERTMANAGER_SECONDS = 50.0
"""How long Alertmanager is away: a little less than what has an alert of its own."""
_TEN_MINUTES_SECONDS = 600.0
_QUARTER_SECONDS = 900.0
_HOUR_SECONDS = 3_600.0

_HEARTBEATS = HeartbeatSettings()
HEARTBEAT_SECONDS = 2 * _HEARTBEATS.min_heartbeat_ttl_seconds + _HEARTBEATS.heartbeat_grace_seconds
"""How long a client may be silent until its servers call it down: the longest time to live, and the grace."""

_SMALL = (3,)
"""Faults that the number of servers does not touch are tried on one size."""
MISSING = one("NomadMetricsMissing")
CLIENT_DOWN = one("NomadClientDown")

CLIENT_FAULTS = (
    Fault(
        name="kill-client-returns",
        what="A client is killed and back after 8 s.",
        action=For(Kill(Clients.ONE), AWAY_SECONDS),
        arrives=on(_SMALL),
        lasts_seconds=_SILENCE_SECONDS,
    ),
    Fault(
        name="kill-client",
        what="A client is killed; its tasks run on.",
        action=Kill(Clients.ONE),
        arrives=on(_SMALL, CLIENT_DOWN),
    ),
    Fault(
        name="kill-third-of-clients",
        what="A third of the clients is killed.",
        action=Kill(Clients.THIRD),
        arrives=on(_SMALL, CLIENTS_DOWN),
    ),
    Fault(
        name="kill-all-clients",
        what="Every client is killed.",
        action=Kill(Clients.ALL),
        arrives=on(_SMALL, CLIENTS_DOWN),
    ),
    Fault(
        name="pause-client",
        what="A client stops in its tracks.",
        action=Pause(Clients.ONE),
        arrives=on(_SMALL, CLIENT_DOWN),
    ),
    Fault(
        name="cut-client",
        what="A client is cut from all servers; Prometheus reaches it.",
        action=Isolate(Clients.ONE),
        arrives=on(_SMALL, one("NomadHeartbeatsMissed", needs_seconds=HEARTBEAT_SECONDS)),
        lasts_seconds=_PATIENCE_SECONDS,
    ),
)

WORK_FAULTS = (
    Fault(
        name="crash-looping-task",
        what="A job's only task ends with an error as soon as it is started.",
        action=Register(crash_looping_job),
        arrives=on(_SMALL),
        lasts_seconds=_PATIENCE_SECONDS,
        note="alerts about jobs come with a later issue",
    ),
    Fault(
        name="unplaceable-job",
        what="A job asks for more than any client has.",
        action=Register(oversized_job),
        # For so long it waits for new clients, as the alert says itself.
        arrives=on(_SMALL, one("NomadEvaluationsBlocked", needs_seconds=_QUARTER_SECONDS)),
        lasts_seconds=_PATIENCE_SECONDS,
    ),
    Fault(
        name="backlog",
        what="Every server is restarted without scheduling workers, and 150 jobs are registered.",
        action=NoSchedulers(_WAITING_JOBS),
        arrives=on(_SMALL, one("NomadEvaluationBacklog", needs_seconds=_MINUTE_SECONDS)),
        lasts_seconds=_SILENCE_SECONDS,
    ),
    Fault(
        name="drained-too-long",
        what="A client with a batch task that does not end is drained without deadline.",
        action=DrainForGood(),
        # For so long a drain may take, as the alert says itself.
        arrives=on(_SMALL, one("NomadDrainStuck", needs_seconds=_HOUR_SECONDS)),
        lasts_seconds=_PATIENCE_SECONDS,
    ),
    Fault(
        name="few-descriptors",
        what="A follower has opened 95 % of the files it may.",
        action=FewDescriptors(FOLLOWER, _SHARE_OF_DESCRIPTORS),
        arrives=on(_SMALL, one("NomadFileDescriptorsLow")),
        lasts_seconds=_PATIENCE_SECONDS,
    ),
)

WATCHING_FAULTS = (
    Fault(
        name="metrics-off",
        what="A follower is started again with prometheus_metrics = false.",
        action=MetricsOff(FOLLOWER),
        arrives=on(SIZES, MISSING),
    ),
    Fault(
        name="target-removed",
        what="A follower is taken out of Prometheus' targets.",
        action=RemoveTargets(FOLLOWER),
        arrives=on(SIZES, MISSING),
    ),
    Fault(
        name="targets-removed",
        what="Every server is taken out of Prometheus' targets.",
        action=RemoveTargets(ALL_SERVERS),
        arrives=on(_SMALL, MISSING),
    ),
    Fault(
        name="scrape-cut",
        what="Prometheus does not reach a follower, which is well.",
        action=CutScrapes(FOLLOWER),
        arrives=on(SIZES, MISSING),
    ),
    Fault(
        name="scrapes-cut",
        what="Prometheus reaches no server, and every client, which reach the servers.",
        action=CutScrapes(ALL_SERVERS),
        arrives=on(SIZES, MISSING),
    ),
    Fault(
        name="prometheus-reloaded",
        what="Prometheus reads its configuration again and loses no scrape.",
        action=Reload(),
        arrives=on(_SMALL),
        lasts_seconds=_SILENCE_SECONDS,
    ),
    Fault(
        name="prometheus-restarted",
        what="Prometheus is restarted and loses a scrape or two.",
        action=For(Terminate(PROMETHEUS), 0.0),
        arrives=on(_SMALL),
        lasts_seconds=_SILENCE_SECONDS,
    ),
    Fault(
        name="prometheus-away",
        what="Prometheus is killed and back after a minute.",
        action=For(Process(PROMETHEUS), _MINUTE_SECONDS),
        arrives=on(_SMALL),
        lasts_seconds=_SILENCE_SECONDS,
    ),
    Fault(
        name="alertmanager-away",
        what="A majority is killed while Alertmanager is dead for 50 s: the page arrives once all the same.",
        action=Both(Kill(MAJORITY), For(Process(ALERTMANAGER), _ALERTMANAGER_SECONDS)),
        arrives=on(_SMALL, one("NomadQuorumLost", needs_seconds=_ALERTMANAGER_SECONDS + _RESEND_SECONDS)),
    ),
    Fault(
        name="restart-under-page",
        what="A majority is killed, and a minute later Prometheus is restarted: the page does not arrive again.",
        action=Both(Kill(MAJORITY), Delayed(For(Terminate(PROMETHEUS), 0.0), _MINUTE_SECONDS)),
        arrives=on(_SMALL, LOST),
    ),
    Fault(
        name="exporter-dead",
        what="The exporter beside the servers is killed.",
        action=Process(EXPORTER),
        arrives=on(_SMALL, one("OutriderExporterDown")),
        setup=Setup.EXPORTER,
        lasts_seconds=_PATIENCE_SECONDS,
    ),
    Fault(
        name="kill-leader-exported",
        what="The leader is killed; agents and exporter both say so.",
        action=Kill(LEADER),
        arrives=on(_SMALL, AT_RISK),
        setup=Setup.EXPORTER,
    ),
    Fault(
        name="configuration-refused",
        what="Prometheus is given a file that it refuses, and goes on with the one before.",
        action=SpoilConfiguration(),
        arrives=on(_SMALL, one("OutriderConfigRejected")),
        lasts_seconds=_PATIENCE_SECONDS,
    ),
    Fault(
        name="expected-size-outdated",
        what="The settings expect two servers fewer than there are.",
        action=ExpectFewer(),
        # For so long a replacement may stand beside what it replaces, as the alert says itself.
        arrives={5: (one("NomadExpectedServersOutdated", needs_seconds=_TEN_MINUTES_SECONDS),)},
        lasts_seconds=_PATIENCE_SECONDS,
    ),
)
