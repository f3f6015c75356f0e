"""The telemetry.scrape package."""
