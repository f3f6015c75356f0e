"""The telemetry.catalogue package."""
