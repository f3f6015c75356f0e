"""RPC under mutual TLS: who may call what, what the others are told, and new certificates on the run."""

import asyncio
import contextlib
import logging

import pytest

from agent.errors import RequestRefused, Unreachable
from agent.rpc.client import RpcClient
from agent.rpc.look import TlsRefused, look
from agent.rpc.methods import (
    EVAL_DEQUEUE,
    METHODS,
    NODE_GET_NODE,
    SERVER_ONLY,
    STATUS_PING,
    EvalDequeueRequest,
    EvalDequeueResponse,
    NodeResponse,
    NodeSpecificRequest,
    Request,
    Response,
)
from agent.rpc.service import RpcServer
from agent.tls.contexts import TlsKeeper
from agent.tls.identity import TlsRole
from telemetry.recorder import NullRecorder
from tests.agent.rpc.test_client_and_service import Scripted
from tests.agent.tls.test_tls_contexts import tls_of
from tests.certificates import Authority

LOGGER = logging.getLogger("test.rpc.tls")


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def server_files(authority):
    return authority.certificate("server")


@contextlib.asynccontextmanager
async def serving(keeper, answer=lambda method, request: Response()):
    """Yield (address, dispatcher) of a server that speaks TLS."""
    dispatcher = Scripted(answer)
    server = RpcServer("127.0.0.1", 0, dispatcher, NullRecorder(), LOGGER, keeper)
    await server.start()
    try:
        yield f"127.0.0.1:{server.port}", dispatcher
    finally:
        await server.stop(0)


@contextlib.asynccontextmanager
async def calling(files, role=TlsRole.CLIENT, **keys):
    client = RpcClient(NullRecorder(), LOGGER, TlsKeeper(tls_of(files, role, **keys)) if files else None)
    try:
        yield client
    finally:
        await client.close()


def one_call(server_files, files, method=STATUS_PING, request=None, *, server_keys=None, **keys):
    """Return what a caller with *files* gets, and what reached the dispatcher."""

    async def session():
        server = TlsKeeper(tls_of(server_files, **(server_keys or {})))
        async with serving(server) as (address, dispatcher), calling(files, **keys) as client:
            try:
                answer = await client.call(address, method, request or Request(), 5)
            except (RequestRefused, Unreachable) as error:
                answer = error
            await asyncio.gather(*client._background, return_exceptions=True)
            return answer, [name for name, _, _ in dispatcher.seen]

    return asyncio.run(session())


@pytest.mark.parametrize("role", ["server", "client"])
def test_agents_are_heard(authority, server_files, role):
    """
    A server and a client of the region get their answer.
    """
    answer, seen = one_call(server_files, authority.certificate(role))

    assert Response() == answer
    assert ["Status.Ping"] == seen


def test_a_client_may_not_act_as_a_server(authority, server_files, caplog):
    """
    What workers ask is refused before it is decoded, and so is a request that only a server would forward.
    """
    client = authority.certificate("client")
    dequeue = EvalDequeueRequest(schedulers=["service"], timeout_seconds=0.0)

    answer, seen = one_call(server_files, client, EVAL_DEQUEUE, dequeue)
    assert (403, []) == (answer.status, seen)
    assert "only server.global.nomad may call Eval.Dequeue" in str(answer)
    answer, seen = one_call(server_files, client, STATUS_PING, Request(forwarded=True))
    assert (403, []) == (answer.status, seen)

    assert 2 == sum("rpc: refused a call from=127.0.0.1:" in line for line in caplog.messages)
    assert EvalDequeueResponse() == one_call(server_files, server_files, EVAL_DEQUEUE, dequeue)[0]


def test_a_call_that_is_refused_is_not_decoded(authority, server_files):
    """
    Bytes that are no request meet the same refusal.
    """

    class Nonsense(Request, frozen=True):
        region: int = 7

    answer, _ = one_call(server_files, authority.certificate("client"), EVAL_DEQUEUE, Nonsense())

    assert 403 == answer.status


def test_a_command_line_s_certificate_is_no_agent_s(authority, server_files):
    """
    It is for the HTTP API; without verify_server_hostname any certificate of the CA will do.
    """
    cli = authority.certificate("cli")

    answer, _ = one_call(server_files, cli, verify_server_hostname=False)
    assert 403 == answer.status
    lenient = {"verify_server_hostname": False}
    assert Response() == one_call(server_files, cli, server_keys=lenient, **lenient)[0]


