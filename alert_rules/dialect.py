"""The labels and selectors of the Prometheus that the rules will run in.

Rules are written in one language: agents carry `cluster`, `region`, `role` and `instance`. An operator's targets may
name these otherwise or lack some; `Dialect.expression` rewrites a rule's PromQL for them, and changes nothing where
the names are ours. It works on tokens, so that comments, lines and everything else stay as they were written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

CLUSTER, REGION, INSTANCE, ROLE = "cluster", "region", "instance", "role"
SERVER_ROLE, CLIENT_ROLE, PROMETHEUS_ROLE, ALERTMANAGER_ROLE = "server", "client", "prometheus", "alertmanager"
EXPORTER_ROLE = "exporter"

SHIPPED_SELECTORS = {
    PROMETHEUS_ROLE: 'job="prometheus"',
    ALERTMANAGER_ROLE: 'job="alertmanager"',
}
"""How the scrape configuration of ours, and most others, tell the watchers apart: they have no label `role`."""

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
      | (?P<range>\[[^\]]*\])
      | (?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<number>\d[\w.]*)
      | (?P<space>\s+)
      | (?P<other>=~|!~|!=|==|<=|>=|.)""",
    re.VERBOSE | re.DOTALL,
)
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_LABEL_IN_TEMPLATE = re.compile(r"\{\{\s*\$labels\.(\w+)\s*\}\}")
_OF_WATCHERS = ("prometheus_", "alertmanager_")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one Prometheus names what our rules speak of.

    *labels* maps `cluster`, `region` and `instance` to the names there; an empty one says that targets lack it, which
    `instance` never does. *selectors* gives the matchers that pick servers, clients, Prometheus and Alertmanager out of
    all targets, written as between braces. *clusters* are those the rules are about: other ones in the same
    Prometheus are left alone. *literals* stand in texts for the labels that are lacking.
    """

    labels: dict[str, str] = field(default_factory=dict)
    selectors: dict[str, str] = field(default_factory=dict)
    clusters: tuple[str, ...] = ()
    literals: dict[str, str] = field(default_factory=dict)

    def label(self, name: str) -> str:
        """Return what the label *name* of our rules is called there; empty when targets lack it."""
        return self.labels.get(name, name)

    @property
    def tells_roles_otherwise(self) -> bool:
        """Whether servers are picked by an operator's own selector, so that targets may lack the label `role`."""
        return SERVER_ROLE in self.selectors

    def grouping(self, names: tuple[str, ...]) -> list[str]:
        """Return those of *names* that are there, as they are called there."""
        return [self.label(name) for name in names if self.label(name)]

    def expression(self, expr: str) -> str:
        """Return *expr* as that Prometheus must be asked."""
        return "".join(self._rewritten(list(_tokens(expr))))

    def text(self, template: str) -> str:
        """Return a summary or description with its labels named as there, or filled in where they are lacking."""

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if not self.label(name):
                return self.literals.get(name, f"({name} unknown)")
            return f"{{{{ $labels.{self.label(name)} }}}}"

        return _LABEL_IN_TEMPLATE.sub(replace, template)

    def _rewritten(self, tokens: list[_Token]) -> Iterator[str]:
        place = 0
        while place < len(tokens):
            token = tokens[place]
            if token.kind == "word" and token.text in _GROUPING and _next_is(tokens, place + 1, "("):
                end = _closing(tokens, place, "(", ")")
                yield from self._label_list(tokens[place : end + 1])
                place = end + 1
            elif token.kind == "word" and token.text == "label_replace":
                end = _closing(tokens, place, "(", ")")
                yield from self._label_replace(tokens[place : end + 1])
                place = end + 1
            elif token.kind == "word" and _is_metric(tokens, place):
                end = _closing(tokens, place, "{", "}") if _next_is(tokens, place + 1, "{") else place
                yield from self._selector(tokens[place : end + 1])
                place = end + 1
            else:
                yield token.text
                place += 1

    def _label_list(self, tokens: list[_Token]) -> Iterator[str]:
        """Rewrite `by (cluster, region)`; what is lacking is left out."""
        yield tokens[0].text
        opening = next(place for place, token in enumerate(tokens) if token.text == "(")
        yield from (token.text for token in tokens[1:opening])
        names = [token.text for token in tokens[opening:] if token.kind == "word"]
        yield f"({', '.join(self.grouping(tuple(names)))})"

    def _label_replace(self, tokens: list[_Token]) -> Iterator[str]:
        """Rewrite the two names of labels that `label_replace(v, "to", "$1", "from", "re")` takes as strings."""
        strings = [place for place, token in enumerate(tokens) if token.kind == "string"]
        named = {strings[-4], strings[-2]}
        for place in named:
            name = tokens[place].text[1:-1]
            if name:
                tokens[place] = _Token("string", f'"{self.label(name) or name}"')
        first, last = tokens[0], tokens[-1]
        yield first.text
        yield from self._rewritten(tokens[1:-1])
        yield last.text

    def _selector(self, tokens: list[_Token]) -> Iterator[str]:
        """Rewrite one `metric{matchers}`: the role becomes a selector, and the clusters are named."""
        metric = tokens[0].text
        yield metric
        matchers = list(self._matchers(tokens[1:]))
        if self.clusters and self.label(CLUSTER) and not metric.startswith(_OF_WATCHERS):
            written = [matcher for matcher in matchers if matcher.startswith((f"{self.label(CLUSTER)}=",))]
            watcher = any(self.selectors.get(role, "") in matchers for role in (PROMETHEUS_ROLE, ALERTMANAGER_ROLE))
            if not written and not watcher:
                matchers.insert(0, self._cluster_matcher())
        if matchers:
            yield "{" + ", ".join(matchers) + "}"

    def _cluster_matcher(self) -> str:
        name = self.label(CLUSTER)
        if len(self.clusters) == 1:
            return f'{name}="{self.clusters[0]}"'
        return f'{name}=~"{"|".join(re.escape(cluster).replace(chr(92), chr(92) * 2) for cluster in self.clusters)}"'

    def _matchers(self, tokens: list[_Token]) -> Iterator[str]:
        for matcher in _split(tokens):
            name, operator, value = matcher
            if name == ROLE and operator == "=" and value[1:-1] in self.selectors:
                selector = self.selectors[value[1:-1]].strip()
                if selector:
                    yield selector
                continue
            if name == ROLE and operator != "=" and self.tells_roles_otherwise:
                continue
            if self.label(name):
                yield f"{self.label(name)}{operator}{value}"


