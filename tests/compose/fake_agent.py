"""Stands in for an agent: reads name and ports from its file, answers a few paths of the API, and listens on all ports.

Run as `fake_agent.py agent -config FILE`; `fake_agent.py receiver …` is the real receiver. A folder with `explode`
in its name makes an agent end at once with a message.
"""

import json
import re
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from compose.receiver import receiver_command


def answers(name: str, rpc_of_server_1: int) -> dict[str, str]:
    """Return the body for each path."""
    return {
        "/v1/status/leader": json.dumps(f"127.0.0.1:{rpc_of_server_1}"),
        "/v1/nodes": json.dumps([{"Name": f"client-{number}", "Status": "ready"} for number in (1, 2)]),
        "/v1/metrics": f'fake_agent_info{{name="{name}"}} 1\n',
    }


def main() -> None:
    """Serve until a signal ends it."""
    if sys.argv[1] == "receiver":
        receiver_command(sys.argv[2:])
    path = Path(sys.argv[-1])
    text = path.read_text(encoding="utf-8")
    if "explode" in str(path):
        sys.exit("bad configuration: nothing to see here")
    name = re.search(r'name\s+= "(.+)"', text)[1]
    ports = dict(re.findall(r"^  (http|rpc|serf|raft) = (\d+)$", text, re.MULTILINE))
    first = re.search(r"name.*\n[^}]*", path.with_name("server-1.hcl").read_text(encoding="utf-8"))[0]
    bodies = answers(name, int(re.search(r"rpc = (\d+)", first + "}")[1]))
    held = [socket.create_server(("127.0.0.1", int(port))) for word, port in ports.items() if word != "http"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path.partition("?")[0])
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *_: object) -> None:
            pass

    print(f"{name} holds {len(held) + 1} ports", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(ports["http"])), Handler).serve_forever()


main()
