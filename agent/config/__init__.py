"""The agent.config package."""
