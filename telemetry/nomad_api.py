"""The one HTTP client of a Nomad-compatible API: where to ask, as whom, for how long, and what went wrong.

Bodies are plain dictionaries in Nomad's JSON names. Proxies, .netrc and redirects are not followed: the token goes to
the address that was named and nowhere else.
Source: Nomad, api/api.go (environment variables, "Unexpected response code"), HTTP API.

    ApiFailure
    ├── ApiUnreachable    no answer: refused, unknown host, timed out, TLS refused
    ├── ApiError          an answer that is no success; carries status and body
    └── ApiMalformed      a success that is not JSON, or too large
"""

import base64
import errno
import hashlib
import json
import os
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

import requests
import urllib3

from telemetry import answer_time
from telemetry.clock import Clock, SystemClock

DEFAULT_ADDRESS = "http://127.0.0.1:4646"

TIMEOUT_SECONDS = 30.0
"""For one answer: servers hold a request about five seconds for a leader, on either of two hops."""

TRANSFER_SECONDS = 150.0
"""For the next byte of a file, or for the answer to one that was sent: servers take up to a minute for each half."""

BODY_BYTES_MAX = 256 * 1024 * 1024
"""A list of 50,000 allocations is about 100 MB."""

RETRY_PAUSE_SECONDS = 0.25

Params = Mapping[str, str | int]


class ApiFailure(Exception):
    """The root of what can go wrong between us and the API."""


class ApiUnreachable(ApiFailure):
    """No answer came; the message names the request and the reason as Nomad's own client does."""


class ApiError(ApiFailure):
    """The API answered that it will not, or cannot."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"Unexpected response code: {status} ({body.strip()})")
        self.status = status
        self.body = body


class ApiMalformed(ApiFailure):
    """The answer is nothing this client can read: not JSON, or larger than it accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Where the API is and how to speak to it. An empty text means: not set.

    Raises ValueError when the address is no http or https URL, or when only one of `client_cert` and `client_key`
    is set.
    """

    address: str = DEFAULT_ADDRESS
    region: str = ""
    namespace: str = ""
    token: str = ""
    ca_cert: str = ""
    ca_path: str = ""
    client_cert: str = ""
    client_key: str = ""
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    timeout_seconds: float = TIMEOUT_SECONDS
    retry_seconds: float = 0.0
    """For how long a read that could not be sent is tried again; 0 for one try."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"address {self.address!r} is no URL of an agent; write one such as {DEFAULT_ADDRESS}")
        if bool(self.client_cert) != bool(self.client_key):
            raise ValueError(
                f"client certificate {self.client_cert!r} and client key {self.client_key!r}: set both or neither"
            )

    def __repr__(self) -> str:
        shown = (f"{name.name}={getattr(self, name.name)!r}" for name in fields(self) if name.name != "token")
        return f"ApiSettings({', '.join(shown)}, token={'set' if self.token else 'unset'})"

    @property
    def chooses_tls(self) -> bool:
        """Whether something is chosen that means TLS: whom to trust, as whom to speak, or which name to expect."""
        return bool(self.ca_cert or self.ca_path or self.client_cert or self.tls_server_name or self.tls_skip_verify)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "ApiSettings":
        """Return what Nomad's NOMAD_* variables say. Raises ValueError as the constructor does."""
        read = environment.get
        return cls(
            address=read("NOMAD_ADDR") or DEFAULT_ADDRESS,
            region=read("NOMAD_REGION", ""),
            namespace=read("NOMAD_NAMESPACE", ""),
            token=read("NOMAD_TOKEN", ""),
            ca_cert=read("NOMAD_CACERT", ""),
            ca_path=read("NOMAD_CAPATH", ""),
            client_cert=read("NOMAD_CLIENT_CERT", ""),
            client_key=read("NOMAD_CLIENT_KEY", ""),
            tls_server_name=read("NOMAD_TLS_SERVER_NAME", ""),
            tls_skip_verify=read("NOMAD_SKIP_VERIFY", "").lower() in {"1", "t", "true"},
        )


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """A success: the decoded body, and what the X-Nomad headers say of it (zero or None where there are none)."""

    value: Any
    status: int = 200
    index: int = 0
    known_leader: bool | None = None
    last_contact_seconds: float = 0.0
    next_token: str = ""
    served_at: float | None = None
    """When the agent's own clock says that it answered, in whole Unix seconds; None when it does not say."""


