"""The words in which a block of the agent's file is described: Key, BlockSpec, and what each state of a key means."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The type of a value; the value of the member is what an error message calls it."""

    STRING = "a string"
    BOOL = "true or false"
    INT = "a whole number without a unit"
    FLOAT = "a number"
    DURATION = "a duration such as 30s, 5m or 1h30m"
    STRINGS = "a list of strings"
    STRING_MAP = "a map of strings"
    PATH = "a path"
    ANYTHING = "a value"


class State(Enum):
    """What Outrider does with a key."""

    WORKING = "it has its effect"
    ACCEPTED = "Nomad has it, Outrider not yet: one warning lists such keys"
    MOOT = "it switches off what Outrider does not do: nothing to say"
    PROTECTIVE = "it protects and is not there yet: an error when set, never ignored"
    REFUSED = "it will not come: an error that says why"


class Merge(Enum):
    """What a later file does to the value of an earlier one; maps always merge key by key.

    Source: the Merge functions of Nomad's agent, where a value that is "", 0, false or [] counts as not given.
    """

    REPLACE = "replace, unless the later value is empty"
    ALWAYS = "replace, empty or not"
    APPEND = "append"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a block.

    `why` says what it is for, and for a REFUSED or PROTECTIVE key what to do instead. `field` is the attribute of the
    block's dataclass ("" for none); `minimum` and `maximum` are inclusive, in the file's unit (seconds for durations).
    """

    name: str
    kind: Kind
    why: str
    state: State = State.WORKING
    field: str = ""
    merge: Merge = Merge.REPLACE
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """A block, its keys and its inner blocks.

    A `labelled` one carries a name: plugin "raw_exec" { … }. One that comes `whole` replaces what earlier files said
    of it: what it leaves out is off; all keys with a field are then of kind BOOL.
    """

    name: str
    why: str
    keys: tuple[Key, ...] = ()
    blocks: tuple["BlockSpec", ...] = ()
    state: State = State.WORKING
    labelled: bool = False
    whole: bool = False

    @property
    def entries(self) -> "tuple[Key | BlockSpec, ...]":
        """Keys, then inner blocks, in the order of the schema."""
        keys: tuple[Key | BlockSpec, ...] = self.keys
        return keys + self.blocks

    def find(self, name: str) -> "Key | BlockSpec | None":
        """Return the key or inner block of that name."""
        return next((entry for entry in self.entries if entry.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """All names that may stand in the block, sorted."""
        return tuple(sorted(entry.name for entry in self.entries))


def working(
    name: str,
    kind: Kind,
    why: str,
    *,
    field: str | None = None,
    merge: Merge = Merge.REPLACE,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Key:
    """Describe a key that has its effect; the field is named as the key, durations with _seconds."""
    named = field if field is not None else f"{name}_seconds" if kind is Kind.DURATION else name
    return Key(name, kind, why, State.WORKING, named, merge, minimum, maximum, choices)


def accepted(name: str, why: str) -> Key:
    """Describe a key whose value is passed over for now, whatever it holds."""
    return Key(name, Kind.ANYTHING, why, State.ACCEPTED)


def moot(name: str, why: str, kind: Kind = Kind.ANYTHING) -> Key:
    """Describe a key that switches off what Outrider does not do; with a *kind* its value is read and kept."""
    return Key(name, kind, why, State.MOOT, "" if kind is Kind.ANYTHING else name)


def protective(name: str, kind: Kind, why: str) -> Key:
    """Describe a key that protects and must not be ignored."""
    return Key(name, kind, why, State.PROTECTIVE)


def accepted_block(name: str, why: str) -> BlockSpec:
    """Describe a block that is passed over for now, whatever it holds, labels included."""
    return BlockSpec(name, why, state=State.ACCEPTED)
