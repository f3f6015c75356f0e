"""Text to tokens: the words of HCL, with strings already taken apart into text and interpolations.

Source: the HCL native syntax specification; HCL1's numbers and keys where agent files use them.
"""

import math
import re
from dataclasses import dataclass
from enum import Enum

from agent.config.hcl_ast import HclError, Position

MAX_SOURCE_CHARACTERS = 4 * 1024 * 1024
MAX_DEPTH = 32  # of brackets and interpolations; the deepest of real files is about 8


class Kind(Enum):
    """The kinds of token; the value is what an error message calls it."""

    NAME = "a name"
    NUMBER = "a number"
    STRING = "a string"
    OPERATOR = "an operator"
    NEWLINE = "the end of the line"
    END = "the end of the file"


@dataclass(frozen=True, slots=True)
class Piece:
    """An interpolation inside a string: its tokens, ended by END, and its text with braces."""

    tokens: tuple["Token", ...]
    source: str


@dataclass(frozen=True, slots=True)
class Token:
    """One word. `text` is as written; a STRING has `parts`; a NUMBER has `number`."""

    kind: Kind
    text: str
    position: Position
    parts: tuple[str | Piece, ...] = ()
    number: int | float = 0

    def describe(self) -> str:
        """Say what this token is, for "found …"."""
        match self.kind:
            case Kind.NEWLINE | Kind.END:
                return f'"{self.text}"' if self.text == "}" else self.kind.value
            case Kind.STRING:
                return "a string"
            case _:
                return f'"{self.text[:40]}"'


_NAME = re.compile(r"[^\W\d][\w-]*")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SPACE = re.compile(r"[ \t\r]+")
_HEREDOC = re.compile(r"<<(-?)([^\W\d][\w.-]*)[ \t]*\r?\n")
_OPERATOR = re.compile(r"\.\.\.|[=!<>]=|&&|\|\||=>|[{}\[\]()=:?,.+\-*/%<>!]")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f"}
_PLAIN = re.compile(r'[^"\\$%\n]+')
_OPENING, _CLOSING = "{[(", "}])"


def tokenize(source: str, filename: str, *, templates: bool = True) -> tuple[Token, ...]:
    """Return the tokens of *source*, ended by one END; without *templates*, ${ is text like any other.

    Raises HclError at the first character that fits nowhere.
    """
    return _Lexer(source.removeprefix("\ufeff"), filename, templates=templates).run()


class _Lexer:
    """Walks once over the text."""

    def __init__(self, source: str, filename: str, *, templates: bool) -> None:
        self.source = source
        self.filename = filename
        self.templates = templates
        self.at = 0
        self.depth = 0
        self.line = 1
        self.line_start = 0
        self.counted = 0

    def run(self) -> tuple[Token, ...]:
        """Tokenize to the end of the text."""
        if len(self.source) > MAX_SOURCE_CHARACTERS:
            raise HclError(
                Position(self.filename, 1, 1),
                f"the text has {len(self.source)} characters, at most {MAX_SOURCE_CHARACTERS} are read",
            )
        tokens = self.tokens_until_end()
        return (*tokens, Token(Kind.END, "", self.position()))

    def position(self, at: int | None = None) -> Position:
        """Return the place of offset *at* (now if None); offsets are asked for in rising order, or nearly so."""
        offset = self.at if at is None else at
        if offset < self.counted:
            line = self.source.count("\n", 0, offset) + 1
            return Position(self.filename, line, offset - self.source.rfind("\n", 0, offset))
        passed = self.source.count("\n", self.counted, offset)
        if passed:  # the start of the line is remembered: looking for it costs the square of a very long line
            self.line += passed
            self.line_start = self.source.rfind("\n", self.counted, offset) + 1
        self.counted = offset
        return Position(self.filename, self.line, offset - self.line_start + 1)

    def fail(self, message: str, at: int | None = None) -> HclError:
        """Return the error for this place."""
        return HclError(self.position(at), message)

    def tokens_until_end(self, *, inside: bool = False) -> list[Token]:
        """Read tokens to the end of the text or, *inside* an interpolation, to the brace that closes it."""
        tokens: list[Token] = []
        open_brackets: list[str] = []
        while self.at < len(self.source):
            if self.skip_blank():
                continue
            token = self.token()
            if token.kind is Kind.NEWLINE and (open_brackets[-1] != "{" if open_brackets else inside):
                continue  # a line ends nothing inside ( ), [ ] and ${ }
            if token.text in _OPENING and token.kind is Kind.OPERATOR:
                open_brackets.append(token.text)
                if len(open_brackets) + self.depth > MAX_DEPTH:
                    raise HclError(token.position, f"nested deeper than {MAX_DEPTH} levels")
            elif token.text in _CLOSING and token.kind is Kind.OPERATOR:
                if not open_brackets:
                    if inside and token.text == "}":
                        return tokens
                    raise HclError(token.position, f'found "{token.text}" that closes nothing')
                expected = _CLOSING[_OPENING.index(open_brackets.pop())]
                if token.text != expected:
                    raise HclError(token.position, f'found "{token.text}", expected "{expected}"')
            tokens.append(token)
        if inside:
            raise self.fail("found the end of the file inside ${ }, expected }")
        return tokens

    def skip_blank(self) -> bool:
        """Pass over spaces or one comment; say whether there was any."""
        if matched := _SPACE.match(self.source, self.at):
            self.at = matched.end()
            return True
        if self.source.startswith(("#", "//"), self.at):
            end = self.source.find("\n", self.at)
            self.at = len(self.source) if end < 0 else end
            return True
        if self.source.startswith("/*", self.at):
            end = self.source.find("*/", self.at + 2)
            if end < 0:
                raise self.fail("found a comment without its end, expected */")
            self.at = end + 2
            return True
        return False

    def token(self) -> Token:
        """Read one token."""
        position, character = self.position(), self.source[self.at]
        if character == "\n":
            self.at += 1
            return Token(Kind.NEWLINE, "\n", position)
        if character == '"':
            return self.string(position)
        if matched := _NAME.match(self.source, self.at):
            self.at = matched.end()
            return Token(Kind.NAME, matched[0], position)
        if matched := _NUMBER.match(self.source, self.at):
            return self.number(matched[0], position)
        if self.source.startswith("<<", self.at):
            return self.heredoc(position)
        if matched := _OPERATOR.match(self.source, self.at):
            self.at = matched.end()
            return Token(Kind.OPERATOR, matched[0], position)
        raise self.fail(f"found {character!r}, which begins nothing in HCL")

    def number(self, text: str, position: Position) -> Token:
        """Read a decimal or hexadecimal number; a leading 0 is decimal, as in HCL2."""
        self.at += len(text)
        if len(text) > 64:
            raise HclError(position, f"found a number of {len(text)} characters, at most 64 are read")
        value: int | float
        if text[:2].lower() == "0x":
            value = int(text, 16)
        elif text.isdigit():
            value = int(text)
        else:
            value = float(text)
        if value == math.inf:
            raise HclError(position, f"found {text}, a number too large")
        return Token(Kind.NUMBER, text, position, number=value)

    def string(self, position: Position) -> Token:
        """Read a quoted string."""
        start = self.at
        self.at += 1
        parts: list[str | Piece] = []
        while self.at < len(self.source):
            if matched := _PLAIN.match(self.source, self.at):
                _append(parts, matched[0])
                self.at = matched.end()
                continue
            match self.source[self.at]:
                case '"':
                    self.at += 1
                    return Token(Kind.STRING, self.source[start : self.at], position, tuple(parts))
                case "\n":
                    raise HclError(position, 'found the end of the line inside a string, expected "')
                case "\\":
                    _append(parts, self.escape())
                case _:
                    self.dollar(parts)
        raise HclError(position, 'found the end of the file inside a string, expected "')

    def escape(self) -> str:
        """Read one backslash escape."""
        letter = self.source[self.at + 1 : self.at + 2]
        if letter in _ESCAPES and letter:
            self.at += 2
            return _ESCAPES[letter]
        if letter in {"u", "U"}:
            return self.unicode_escape(4 if letter == "u" else 8)
        raise self.fail(rf"found the escape \{letter}, expected one of \n \r \t \" \\ \uNNNN \UNNNNNNNN")

    def unicode_escape(self, digits: int) -> str:
        """Read a unicode escape of four or eight digits, or a pair of surrogates as JSON writes them."""
        matched = re.compile(rf"\\[uU]([0-9a-fA-F]{{{digits}}})").match(self.source, self.at)
        code = int(matched[1], 16) if matched else -1
        pair = re.compile(r"\\u([dD][89abAB]..)\\u([dD][c-fC-F]..)").match(self.source, self.at)
        if pair and digits == 4:
            try:
                high, low = int(pair[1], 16), int(pair[2], 16)
            except ValueError:
                code = -1
            else:
                self.at = pair.end()
                return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
        if matched is None or not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise self.fail(f"found a broken unicode escape, expected {digits} hexadecimal digits of a character")
        self.at = matched.end()
        return chr(code)

    def dollar(self, parts: list[str | Piece], end: int | None = None) -> None:
        """Read what begins with $ or %: an interpolation, its escape ($${), or the plain character."""
        character = self.source[self.at]
        if not self.templates:
            _append(parts, character)
            self.at += 1
        elif self.source.startswith(character * 2 + "{", self.at):
            _append(parts, character + "{")
            self.at += 3
        elif self.source.startswith("${", self.at):
            parts.append(self.piece(end))
        elif self.source.startswith("%{", self.at):
            raise self.fail(
                "found %{, a template directive, which is not supported here; write %%{ for the text itself"
            )
        else:
            _append(parts, character)
            self.at += 1

    def piece(self, end: int | None) -> Piece:
        """Read ${ … }."""
        start = self.at
        self.at += 2
        if self.source.startswith("~", self.at):
            raise self.fail("found ${~, which strips spaces and is not supported here")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fail(f"nested deeper than {MAX_DEPTH} levels")
        tokens = self.tokens_until_end(inside=True)
        self.depth -= 1
        if end is not None and self.at > end:
            raise self.fail("found ${ in a heredoc without its }", start)
        closing = Token(Kind.END, "}", self.position(self.at - 1))
        return Piece((*tokens, closing), self.source[start : self.at])

    def heredoc(self, position: Position) -> Token:
        """Read <<NAME or <<-NAME up to the line that holds the name alone."""
        opening = _HEREDOC.match(self.source, self.at)
        if opening is None:
            raise self.fail("found <<, expected a heredoc: << or <<-, a name and the end of the line")
        closing = re.compile(rf"^[ \t]*{re.escape(opening[2])}[ \t]*\r?$", re.MULTILINE).search(
            self.source, opening.end()
        )
        if closing is None:
            raise HclError(position, f"found the end of the file inside the heredoc, expected a line {opening[2]}")
        start, self.at = self.at, opening.end()
        parts: list[str | Piece] = []
        while self.at < closing.start():
            stop = min(
                (found for mark in "$%" if (found := self.source.find(mark, self.at, closing.start())) >= 0),
                default=closing.start(),
            )
            _append(parts, self.source[self.at : stop].replace("\r\n", "\n"))
            self.at = stop
            if self.at < closing.start():
                self.dollar(parts, closing.start())
        self.at = closing.end() - (1 if closing[0].endswith("\r") else 0)
        if opening[1]:
            parts = _dedent(parts)
        return Token(Kind.STRING, self.source[start : self.at], position, tuple(parts))


