"""The autopilot block: what a new cluster begins with."""

from agent.config.schema import AutopilotSettings
from agent.model.autopilot import AutopilotConfig, initial_config
from tests.agent.config.test_config_load import LONE_SERVER, error_of, load_text


def test_the_autopilot_block_is_read(tmp_path):
    """
    All keys of a new cluster's settings; a later file overrides, with false too; 0 counts as not given, as in Nomad.
    """
    given = (
        'autopilot {\n cleanup_dead_servers = true\n last_contact_threshold = "500ms"\n max_trailing_logs = 100\n'
        ' min_quorum = 3\n server_stabilization_time = "30s"\n}\n'
    )
    later = "autopilot {\n cleanup_dead_servers = false\n max_trailing_logs = 0\n}\n"

    assert AutopilotSettings() == load_text(tmp_path, LONE_SERVER).config.autopilot
    assert AutopilotSettings(True, 0.5, 100, 30.0, 3) == load_text(tmp_path, LONE_SERVER + given).config.autopilot
    assert (
        AutopilotSettings(False, 0.5, 100, 30.0, 3) == load_text(tmp_path, LONE_SERVER + given, later).config.autopilot
    )
    assert AutopilotSettings(cleanup_dead_servers=False) == load_text(tmp_path, LONE_SERVER + later).config.autopilot
    assert AutopilotConfig() == initial_config(AutopilotSettings())
    assert AutopilotConfig(False, 500_000_000, 100, 30_000_000_000, 3) == initial_config(
        AutopilotSettings(False, 0.5, 100, 30.0, 3)
    )


def test_what_autopilot_does_not_do_is_said(tmp_path):
    """
    Keys of the commercial edition are in the warning; a wrong value is an error with its place, an unknown key too.
    """
    (warning,) = load_text(tmp_path, LONE_SERVER + "autopilot {\n enable_redundancy_zones = true\n}\n").warnings
    assert "autopilot.enable_redundancy_zones" in warning

    said = error_of(
        tmp_path, LONE_SERVER + 'autopilot {\n min_quorum = -1\n last_contact_threshold = "x"\n grace = 1\n}\n'
    )
    assert "autopilot.min_quorum = -1: it must be at least 0" in said
    assert 'autopilot.last_contact_threshold = "x"' in said
    assert '"grace" is no key of the autopilot block' in said
