"""Host names to addresses without ever blocking the caller: the system's resolver may take seconds."""

import ipaddress
import socket
import threading


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[ipv6]:port"; raises ValueError when there is no port."""
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{address!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_literal(host: str) -> bool:
    """Tell whether *host* is an IP address and needs no look-up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Resolver:
    """Looks names up on a thread of its own for each look-up, at most one a name at a time."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def take(self, host: str) -> str | None:
        """Return an IP address for *host*, or None while it is looked up: ask again later.

        An answer is handed out once, so that the next connection sees a changed address.
        """
        if is_literal(host):
            return host
        with self._lock:
            answer = self._answers.pop(host, None)
            if answer is None and host not in self._running:
                self._running.add(host)
                threading.Thread(target=self._look_up, args=(host,), name="raft-resolver", daemon=True).start()
        return answer

    def _look_up(self, host: str) -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            # IPv4 first: "localhost" is often both, and an agent listens on 0.0.0.0 unless told otherwise.
            found = str(min(answers, key=lambda answer: answer[0] != socket.AF_INET)[4][0])
        except OSError:
            found = ""  # not known now; the dialling side asks again
        with self._lock:
            self._running.discard(host)
            if found:
                self._answers[host] = found
