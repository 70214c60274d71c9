"""What an aggregate is, and a call of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError
from gapless.query.kql.relational.scalars import (
    BOOL,
    Order,
    Scalar,
    Type,
)


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """A call of an aggregate: its arguments, the condition of its rows, and their order."""

    name: str
    at: int
    arguments: Sequence[Scalar]
    condition: Scalar | None
    order: Sequence[Order]

    def apply(self, text: str, arguments: Sequence[Scalar], kind: Type, ordered: bool = False) -> Scalar:
        """The aggregate of a template in which ``{where}`` and ``{order}`` stand for those."""
        values = list(arguments)
        order = ""
        if ordered and self.order:
            keys = []
            for key in self.order:
                values.append(key.value)
                direction = "DESC" if key.descending else "ASC"
                keys.append(f"${len(values)} {direction} NULLS {'FIRST' if key.nulls_first else 'LAST'}")
            order = f" ORDER BY {', '.join(keys)}"
        where = ""
        if self.condition is not None:
            values.append(self.condition)
            where = f" FILTER (WHERE ${len(values)})"
        return apply(text.replace("{where}", where).replace("{order}", order), values, kind)

    def filtered(
        self, extra: str, text: str, arguments: Sequence[Scalar], kind: Type, ordered: bool
    ) -> Scalar:
        """As ``apply``, over those rows alone for which ``extra`` is true too."""
        condition = apply(extra, arguments, BOOL)
        if self.condition is not None:
            condition = apply("$1 AND $2", (self.condition, condition), BOOL)
        call = AggregateCall(self.name, self.at, arguments, condition, self.order)
        return call.apply(text, arguments, kind, ordered)

    def error(self, what: str) -> KqlError:
        """An error at the call."""
        return KqlError(f"{self.name}(): {what}", self.at)


BuildAggregate = Callable[[AggregateCall], Scalar]


@dataclass(frozen=True, slots=True)
class AggregateFunction:
    """An aggregate. ``name_prefix`` begins the name of its column, which is else its first argument's;
    ``conditional``: the last of the arguments that it needs is a condition, as in sumif; ``finish``: what is
    to be made of the aggregate, once it is a column."""

    name: str
    form: str
    arguments_min: int
    arguments_max: int
    build: BuildAggregate
    summary: str
    name_prefix: str
    conditional: bool = False
    finish: Callable[[Scalar], Scalar] | None = None


class AggregateFamily:
    """The aggregates of one module, by name."""

    def __init__(self) -> None:
        self.functions: dict[str, AggregateFunction] = {}

    def add(
        self,
        form: str,
        build: BuildAggregate,
        summary: str,
        aliases: Sequence[str] = (),
        prefix: str | None = None,
        conditional: str = "",
        optional: int = 0,
        finish: Callable[[Scalar], Scalar] | None = None,
    ) -> None:
        """An aggregate of that form, such as ``sum(value)``, whose last ``optional`` parameters may be left
        out; ``conditional``: the name of the same over the rows alone that a condition chooses, which
        stands before what may be left out."""
        name, _, parameters = form.partition("(")
        parts = [part for part in parameters.rstrip(")").split(", ") if part]
        count = len(parts)
        known = AggregateFunction(
            name,
            form,
            count - optional,
            count,
            build,
            summary,
            name if prefix is None else prefix,
            finish=finish,
        )
        for alias in (name, *aliases):
            self.functions[alias] = known
        if conditional:
            parts.insert(count - optional, "condition")
            self.functions[conditional] = AggregateFunction(
                conditional,
                f"{conditional}({', '.join(parts)})",
                count - optional + 1,
                count + 1,
                build,
                f"{summary} Of the rows for which the condition is true.",
                conditional if prefix is None or prefix == name else prefix,
                True,
                finish,
            )
