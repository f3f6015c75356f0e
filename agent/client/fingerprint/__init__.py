"""The agent.client.fingerprint package."""
