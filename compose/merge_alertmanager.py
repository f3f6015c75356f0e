"""Puts our parts into an Alertmanager configuration that an operator wrote, and leaves everything of theirs as it is.

Works on the nodes of the YAML, not on values: a text that was quoted stays quoted, `10:30` stays no number, anchors stay
anchors. Only comments and the layout are lost. What an earlier merge put in is taken out first, so merging again gives the
same bytes.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from alert_rules.settings import PREFIX
from compose.yaml_reader import SettingsError

MERGED = (
    "# Merged by `outrider build --merge-alertmanager`: what is named {prefix}… is generated, all else is as it was.\n"
)
_LINE_WIDTH = 120


def merge(
    existing: str, parts: Mapping[str, list[Any]], *, prefix: str, mark: str, file: str, wanted: Iterable[str] = ()
) -> str:
    """Return *existing*, the text of an alertmanager.yml, with *parts* in it; *file* names it in errors.

    *parts* are those of a fragment: `routes` go first into the tree, all else to the end of its list. What is ours is
    known by *prefix* of its name, inhibitions by the matcher *mark*, templates by their file name. Raises
    SettingsError when *existing* is no Alertmanager configuration, hides where routes are, or lacks a receiver that is
    *wanted* of it.
    """
    top = _mapping(existing, file)
    route = _get(top, "route")
    if not isinstance(route, yaml.MappingNode):
        raise SettingsError(f"{file}:1: there is no route, so this is no Alertmanager configuration; name another file")
    if _get(route, "routes") is None and _get(route, "<<") is not None:
        line = route.start_mark.line + 1
        raise SettingsError(f"{file}:{line}: route may have its routes by `<<`; write `routes:` out below it")
    _check_receivers(top, wanted, file)
    templates = {str(name).rpartition("/")[2] for name in parts.get("templates", [])}
    ours: dict[str, Callable[[yaml.Node], bool]] = {
        "receivers": lambda node: _text_of(node, "name").startswith(prefix),
        "inhibit_rules": lambda node: mark in _texts_of(node, "source_matchers"),
        "time_intervals": lambda node: _text_of(node, "name").startswith(prefix),
        "templates": lambda node: _scalar(node).rpartition("/")[2] in templates,
    }
    _put(
        route, "routes", parts.get("routes", []), lambda node: _text_of(node, "receiver").startswith(prefix), first=True
    )
    for name, is_ours in ours.items():
        _put(top, name, parts.get(name, []), is_ours)
    body = yaml.serialize(top, Dumper=yaml.SafeDumper, allow_unicode=True, width=_LINE_WIDTH)
    return MERGED.format(prefix=prefix) + str(body)


def _check_receivers(top: yaml.MappingNode, wanted: Iterable[str], file: str) -> None:
    receivers = _get(top, "receivers")
    names = [_text_of(node, "name") for node in receivers.value] if isinstance(receivers, yaml.SequenceNode) else []
    for name in wanted:
        if name not in names:
            known = ", ".join(each for each in names if not each.startswith(PREFIX))
            raise SettingsError(f"{file}: there is no receiver {name!r}, which outrider.yaml names; there are {known}")


def _mapping(text: str, file: str) -> yaml.MappingNode:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{file}:{line}: this is not YAML: {error.problem}; check the indentation") from None
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError(f"{file}:1: this is no Alertmanager configuration; name another file")
    _make_texts(node, set())
    return node


def _make_texts(node: yaml.Node, seen: set[int]) -> None:
    """Make a text of every plain `17:30`: YAML 1.1 takes it for a number in base 60, Alertmanager does not."""
    if id(node) in seen:
        return
    seen.add(id(node))
    match node:
        case yaml.ScalarNode(value=value) if ":" in value:
            node.tag = "tag:yaml.org,2002:str"
        case yaml.SequenceNode(value=items):
            for item in items:
                _make_texts(item, seen)
        case yaml.MappingNode(value=pairs):
            for pair in pairs:
                for each in pair:
                    _make_texts(each, seen)


def _put(
    parent: yaml.MappingNode, name: str, items: list[Any], is_ours: Callable[[yaml.Node], bool], *, first: bool = False
) -> None:
    """Replace what is ours in the list *name* of *parent* by *items*; an anchored list elsewhere stays as it was.

    The list is written in blocks even when nothing changes, so that no earlier merge shows in the layout.
    """
    found = _get(parent, name)
    old = list(found.value) if isinstance(found, yaml.SequenceNode) else []
    theirs = [node for node in old if not is_ours(node)]
    parent.flow_style = False
    new = [_node(item) for item in items]
    both = [*new, *theirs] if first else [*theirs, *new]
    where = next((place for place, (key, _) in enumerate(parent.value) if key.value == name), None)
    if where is None:
        if items:
            parent.value.append((yaml.ScalarNode("tag:yaml.org,2002:str", name), _sequence(both)))
    elif both or not old:
        parent.value[where] = (parent.value[where][0], _sequence(both))
    else:
        del parent.value[where]


def _sequence(nodes: list[yaml.Node]) -> yaml.SequenceNode:
    return yaml.SequenceNode("tag:yaml.org,2002:seq", nodes, flow_style=False)


def _node(value: Any) -> yaml.Node:
    """Return *value* as nodes, in blocks and in the order it has."""
    node = yaml.compose(yaml.safe_dump(value, sort_keys=False, default_flow_style=False, width=_LINE_WIDTH))
    assert node is not None, "a value has a node"
    return node


def _get(mapping: yaml.Node, name: str) -> yaml.Node | None:
    if not isinstance(mapping, yaml.MappingNode):
        return None
    return next((value for key, value in mapping.value if key.value == name), None)


def _scalar(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _text_of(node: yaml.Node, name: str) -> str:
    return _scalar(_get(node, name))


def _texts_of(node: yaml.Node, name: str) -> list[str]:
    found = _get(node, name)
    return [_scalar(item) for item in found.value] if isinstance(found, yaml.SequenceNode) else []
