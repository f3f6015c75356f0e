"""Options with one dash or two: `-address=…` and `--address …` mean the same, in every command of Outrider.

Pure but for click. Source: Go's flag package, which Nomad's command line uses.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import click

_LONG_WITH_ONE_DASH = re.compile(r"-[A-Za-z][A-Za-z0-9_-]+(=.*)?\Z", re.DOTALL)

_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false"})


def two_dashes(args: Sequence[str], parameters: Iterable[click.Parameter], *, interspersed: bool) -> list[str]:
    """Return *args* with every long option spelt with two dashes.

    The value after an option, everything after `--`, negative numbers and one-letter options stay as they are. A flag
    with a value (`-json=false`) is resolved. Without *interspersed* the first argument ends the options, as the rest
    belongs to a subcommand.
    """
    options = {name: option for option in parameters if isinstance(option, click.Option) for name in option.opts}
    result: list[str] = []
    at = 0
    while at < len(args):
        word = args[at]
        at += 1
        if word == "--":
            return [*result, word, *args[at:]]
        if not word.startswith("-") or word == "-":
            result.append(word)
            if not interspersed:
                return [*result, *args[at:]]
            continue
        spelt = f"-{word}" if _LONG_WITH_ONE_DASH.match(word) and word.partition("=")[0] not in options else word
        name, equals, value = spelt.partition("=")
        option = options.get(name)
        if option is not None and option.is_flag and equals:
            result += _flag(name, value, spelt)
            continue
        result.append(spelt)
        if option is not None and not option.is_flag and not equals and at < len(args):
            # Written as one word, as click would take a value that begins with a dash for an option.
            result[-1] = f"{name}={args[at]}" if name.startswith("--") else name
            if not name.startswith("--"):
                result.append(args[at])
            at += 1
    return result


def _flag(name: str, value: str, spelt: str) -> list[str]:
    """Return a flag that was given a value; what is no boolean is left for click to refuse."""
    if value.lower() in _TRUE:
        return [name]
    return [] if value.lower() in _FALSE else [spelt]


class DashedCommand(click.Command):
    """A command whose long options take one dash or two; -h is help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **_with_help(kwargs))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Spell the options with two dashes, then parse."""
        words = two_dashes(args, self.get_params(ctx), interspersed=ctx.allow_interspersed_args)
        return super().parse_args(ctx, words)


class DashedGroup(click.Group):
    """A group whose options, and whose commands', take one dash or two; -h is help."""

    command_class = DashedCommand
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **_with_help(kwargs))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Spell the group's own options with two dashes, then parse; the commands' are theirs."""
        words = two_dashes(args, self.get_params(ctx), interspersed=False)
        return super().parse_args(ctx, words)


def _with_help(kwargs: dict[str, Any]) -> dict[str, Any]:
    settings = {"help_option_names": ["-h", "--help"], **(kwargs.get("context_settings") or {})}
    return {**kwargs, "context_settings": settings}
