"""The contexts of listeners and diallers: whom they let in, in handshakes in memory."""

import ssl
import time
import warnings

import pytest

from agent.tls.contexts import Tls, TlsKeeper
from agent.tls.identity import TlsRole, names_in
from agent.tls.material import read_material
from agent.tls.reasons import reason_of
from tests.agent.tls.test_tls_material import settings_of
from tests.certificates import Authority, plain_context, shake_hands

SERVER = "server.global.nomad"


def tls_of(files, role=TlsRole.SERVER, **keys):
    settings = settings_of(files, **keys)
    material, findings = read_material(settings, role, "global", time.time())
    assert material is not None, findings
    return Tls(settings, "global", material)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def test_two_servers_speak_tls_1_3(authority):
    """
    Raft's contexts know each other, and neither finds a reason to refuse.
    """
    tls = tls_of(authority.certificate("server"))

    by_client, by_server = shake_hands(tls.raft_server, tls.raft_client, SERVER)

    assert SERVER in names_in(by_client)
    assert SERVER in names_in(by_server)
    assert ssl.TLSVersion.TLSv1_2 == tls.raft_server.minimum_version


@pytest.mark.parametrize("listener", ["raft_server", "https_server"])
def test_who_shows_no_certificate_is_refused(authority, listener):
    """
    The listener says why.
    """
    tls = tls_of(authority.certificate("server"), verify_https_client=True)
    bare = ssl.create_default_context(cafile=authority.file)

    with pytest.raises(ssl.SSLError) as raised:
        shake_hands(getattr(tls, listener), bare, SERVER)

    assert "it shows no certificate" == reason_of(raised.value)


@pytest.mark.parametrize("listener", ["raft_server", "https_server"])
@pytest.mark.parametrize("who", ["stranger", "expired"])
def test_a_bad_certificate_is_refused(authority, tmp_path, listener, who):
    """
    Another CA's, and one that has ended.
    """
    tls = tls_of(authority.certificate("server"), verify_https_client=True)
    files = (
        authority.expired("client")
        if who == "expired"
        else Authority(tmp_path, "other").certificate("server", ca=authority.file)
    )

    with pytest.raises(ssl.SSLCertVerificationError) as raised:
        shake_hands(getattr(tls, listener), plain_context(files, server_side=False), SERVER)

    assert reason_of(raised.value).startswith("its certificate is refused: ")


def test_the_api_asks_for_no_certificate_unless_told(authority):
    """
    A browser gets in; the connection is encrypted.
    """
    tls = tls_of(authority.certificate("server"))

    _, seen = shake_hands(tls.https_server, ssl.create_default_context(cafile=authority.file), "localhost")

    assert not seen


def finished(server_context, client_context):
    """Return the listener's end of a handshake that succeeded."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=SERVER)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return server


def test_a_client_s_certificate_does_not_pass_for_a_server(authority):
    """
    The dialler refuses it in the handshake, the listener by its names; without verify_server_hostname both take it.
    """
    server, client = authority.certificate("server"), authority.certificate("client")
    tls, impostor = tls_of(server), tls_of(client, TlsRole.CLIENT)

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(impostor.raft_server, tls.raft_client, SERVER)
    end = finished(tls.raft_server, impostor.raft_client)

    assert f"its certificate is for client.global.nomad, localhost, not for {SERVER}" == tls.refusal(end)
    lenient = tls_of(server, verify_server_hostname=False)
    assert "" == lenient.refusal(finished(lenient.raft_server, impostor.raft_client))
    shake_hands(impostor.raft_server, lenient.raft_client, SERVER)


def test_old_protocols_and_weak_suites_are_not_spoken(authority):
    """
    TLS 1.1 is refused, and so is a suite without forward secrecy.
    """
    files = authority.certificate("server")
    old, weak = (plain_context(files, server_side=False) for _ in range(2))
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES128-SHA")

    for context in (old, weak):
        with pytest.raises(ssl.SSLError):
            shake_hands(tls_of(files).raft_server, context, SERVER)


def test_plain_text_is_no_tls(authority):
    """
    A request in plain HTTP is told from a bad certificate.
    """
    incoming = ssl.MemoryBIO()
    end = tls_of(authority.certificate("server")).https_server.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    incoming.write(b"GET / HTTP/1.1\r\n\r\n")

    with pytest.raises(ssl.SSLError) as raised:
        end.do_handshake()

    assert "it does not speak TLS" == reason_of(raised.value)


def test_a_keeper_hands_out_the_newest_and_tells(authority):
    """
    After a replacement handshakes are made with the new certificate.
    """
    first, second = (tls_of(authority.certificate("server", as_name=name)) for name in ("one", "two"))
    keeper, told = TlsKeeper(first), []
    keeper.on_change(lambda: told.append(keeper.current))

    keeper.replace(second)

    assert [second] == told
    assert second is keeper.current
