"""What a check found wrong: a value that says what was seen, where, why it matters and what to do."""

from dataclasses import asdict, dataclass
from enum import Enum


class Weight(Enum):
    """How bad a finding is."""

    ERROR = "error"
    """Something does not work: rules that can never fire, panels that stay empty, a quorum that is gone."""
    WARNING = "warning"
    """It works and will not always, or not as it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found.

    *check* names what looked, *place* an agent and a field or a file and a line, *metric* the series it is about or "".
    Raises ValueError when a text that a person needs is empty.
    """

    check: str
    weight: Weight
    place: str
    seen: str
    why: str
    remedy: str
    metric: str = ""

    def __post_init__(self) -> None:
        for name in ("check", "place", "seen", "why", "remedy"):
            if not getattr(self, name):
                raise ValueError(f"a finding of {self.check!r} without {name}")

    def as_json(self) -> dict[str, str]:
        """Return it as JSON has it."""
        return {**asdict(self), "weight": self.weight.value}
