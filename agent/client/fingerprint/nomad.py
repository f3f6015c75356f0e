"""What the agent says of itself. Source: Nomad, client/fingerprint/nomad.go."""

from agent.client.fingerprint.base import Finding


def fingerprint(version: str, http_addr: str) -> Finding:
    """Return the agent's *version*, under the name that Nomad's tools and rules read, and its address."""
    return Finding(attributes={"nomad.version": version, "unique.advertise.address": http_addr})