class NomadApi:
    """A session with one agent; not shared between threads, as requests' sessions are not."""

    def __init__(
        self,
        settings: ApiSettings | None = None,
        *,
        clock: Clock | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.settings = settings or ApiSettings.from_environment()
        self._clock = clock or SystemClock()
        self._pause = pause or threading.Event().wait
        self._session = _session(self.settings)
        self._bundle = (
            None if self.settings.ca_cert or self.settings.tls_skip_verify else _bundle(self.settings.ca_path)
        )
        if self._bundle is not None:
            self._session.verify = self._bundle.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        if self._bundle is not None:
            self._bundle.close()

    def get(
        self,
        path: str,
        params: Params | None = None,
        *,
        stale: bool = False,
        index: int = 0,
        wait_seconds: float = 0.0,
        accept: Collection[int] = (),
    ) -> ApiAnswer:
        """Return the JSON at *path*, such as "/v1/jobs".

        With *index* the query blocks until something newer is there, for *wait_seconds* at most. A status in *accept*
        is a success too. Raises ApiFailure.
        """
        query: dict[str, str | int] = dict(params or {})
        timeout = self.settings.timeout_seconds
        if stale:
            query["stale"] = ""
        if index:
            query["index"] = index
            query["wait"] = f"{round(wait_seconds * 1000)}ms"
            # A server adds up to a sixteenth.
            timeout += wait_seconds * 17 / 16
        return _answer(self._send("GET", path, query, None, timeout), accept)

    def get_text(self, path: str, params: Params | None = None) -> str:
        """Return the body at *path* as text, such as /v1/metrics for Prometheus. Raises ApiFailure."""
        response = self._send("GET", path, dict(params or {}), None, self.settings.timeout_seconds)
        if response.status != 200:
            raise ApiError(response.status, response.text)
        return response.text

    def put(self, path: str, body: Any, params: Params | None = None) -> ApiAnswer:
        """Send *body* as JSON; never repeated. Raises ApiFailure."""
        data = json.dumps(body).encode()
        return _answer(self._send("PUT", path, dict(params or {}), data, self.settings.timeout_seconds))

    def post(self, path: str, body: Any, params: Params | None = None) -> ApiAnswer:
        """Send *body* as JSON; never repeated. Raises ApiFailure."""
        data = json.dumps(body).encode()
        return _answer(self._send("POST", path, dict(params or {}), data, self.settings.timeout_seconds))

    def download(self, path: str, into: BinaryIO, *, stale: bool = False) -> None:
        """Write the body at *path* to *into* as it comes; raises ApiFailure, also where it does not match its Digest."""
        query: dict[str, str | int] = {"stale": ""} if stale else {}
        with self._transfer("GET", path, query, None) as response:
            digest = hashlib.sha256()
            while part := response.raw.read1(answer_time.PART_BYTES):
                into.write(part)
                digest.update(part)
            stated = response.headers.get("Digest", "")
        if stated != f"sha-256={base64.b64encode(digest.digest()).decode()}":
            raise ApiMalformed(f"the answer does not match its checksum ({stated or 'no Digest header'})")

    def upload(self, path: str, file: BinaryIO) -> None:
        """Send *file* as the body; never repeated. Raises ApiFailure."""
        with self._transfer("PUT", path, {}, file):
            pass

    def delete(self, path: str, params: Params | None = None) -> ApiAnswer:
        """Ask for a removal; never repeated. Raises ApiFailure."""
        return _answer(self._send("DELETE", path, dict(params or {}), None, self.settings.timeout_seconds))

    def pages(self, path: str, params: Params | None = None, *, per_page: int = 1000) -> Iterator[Any]:
        """Return the items of a long list, page by page. Raises ApiFailure, also while being read."""
        query: dict[str, str | int] = {**(params or {}), "per_page": per_page}
        while True:
            answer = self.get(path, query)
            yield from answer.value
            if not answer.next_token:
                return
            query["next_token"] = answer.next_token

    def _send(self, method: str, path: str, query: dict[str, str | int], data: bytes | None, timeout: float) -> "_Raw":
        if self.settings.region:
            query.setdefault("region", self.settings.region)
        if self.settings.namespace:
            query.setdefault("namespace", self.settings.namespace)
        # Only a read may be sent twice, and only when no answer to it came.
        deadline = self._clock.monotonic() + (self.settings.retry_seconds if method == "GET" else 0.0)
        while True:
            try:
                return self._send_once(method, path, query, data, timeout)
            except ApiUnreachable:
                if self._clock.monotonic() + RETRY_PAUSE_SECONDS > deadline:
                    raise
                self._pause(RETRY_PAUSE_SECONDS)

    def _send_once(
        self, method: str, path: str, query: Mapping[str, str | int], data: bytes | None, timeout: float
    ) -> "_Raw":
        url = self.settings.address.rstrip("/") + path
        limit = answer_time.within(timeout)
        try:
            with self._session.request(
                method, url, params=dict(query), data=data, timeout=limit, stream=True, allow_redirects=False
            ) as response:
                body = _body(response, f"{method} {url}")
                return _Raw(response.status_code, response.headers, body, f"{method} {url}")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            reason = _reason(error, url) + self._hint(error)
            raise ApiUnreachable(f'{method.capitalize()} "{_full_url(url, query)}": {reason}') from error

    @contextmanager
    def _transfer(
        self, method: str, path: str, query: dict[str, str | int], file: BinaryIO | None
    ) -> Iterator[requests.Response]:
        """Give the answer to a request about a file, once it is a success; raises ApiFailure."""
        if self.settings.region:
            query["region"] = self.settings.region
        url = self.settings.address.rstrip("/") + path
        try:
            with self._session.request(
                method, url, params=query, data=file, timeout=TRANSFER_SECONDS, stream=True, allow_redirects=False
            ) as response:
                if response.status_code != 200:
                    body = _body(response, f"{method} {url}")
                    raise ApiError(response.status_code, body.decode("utf-8", "replace"))
                answer_time.take_slowly(response)
                yield response
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            reason = _reason(error, url) + self._hint(error)
            raise ApiUnreachable(f'{method.capitalize()} "{_full_url(url, query)}": {reason}') from error

    def _hint(self, error: BaseException) -> str:
        """Return what may be behind a connection that ended without a word: few listeners say that they ask for more."""
        is_bare = self.settings.address.startswith("https:") and not self.settings.client_cert
        ended = any(isinstance(cause, ConnectionError | ssl.SSLEOFError) for cause in _causes(error))
        if not is_bare or not ended or any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error)):
            return ""
        return (
            " (no client certificate was shown: if the agent asks for one, set NOMAD_CLIENT_CERT and NOMAD_CLIENT_KEY)"
        )