def _tokens(expr: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(expr):
        assert match.lastgroup is not None
        yield _Token(match.lastgroup, match.group())


def _next_is(tokens: list[_Token], place: int, text: str) -> bool:
    """Say whether the next token that is not space is *text*."""
    for token in tokens[place:]:
        if token.kind != "space":
            return token.text == text
    return False


def _closing(tokens: list[_Token], place: int, opening: str, closing: str) -> int:
    """Return the place of the bracket that closes the first one after *place*."""
    depth = 0
    for number in range(place, len(tokens)):
        token = tokens[number]
        if token.kind == "other" and token.text == opening:
            depth += 1
        elif token.kind == "other" and token.text == closing:
            depth -= 1
            if depth == 0:
                return number
    raise ValueError(f"a {opening} is not closed in {''.join(token.text for token in tokens)!r}")


_KEYWORDS = {"and", "or", "unless", "bool", "offset", "start", "end", "inf", "nan"}


def _is_metric(tokens: list[_Token], place: int) -> bool:
    """Say whether a word is a metric: neither a keyword, nor a function or aggregation, nor the unit of a duration."""
    text = tokens[place].text
    if text.lower() in _KEYWORDS or text in _GROUPING:
        return False
    if _next_is(tokens, place + 1, "("):
        return False
    following = next((token.text for token in tokens[place + 1 :] if token.kind != "space"), "")
    return following not in _GROUPING  # `sum by (x) (y)`: an aggregation with its grouping in front


def _split(tokens: list[_Token]) -> Iterator[tuple[str, str, str]]:
    """Yield name, operator and value of each matcher between braces."""
    kept = [token for token in tokens if token.kind not in {"space", "comment"} and token.text not in {"{", "}", ","}]
    for number in range(0, len(kept), 3):
        name, operator, value = kept[number : number + 3]
        yield name.text, operator.text, value.text
