"""The agent.client package."""