@dataclass(frozen=True, slots=True)
class _Raw:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    request: str

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def with_overrides(settings: ApiSettings, overrides: Mapping[str, Any]) -> ApiSettings:
    """Return *settings* with what *overrides* sets; its None and "" values change nothing. Raises ValueError."""
    return replace(settings, **{name: value for name, value in overrides.items() if value not in {None, ""}})


def _session(settings: ApiSettings) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    if settings.tls_skip_verify:
        # Whoever asks for it need not be told at each request.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    session.verify = False if settings.tls_skip_verify else (settings.ca_cert or settings.ca_path or True)
    if settings.client_cert:
        session.cert = (settings.client_cert, settings.client_key)
    answer_time.use_in(session, settings.tls_server_name)
    session.headers["User-Agent"] = "outrider"
    if settings.token:
        session.headers["X-Nomad-Token"] = settings.token
    return session


def _bundle(folder: str) -> "tempfile._TemporaryFileWrapper[bytes] | None":
    """Return a file of all authorities in *folder*, None when there are none.

    OpenSSL looks into a folder for names that are hashes; Nomad's client reads every file, whatever its name.
    """
    try:
        found = [path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()] if folder else []
    except OSError:
        return None  # the first request says that it cannot be used
    certificates = [data for data in found if b"-----BEGIN CERTIFICATE-----" in data]
    if not certificates:
        return None
    file = tempfile.NamedTemporaryFile(prefix="outrider-ca-", suffix=".pem")  # noqa: SIM115 - closed with the session
    file.write(b"\n".join(certificates))
    file.flush()
    return file


