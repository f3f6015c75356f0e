"""The agent.cli package."""
