"""Names become addresses without a wait."""

import threading

import pytest

from agent.consensus import resolver
from agent.consensus.resolver import Resolver, split_address


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1:4649", ("127.0.0.1", 4649)), ("[::1]:4649", ("::1", 4649)), ("server-1:1", ("server-1", 1))],
)
def test_addresses_are_split(address, expected):
    """Host and port, with or without the brackets of IPv6."""
    assert expected == split_address(address)


@pytest.mark.parametrize("address", ["", "host", "host:", "host:x", "host:65536", "host:-1"])
def test_what_is_no_address_is_refused(address):
    """The message shows the address."""
    with pytest.raises(ValueError, match="host:port"):
        split_address(address)


def test_a_name_is_looked_up_beside_the_caller(monkeypatch):
    """A slow look-up costs the caller nothing: None at first, the IPv4 address once, then a new look-up."""
    release, looked_up = threading.Event(), threading.Event()

    def slow(host, _port, type):  # noqa: A002 - as the system's
        release.wait(5)
        looked_up.set()
        return [(10, 1, 6, "", ("::1", 0, 0, 0)), (2, 1, 6, "", ("192.0.2.1", 0))]

    monkeypatch.setattr(resolver.socket, "getaddrinfo", slow)
    names = Resolver()

    first = [names.take("server-1"), names.take("server-1")]
    release.set()
    looked_up.wait(5)
    for thread in threading.enumerate():
        if thread.name == "raft-resolver":
            thread.join(5)

    assert [None, None] == first
    assert "192.0.2.1" == names.take("server-1")
    assert "127.0.0.1" == names.take("127.0.0.1")
