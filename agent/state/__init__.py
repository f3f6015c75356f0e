"""The agent.state package."""
