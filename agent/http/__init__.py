"""The HTTP API of an agent, in Nomad's words: one module for each resource of /v1."""
