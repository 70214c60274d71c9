"""Calls of functions: arguments are counted, checked and brought to the types of the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gapless.query.kql.errors import KqlError
from gapless.query.kql.functions.signature import Function, Parameter
from gapless.query.kql.relational.scalars import (
    NUMBERS,
    REAL,
    TYPES,
    Constant,
    Scalar,
)
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.forms import certain_text, ticks


@dataclass(frozen=True, slots=True)
class Call:
    """A call: where it stands, what it calls, and the one time that a query takes for now."""

    name: str
    at: int
    now_ticks: int

    def error(self, what: str) -> KqlError:
        """An error at the call."""
        return KqlError(f"{self.name}(): {what}", self.at)

    def unsupported(self, what: str) -> KqlError:
        """The refusal of a use of the function."""
        return KqlError(f"{self.name}(): {what} is not supported", self.at, f"{self.name}(): {what}")

    def constant(self, argument: Scalar, what: str) -> Constant:
        """``argument``, which must be known before the query runs."""
        if not isinstance(argument, Constant):
            raise self.unsupported(f"{what} that is no constant")
        return argument


def invoke(function: Function, call: Call, arguments: Sequence[Scalar]) -> Scalar:
    """The value of a call. Raises KqlError if the arguments do not fit."""
    parameters = _matched(function, call, len(arguments))
    fitted = [
        _fitted(parameter, argument, call, index)
        for index, (parameter, argument) in enumerate(zip(parameters, arguments, strict=True), start=1)
    ]
    return function.build(call, fitted)


def _matched(function: Function, call: Call, count: int) -> list[Parameter]:
    """The parameter of each argument."""
    parameters = list(function.parameters)
    while parameters and parameters[-1].many and len(parameters) < count:
        parameters.append(parameters[-1])
    needed = sum(not parameter.optional and not parameter.many for parameter in parameters)
    if not needed <= count <= len(parameters):
        raise call.error(f"{count} arguments where {function.signature} is its form")
    return parameters[:count]


def _fitted(parameter: Parameter, argument: Scalar, call: Call, index: int) -> Scalar:
    if parameter.constant:
        call.constant(argument, f"argument {index} ({parameter.name})")
    have, want = argument.type.name, parameter.type
    if want == "any" and have != "type":
        return argument
    if want == "number":
        if have in NUMBERS:
            return argument
        if have == "dynamic":
            return as_type(argument, REAL)
    elif have == want:
        return certain_text(argument) if want == "string" else ticks(argument)
    elif have == "dynamic" or (have == "guid" and want == "string"):
        return certain_text(as_type(argument, TYPES[want]))
    elif (want == "dynamic" and isinstance(argument, Constant) and argument.value is None) or (
        have,
        want,
    ) in (("int", "long"), ("long", "int"), ("int", "real"), ("long", "real")):
        return as_type(argument, TYPES[want])
    raise call.error(f"argument {index} ({parameter.name}) is of type {have}, but must be {want}")
