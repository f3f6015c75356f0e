"""How often members are probed and how long they are doubted, for near and far ones. Pure.

Source: the profiles of hashicorp/memberlist (`DefaultLANConfig`, `DefaultWANConfig`), one thing apart: there each member
probes one other an interval, in an order that is shuffled anew each round, so that with many members, or in an unlucky
order, a dead one is not probed for long. Here as many are probed an interval as makes a round last
`round_intervals_max`, in an order that stays.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timings:
    """The pace of gossip with one kind of neighbour."""

    probe_interval_seconds: float
    probe_timeout_seconds: float
    """For the direct answer; then others are asked to probe, until the interval is over."""
    round_intervals_max: int
    """Intervals in which every member is probed once."""
    indirect_probes: int
    """Members that are asked to probe one that did not answer."""
    suspicion_multiplier: int
    """Probe intervals for which a member is doubted at least, before it counts as failed."""
    suspicion_longest_multiplier: int
    """How many times longer, as long as no other member shares the doubt."""
    gossip_interval_seconds: float
    gossip_members: int
    """Members that get the news at each interval."""
    retransmit_multiplier: int
    """Times that news are sent for each power of e of members."""
    push_pull_interval_seconds: float
    stream_timeout_seconds: float
    gossip_to_failed_seconds: float
    """How long a failed member still gets the news: it hears that it was given up, and objects."""


LAN = Timings(
    probe_interval_seconds=1.0,
    probe_timeout_seconds=0.5,
    round_intervals_max=2,
    indirect_probes=3,
    suspicion_multiplier=4,
    suspicion_longest_multiplier=6,
    gossip_interval_seconds=0.2,
    gossip_members=3,
    retransmit_multiplier=4,
    push_pull_interval_seconds=30.0,
    stream_timeout_seconds=5.0,
    gossip_to_failed_seconds=30.0,
)
"""Within a region. At worst 2 s until somebody probes the dead one, 1 s without an answer, 4 s of doubt (5.2 s among 20
members) and a round of gossip: below 8 s up to 20 members, where a real Nomad, with WAN timings everywhere, takes 37 to
43 s."""

WAN = Timings(
    probe_interval_seconds=5.0,
    probe_timeout_seconds=3.0,
    round_intervals_max=4,
    indirect_probes=3,
    suspicion_multiplier=6,
    suspicion_longest_multiplier=6,
    gossip_interval_seconds=0.5,
    gossip_members=4,
    retransmit_multiplier=4,
    push_pull_interval_seconds=60.0,
    stream_timeout_seconds=10.0,
    gossip_to_failed_seconds=60.0,
)
"""Between regions, and within one where `gossip_timings = "wan"` says that its servers are far apart."""

PROFILES = {"lan": LAN, "wan": WAN}
