"""Certificates for tests, made when they are needed: none is kept in the repository."""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from agent.tls.identity import TlsRole
from agent.tls.issue import CertificateRequest, Issued, issue_authority, issue_certificate

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Files:
    """Where one certificate lies, with its key and the CA that others are checked against."""

    ca: Path
    certificate: Path
    key: Path

    def stanza(self, **keys):
        """Return a tls block of these files; *keys* are true or false, http, rpc and verify_server_hostname true."""
        given = {"http": True, "rpc": True, "verify_server_hostname": True, **keys}
        flags = "".join(f"  {name} = {str(value).lower()}\n" for name, value in given.items())
        files = f'  ca_file = "{self.ca}"\n  cert_file = "{self.certificate}"\n  key_file = "{self.key}"\n'
        return f"tls {{\n{flags}{files}}}\n"


class Authority:
    """A CA in *folder*, and what it signs."""

    def __init__(self, folder, name="ca", *, now=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, name
        self.issued = issue_authority(now or time.time(), 30)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.issued.certificate)

    def certificate(self, role, region="global", *, as_name="", days=2, now=None, names=(), addresses=(), ca=None):
        """Write a certificate of *role*; *ca* is the file that others are checked against, this CA's unless given."""
        name = as_name or f"{self.name}-{region}-{role}"
        request = CertificateRequest(role=TlsRole(role), region=region, names=names, addresses=addresses)
        made = issue_certificate(now or time.time(), days, request, self.issued)
        return write(self.folder, name, made, ca or self.file)

    def expired(self, role, region="global"):
        """Write one that ended yesterday."""
        return self.certificate(role, region, as_name=f"expired-{role}", days=1, now=time.time() - 2 * DAY_SECONDS)


def write(folder: Path, name: str, made: Issued, ca: Path) -> Files:
    """Write *made*, as a renewal does: each file is whole at every moment."""
    files = Files(ca, folder / f"{name}.pem", folder / f"{name}-key.pem")
    for path, data in ((files.certificate, made.certificate), (files.key, made.key)):
        fresh = path.with_suffix(".new")
        fresh.write_bytes(data)
        fresh.replace(path)
    return files


def plain_context(files, *, server_side, trusts=None):
    """Return a context of the ssl module alone: mutual TLS with *files*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trusts or files.ca)
    context.load_cert_chain(files.certificate, files.key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def shake_hands(server_context, client_context, name):
    """Let both ends talk in memory; return what each learnt of the other. Raises ssl.SSLError when one refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(6):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    server.write(b"x")
    assert b"x" == client.read(1)
    return client.getpeercert(), server.getpeercert()
