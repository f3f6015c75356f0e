"""The agent.consensus package."""
