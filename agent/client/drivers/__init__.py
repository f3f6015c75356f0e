"""The agent.client.drivers package."""
