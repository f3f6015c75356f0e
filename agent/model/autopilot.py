"""What an operator may set of autopilot. Source: Nomad, nomad/structs/operator.go, AutopilotConfig."""

from agent.model.base import Model


class AutopilotConfig(Model, frozen=True):
    """The settings of autopilot; times are nanoseconds, `min_quorum` 0 is no floor. The defaults are Nomad's."""

    cleanup_dead_servers: bool = True
    last_contact_threshold: int = 200_000_000
    max_trailing_logs: int = 250
    server_stabilization_time: int = 10_000_000_000
    min_quorum: int = 0
    create_index: int = 0
    modify_index: int = 0
