"""What a browser finds: / leads to /ui/, and /ui/ says that there is none and where to look instead."""

from aiohttp import web

from agent.http.api import AgentApi
from agent.http.reply import Reply, get

HTML = "text/html; charset=utf-8"

_NO_UI = b"""<!DOCTYPE html>
<html>
<p>This agent has no web interface. Its dashboards are in Grafana; its series at
<a href="/v1/metrics?format=prometheus">/v1/metrics?format=prometheus</a>.</p>
</html>
"""


async def root(_api: AgentApi, _request: web.Request) -> Reply:
    """Lead to /ui/, as Nomad does."""
    body = b'<a href="/ui/">Temporary Redirect</a>.\n\n'
    return Reply(body, 307, HTML, {"Location": "/ui/"})


async def no_ui(_api: AgentApi, _request: web.Request) -> Reply:
    """Say that there is no interface."""
    return Reply(_NO_UI, content_type=HTML)


ROUTES = (get("/", root), get("/ui/", no_ui))
