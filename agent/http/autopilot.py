"""The settings of autopilot: /v1/operator/autopilot/configuration.

Source: Nomad, command/agent/operator_endpoint.go and api/operator_autopilot.go.
"""

from typing import Any

import msgspec
from aiohttp import web

from agent.config.units import format_duration, parse_duration_nanoseconds
from agent.errors import RequestRefused
from agent.http.api import AgentApi
from agent.http.decode import decode_body, read_body
from agent.http.query import CALL_TIMEOUT_SECONDS, read_query
from agent.http.reply import Reply, Route, json_reply
from agent.model.autopilot import AutopilotConfig
from agent.model.base import Model
from agent.rpc.methods import (
    OPERATOR_AUTOPILOT_CONFIG,
    OPERATOR_AUTOPILOT_SET_CONFIG,
    AutopilotSetConfigRequest,
    Request,
)

COUNT_MAX = 2**31 - 1


class ConfigurationBody(Model, frozen=True):
    """What is put. A setting that is left out gets Nomad's default; a time is a duration or nanoseconds."""

    cleanup_dead_servers: bool = True
    last_contact_threshold: str | int = "200ms"
    max_trailing_logs: int = 250
    server_stabilization_time: str | int = "10s"
    min_quorum: int = 0
    enable_redundancy_zones: bool = False
    disable_upgrade_migration: bool = False
    enable_custom_upgrades: bool = False


async def configuration(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the settings."""
    query = read_query(api, request)
    response = await api.caller.call(OPERATOR_AUTOPILOT_CONFIG, Request(**query.options()), CALL_TIMEOUT_SECONDS)
    return json_reply(_body(response.config))


async def set_configuration(api: AgentApi, request: web.Request) -> Reply:
    """Change the settings; with `?cas=INDEX` only if they were last modified there. Answers true, or false when not."""
    query = read_query(api, request)
    config = _config(decode_body(await read_body(request), ConfigurationBody))
    text = request.query.get("cas", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RequestRefused(f"Error parsing cas value: {text} is no index", 400)
    asked = AutopilotSetConfigRequest(region=query.region, config=config, check_index=int(text) if text else None)
    response = await api.caller.call(OPERATOR_AUTOPILOT_SET_CONFIG, asked, CALL_TIMEOUT_SECONDS)
    return json_reply(response.updated)


def _config(body: ConfigurationBody) -> AutopilotConfig:
    """Return what *body* sets; raises RequestRefused for what cannot be."""
    for name, wanted in (
        ("EnableRedundancyZones", body.enable_redundancy_zones),
        ("DisableUpgradeMigration", body.disable_upgrade_migration),
        ("EnableCustomUpgrades", body.enable_custom_upgrades),
    ):
        if wanted:
            raise RequestRefused(f"{name} is of the commercial edition and has no effect here; leave it false", 400)
    for name, count in (("MaxTrailingLogs", body.max_trailing_logs), ("MinQuorum", body.min_quorum)):
        if not 0 <= count <= COUNT_MAX:
            raise RequestRefused(f"{name} = {count} is not between 0 and {COUNT_MAX}", 400)
    return AutopilotConfig(
        cleanup_dead_servers=body.cleanup_dead_servers,
        last_contact_threshold=_time("LastContactThreshold", body.last_contact_threshold, least=1),
        max_trailing_logs=body.max_trailing_logs,
        server_stabilization_time=_time("ServerStabilizationTime", body.server_stabilization_time, least=0),
        min_quorum=body.min_quorum,
    )


def _time(name: str, value: str | int, *, least: int) -> int:
    try:
        found = parse_duration_nanoseconds(value)
    except ValueError as error:
        raise RequestRefused(f"{name}: {error}", 400) from error
    if found < least:
        raise RequestRefused(f"{name} = {value} is too short; write a duration such as 200ms or 10s", 400)
    return found


def _body(config: AutopilotConfig) -> dict[str, Any]:
    """Return *config* in Nomad's shape, the settings of its commercial edition off."""
    fields = msgspec.to_builtins(config)
    times = {name: format_duration(fields[name] / 1e9) for name in ("LastContactThreshold", "ServerStabilizationTime")}
    off = dict.fromkeys(("EnableRedundancyZones", "DisableUpgradeMigration", "EnableCustomUpgrades"), False)
    return {**fields, **times, **off}


ROUTES = (
    Route(
        "/v1/operator/autopilot/configuration",
        {"GET": configuration, "PUT": set_configuration, "POST": set_configuration},
    ),
)
