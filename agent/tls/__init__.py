"""The agent.tls package: certificates made, read and checked, and the contexts that listeners and dialers use.

Nothing is imported here: an agent without TLS loads no library for it.
"""
