"""Edges of a geometry as arrays: where they cross others, and which is nearest to a point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from gapless.query.computed.sphere import Vector, nearest_on_edge, normal

Edge = tuple[Vector, Vector]
_Array = npt.NDArray[np.float64]
_PAIRS_AT_ONCE = 1 << 20
#: A sine of an angle that rounding cannot be told from.
_UNSURE = 4e-15


class Edges:
    """The shortest ways between pairs of points, which are neither the same nor opposite."""

    def __init__(self, pairs: Sequence[Edge]) -> None:
        self.pairs = list(pairs)
        self._starts = np.array([a for a, _ in pairs]).reshape(-1, 3)
        self._ends = np.array([b for _, b in pairs]).reshape(-1, 3)
        normals = np.array([normal(a, b) for a, b in pairs]).reshape(-1, 3)
        self._normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)

    def crossings(self, other: Edges) -> Iterator[tuple[int, int]]:
        """The places of edges, here and in ``other``, that cross inside of both."""
        step = max(1, _PAIRS_AT_ONCE // max(1, len(other.pairs)))
        for begin in range(0, len(self.pairs), step):
            part = slice(begin, begin + step)
            # On which side of each edge the ends of the other one are: counted as left, or not.
            start_left = self._normals[part] @ other._starts.T > 0
            end_left = self._normals[part] @ other._ends.T > 0
            own_start_left = self._starts[part] @ other._normals.T > 0
            own_end_left = self._ends[part] @ other._normals.T > 0
            apart = (start_left != end_left) & (own_start_left != own_end_left)
            # If one goes from left to right, the other one comes from the right: else they meet opposite.
            for one, two in np.argwhere(apart & (start_left == own_end_left)):
                pair = int(one) + begin, int(two)
                if not set(self.pairs[pair[0]]) & set(other.pairs[pair[1]]):
                    yield pair

    def has_end_within(self, other: Edges) -> bool:
        """Whether an end of ``other`` is so close to an edge, but not one of its ends, that rounding decides
        on its side."""
        ends = {point for edge in other.pairs for point in edge}
        own = {point for edge in self.pairs for point in edge}
        return any(self._is_on(np.array(point)) for point in ends - own)

    def _is_on(self, point: _Array) -> bool:
        near = np.abs(self._normals @ point) < _UNSURE
        return bool(np.any(near & self._is_beside(point)))

    def _is_beside(self, point: _Array) -> npt.NDArray[np.bool_]:
        """For each edge, whether its nearest point to ``point`` is between its ends."""
        after = np.cross(self._normals, self._starts) @ point > 0
        before = np.cross(self._normals, self._ends) @ point < 0
        return np.asarray(after & before)

    def nearest(self, point: Vector) -> Vector:
        """The point of the edges that is nearest to ``point``."""
        there = np.array(point)
        chords = np.minimum(
            np.sum((self._starts - there) ** 2, axis=1), np.sum((self._ends - there) ** 2, axis=1)
        )
        heights = np.minimum(1.0, np.abs(self._normals @ there))
        # The square of the chord to the foot on the great circle, by the sine of the angle to it.
        feet = 2 * heights**2 / (1 + np.sqrt(1 - heights**2))
        distances = np.where(self._is_beside(there), feet, chords)
        return nearest_on_edge(point, *self.pairs[int(np.argmin(distances))])
