"""What a function takes and gives: the data of its documentation and of the checks on its calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gapless.query.kql.emission.sql import apply
from gapless.query.kql.relational.scalars import (
    TYPES,
    Constant,
    Scalar,
    Type,
)

if TYPE_CHECKING:
    from gapless.query.kql.binding.calls import Call

#: From a call, whose arguments have the types of the parameters, to its value.
Build = Callable[["Call", Sequence[Scalar]], Scalar]

_SIGNATURE = re.compile(r"(?P<name>\w+)\((?P<parameters>.*)\): (?P<result>\w+)\Z")
_PARAMETER = re.compile(r"(?P<many>\.\.\.)?(?P<const>const )?(?P<name>\w+)(?P<optional>\?)?: (?P<type>\w+)\Z")


@dataclass(frozen=True, slots=True)
class Parameter:
    """``type``: the name of a type, or any, or number (int, long, real), or type (as in typeof(long)). A
    ``constant`` parameter takes what is known before the query runs; a ``many`` parameter takes any number of
    arguments, also none."""

    name: str
    type: str
    optional: bool = False
    many: bool = False
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its name and parameters, the type of its result (None if that depends on the arguments),
    a sentence about it, and its other names."""

    name: str
    parameters: tuple[Parameter, ...]
    result: Type | None
    build: Build
    summary: str
    aliases: tuple[str, ...] = ()

    @property
    def signature(self) -> str:
        """The function as a person would write it: ``substring(source, start[, length])``."""
        shown = ""
        for parameter in self.parameters:
            name = f"{parameter.name}, ..." if parameter.many else parameter.name
            part = f", {name}" if shown else name
            shown += f"[{part}]" if parameter.optional else part
        return f"{self.name}({shown})"


class Family:
    """The functions of one module."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.functions: list[Function] = []

    def sql(self, signature: str, text: str, summary: str, aliases: Sequence[str] = ()) -> None:
        """A function that is a template."""
        result = _parsed(signature)[2]
        assert result is not None
        self._add(signature, lambda call, arguments: apply(text, arguments, result), summary, aliases)

    def function(self, signature: str, summary: str, aliases: Sequence[str] = ()) -> Callable[[Build], Build]:
        """A function that is built by the decorated one."""

        def register(build: Build) -> Build:
            self._add(signature, build, summary, aliases)
            return build

        return register

    def computed(self, signature: str, summary: str, *defaults: Constant) -> None:
        """A function of ``gapless.query.computed`` of the same name, which gets all arguments: ``defaults``
        are the last ones, where they are left out."""
        name, parameters, result = _parsed(signature)
        assert result is not None
        places = ", ".join(f"${place}" for place in range(1, len(parameters) + 1))

        def build(call: Call, arguments: Sequence[Scalar]) -> Scalar:
            left_out = len(parameters) - len(arguments)
            given = [*arguments, *defaults[len(defaults) - left_out :]]
            return apply(f"{name}({places})", given, result)

        self._add(signature, build, summary, ())

    def _add(self, signature: str, build: Build, summary: str, aliases: Sequence[str]) -> None:
        name, parameters, result = _parsed(signature)
        self.functions.append(Function(name, parameters, result, build, summary, tuple(aliases)))


def _parsed(signature: str) -> tuple[str, tuple[Parameter, ...], Type | None]:
    match = _SIGNATURE.match(signature)
    assert match is not None, signature
    parameters = [_parameter(part) for part in match["parameters"].split(", ") if part]
    return match["name"], tuple(parameters), TYPES.get(match["result"])


def _parameter(text: str) -> Parameter:
    match = _PARAMETER.match(text)
    assert match is not None, text
    return Parameter(
        match["name"], match["type"], bool(match["optional"]), bool(match["many"]), bool(match["const"])
    )
