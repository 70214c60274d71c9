"""commands.md: every command and option, from the Typer application."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from gapless.cli.main import COMMANDS
from generator.markdown import page, prose, table

_WORDS = {str: "text", int: "integer", float: "number", bool: ""}


class Option(NamedTuple):
    """An option or argument of a command; ``default`` is "" where there is none."""

    name: str
    values: str
    default: str
    variable: str
    text: str


class Command(NamedTuple):
    """A command with its whole name."""

    name: str
    text: str
    options: tuple[Option, ...]


def commands() -> list[Command]:
    """Every command, in the order in which ``--help`` shows them; those of a group each by itself."""
    found: list[Command] = []
    for name in COMMANDS:
        module = importlib.import_module(f"gapless.cli.{name}")
        if hasattr(module, "app"):
            found += _commands(module.app, f"gapless {name}")
        else:
            found.append(_command(getattr(module, name), f"gapless {name}"))
    return found


def commands_page() -> str:
    sections = [_section(command) for command in commands()]
    return page(
        "Commands",
        "Data go to standard output, words to standard error. Times are ISO 8601; without a zone they are "
        "UTC. Exit codes are in [errors.md](errors.md). A client finds the platform by `--url` and "
        "`--token`, or by `--data` on the same machine.",
        *sections,
    )


def _section(command: Command) -> str:
    head = ("option", "values", "default", "environment", "meaning")
    rows = [
        (f"`{o.name}`", o.values, o.default, f"`{o.variable}`" if o.variable else "", o.text)
        for o in command.options
    ]
    drawn = [table(head, rows)] if rows else []
    return "\n\n".join([f"## {command.name}", prose(command.text), *drawn])


def _commands(group: typer.Typer, prefix: str) -> Iterator[Command]:
    for info in group.registered_commands:
        assert info.callback is not None
        yield _command(info.callback, f"{prefix} {info.name or info.callback.__name__}", info.help)


def _command(callback: Callable[..., Any], name: str, text: str | None = None) -> Command:
    return Command(name, text or inspect.getdoc(callback) or "", tuple(_options(callback)))


def _options(callback: Callable[..., Any]) -> Iterator[Option]:
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        kind, info = _annotation(hints[name])
        if info.hidden:
            continue
        shown = _name(name, info)
        variable = info.envvar if isinstance(info.envvar, str) else ""
        yield Option(
            shown, _values(kind, info), _default(parameter.default), variable, prose(info.help or "")
        )


def _default(value: object) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    return "" if value is None or value is False else f"`{value}`"


def _annotation(hint: Any) -> tuple[Any, ArgumentInfo | OptionInfo]:
    if get_origin(hint) is Annotated:
        kind, *more = get_args(hint)
        for info in more:
            if isinstance(info, (ArgumentInfo, OptionInfo)):
                return kind, info
    raise TypeError(f"{hint} is no option: annotate it with typer.Option and a help text")


def _name(name: str, info: ArgumentInfo | OptionInfo) -> str:
    if isinstance(info, ArgumentInfo):
        return info.metavar or name.upper()
    return " ".join(info.param_decls or ()) or "--" + name.strip("_").replace("_", "-")


def _values(kind: Any, info: ArgumentInfo | OptionInfo) -> str:
    """What may be given, in one word or as the words to choose from."""
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    kinds = [each for each in get_args(kind) or (kind,) if each is not NoneType]
    several = any(get_origin(each) is list for each in kinds)
    word = info.metavar if isinstance(info, OptionInfo) else None
    if word is None:
        [base] = get_args(kinds[0]) or kinds
        word = _WORDS[base]
    return f"{word}, several times" if several else word
