"""Faults of certificates, on agents that speak mutual TLS: those that end soon, and their renewal, which is no fault."""

from compose.drill.actions import RenewCertificates, ShortCertificate
from compose.drill.fault import FOLLOWER, LEADER, Fault, Setup, on, one

_WEEK_SECONDS = 7 * 86_400.0
_HALF_DAY_SECONDS = 43_200.0
_READ_SECONDS = 2.0
"""For an agent to read its files and measure what is in them, which it does each second."""
_SILENCE_SECONDS = 20.0
_SMALL = (3,)
"""An alert about certificates is one about an agent: the number of servers does not touch it."""

CERTIFICATE_FAULTS = (
    Fault(
        name="certificate-expiring",
        what="A follower's certificate is replaced by one that ends in a week, and read on SIGHUP.",
        action=ShortCertificate(FOLLOWER, _WEEK_SECONDS),
        arrives=on(_SMALL, one("NomadCertificateExpiring", needs_seconds=_READ_SECONDS)),
        setup=Setup.TLS,
    ),
    Fault(
        name="certificate-expires-today",
        what="The leader's certificate is replaced by one that ends in 12 h, and read on SIGHUP.",
        action=ShortCertificate(LEADER, _HALF_DAY_SECONDS),
        arrives=on(_SMALL, one("NomadCertificateAlmostExpired", needs_seconds=_READ_SECONDS)),
        setup=Setup.TLS,
    ),
    Fault(
        name="certificates-renewed",
        what="Every certificate is replaced and read on SIGHUP, agent by agent, the leader last.",
        action=RenewCertificates(),
        arrives=on(_SMALL),
        setup=Setup.TLS,
        lasts_seconds=_SILENCE_SECONDS,
    ),
)
