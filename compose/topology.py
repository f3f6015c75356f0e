"""The part of outrider.yaml that says which clusters, regions, servers and clients there are."""

from dataclasses import replace
from pathlib import Path

from compose.scrape_settings import Lookups, read_lookups
from compose.yaml_reader import Section, SettingsError, read_sections
from telemetry.scrape.description import Region, Target

DEFAULT_REGION = "global"


def read_text(path: Path) -> str:
    """Return what *path* holds; raise SettingsError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file; name another with -f, or write one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None


def load_regions(path: Path) -> tuple[Region, ...]:
    """Return the regions in outrider.yaml, each with its cluster, and look at nothing else in it.

    Raises SettingsError, one sentence with file, line, field, value and remedy.
    """
    top = read_sections(read_text(path), str(path))
    cluster, regions = read_clusters(top, read_lookups(top, None))
    return tuple(replace(region, cluster=region.cluster or cluster) for region in regions)


def read_clusters(top: Section, lookups: Lookups) -> tuple[str, tuple[Region, ...]]:
    """Return the name of the first cluster, and the regions of all. Raises SettingsError."""
    if not top.has("clusters"):
        return top.text("cluster"), _regions(top, "", lookups)
    for name in ("cluster", "regions", *_OF_A_REGION):
        if top.has(name):
            raise top.error(name, "stands beside `clusters`; move it into one of the clusters")
    names: list[str] = []
    regions: list[Region] = []
    for section in top.sections("clusters"):
        names.append(section.text("name"))
        regions += _regions(section, names[-1], read_lookups(section, lookups))
        section.finish()
    if not names or len(set(names)) != len(names):
        raise top.error("clusters", f"are {names}; name each cluster once")
    return names[0], tuple(regions)


_OF_A_REGION = ("region", "servers", "clients", "exporters", "expected_servers")


def _regions(top: Section, cluster: str, lookups: Lookups) -> tuple[Region, ...]:
    if not top.has("regions"):
        return (_region(top, top.optional_text("region") or DEFAULT_REGION, cluster, lookups),)
    for name in _OF_A_REGION:
        if top.has(name):
            raise top.error(name, "stands beside `regions`; move it into one of the regions")
    regions = []
    for section in top.sections("regions"):
        regions.append(_region(section, section.text("name"), cluster, read_lookups(section, lookups)))
        section.finish()
    names = [region.name for region in regions]
    if not regions or len(set(names)) != len(names):
        raise top.error("regions", f"are {names}; name each region once")
    return tuple(regions)


def _region(section: Section, name: str, cluster: str, lookups: Lookups) -> Region:
    servers, clients, exporters = (
        tuple(_target(entry) for entry in section.sections(field)) for field in ("servers", "clients", "exporters")
    )
    if not servers and not lookups.finds_servers:
        raise section.error("servers", "is missing or empty; list each server with name and address")
    if not servers and not section.has("expected_servers"):
        # A size that is measured shrinks with the losses.
        raise section.error(
            "expected_servers", "is missing; without a list of servers it says how many there should be"
        )
    expected = section.integer("expected_servers", len(servers))
    if expected < 1:
        raise section.error("expected_servers", f"is {expected}; it must be at least 1")
    try:
        return Region(
            name=name,
            expected_servers=expected,
            servers=servers,
            clients=clients,
            exporters=exporters,
            cluster=cluster,
            lookup=lookups.lookup,
        )
    except ValueError as error:
        raise section.error("servers", f"cannot be used: {error}; rename one") from None


def _target(section: Section) -> Target:
    name, address = section.text("name"), section.text("address")
    datacenter = section.optional_text("datacenter") or ""
    section.finish()
    try:
        return Target(name=name, address=address, datacenter=datacenter)
    except ValueError:
        raise section.error("address", f'is {address!r}; write host:port, such as "10.0.0.5:4646"') from None
