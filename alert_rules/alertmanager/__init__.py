"""What Alertmanager reads: its configuration, whole or in parts to merge, and the texts of its notifications."""

from alert_rules.alertmanager.configuration import alertmanager_config
from alert_rules.alertmanager.routes import WATCHDOG, receivers_of
from alert_rules.settings import NOBODY

__all__ = ["NOBODY", "WATCHDOG", "alertmanager_config", "receivers_of"]
