"""The alert_rules package."""
