"""Stands in, on loopback, for the part of Grafana's API that takes dashboards, and refuses what Grafana refuses."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "glsa_test"
_UID = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")


class Refusal(Exception):
    """What Grafana says instead: a status and a message."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status
        self.message = message


class FakeGrafana:
    """Folders by uid, dashboards by uid, and every write that came.

    *provisioned* are the uids that come from files, *newer* those that somebody saved in the form of 12 and 13, with
    their tags; *is_viewer* takes away the right to write, *is_contended* lets somebody else save first;
    *is_something_else* makes it a server that knows no such paths. *messages* are those of the writes, by uid.
    """

    def __init__(self):
        self.folders = {}
        self.dashboards = {}
        self.writes = []
        self.provisioned = set()
        self.newer = {}
        self.messages = {}
        self.is_contended = False
        self.is_viewer = False
        self.is_something_else = False
        self.url = ""

    def answer(self, method, path, token, body):
        """Return what a request is answered with; raise Refusal."""
        if token != f"Bearer {TOKEN}":
            raise Refusal(401, "Invalid API key")
        newer, _, uid = path.rpartition("/")
        if method == "GET" and newer == "/apis/dashboard.grafana.app/v2/namespaces/default/dashboards":
            return {"apiVersion": "dashboard.grafana.app/v2", "spec": {"tags": self.newer[uid], "elements": {}}}
        kind, _, uid = path.removeprefix("/api/").rpartition("/")
        match method, kind:
            case "GET", "folders":
                return self._found(self.folders, uid, "folder not found")
            case "GET", "dashboards/uid" if uid in self.newer:
                address = f"/apis/dashboard.grafana.app/v2/namespaces/default/dashboards/{uid}"
                raise Refusal(406, f"dashboard api version not supported, use {address} instead")
            case "GET", "dashboards/uid":
                return self._found(self.dashboards, uid, "Dashboard not found")
            case ("POST", _) if self.is_viewer:
                raise Refusal(403, "You'll need additional permissions to perform this action.")
            case "POST", "":
                return self._make_folder(body)
            case "POST", "dashboards":
                return self._save(body)
        raise Refusal(404, "")

    @staticmethod
    def _found(things, uid, message):
        if uid not in things:
            raise Refusal(404, message)
        return things[uid]

    def _make_folder(self, body):
        self.writes.append(("folder", body["uid"]))
        if any(body["title"] == each["title"] for each in self.folders.values()):
            raise Refusal(409, "a folder with the same name already exists in the current location")
        self.folders[body["uid"]] = {"uid": body["uid"], "title": body["title"]}
        return self.folders[body["uid"]]

    def _save(self, body):
        document = body["dashboard"]
        uid = document.get("uid")
        self.writes.append(("dashboard", uid))
        if not document.get("title"):
            raise Refusal(400, "Dashboard title cannot be empty")
        if not _UID.match(uid or ""):
            raise Refusal(400, "uid contains illegal characters")
        if document.get("id"):
            raise Refusal(404, "Dashboard not found")
        if "__inputs" in document:
            raise Refusal(400, "inputs are of the import, not of the API")
        if body.get("folderUid") not in self.folders:
            raise Refusal(400, "folder not found")
        if uid in self.provisioned:
            raise Refusal(400, "Cannot save provisioned dashboard")
        if self.is_contended:
            raise Refusal(412, "The dashboard has been changed by someone else")
        self.newer.pop(uid, None)
        self.messages[uid] = body.get("message")
        before = self.dashboards.get(uid)
        if before and not body.get("overwrite") and before["dashboard"]["version"] != document.get("version"):
            raise Refusal(412, "The dashboard has been changed by someone else")
        for other, each in self.dashboards.items():
            is_beside = each["meta"]["folderUid"] == body["folderUid"] and other != uid
            if is_beside and each["dashboard"]["title"] == document["title"]:
                raise Refusal(412, "A dashboard with the same name in the folder already exists")
        version = before["dashboard"]["version"] + 1 if before else 1
        kept = document | {"id": len(self.dashboards) + 1, "version": version}
        self.dashboards[uid] = {"dashboard": kept, "meta": {"folderUid": body["folderUid"]}}
        return {"uid": uid, "version": version, "status": "success"}


@contextmanager
def fake_grafana():
    """Run one until the end of the block."""
    grafana = FakeGrafana()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
            try:
                status, answer = 200, grafana.answer(self.command, self.path, self.headers.get("Authorization"), body)
            except Refusal as refusal:
                status, answer = refusal.status, {"message": refusal.message}
            if grafana.is_something_else:
                status, answer = 404, "not found"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_POST = do_GET

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    grafana.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield grafana
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
