"""A healthy cluster as facts, from what a real Nomad was recorded to say, and ways to make one thing of it wrong."""

import json
from dataclasses import replace

from alert_rules.settings import ExpectedRegion, RuleSettings
from compose.check.facts import AgentFacts, Configured, Facts, PrometheusFacts, RegionFacts, ScrapeTarget
from compose.check.needed import needed_series, rule_names, shortest_window_seconds
from telemetry.catalogue import Role
from telemetry.scraped import read_exposition
from tests.compose.check.fakes import GOLDEN, golden

RULES = RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))
ADDRESSES = {"s1": "127.0.0.11", "s2": "127.0.0.12", "s3": "127.0.0.13", "c1": "127.0.0.21", "c2": "127.0.0.22"}
NOW = 1_795_000_000.0
UP_SECONDS = 600.0


def agent(name, role):
    """Return one agent that was recorded, under another name and address."""
    body = golden("agent-self-client.json" if role == "client" else "agent-self.json")
    body["config"]["NodeName"] = name
    if role == "follower":
        body["stats"]["nomad"]["leader"] = "false"
    scrape = read_exposition((GOLDEN / f"{role}.prom").read_text())
    samples = tuple(
        replace(sample, value=NOW - UP_SECONDS) if sample.name == "process_start_time_seconds" else sample
        for sample in scrape.samples
    )
    return AgentFacts(
        place=name,
        address=f"http://{ADDRESSES[name]}:4646",
        group="demo/global",
        body=body,
        scrape=replace(scrape, samples=samples),
        asked_at=NOW,
        took_seconds=0.01,
        served_at=NOW,
    )


def target(name, role):
    """Return what Prometheus says of that agent."""
    return ScrapeTarget.from_body(
        {
            "scrapeUrl": f"http://{ADDRESSES[name]}:4646/v1/metrics?format=prometheus",
            "scrapePool": f"nomad-{role}",
            "labels": {"cluster": "demo", "instance": name, "role": role},
            "health": "up",
            "lastError": "",
            "scrapeInterval": "5s",
        }
    )


def healthy():
    """Return a region of three servers and two clients in which nothing is wrong."""
    agents = (
        agent("s1", "follower"),
        agent("s2", "leader"),
        agent("s3", "follower"),
        agent("c1", "client"),
        agent("c2", "client"),
    )
    configured = tuple(
        Configured(
            name=each.place,
            address=each.address.removeprefix("http://"),
            role=Role.CLIENT if each.place.startswith("c") else Role.SERVER,
            place=f"outrider.yaml:{line}",
            region="demo/global",
        )
        for line, each in enumerate(agents, start=3)
    )
    return Facts(
        agents=agents,
        regions=(
            RegionFacts(
                name="demo/global",
                members=tuple(golden("agent-members.json")["Members"]),
                autopilot=golden("operator-autopilot-health.json"),
                voters=tuple(golden("operator-raft-configuration.json")["Servers"]),
                nodes=tuple(golden("nodes.json")),
                leader="127.0.0.12:4647",
            ),
        ),
        prometheus=(
            PrometheusFacts(
                url="http://prometheus:9090",
                targets=tuple(target(name, "client" if name.startswith("c") else "server") for name in ADDRESSES),
                rules=tuple(sorted(rule_names(RULES))),
                head_series=4_000,
                clock_seconds=0.02,
            ),
        ),
        configured=configured,
        needed=needed_series(RULES),
        rules=rule_names(RULES),
        has_settings=True,
        clusters=frozenset({"demo"}),
        shortest_window_seconds=shortest_window_seconds(RULES),
        longest_scrape_interval_seconds=5.0,
    )


def with_agent(facts, place, **changes):
    """Return *facts* with one agent changed."""
    agents = tuple(replace(each, **changes) if each.place == place else each for each in facts.agents)
    return replace(facts, agents=agents)


def with_body(facts, place, change):
    """Return *facts* with the body of one agent's /v1/agent/self changed by *change*."""
    body = json.loads(json.dumps(next(each.body for each in facts.agents if each.place == place)))
    change(body)
    return with_agent(facts, place, body=body)


def with_samples(facts, place, change):
    """Return *facts* with each sample of one agent replaced by what *change* makes of it, left out for None."""
    scrape = next(each.scrape for each in facts.agents if each.place == place)
    samples = tuple(new for sample in scrape.samples if (new := change(sample)) is not None)
    return with_agent(facts, place, scrape=replace(scrape, samples=samples))


def with_region(facts, **changes):
    """Return *facts* with what the servers say together changed."""
    return replace(facts, regions=(replace(facts.regions[0], **changes),))


def with_prometheus(facts, **changes):
    """Return *facts* with what Prometheus says changed."""
    return replace(facts, prometheus=(replace(facts.prometheus[0], **changes),))


def with_target(facts, name, **changes):
    """Return *facts* with one target of Prometheus changed."""
    targets = facts.prometheus[0].targets
    return with_prometheus(
        facts,
        targets=tuple(replace(each, **changes) if each.labels["instance"] == name else each for each in targets),
    )
