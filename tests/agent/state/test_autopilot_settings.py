"""The settings of autopilot in the state: set, set on a condition, and kept in snapshots."""

from agent.model.autopilot import AutopilotConfig
from agent.model.command import UpdateAutopilot, decode, encode
from agent.state.fsm import CHANGED_STATUS, apply, dump, load
from agent.state.store import State

WANTED = AutopilotConfig(cleanup_dead_servers=False, min_quorum=3)


def setting(number, check_index=None):
    return UpdateAutopilot(request_id=f"r{number}", at=0, config=WANTED, check_index=check_index)


def test_settings_get_the_indexes_of_their_commands():
    """
    Created once, modified each time; until then they are Nomad's defaults.
    """
    first = apply(State(), 5, setting(1)).state
    second = apply(first, 9, setting(2)).state

    assert AutopilotConfig() == State().autopilot
    assert (5, 5, False, 3) == (
        first.autopilot.create_index, first.autopilot.modify_index, first.autopilot.cleanup_dead_servers,
        first.autopilot.min_quorum,
    )  # fmt: skip
    assert (5, 9) == (second.autopilot.create_index, second.autopilot.modify_index)


def test_a_change_on_a_condition_comes_too_late_after_another():
    """
    The settings stay, and the refusal says at which index they were changed.
    """
    state = apply(State(), 5, setting(1, check_index=0)).state

    late = apply(state, 6, setting(2, check_index=0))
    fresh = apply(late.state, 7, setting(3, check_index=5))

    assert (CHANGED_STATUS, "autopilot was last changed at index 5, not at 0") == (
        late.result.status,
        late.result.error,
    )
    assert 5 == late.state.autopilot.modify_index
    assert ("", 7) == (fresh.result.error, fresh.state.autopilot.modify_index)


def test_settings_survive_a_snapshot_and_the_log():
    """
    A server that restarts from either knows them.
    """
    state = apply(State(), 5, decode(encode(setting(1)))).state

    assert state.autopilot == load(dump(state)).autopilot
