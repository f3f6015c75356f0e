"""The agent.scheduler package."""
