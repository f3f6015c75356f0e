"""A server that answers with bodies of a Nomad's API, as recorded or changed by a test; it can refuse and be stopped."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


def member(name: str, address: str, status: str = "alive", region: str = "global") -> dict[str, Any]:
    """One entry of /v1/agent/members, with what is read of it."""
    tags = {"role": "nomad", "region": region, "dc": "dc1", "port": "4647"}
    return {"Name": f"{name}.{region}", "Addr": address, "Port": 4648, "Status": status, "Tags": tags}


def stub(number: int, status: str = "ready", **changes: Any) -> dict[str, Any]:
    """One entry of /v1/nodes."""
    return {
        "ID": f"{number:08d}-0000-0000-0000-000000000000",
        "Name": f"c{number}",
        "Address": f"127.0.0.{20 + number}",
        "Datacenter": "dc1",
        "Status": status,
        "CreateIndex": 10 + number,
        "ModifyIndex": 20 + number,
    } | changes


class RecordedNomad:
    """Serves *members* and *nodes* on a free port of loopback until it is left; `asked` lists the paths."""

    def __init__(self, members: list[dict[str, Any]], nodes: list[dict[str, Any]]) -> None:
        self.members = members
        self.nodes = nodes
        self.leader = "127.0.0.1:4647"
        self.http_port = 4646
        self.forbidden: set[str] = set()
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"nomad": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def body(self, path: str) -> Any:
        """Return the body at *path*, None for one that is not there."""
        by_id = {f"/v1/node/{node['ID']}": node for node in self.nodes}
        if path in by_id:
            return by_id[path] | {"HTTPAddr": f"{by_id[path]['Address']}:{self.http_port}"}
        return {
            "/v1/agent/members": {"Members": self.members},
            "/v1/nodes": self.nodes,
            "/v1/status/leader": self.leader,
        }.get(path)

    def stop(self) -> None:
        """Answer nothing any more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    nomad: RecordedNomad

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.nomad.asked.append(path)
        body = self.nomad.body(path)
        status = 403 if path in self.nomad.forbidden else 200 if body is not None else 404
        text = json.dumps(body).encode() if status == 200 else b"Permission denied"
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass
