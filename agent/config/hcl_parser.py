"""Tokens to a body of attributes and blocks, or to one expression.

Two dialects share one grammar. AGENT is HCL1 as Nomad's agent files use it: quoted and dotted keys, ${ as plain
text, several settings on a line. JOB is HCL2: templates, functions, references.
Source: the HCL native syntax specification, and HCL1's parser for what agent files add.
"""

from enum import Enum

from agent.config import hcl_ast as ast
from agent.config.hcl_ast import HclError
from agent.config.hcl_lexer import MAX_DEPTH, Kind, Piece, Token, tokenize

_PRECEDENCE = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_CONSTANTS = {"true": True, "false": False, "null": None}


class Dialect(Enum):
    """Which HCL a text is written in."""

    AGENT = "agent"
    JOB = "job"


def parse(source: str, filename: str, dialect: Dialect = Dialect.JOB) -> ast.Body:
    """Return what *source* says. Raises HclError with file, line, column, what was found and what was expected."""
    tokens = tokenize(source, filename, templates=dialect is Dialect.JOB)
    return _Parser(tokens, dialect).whole_body()


def parse_json_object(source: str, filename: str) -> ast.Body:
    """Return the body that a JSON object stands for; its values are expressions, its strings plain text.

    Raises HclError. The grammar is that of HCL's literals, of which JSON is a part.
    """
    parser = _Parser(tokenize(source, filename, templates=False), Dialect.AGENT)
    parser.skip_newlines()
    value = parser.expression()
    parser.skip_newlines()
    parser.expect_end()
    if not isinstance(value, ast.ObjectExpression):
        raise HclError(value.position, "found another value, expected a JSON object: { … }")
    return body_of_object(value)


def parse_expression(source: str, filename: str) -> ast.Expression:
    """Return the one expression that *source* is. Raises HclError."""
    parser = _Parser(tokenize(source, filename), Dialect.JOB)
    parser.skip_newlines()
    value = parser.expression()
    parser.skip_newlines()
    parser.expect_end()
    return value


def body_of_object(value: ast.ObjectExpression) -> ast.Body:
    """Return an object as the body of a block, which is how HCL1 and JSON write blocks. Raises HclError."""
    items: list[ast.Attribute | ast.Block] = []
    for key, item in value.items:
        if not isinstance(key, ast.Literal) or not isinstance(key.value, str):
            raise HclError(key.position, "found a computed key, expected a plain one")
        items.append(ast.Attribute(key.value, item, key.position))
    return ast.Body(tuple(items), value.position)


class _Parser:
    """Recursive descent over one sequence of tokens; binary operators by precedence climbing."""

    def __init__(self, tokens: tuple[Token, ...], dialect: Dialect, depth: int = 0) -> None:
        self.tokens = tokens
        self.dialect = dialect
        self.at = 0
        self.depth = depth

    # The tokens

    @property
    def token(self) -> Token:
        """Return the token that is next."""
        return self.tokens[self.at]

    def advance(self) -> Token:
        """Pass over the next token and return it; END stays."""
        token = self.tokens[self.at]
        if token.kind is not Kind.END:
            self.at += 1
        return token

    def is_operator(self, text: str) -> bool:
        """Say whether the operator *text* is next."""
        return self.token.kind is Kind.OPERATOR and self.token.text == text

    def accept(self, text: str) -> bool:
        """Pass over the operator *text* if it is next."""
        if self.is_operator(text):
            self.advance()
            return True
        return False

    def fail(self, expected: str) -> HclError:
        """Return the error that something else was expected here."""
        return HclError(self.token.position, f"found {self.token.describe()}, expected {expected}")

    def expect(self, text: str, where: str) -> None:
        """Pass over the operator *text*, or raise."""
        if not self.accept(text):
            raise self.fail(f'"{text}" {where}')

    def skip_newlines(self) -> None:
        """Pass over ends of lines."""
        while self.token.kind is Kind.NEWLINE:
            self.at += 1

    def expect_end(self) -> None:
        """Raise unless everything was read."""
        if self.token.kind is not Kind.END:
            raise self.fail("the end of the file")

    # Bodies

    def whole_body(self) -> ast.Body:
        """Parse to the end of the file."""
        body = self.body(Kind.END)
        self.expect_end()
        return body

    def body(self, closing: Kind) -> ast.Body:
        """Parse items up to the end of the file or, for OPERATOR, up to a closing brace, which stays unread."""
        position = self.token.position
        items: list[ast.Attribute | ast.Block] = []
        while True:
            self.skip_newlines()
            if self.token.kind is Kind.END or (closing is Kind.OPERATOR and self.is_operator("}")):
                return ast.Body(tuple(items), position)
            items.append(self.item())
            self.end_of_item()

    def end_of_item(self) -> None:
        """Require a separator after an item; HCL1 takes a comma, or nothing at all."""
        if self.token.kind in {Kind.NEWLINE, Kind.END} or self.is_operator("}"):
            return
        if self.dialect is Dialect.AGENT and (self.accept(",") or self.token.kind in {Kind.NAME, Kind.STRING}):
            return
        raise self.fail("the end of the line")

    def item(self) -> ast.Attribute | ast.Block:
        """Parse `name = value` or `type "label" { … }`."""
        first = self.token
        name = self.key("a setting or a block")
        if self.accept("=") or (self.dialect is Dialect.AGENT and self.accept(":")):
            return ast.Attribute(name, self.expression(), first.position)
        labels: list[str] = []
        while self.token.kind in {Kind.STRING, Kind.NAME}:
            labels.append(self.key("a label"))
        if not self.is_operator("{"):
            raise self.fail(f'"=" or "{{" after {name}')
        self.advance()
        body = self.body(Kind.OPERATOR)
        self.expect("}", f"to close {name} of line {first.position.line}")
        return ast.Block(name, tuple(labels), body, first.position)

    def key(self, expected: str) -> str:
        """Parse the name of an attribute or block: a word, words joined by dots, or a quoted string."""
        token = self.token
        if token.kind is Kind.STRING:
            self.advance()
            return self.plain(token)
        if token.kind is not Kind.NAME:
            raise self.fail(expected)
        self.advance()
        name = token.text
        while self.is_operator(".") and self.tokens[self.at + 1].kind in {Kind.NAME, Kind.NUMBER}:
            self.advance()
            name += "." + self.advance().text
        return name

    @staticmethod
    def plain(token: Token) -> str:
        """Return the text of a string that must have no interpolation."""
        texts = [part for part in token.parts if isinstance(part, str)]
        if len(texts) != len(token.parts):
            raise HclError(token.position, "found ${ } in a name, expected plain text")
        return "".join(texts)

    # Expressions

    def expression(self) -> ast.Expression:
        """Parse a whole expression, conditional included."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise HclError(self.token.position, f"nested deeper than {MAX_DEPTH} levels")
        test = self.binary(1)
        if self.is_operator("?"):
            self.advance()
            self.skip_newlines()
            yes = self.expression()
            self.skip_newlines()
            self.expect(":", "of the conditional")
            self.skip_newlines()
            test = ast.Conditional(test.position, test, yes, self.expression())
        self.depth -= 1
        return test

    def binary(self, floor: int) -> ast.Expression:
        """Parse operators that bind at least as tightly as *floor*."""
        left = self.unary()
        chained = 0
        while self.token.kind is Kind.OPERATOR and _PRECEDENCE.get(self.token.text, 0) >= floor:
            chained += 1
            if chained > MAX_DEPTH * 4:  # each operator is one level of the tree that is evaluated
                raise HclError(self.token.position, f"more than {MAX_DEPTH * 4} operators in a row")
            operator = self.advance().text
            self.skip_newlines()
            left = ast.Binary(left.position, operator, left, self.binary(_PRECEDENCE[operator] + 1))
        return left

    def unary(self) -> ast.Expression:
        """Parse signs and negations."""
        token = self.token
        if token.kind is Kind.OPERATOR and token.text in {"-", "!"}:
            self.advance()
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise HclError(token.position, f"nested deeper than {MAX_DEPTH} levels")
            operand = self.unary()
            self.depth -= 1
            if token.text == "-" and isinstance(operand, ast.Literal) and _is_number(operand.value):
                return ast.Literal(token.position, -operand.value)  # type: ignore[operator] # a number, as just asked
            return ast.Unary(token.position, token.text, operand)
        return self.postfix(self.primary())

    def postfix(self, base: ast.Expression) -> ast.Expression:
        """Parse .name, [index] and [*] after *base*."""
        accesses = 0
        while self.is_operator(".") or self.is_operator("["):
            accesses += 1
            if accesses > MAX_DEPTH:
                raise HclError(self.token.position, f"more than {MAX_DEPTH} accesses in a row")
            key = self.access()
            if key is None:
                return self.splat(base)
            base = ast.Index(base.position, base, key)
        return base

    def splat(self, base: ast.Expression) -> ast.Expression:
        """Parse what follows a [*]: it applies to each element."""
        keys: list[ast.Expression] = []
        while self.is_operator(".") or self.is_operator("["):
            key = self.access()
            if key is None or len(keys) > MAX_DEPTH:
                raise self.fail("an attribute or an index")
            keys.append(key)
        return ast.Splat(base.position, base, tuple(keys))

    def access(self) -> ast.Expression | None:
        """Parse one .name or [index]; None for a splat."""
        dot = self.advance().text == "."
        token = self.token
        if self.is_operator("*"):
            self.advance()
            if not dot:
                self.expect("]", "after [*")
            return None
        if dot:
            if token.kind not in {Kind.NAME, Kind.NUMBER}:
                raise self.fail("an attribute's name")
            self.advance()
            return ast.Literal(token.position, int(token.text) if token.text.isdigit() else token.text)
        self.skip_newlines()
        key = self.expression()
        self.skip_newlines()
        self.expect("]", "after the index")
        return key

    def primary(self) -> ast.Expression:
        """Parse a literal, a string, a bracketed expression, a call or a name."""
        token = self.token
        match token.kind:
            case Kind.NUMBER:
                self.advance()
                return ast.Literal(token.position, token.number)
            case Kind.STRING:
                self.advance()
                return self.string(token)
            case Kind.NAME:
                self.advance()
                if self.is_operator("("):
                    return self.call(token)
                if token.text in _CONSTANTS:
                    return ast.Literal(token.position, _CONSTANTS[token.text])
                return ast.Name(token.position, token.text)
            case Kind.OPERATOR if token.text == "[":
                return self.list()
            case Kind.OPERATOR if token.text == "{":
                return self.object()
            case Kind.OPERATOR if token.text == "(":
                self.advance()
                self.skip_newlines()
                value = self.expression()
                self.skip_newlines()
                self.expect(")", "to close the bracket")
                return value
            case _:
                raise self.fail("a value; text stands in quotes" if token.text in {"/", "."} else "a value")

    def string(self, token: Token) -> ast.Expression:
        """Turn a string's parts into a literal or a template."""
        parts: list[str | ast.Interpolation] = []
        for part in token.parts:
            if isinstance(part, Piece):
                parser = _Parser(part.tokens, self.dialect, self.depth)
                parser.skip_newlines()
                expression = parser.expression()
                parser.skip_newlines()
                if parser.token.kind is not Kind.END:
                    raise parser.fail('"}" to end the interpolation')
                parts.append(ast.Interpolation(expression, part.source))
            else:
                parts.append(part)
        if all(isinstance(part, str) for part in parts):
            return ast.Literal(token.position, "".join(part for part in parts if isinstance(part, str)))
        return ast.Template(token.position, tuple(parts))

    def call(self, name: Token) -> ast.Expression:
        """Parse the arguments of a call."""
        self.advance()
        arguments: list[ast.Expression] = []
        expand = False
        self.skip_newlines()
        while not self.is_operator(")"):
            arguments.append(self.expression())
            self.skip_newlines()
            if self.accept("..."):
                expand = True
                self.skip_newlines()
                break
            if not self.accept(","):
                break
            self.skip_newlines()
        self.expect(")", f"to close {name.text}(")
        return ast.Call(name.position, name.text, tuple(arguments), expand)

    def list(self) -> ast.Expression:
        """Parse [a, b] or a for-expression."""
        position = self.advance().position
        self.skip_newlines()
        if self.token.kind is Kind.NAME and self.token.text == "for":
            return self.for_expression(position, "]")
        items: list[ast.Expression] = []
        while not self.is_operator("]"):
            items.append(self.expression())
            self.skip_newlines()
            if not self.accept(","):
                break
            self.skip_newlines()
        self.expect("]", "or a comma in the list")
        return ast.ListExpression(position, tuple(items))

    def object(self) -> ast.Expression:
        """Parse { key = value } or a for-expression."""
        position = self.advance().position
        self.skip_newlines()
        if self.token.kind is Kind.NAME and self.token.text == "for" and not self.is_key_ahead():
            return self.for_expression(position, "}")
        items: list[tuple[ast.Expression, ast.Expression]] = []
        while not self.is_operator("}"):
            key = self.object_key()
            if not self.accept("=") and not self.accept(":"):
                if self.dialect is Dialect.AGENT and self.is_operator("{"):  # HCL1: a block inside an object
                    items.append((key, self.object()))
                    self.end_of_object_item()
                    continue
                raise self.fail('"=" after the key')
            self.skip_newlines()
            items.append((key, self.expression()))
            self.end_of_object_item()
        self.expect("}", "to close the object")
        return ast.ObjectExpression(position, tuple(items))

    def is_key_ahead(self) -> bool:
        """Say whether the next word is the key of an object, not the start of a for-expression."""
        following = self.tokens[self.at + 1]
        return following.kind is Kind.OPERATOR and following.text in {"=", ":"}

    def object_key(self) -> ast.Expression:
        """Parse a key: a bare word, a string, a number or (an expression)."""
        token = self.token
        if token.kind is Kind.NAME and self.tokens[self.at + 1].text not in {"(", "["}:
            return ast.Literal(token.position, self.key("a key"))
        return self.expression()

    def end_of_object_item(self) -> None:
        """Require a comma or the end of the line between items."""
        comma = self.accept(",")
        newline = self.token.kind is Kind.NEWLINE
        self.skip_newlines()
        if not (comma or newline or self.is_operator("}")):
            if self.dialect is Dialect.AGENT and self.token.kind in {Kind.NAME, Kind.STRING}:
                return
            raise self.fail('a comma, the end of the line or "}" in the object')
        if not comma and self.accept(","):
            self.skip_newlines()

    def for_expression(self, position: ast.Position, closing: str) -> ast.Expression:
        """Parse `for k, v in source : [key =>] value [...] [if test]` and the closing bracket."""
        self.advance()
        names = [self.word("the name of a loop variable")]
        if self.accept(","):
            names.append(self.word("the name of a loop variable"))
        self.skip_newlines()
        if self.word('"in"') != "in":
            self.at -= 1
            raise self.fail('"in"')
        source = self.lone_expression()
        self.expect(":", "of the for-expression")
        key, value = None, self.lone_expression()
        if closing == "}":
            self.expect("=>", "between key and value")
            key, value = value, self.lone_expression()
        group = closing == "}" and self.accept("...")
        self.skip_newlines()
        test = None
        if self.token.kind is Kind.NAME and self.token.text == "if":
            self.advance()
            test = self.lone_expression()
        self.expect(closing, "to close the for-expression")
        return ast.For(position, names[0] if len(names) > 1 else "", names[-1], source, key, value, test, group)

    def lone_expression(self) -> ast.Expression:
        """Parse an expression with the ends of lines around it, which mean nothing there."""
        self.skip_newlines()
        value = self.expression()
        self.skip_newlines()
        return value

    def word(self, expected: str) -> str:
        """Parse one bare word."""
        if self.token.kind is not Kind.NAME:
            raise self.fail(expected)
        return self.advance().text


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