def _body(response: requests.Response, request: str) -> bytes:
    try:
        return answer_time.body_of(response, BODY_BYTES_MAX)
    except answer_time.AnswerTooLarge as error:
        raise ApiMalformed(f"{request}: {error}") from error


def _answer(raw: _Raw, accept: Collection[int] = ()) -> ApiAnswer:
    if raw.status not in {200, 204} and raw.status not in accept:
        raise ApiError(raw.status, raw.text)
    try:
        value = json.loads(raw.body) if raw.body else None
    except (ValueError, RecursionError) as error:
        raise ApiMalformed(f"{raw.request}: the answer is not JSON; is this the address of an agent?") from error
    known = raw.headers.get("X-Nomad-Knownleader")
    return ApiAnswer(
        value=value,
        status=raw.status,
        index=_number(raw.headers.get("X-Nomad-Index")),
        known_leader=None if known is None else known == "true",
        last_contact_seconds=_number(raw.headers.get("X-Nomad-Lastcontact")) / 1000,
        next_token=raw.headers.get("X-Nomad-Nexttoken", ""),
        served_at=_moment(raw.headers.get("Date")),
    )


def _moment(text: str | None) -> float | None:
    """Return the Unix seconds of a Date header, None when there is none or it says nothing."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0


def _full_url(url: str, query: Mapping[str, str | int]) -> str:
    prepared = requests.Request("GET", url, params=dict(query)).prepare().url
    return prepared or url


def _reason(error: BaseException, url: str) -> str:
    """Return why there was no answer, in the words of Nomad's client."""
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "context deadline exceeded"
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    for cause in _causes(error):
        match cause:
            case socket.gaierror():
                return f"dial tcp: lookup {parts.hostname}: no such host"
            case TimeoutError():
                return "context deadline exceeded"
            case ssl.SSLCertVerificationError():
                return f"tls: failed to verify certificate: {cause.verify_message}"
            case ssl.SSLError():
                return f"tls: {cause.reason or cause}"
            case OSError(errno=errno.ECONNREFUSED):
                return f"dial tcp {parts.hostname}:{port}: connect: connection refused"
            case OSError(errno=errno.ECONNRESET):
                return f"read tcp {parts.hostname}:{port}: connection reset by peer"
            case OSError(errno=code) if code is not None:
                return f"dial tcp {parts.hostname}:{port}: connect: {os.strerror(code).lower()}"
            case _:
                continue
    return "EOF" if "RemoteDisconnected" in repr(error) else str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return the operating system's part of *error*'s chain, innermost last, ours and requests' left out."""
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        found = pending.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        if not isinstance(found, requests.RequestException):
            yield found
        pending += [getattr(found, "reason", None), found.__cause__, found.__context__, *found.args]
