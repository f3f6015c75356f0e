"""Keys of gossip as an operator writes them: 16, 24 or 32 bytes in base64. Pure."""

import base64
import binascii

KEY_BYTES = (16, 24, 32)
"""AES-128, AES-192 and AES-256."""

LABEL_BYTES_MAX = 64


class BadKey(ValueError):
    """A key that is none, or an operation that the keyring cannot do; the message is for the operator."""


def parse_key(text: str) -> bytes:
    """Return the key in base64 *text*; raises BadKey."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadKey("the key is not base64: make one with outrider operator gossip keyring generate") from error
    if len(key) not in KEY_BYTES:
        raise BadKey(f"the key has {len(key)} bytes: it must have 16, 24 or 32")
    return key


def key_text(key: bytes) -> str:
    """Return *key* in base64."""
    return base64.b64encode(key).decode()
