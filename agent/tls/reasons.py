"""Why a handshake failed, in words that an operator can act on. Pure."""

import ssl

_NOT_TLS = frozenset(
    {"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"}
)


def reason_of(error: BaseException) -> str:
    """Return what *error*, from a handshake or from reading after it, says about the far side."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is refused: {error.verify_message}"
        case ssl.SSLError(reason="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
            return "it shows no certificate"
        case ssl.SSLError(reason=str(reason)) if reason in _NOT_TLS:
            return "it does not speak TLS"
        case ssl.SSLError(reason=str(reason)) if "_ALERT_" in reason:
            return f"it refuses the certificate or the protocol of this side: {_alert(reason)}"
        case ssl.SSLEOFError() | ConnectionResetError() | BrokenPipeError():
            return "it closed the connection during the handshake"
        case TimeoutError():
            return "the handshake did not end in time"
        case ssl.SSLError(reason=str(reason)):
            return reason.lower().replace("_", " ")
        case OSError(strerror=str(text)):
            return text.lower()
        case _:
            return str(error) or type(error).__name__


def _alert(reason: str) -> str:
    """Return the words of an alert: `TLSV13_ALERT_CERTIFICATE_REQUIRED` is "certificate required"."""
    return reason.partition("_ALERT_")[2].lower().replace("_", " ")
