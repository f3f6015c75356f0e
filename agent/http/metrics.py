"""Telemetry: /v1/metrics, as JSON, or as text for Prometheus with ?format=prometheus."""

from aiohttp import web

from agent.errors import RequestRefused
from agent.http.api import AgentApi
from agent.http.reply import JSON, PROMETHEUS, Reply, get


async def metrics(api: AgentApi, request: web.Request) -> Reply:
    """Answer with all series; 415 for Prometheus where `prometheus_metrics` is off; any other format is JSON."""
    if request.query.get("format") != "prometheus":
        return Reply(api.metrics_json(), content_type=JSON)
    text = api.metrics_prometheus()
    if text is None:
        raise RequestRefused("Prometheus is not enabled", 415)
    return Reply(text, content_type=PROMETHEUS)


ROUTES = (get("/v1/metrics", metrics),)
