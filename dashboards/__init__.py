"""The dashboards package."""
