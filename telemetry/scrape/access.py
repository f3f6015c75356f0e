"""How Prometheus speaks to an API: http or https, with which certificates, and as whom.

Pure values; secrets are files, named as Prometheus sees them, and are never read here.
Source: Prometheus, configuration of scrape_config and of `tls_config`; `http_headers` is there from 2.55.
"""

from dataclasses import dataclass
from typing import Any

ROLE, REGION = "{role}", "{region}"
"""Stand in `server_name` for what differs: a Nomad's certificates are for server.global.nomad and client.global.nomad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Scheme, TLS and token of one API. An empty text means: not set.

    Raises ValueError when TLS is configured without https, or a certificate without its key.
    """

    is_https: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    token_file: str = ""
    token_header: str = ""
    """The header for the token; empty for `Authorization: Bearer`, which a Nomad takes as well as its own."""

    def __post_init__(self) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError(f"cert_file is {self.cert_file!r} and key_file {self.key_file!r}; set both or neither")
        if self.has_tls_settings and not self.is_https:
            raise ValueError("certificates and server_name are for https; set the scheme https too")
        if self.token_header and not self.token_file:
            raise ValueError(f"token_header is {self.token_header!r} without token_file; name the file of the token")

    @property
    def has_tls_settings(self) -> bool:
        """Tell whether anything is set that only https uses."""
        return bool(self.ca_file or self.cert_file or self.server_name)

    @property
    def scheme(self) -> str:
        """The word before :// in an address."""
        return "https" if self.is_https else "http"

    @property
    def differs_by_region(self) -> bool:
        """Tell whether each region needs settings of its own."""
        return REGION in self.server_name

    def server_name_of(self, role: str, region: str) -> str:
        """Return the name that the certificate of an agent must have; empty where its address is looked for in it."""
        return self.server_name.replace(ROLE, role).replace(REGION, region)

    def client(self, role: str = "", region: str = "") -> dict[str, Any]:
        """Return the settings of a HTTP client in Prometheus' words, without the scheme."""
        texts = {
            "ca_file": self.ca_file,
            "cert_file": self.cert_file,
            "key_file": self.key_file,
            "server_name": self.server_name_of(role, region),
        }
        config: dict[str, Any] = {}
        if self.token_header:
            config["http_headers"] = {self.token_header: {"files": [self.token_file]}}
        elif self.token_file:
            config["authorization"] = {"type": "Bearer", "credentials_file": self.token_file}
        if self.has_tls_settings:
            config["tls_config"] = {name: text for name, text in texts.items() if text}
        return config
