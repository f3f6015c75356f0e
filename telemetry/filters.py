"""Which series an operator wants: prefix_filter and filter_default of the telemetry block.

The longest prefix that fits decides; where an allowing and a blocking rule are the same, the blocking one does; where
none fits, filter_default does. A prefix is held against Nomad's dotted key (`nomad.nomad.job.`) and against the name
as exported (`nomad_nomad_job_`), so that either spelling does what it says: turning one into the other would make the
first one match `nomad.nomad.job_summary` too. Labels play no part.

filter_default is about Nomad's series alone: `outrider_*` series, on which alerts rest, go only when a rule names them.
The registry asks once for each metric, so filtering costs nothing where values are recorded.

Source: go-metrics metrics.go (allowMetric, UpdateFilterAndLabels).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from telemetry.catalogue.metric import Metric

_NOMAD = "nomad_"


@dataclass(frozen=True, slots=True)
class Filters:
    """Rules over the names of metrics; without any, every metric is allowed."""

    allowed: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()
    default: bool = True

    @classmethod
    def from_rules(cls, prefix_filter: Iterable[str] = (), *, filter_default: bool = True) -> Self:
        """Return the filters for entries such as `+nomad.raft` and `-nomad.nomad.broker`.

        Raises ValueError naming the entry that starts with neither sign or has nothing behind it.
        """
        rules = tuple(prefix_filter)
        for rule in rules:
            if len(rule) < 2 or rule[0] not in "+-":
                raise ValueError(
                    f'telemetry.prefix_filter has the entry "{rule}": '
                    "start it with + to publish or with - to drop what matches"
                )
        return cls(
            allowed=frozenset(rule[1:] for rule in rules if rule[0] == "+"),
            blocked=frozenset(rule[1:] for rule in rules if rule[0] == "-"),
            default=filter_default,
        )

    def allows(self, metric: Metric, expansion: str = "") -> bool:
        """Return whether the series of *metric*, expanded with *expansion*, are wanted."""
        name = metric.name.format(expansion)
        longest = self._longest(name, metric.dotted.format(expansion))
        if longest is None:
            return self.default or not name.startswith(_NOMAD)
        return longest not in self.blocked

    def _longest(self, name: str, dotted: str) -> str | None:
        # A blocking rule wins over an allowing one of the same length in the other spelling, too.
        return max(
            (p for p in self.allowed | self.blocked if name.startswith(p) or dotted.startswith(p)),
            key=lambda prefix: (len(prefix), prefix in self.blocked, prefix),
            default=None,
        )


ALLOW_ALL = Filters()
