"""Values of functions that give several columns at once, such as series_stats()."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.relational.scalars import Scalar, Type

_SEVERAL = Type("several")


class Several(Scalar):
    """Named values. ``extend (a, b) = f(x)`` takes the first of them, ``f(x)[1]`` one; by itself the call
    gives a column for each, named by the function, what it is called with, and the value's own name."""

    __slots__ = ("values",)

    def __init__(self, values: Sequence[tuple[str, Scalar]]) -> None:
        self.values, self.type = list(values), _SEVERAL

    def parts(self) -> Sequence[Scalar]:
        return [value for _, value in self.values]
