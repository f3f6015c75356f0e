"""The agent.model package."""
