"""outrider.yaml: the one file from which every configuration is generated.

One region can stand at the top level; several stand under `regions`. Secrets are never in the file, only the paths of
files that hold them, as the program that uses them (Alertmanager) sees those paths.
"""

from dataclasses import dataclass, field
from pathlib import Path

from alert_rules.kubernetes import Manifest
from alert_rules.rule import RuleError
from alert_rules.rules import rule_set
from alert_rules.settings import ExpectedRegion, Links, RuleSettings, Times
from compose.receivers import read_mute_times, read_receivers, read_version
from compose.rule_settings import label_names, label_values, manifest_of, rule_choices, selectors, windows_of
from compose.scrape_settings import read_lookups, read_scrape
from compose.topology import read_clusters, read_text
from compose.yaml_reader import Section, read_sections
from telemetry.scrape.description import ClusterDescription, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything an operator configures, split by who uses it."""

    description: ClusterDescription
    rules: RuleSettings
    manifest: Manifest = field(default_factory=Manifest)

    @property
    def cluster(self) -> str:
        """The cluster's name, the label `cluster` of every target and alert."""
        return self.description.cluster


def load_settings(path: Path) -> Settings:
    """Read outrider.yaml; raise SettingsError, one sentence with file, line, field, value and remedy."""
    return parse_settings(read_text(path), str(path))


def parse_settings(text: str, file: str = "outrider.yaml") -> Settings:
    """Return the settings in *text*; *file* names it in errors."""
    top = read_sections(text, file)
    times = _times(top)
    lookups = read_lookups(top, None)
    scrape = read_scrape(top, times.scrape_interval_seconds)
    cluster, regions = read_clusters(top, lookups)
    links = _links(top.section("links"))
    mute_times = read_mute_times(top)
    version = read_version(top)
    receivers = read_receivers(top, version, mute_times)
    watchers = {name: _addresses(top, name, default) for name, default in _WATCHERS.items()}
    external_labels = label_values(top, "external_labels")
    description = ClusterDescription(
        cluster=cluster,
        regions=regions,
        prometheus=watchers["prometheus"][0],
        other_prometheus=watchers["prometheus"][1:],
        alertmanager=watchers["alertmanager"][0],
        other_alertmanagers=watchers["alertmanager"][1:],
        external_labels=external_labels,
        replica_label=_replica_label(top, external_labels),
        scrape_interval_seconds=times.scrape_interval_seconds,
        evaluation_interval_seconds=times.evaluation_interval_seconds,
        scrape_timeout_seconds=scrape.timeout_seconds,
        discovery=lookups.discovery,
        lookup=lookups.lookup,
        access=scrape.access,
        sample_limits=scrape.sample_limits,
    )
    rules = RuleSettings(
        cluster=cluster,
        regions=tuple(
            ExpectedRegion(name=region.name, expected_servers=region.expected_servers, cluster=region.cluster)
            for region in regions
        ),
        times=times,
        windows=windows_of(top, times),
        links=links,
        receivers=receivers,
        mute_times=mute_times,
        alertmanager_version=version,
        choices=rule_choices(top),
        alert_labels=label_values(top, "alert_labels"),
        label_names=label_names(top),
        selectors=selectors(top),
        prometheus_servers=len(watchers["prometheus"]),
        alertmanagers=len(watchers["alertmanager"]),
    )
    manifest = manifest_of(top)
    top.finish()
    try:
        rule_set(rules)
    except RuleError as error:
        raise top.error("rules", f"cannot be: {error}") from None
    return Settings(description=description, rules=rules, manifest=manifest)


def _times(top: Section) -> Times:
    shipped = Times()
    times = Times(
        scrape_interval_seconds=top.seconds("scrape_interval", shipped.scrape_interval_seconds),
        evaluation_interval_seconds=top.seconds("evaluation_interval", shipped.evaluation_interval_seconds),
        group_wait_seconds=top.seconds("group_wait", shipped.group_wait_seconds),
        group_interval_seconds=top.seconds("group_interval", shipped.group_interval_seconds),
        repeat_interval_seconds=top.seconds("repeat_interval", shipped.repeat_interval_seconds),
    )
    if times.scrape_interval_seconds > 15:
        # A real Nomad's event series live for 60 s: four scrapes must see them.
        raise top.error("scrape_interval", f"is {times.scrape_interval_seconds:g}s; the rules need at most 15s")
    if times.repeat_interval_seconds < times.group_interval_seconds:
        raise top.error(
            "repeat_interval",
            f"is {times.repeat_interval_seconds:g}s and group_interval {times.group_interval_seconds:g}s; "
            "repeat no more often than groups are looked at",
        )
    return times


_WATCHERS = {"prometheus": "127.0.0.1:9090", "alertmanager": "127.0.0.1:9093"}


def _addresses(top: Section, name: str, default: str) -> tuple[str, ...]:
    """Return the address under *name*, or those of a list of several."""
    texts = top.texts(name, (default,))
    for address in texts:
        try:
            Target(name=name, address=address)
        except ValueError:
            raise top.error(name, f"is {address!r}; write host:port, such as {default!r}") from None
    if not texts or len(set(texts)) != len(texts):
        raise top.error(name, f"is {list(texts)}; name each address once")
    return texts


def _replica_label(top: Section, external_labels: dict[str, str]) -> str:
    name = top.optional_text("replica_label") or ""
    if name and name not in external_labels:
        raise top.error("replica_label", f"is {name!r}, which external_labels do not have; add it there")
    return name


def _links(section: Section | None) -> Links:
    shipped = Links()
    if section is None:
        return shipped
    links = Links(
        runbook_base_url=(section.optional_text("runbooks") or shipped.runbook_base_url).rstrip("/"),
        dashboard_url=section.optional_text("dashboard") or shipped.dashboard_url,
    )
    section.finish()
    return links
