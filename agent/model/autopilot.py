"""What an operator may set of autopilot. Source: Nomad, nomad/structs/operator.go, AutopilotConfig."""

from agent.config.schema import AutopilotSettings
from agent.model.base import Model

_DEFAULTS = AutopilotSettings()
_SECOND_NS = 1_000_000_000


class AutopilotConfig(Model, frozen=True):
    """The settings of autopilot; times are nanoseconds, `min_quorum` 0 is no floor. The defaults are Nomad's.

    `create_index` is 0 until the first leader has written what its configuration says.
    """

    cleanup_dead_servers: bool = _DEFAULTS.cleanup_dead_servers
    last_contact_threshold: int = round(_DEFAULTS.last_contact_threshold_seconds * _SECOND_NS)
    max_trailing_logs: int = _DEFAULTS.max_trailing_logs
    server_stabilization_time: int = round(_DEFAULTS.server_stabilization_time_seconds * _SECOND_NS)
    min_quorum: int = _DEFAULTS.min_quorum
    create_index: int = 0
    modify_index: int = 0


def initial_config(settings: AutopilotSettings) -> AutopilotConfig:
    """Return what a new cluster begins with, by the autopilot block of its first leader."""
    return AutopilotConfig(
        cleanup_dead_servers=settings.cleanup_dead_servers,
        last_contact_threshold=round(settings.last_contact_threshold_seconds * _SECOND_NS),
        max_trailing_logs=settings.max_trailing_logs,
        server_stabilization_time=round(settings.server_stabilization_time_seconds * _SECOND_NS),
        min_quorum=settings.min_quorum,
    )
