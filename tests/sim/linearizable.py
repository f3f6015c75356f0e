"""Whether clients saw one register, in which each operation took effect at one moment between its call and its return.

The search is that of Wing and Gong with the memory of Lowe: what was taken in, in any order, and the value it left is
looked at once. A key at a time, for registers do not know of each other. Values are written once each.

Source: Wing and Gong, "Testing and verifying concurrent objects"; Lowe, "Testing for linearizability".
"""

import math
from dataclasses import dataclass

STEPS_MAX = 200_000
"""Of one search; above it the history counts as too hard, which is an error and no verdict."""


@dataclass
class Operation:
    """A read or a write of one client. Times are of one clock; *returned* is infinite while the outcome is unknown."""

    client: str
    key: str
    writes: bool
    value: str
    """Written, or read."""
    called: float
    returned: float = math.inf


class TooHardError(Exception):
    """The search was given up."""


def violation(history, initial="", steps_max=STEPS_MAX):
    """Return a sentence about the first key whose history no order explains, None when every one has its order."""
    for key in sorted({operation.key for operation in history}):
        operations = _that_matter([operation for operation in history if operation.key == key])
        if not _has_order(operations, initial, steps_max):
            lines = (
                f"  {o.called:.4f} to {o.returned:.4f} {o.client} {'wrote' if o.writes else 'read'} {o.value!r}"
                for o in operations
            )
            return f"no order explains what clients saw of {key}:\n" + "\n".join(lines)
    return None


def _that_matter(operations):
    """Return them by call, without reads that never returned and writes of unknown outcome that nobody read."""
    read = {operation.value for operation in operations if not operation.writes}
    return sorted(
        (o for o in operations if o.returned < math.inf or (o.writes and o.value in read)), key=lambda o: o.called
    )


def _has_order(operations, initial, steps_max):
    must = sum(1 << number for number, o in enumerate(operations) if o.returned < math.inf)
    waiting, seen = [(0, initial)], set()
    for _ in range(steps_max):
        if not waiting:
            return False
        taken, value = waiting.pop()
        if taken & must == must:
            return True
        for after in _next(operations, taken, value):
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    raise TooHardError(f"{len(operations)} operations, more than {steps_max} steps")


def _next(operations, taken, value):
    """Return what may follow: the operations that were called before any that is left returned."""
    left = [(number, o) for number, o in enumerate(operations) if not taken >> number & 1]
    end = min(o.returned for _, o in left)
    found = []
    for number, operation in left:
        if operation.called > end:
            break
        if operation.writes:
            found.append((taken | 1 << number, operation.value))
        elif operation.value == value:
            # A read that fits now changes nothing: whatever order there is has one with it here.
            return [(taken | 1 << number, value)]
    return found
