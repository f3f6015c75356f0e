"""Runs real Alertmanagers, one or a pair, and speaks to them as Prometheus does."""

import json
import re
import subprocess
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from tests.integration.watch import wait_until

READY_SECONDS = 60
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def running(program, config, data, port, *, gossip=None, peers=()):
    """Run Alertmanager *program* on *port* of loopback; *gossip* is its port for *peers*, None for a single one."""
    data.mkdir(parents=True, exist_ok=True)
    own = "" if gossip is None else f"127.0.0.1:{gossip}"
    command = [
        program,
        f"--config.file={config}",
        f"--storage.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.external-url=http://127.0.0.1:{port}/",
        f"--cluster.listen-address={own}",
        *([] if gossip is None else ["--cluster.settle-timeout=1s", "--cluster.peer-timeout=5s"]),
        *(f"--cluster.peer=127.0.0.1:{peer}" for peer in peers),
    ]
    log = data / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: is_ready(port) or process.poll() is not None, READY_SECONDS, "Alertmanager answers")
        assert process.poll() is None, log.read_text()[-2000:]
        yield process
    finally:
        process.terminate()
        process.wait(10)


def is_ready(port):
    """Tell whether the Alertmanager on *port* answers."""
    try:
        with _DIRECT.open(f"http://127.0.0.1:{port}/-/ready", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def get(port, path):
    """Return what the API says."""
    with _DIRECT.open(f"http://127.0.0.1:{port}/api/v2/{path}", timeout=5) as answer:
        return json.loads(answer.read())


def post(port, *alerts):
    """Send alerts as Prometheus does."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v2/alerts",
        json.dumps(list(alerts)).encode(),
        {"Content-Type": "application/json"},
    )
    with _DIRECT.open(request, timeout=5) as answer:
        assert answer.status == 200


def alert_of(rules, links, name, start, *, ended=False, **labels):
    """Return the alert *name* as the rule of that name would give it, with its texts filled in.

    What has begun longer than group_wait ago is notified without that wait, one alert at a time: *start* is now.
    """
    document = rules.alert(name).document(links)
    labels = {**document["labels"], "alertname": name, **labels}
    texts = {
        key: re.sub(r"\{\{\s*\$(labels\.(\w+)|value)[^}]*\}\}", lambda found: str(labels.get(found[2], 3)), text)
        for key, text in document["annotations"].items()
    }
    now = datetime.now(UTC)
    return {
        "labels": labels,
        "annotations": texts,
        "startsAt": start.isoformat(),
        "endsAt": (now if ended else now + timedelta(minutes=10)).isoformat(),
        "generatorURL": "http://127.0.0.1:9090/graph",
    }
