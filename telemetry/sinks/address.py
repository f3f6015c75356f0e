"""How a sink's address is written. Pure."""

import ipaddress

UNIX = "unix://"
"""How an address begins that is a path; dogstatsd agents offer one. Source: datadog-go UnixAddressPrefix."""


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[ip6]:port". Raises ValueError with what is wrong and what to write."""
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    if not colon or not bare or (":" in bare and not bracketed):
        raise ValueError("is no address: write host:port, such as 127.0.0.1:8125 or [::1]:8125")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ValueError(f'has the port "{port}": write a number from 1 to 65535, such as {host}:8125')
    if bracketed:
        try:
            ipaddress.IPv6Address(bare.partition("%")[0])
        except ValueError:
            raise ValueError("has brackets around what is no IPv6 address: write [::1]:8125 or name:8125") from None
    return bare, int(port)
