"""The agent.http package."""
