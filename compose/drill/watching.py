"""Changes to what watches a cluster under drill: its targets, its expected size, and files that Prometheus refuses."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import requests
import yaml

from alert_rules.render import to_yaml
from compose.drill.fault import Unable
from compose.generate import build
from compose.local import LocalCluster
from compose.local_settings import LOOPBACK
from compose.settings import load_settings

_RELOAD_TIMEOUT_SECONDS = 10.0


class Watching:
    """The configuration of the Prometheus of *cluster*; `restore` writes it as it was and reloads it."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def without_targets(self, names: Collection[str]) -> None:
        """Take the agents *names* out of Prometheus' targets."""
        document = yaml.safe_load(self._prometheus_yml.read_text("utf-8"))
        document["scrape_configs"] = [_without(config, names) for config in document["scrape_configs"]]
        self._prometheus_yml.write_text(to_yaml(document), "utf-8")
        self.reload()

    def expecting(self, servers: int) -> None:
        """Generate everything anew for a cluster that is said to have *servers* servers."""
        file = self._cluster.settings.directory / "outrider.yaml"
        document = yaml.safe_load(file.read_text("utf-8"))
        changed = file.with_name("outrider-changed.yaml")
        changed.write_text(yaml.safe_dump(document | {"expected_servers": servers}, sort_keys=False), "utf-8")
        build(load_settings(changed), self._config)
        self.reload()

    def spoil(self) -> None:
        """Give Prometheus a file that it refuses; it goes on with the one before."""
        text = self._prometheus_yml.read_text("utf-8")
        self._prometheus_yml.write_text(text + "no_such_key: true\n", "utf-8")
        if self._ask_to_reload():
            raise Unable("Prometheus accepts a key that does not exist: its configuration cannot be spoiled")

    def restore(self) -> None:
        """Write what `outrider.yaml` gives, and reload it."""
        build(load_settings(self._cluster.settings.directory / "outrider.yaml"), self._config)
        self.reload()

    def reload(self) -> None:
        """Let Prometheus read its files; raises Unable when it does not take them."""
        if not self._ask_to_reload():
            raise Unable("Prometheus does not reload its configuration: see its log")

    @property
    def _config(self) -> Path:
        return self._cluster.settings.directory / "config"

    @property
    def _prometheus_yml(self) -> Path:
        return self._config / "prometheus.yml"

    def _ask_to_reload(self) -> bool:
        url = f"http://{LOOPBACK}:{self._cluster.settings.prometheus_port}/-/reload"
        try:
            return self._session.post(url, timeout=_RELOAD_TIMEOUT_SECONDS).ok
        except requests.RequestException as error:
            raise Unable(f"Prometheus does not answer: {error}") from error


def _without(config: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return a scrape configuration without the targets whose instance is one of *names*."""
    if "static_configs" not in config:
        return config
    kept = [each for each in config["static_configs"] if each.get("labels", {}).get("instance") not in names]
    return config | {"static_configs": kept}