@pytest.mark.parametrize("who", ["nobody", "stranger", "expired"])
def test_others_get_no_connection(authority, server_files, tmp_path, who, caplog):
    """
    Without a certificate, with another CA's, with one that has ended; the caller is told why, once.
    """
    match who:
        case "nobody":
            files = None
        case "stranger":
            files = Authority(tmp_path, "other").certificate("client", ca=None)
        case _:
            files = authority.expired("client")

    answer, seen = one_call(server_files, files)

    assert isinstance(answer, Unreachable)
    assert [] == seen
    told = [line for line in caplog.messages if line.startswith("rpc: no connection to=")]
    assert (0 if who == "nobody" else 1) == len(told), told


def test_a_client_refuses_a_server_that_is_none(authority, caplog):
    """
    One with a client's certificate: the names are checked, and the log has both.
    """
    client = authority.certificate("client")

    answer, seen = one_call(client, client, server_keys={"verify_server_hostname": False})

    assert isinstance(answer, Unreachable)
    assert [] == seen
    assert any("server.global.nomad" in line for line in caplog.messages), caplog.messages


def test_another_region_s_server_is_refused(authority, server_files):
    """
    Its name is another.
    """
    answer, seen = one_call(
        authority.certificate("server", "eu"), server_files, server_keys={"verify_server_hostname": False}
    )

    assert isinstance(answer, Unreachable)
    assert [] == seen


def test_without_the_check_of_names_any_server_of_the_ca_will_do(authority):
    """
    As a Nomad without verify_server_hostname; one of another CA still will not.
    """
    odd = authority.certificate("client", "elsewhere")
    lenient = {"verify_server_hostname": False}

    assert Response() == one_call(odd, odd, server_keys=lenient, **lenient)[0]


def test_new_certificates_are_used_without_losing_a_call(authority, tmp_path):
    """
    A blocking query that began before goes on; calls after it are made with the new CA alone.
    """
    new = Authority(tmp_path, "new")
    both = tmp_path / "both.pem"
    both.write_bytes(authority.file.read_bytes() + new.file.read_bytes())

    async def session():
        arrived, answered = asyncio.Event(), asyncio.Event()

        def answer(method, request):
            async def hold():
                arrived.set()
                await answered.wait()
                return NodeResponse()

            return hold() if method is NODE_GET_NODE else Response()

        server = TlsKeeper(tls_of(authority.certificate("server", ca=both)))
        async with (
            serving(server, answer) as (address, _),
            calling(authority.certificate("client", ca=both)) as client,
        ):
            held = asyncio.create_task(client.call(address, NODE_GET_NODE, NodeSpecificRequest(node_id="n"), 10))
            await arrived.wait()
            server.replace(tls_of(new.certificate("server", as_name="s2")))
            client._tls.replace(tls_of(new.certificate("client", as_name="c2"), TlsRole.CLIENT))
            await client.call(address, STATUS_PING, Request(), 5)
            async with calling(authority.certificate("client", as_name="c3", ca=both)) as old:
                with pytest.raises(Unreachable):
                    await old.call(address, STATUS_PING, Request(), 5)
            answered.set()
            return await held

    assert NodeResponse() == asyncio.run(asyncio.wait_for(session(), 30))


def test_a_look_tells_the_name_and_the_reason(authority, server_files, tmp_path):
    """
    A name of a good server, TlsRefused for a bad one, Unreachable for none.
    """
    tls = tls_of(authority.certificate("client"), TlsRole.CLIENT)
    stranger = tls_of(Authority(tmp_path, "other").certificate("client"), TlsRole.CLIENT)

    async def session():
        async with serving(TlsKeeper(tls_of(server_files))) as (address, _):
            name = await look(address, tls, 5)
            with pytest.raises(TlsRefused):
                await look(address, stranger, 5)
        with pytest.raises(Unreachable):
            await look("127.0.0.1:1", tls, 5)
        return name

    assert "server.global.nomad" == asyncio.run(session())


def test_what_only_servers_call_is_known():
    """
    Every method that works from the leader's memory is among them: no client has business there.
    """
    assert set(METHODS) > SERVER_ONLY
    assert "Plan.Submit" in SERVER_ONLY
