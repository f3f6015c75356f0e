"""The agent.rpc package."""
