"""The compose package."""
