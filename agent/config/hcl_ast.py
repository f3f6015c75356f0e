"""What an HCL text says, as frozen values, each with its place; nothing is evaluated yet."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; line and column count from 1. Line 0 means the whole source, such as a flag."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def exact(self) -> str:
        """The place with its column."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class HclError(ConfigError):
    """A text that is no HCL, or an expression without a value; begins with file:line:column."""

    def __init__(self, position: Position, message: str) -> None:
        super().__init__(f"{position.exact}: {message}")
        self.position = position


@dataclass(frozen=True, slots=True)
class Expression:
    """Anything that has a value; `position` is its first character."""

    position: Position


@dataclass(frozen=True, slots=True)
class Literal(Expression):
    """A number, bool, null, or a string without interpolation."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Interpolation:
    """A ${...} in a string; `source` is its text, braces included."""

    expression: Expression
    source: str


@dataclass(frozen=True, slots=True)
class Template(Expression):
    """A string with at least one interpolation."""

    parts: tuple[str | Interpolation, ...]


@dataclass(frozen=True, slots=True)
class ListExpression(Expression):
    """[a, b]."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class ObjectExpression(Expression):
    """{ key = value }; a key that is a bare word is a Literal."""

    items: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True)
class Name(Expression):
    """A bare word at the root of a reference: var, local, each, attr …."""

    name: str


@dataclass(frozen=True, slots=True)
class Index(Expression):
    """base[key]; base.key is the same with a literal key."""

    base: Expression
    key: Expression


@dataclass(frozen=True, slots=True)
class Splat(Expression):
    """base[*] followed by the accesses in `keys`, taken from each element."""

    base: Expression
    keys: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Unary(Expression):
    """-x or !x."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Expression):
    """left operator right."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Conditional(Expression):
    """test ? yes : no."""

    test: Expression
    yes: Expression
    no: Expression


@dataclass(frozen=True, slots=True)
class Call(Expression):
    """function(arguments…); `expand` says that the last argument is a list to be spread."""

    function: str
    arguments: tuple[Expression, ...]
    expand: bool


@dataclass(frozen=True, slots=True)
class For(Expression):
    """[for k, v in source : value if test], or with a `key` the object form; `group` is the trailing …."""

    key_name: str
    value_name: str
    source: Expression
    key: Expression | None
    value: Expression
    test: Expression | None
    group: bool


@dataclass(frozen=True, slots=True)
class Attribute:
    """name = value."""

    name: str
    value: Expression
    position: Position


@dataclass(frozen=True, slots=True)
class Block:
    """type "label" … { body }."""

    type: str
    labels: tuple[str, ...]
    body: "Body"
    position: Position


@dataclass(frozen=True, slots=True)
class Body:
    """Attributes and blocks in the order of the text."""

    items: tuple[Attribute | Block, ...]
    position: Position

    @property
    def attributes(self) -> Iterator[Attribute]:
        """The attributes, in order."""
        return (item for item in self.items if isinstance(item, Attribute))

    @property
    def blocks(self) -> Iterator[Block]:
        """The blocks, in order."""
        return (item for item in self.items if isinstance(item, Block))
