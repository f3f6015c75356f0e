"""The agent.leader package."""
