"""A preview of the dashboards without Grafana: the same JSON, the same queries, drawn on a local page.

`model` reads the JSON, `asking` puts its questions to Prometheus, `page` and what is below it draw the answers and do
nothing else, `server` answers a browser. What Grafana's JSON has and the preview does not draw is said on the page, never left out in silence.
"""
