"""The tls block of an agent's file as values: what it says, and what its files hold. Source: Nomad's reference of the tls block."""

from dataclasses import dataclass
from pathlib import Path

FILE_KEYS = ("ca_file", "cert_file", "key_file")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Where TLS is spoken and with which files.

    `http` is the API, `rpc` calls between agents and Raft, both ways and mutual. `verify_server_hostname` wants
    server.<region>.nomad in the certificate of whoever acts as a server; without it any certificate of the CA will do.
    `verify_https_client` wants a certificate of whoever asks the API.
    """

    http: bool = False
    rpc: bool = False
    verify_server_hostname: bool = False
    verify_https_client: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @property
    def is_on(self) -> bool:
        """Whether TLS is spoken anywhere."""
        return self.http or self.rpc

    @property
    def needed_files(self) -> tuple[str, ...]:
        """The keys of the files without which what is switched on cannot work."""
        if not self.is_on:
            return ()
        return FILE_KEYS if self.rpc or self.verify_https_client else FILE_KEYS[1:]


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """The files as they were read, PEM, and what they say. The times are Unix seconds.

    `authority` is empty and `authority_expires` None when no ca_file was given; it may hold several authorities, and
    the time is the first one's, as a Nomad's metric says it.
    """

    certificate: bytes
    key: bytes
    authority: bytes
    names: tuple[str, ...]
    certificate_expires: float
    authority_expires: float | None
