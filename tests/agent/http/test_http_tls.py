"""The HTTP API over TLS: who gets in, what the others are told, and new certificates on the run."""

import asyncio
import logging
import ssl

import pytest

from agent.http.guard import HttpLimits
from agent.http.server import HttpServer
from agent.tls.contexts import TlsKeeper
from agent.tls.identity import names_in
from telemetry.nomad_api import ApiSettings, ApiUnreachable, NomadApi
from telemetry.recorder import NullRecorder
from tests.agent.tls.test_tls_contexts import tls_of
from tests.certificates import Authority, plain_context

LOGGER = logging.getLogger("test.http.tls")
REQUEST = b"GET /v1/regions HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def files(authority):
    return authority.certificate("server")


@pytest.fixture
def serve(agent):
    """Run a coroutine that is given a TLS server of *agent*."""

    def run(keeper, use, **limits):
        async def session():
            server = HttpServer(agent, "127.0.0.1", 0, NullRecorder(), LOGGER, limits=HttpLimits(**limits), tls=keeper)
            await server.start()
            try:
                return await asyncio.wait_for(use(server), timeout=20)
            finally:
                await server.stop()

        return asyncio.run(session())

    return run


def trusting(authority):
    return ssl.create_default_context(cafile=authority.file)


async def ask(server, context, requests=1):
    """Return the peer's names and the status lines of *requests* on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="localhost")
    statuses = []
    for _ in range(requests):
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        statuses.append(head.split(b"\r\n")[0])
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
    names = names_in(writer.get_extra_info("peercert"))
    writer.close()
    return names, statuses


def test_a_request_is_answered_over_tls(serve, authority, files):
    """
    To anybody who trusts the CA; requests follow each other on one connection.
    """
    names, statuses = serve(TlsKeeper(tls_of(files)), lambda server: ask(server, trusting(authority), 2))

    assert "localhost" in names
    assert [b"HTTP/1.1 200 OK"] * 2 == statuses


@pytest.mark.parametrize("who", ["nobody", "stranger", "expired"])
def test_only_certificates_of_the_ca_get_in_when_asked_for(serve, authority, files, tmp_path, who, caplog):
    """
    With verify_https_client; each of the others is one line in the log, however often it comes back.
    """
    match who:
        case "nobody":
            context = trusting(authority)
        case "stranger":
            context = plain_context(
                Authority(tmp_path, "other").certificate("cli"), server_side=False, trusts=authority.file
            )
        case _:
            context = plain_context(authority.expired("cli"), server_side=False)

    async def twice(server):
        for _ in range(2):
            # In TLS 1.3 the verdict comes with the first answer.
            with pytest.raises((ssl.SSLError, ConnectionResetError, asyncio.IncompleteReadError)):
                await ask(server, context)
        return await ask(server, plain_context(authority.certificate("cli"), server_side=False))

    _, statuses = serve(TlsKeeper(tls_of(files, verify_https_client=True)), twice)

    assert [b"HTTP/1.1 200 OK"] == statuses
    told = [line for line in caplog.messages if line.startswith("http: refused a connection from=127.0.0.1:")]
    assert 1 == len(told), caplog.messages
    assert ("it shows no certificate" in told[0]) is (who == "nobody")


def test_plain_http_is_told_and_closed(serve, files, caplog):
    """
    Whoever forgot the s in https gets nothing, and the log says so.
    """

    async def use(server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        said = await reader.read()
        writer.close()
        return said

    said = serve(TlsKeeper(tls_of(files)), use)

    assert b"HTTP/" not in said
    assert ["it does not speak TLS" in line for line in caplog.messages if "refused" in line] == [True]


def test_who_never_shakes_hands_is_counted_and_dropped(serve, authority, files, caplog):
    """
    A silent connection takes a place until its time is up, and no more places than a client may have.
    """

    async def use(server):
        silent = await asyncio.open_connection("127.0.0.1", server.port)
        while not server.connections:  # noqa: ASYNC110 - bounded by the fixture
            await asyncio.sleep(0)
        with pytest.raises(OSError):
            await ask(server, trusting(authority))
        rest = await silent[0].read()
        silent[1].close()
        while server.connections:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return rest, await ask(server, trusting(authority))

    rest, (_, statuses) = serve(TlsKeeper(tls_of(files)), use, connections_per_client_max=1, header_timeout_seconds=1.5)

    assert b"" == rest
    assert [b"HTTP/1.1 200 OK"] == statuses


def test_stopping_does_not_wait_for_handshakes(serve, files):
    """
    A connection in its handshake is dropped.
    """

    async def use(server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while not server.connections:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await server.stop()
        rest = await reader.read()
        writer.close()
        return rest

    assert b"" == serve(TlsKeeper(tls_of(files)), use)


def test_a_renewed_certificate_is_shown_to_new_connections(serve, authority, files):
    """
    A connection that is open goes on with what it has.
    """
    keeper = TlsKeeper(tls_of(files))

    async def use(server):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=trusting(authority), server_hostname="localhost"
        )
        keeper.replace(tls_of(authority.certificate("server", as_name="new", names=("renewed.example",))))
        names, _ = await ask(server, trusting(authority))
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return names, head

    names, head = serve(keeper, use)

    assert "renewed.example" in names
    assert head.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "no client certificate was shown"),
        ({"tls_server_name": "server.eu.nomad", "mine": True}, "tls: failed to verify certificate"),
        ({"ca_cert": "", "mine": True}, "tls: failed to verify certificate"),
    ],
)
def test_the_command_line_s_client_says_what_is_wrong(serve, authority, files, keys, words):
    """
    No certificate where one is asked for, a wrong name, an unknown CA.
    """
    cli = authority.certificate("cli")

    async def use(server):
        given = {"ca_cert": str(authority.file), "tls_server_name": "server.global.nomad", **keys}
        if given.pop("mine", False):
            given |= {"client_cert": str(cli.certificate), "client_key": str(cli.key)}
        return await asyncio.to_thread(get, server.port, given)

    error = serve(TlsKeeper(tls_of(files, verify_https_client=True)), use)

    assert isinstance(error, ApiUnreachable)
    assert words in str(error)


def get(port, given):
    settings = ApiSettings(address=f"https://127.0.0.1:{port}", **given)
    with NomadApi(settings) as api:
        try:
            return api.get("/v1/regions").value
        except ApiUnreachable as error:
            return error


@pytest.mark.parametrize(
    "change", [{}, {"tls_server_name": ""}, {"tls_skip_verify": True, "ca_cert": "", "tls_server_name": ""}]
)
def test_the_command_line_s_client_gets_in(serve, authority, files, change):
    """
    With its certificate, checked by name, by address, or not at all.
    """
    cli = authority.certificate("cli")
    given = {
        "ca_cert": str(authority.file),
        "client_cert": str(cli.certificate),
        "client_key": str(cli.key),
        "tls_server_name": "server.global.nomad",
        **change,
    }

    found = serve(
        TlsKeeper(tls_of(files, verify_https_client=True)),
        lambda server: asyncio.to_thread(get, server.port, given),
    )

    assert ["global"] == found


def test_a_folder_of_authorities_is_read_whatever_its_names(serve, authority, files, tmp_path):
    """
    As Nomad's client does; OpenSSL by itself wants names that are hashes. A folder without one trusts nobody else.
    """
    (tmp_path / "cas").mkdir()
    Authority(tmp_path / "cas", "other")
    given = {"ca_path": str(tmp_path / "cas")}

    async def use(server):
        before = await asyncio.to_thread(get, server.port, given)
        (tmp_path / "cas" / "ours.crt").write_bytes(authority.file.read_bytes())
        return before, await asyncio.to_thread(get, server.port, given)

    before, after = serve(TlsKeeper(tls_of(files)), use)

    assert "tls: failed to verify certificate" in str(before)
    assert ["global"] == after
