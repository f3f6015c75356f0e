"""Speaks to Grafana's HTTP API: the folder and the dashboards in it, by uid.

Source: Grafana's HTTP API for folders and dashboards, which 11, 12 and 13 all answer: 13 deprecates `/api` and leaves it
as it is. A dashboard that somebody saved in the newer form, which 12 can and 13 does, is not given out there (406): the
answer names the address where it is.
"""

import re
from typing import Any

import requests

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 20.0
_NOT_FOUND, _NOT_ACCEPTABLE, _FIRST_REFUSAL = 404, 406, 300
_NEWER_ADDRESS = re.compile(r"/apis/dashboard\.grafana\.app/[\w/.-]+")
_REMEDIES = {
    401: "the token is wrong or has expired: make a new one for a service account",
    403: "the token may not: its service account needs the role Editor, or dashboards:write and folders:create",
    412: "somebody else's dashboard has this title in the folder: rename or remove it",
    413: "something in front of Grafana takes no request of this size: allow it 1 MB",
}
"""What to do about a refusal, by its status."""


class GrafanaError(Exception):
    """Grafana did not answer, or refused: one sentence with its address, what it said and the remedy."""


class Grafana:
    """One Grafana at *url*, asked with a token; redirects are not followed, so that none gets the token elsewhere.

    Raises GrafanaError when *url* is no address of the web.
    """

    def __init__(self, url: str, token: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise GrafanaError(f"{url!r} is no address of a Grafana: write it as in a browser, https://host/")
        self._url = url.rstrip("/")
        self._session = requests.Session()
        # No .netrc, whose password would go before the token.
        self._session.trust_env = False
        self._session.headers.update({"Authorization": f"Bearer {token}", "Accept": "application/json"})

    def has_folder(self, uid: str) -> bool:
        """Say whether there is a folder with this *uid*."""
        return self._ask("GET", f"/api/folders/{uid}") is not None

    def make_folder(self, uid: str, title: str) -> None:
        """Make a folder at the top."""
        self._need("POST", "/api/folders", {"uid": uid, "title": title})

    def dashboard(self, uid: str) -> dict[str, Any] | None:
        """Return the dashboard with this *uid* as `dashboard`, and what Grafana knows of it as `meta`; None without one.

        Of one that was saved in the newer form `dashboard` has the tags alone, and `newer_form` is its version.
        """
        path = f"/api/dashboards/uid/{uid}"
        answer = self._send("GET", path, None)
        newer = _NEWER_ADDRESS.search(_said(answer)) if answer.status_code == _NOT_ACCEPTABLE else None
        if newer is None:
            return self._read(answer, "GET", path)
        found = self._ask("GET", newer.group()) or {}
        spec = found.get("spec")
        tags = spec.get("tags") if isinstance(spec, dict) else None
        version = str(found.get("apiVersion") or newer.group().split("/")[3])
        return {"dashboard": {"tags": tags or []}, "meta": {}, "newer_form": version}

    def save(self, document: dict[str, Any], folder: str, message: str) -> int:
        """Write *document* into the folder over the one of its uid, if there is one, and return its new version."""
        body = {"dashboard": document, "folderUid": folder, "message": message, "overwrite": True}
        return int(self._need("POST", "/api/dashboards/db", body).get("version", 0))

    def _need(self, method: str, path: str, body: Any) -> dict[str, Any]:
        answer = self._ask(method, path, body)
        if answer is None:
            raise self._stranger(path)
        return answer

    def _stranger(self, path: str) -> GrafanaError:
        return GrafanaError(f"{self._url}{path} answers with something else than Grafana's API: name Grafana's address")

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        """Return the answer, None when there is no such thing; raise GrafanaError for anything else."""
        return self._read(self._send(method, path, body), method, path)

    def _send(self, method: str, path: str, body: Any) -> requests.Response:
        try:
            return self._session.request(
                method,
                self._url + path,
                json=body,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise GrafanaError(
                f"Grafana at {self._url} does not answer ({_cause(error)}): is it running there?"
            ) from None

    def _read(self, answer: requests.Response, method: str, path: str) -> dict[str, Any] | None:
        said = _said(answer)
        if answer.status_code == _NOT_FOUND and method == "GET":
            if not _is_object(answer):
                raise self._stranger(path)
            return None
        if answer.status_code >= _FIRST_REFUSAL:
            raise GrafanaError(
                f"Grafana at {self._url} refused {method} {path} with {answer.status_code}: {said}{_remedy(answer, said)}"
            )
        if not _is_object(answer):
            raise self._stranger(path)
        found: dict[str, Any] = answer.json()
        return found


def _is_object(answer: requests.Response) -> bool:
    try:
        return isinstance(answer.json(), dict)
    except ValueError:
        return False


def _said(answer: requests.Response) -> str:
    """Return what a refusal says: Grafana's message, or the beginning of the body."""
    try:
        found = answer.json()
    except ValueError:
        return " ".join(answer.text.split())[:300]
    return str(found.get("message") or "") if isinstance(found, dict) else ""


def _remedy(answer: requests.Response, said: str) -> str:
    if "provisioned" in said:
        return "; it is provisioned from files: change those, or take its provider away"
    if "changed by someone else" in said:
        return "; it was saved there at the same moment: run this again"
    if answer.is_redirect:
        return f"it leads to {answer.headers.get('Location')}; name that address"
    remedy = _REMEDIES.get(answer.status_code, "")
    return f"; {remedy}" if remedy else ""


def _cause(error: requests.RequestException) -> str:
    """Return the innermost reason that *error* was raised for, without the objects its text is full of."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return getattr(cause, "strerror", None) or type(error).__name__
