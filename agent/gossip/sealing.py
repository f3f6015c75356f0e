"""What is around every packet and stream: version, label, and with a keyring authenticated encryption.

AES-GCM in the header's own terms: the header, the label of the cluster and what the bytes are for (a packet, a request,
an answer) are authenticated along with them, so what was meant for another cluster or place is refused. With a keyring
nothing is decoded that a key of it has not authenticated; without one nothing encrypted is. Every key of the ring
opens, the primary one seals. Pure: the caller brings the nonces, which must come from the system's randomness.
"""

import struct
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.config.gossip_keys import KEY_BYTES, LABEL_BYTES_MAX, BadKey
from agent.gossip.wire import PACKET_BYTES_MAX, STREAM_BYTES_MAX, WireError

NONCE_BYTES = 12
TAG_BYTES = 16
KEYS_MAX = 16

_MAGIC = b"OG"
_VERSION = 1
_PLAIN, _ENCRYPTED = 0, 1
_HEADER = struct.Struct(">2sBBB")


class Purpose(IntEnum):
    """What sealed bytes are for; one is not taken for another."""

    PACKET = 1
    REQUEST = 2
    ANSWER = 3


class Keyring:
    """Keys of which the first one, the primary, encrypts and each decrypts; without any, gossip is not encrypted."""

    def __init__(self, keys: "list[bytes] | tuple[bytes, ...]" = ()) -> None:
        self._ciphers: dict[bytes, AESGCM] = {}
        for key in keys:
            self.install(key)

    @property
    def keys(self) -> list[bytes]:
        """The keys, the primary one first."""
        return list(self._ciphers)

    @property
    def enabled(self) -> bool:
        """Whether there is a key, and so encryption."""
        return bool(self._ciphers)

    def install(self, key: bytes) -> None:
        """Add *key*, which then decrypts; it is the primary one if it is the first. Raises BadKey."""
        if len(key) not in KEY_BYTES:
            raise BadKey(f"the key has {len(key)} bytes: it must have 16, 24 or 32")
        if key not in self._ciphers and len(self._ciphers) >= KEYS_MAX:
            raise BadKey(f"there are {KEYS_MAX} keys already: remove one")
        self._ciphers.setdefault(key, AESGCM(key))

    def use(self, key: bytes) -> None:
        """Make *key* the primary one; raises BadKey when it is not installed."""
        if key not in self._ciphers:
            raise BadKey("the key is not installed")
        self._ciphers = {key: self._ciphers[key], **self._ciphers}

    def remove(self, key: bytes) -> None:
        """Forget *key*, if it is there; raises BadKey for the primary one."""
        if self.keys[:1] == [key]:
            raise BadKey("the primary key cannot be removed: use another one first")
        self._ciphers.pop(key, None)

    def encrypt(self, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
        """Return nonce and ciphertext, by the primary key."""
        return nonce + next(iter(self._ciphers.values())).encrypt(nonce, plain, associated)

    def decrypt(self, sealed: bytes, associated: bytes) -> bytes:
        """Return what any of the keys authenticates; raises WireError."""
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise WireError("too short to be encrypted")
        for cipher in self._ciphers.values():
            try:
                return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated)
            except InvalidTag:
                continue
        raise WireError("No installed keys could decrypt it")


class Seal:
    """Seals and opens the bytes of one cluster, told from others by its *label* and its *keyring*."""

    def __init__(self, keyring: Keyring, label: str = "") -> None:
        self.keyring = keyring
        self._label = label.encode()
        if len(self._label) > LABEL_BYTES_MAX:
            raise BadKey(f"the label has {len(self._label)} bytes: {LABEL_BYTES_MAX} at most")

    @property
    def packet_payload_max(self) -> int:
        """Bytes that fit a packet before it is sealed."""
        return PACKET_BYTES_MAX - self._overhead

    @property
    def stream_bytes_max(self) -> int:
        """Bytes of a sealed stream at most."""
        return STREAM_BYTES_MAX + self._overhead

    @property
    def _overhead(self) -> int:
        return _HEADER.size + len(self._label) + NONCE_BYTES + TAG_BYTES

    def close(self, purpose: Purpose, plain: bytes, nonce: bytes) -> bytes:
        """Return *plain*, sealed; *nonce* is NONCE_BYTES that were never used before."""
        encrypted = self.keyring.enabled
        header = self._header(_ENCRYPTED if encrypted else _PLAIN)
        return header + (self.keyring.encrypt(nonce, plain, header + bytes([purpose])) if encrypted else plain)

    def open(self, purpose: Purpose, sealed: bytes) -> bytes:
        """Return what is in *sealed*; raises WireError that says why it is refused."""
        for form in (_ENCRYPTED, _PLAIN):
            header = self._header(form)
            if sealed.startswith(header):
                break
        else:
            raise WireError("of another protocol, version or label")
        body = sealed[len(header) :]
        if form == _ENCRYPTED:
            if not self.keyring.enabled:
                raise WireError("encrypted, and this server has no key: set encrypt to the key of the cluster")
            return self.keyring.decrypt(body, header + bytes([purpose]))
        if self.keyring.enabled:
            raise WireError("not encrypted, and this server has a key: set the same encrypt on all servers")
        return body

    def _header(self, form: int) -> bytes:
        return _HEADER.pack(_MAGIC, _VERSION, form, len(self._label)) + self._label