def _append(parts: list[str | Piece], text: str) -> None:
    """Add *text*, joined to a text before it."""
    if not text:
        return
    if parts and isinstance(last := parts[-1], str):
        parts[-1] = last + text
    else:
        parts.append(text)


def _dedent(parts: list[str | Piece]) -> list[str | Piece]:
    """Remove from every line the indentation that all lines with content share."""
    indents: list[int] = []
    at_line_start = True
    for part in parts:
        if isinstance(part, Piece):
            if at_line_start:
                indents.append(0)
            at_line_start = False
            continue
        lines = part.split("\n")
        for number, line in enumerate(lines):
            fresh = at_line_start if number == 0 else True
            last = number == len(lines) - 1
            if fresh and (line.strip() or (last and line)):
                indents.append(len(line) - len(line.lstrip(" \t")))
        at_line_start = lines[-1] == ""
    width = min(indents, default=0)
    if not width:
        return parts
    result: list[str | Piece] = []
    at_line_start = True
    for part in parts:
        if isinstance(part, Piece):
            result.append(part)
            at_line_start = False
            continue
        lines = part.split("\n")
        kept = [
            line[min(width, len(line) - len(line.lstrip(" \t"))) :] if number or at_line_start else line
            for number, line in enumerate(lines)
        ]
        _append(result, "\n".join(kept))
        at_line_start = lines[-1] == ""
    return result
