"""Functions of cells of the S2 grid: at points, around cells, and those that cover lines and polygons."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec

from gapless.query.computed import s2_grid as grid
from gapless.query.computed.areas import read_polygons
from gapless.query.computed.edges import Edge, Edges
from gapless.query.computed.geojson import (
    Polygons,
    geometry_text,
    inside,
    point_text,
    read_lines,
    read_point,
)
from gapless.query.computed.sphere import Vector, angle, to_degrees

_CELLS_MAX = 65_536
#: By so much a cell is taken for wider, so that it has what runs along its border.
_WIDER = 4.7e-15
#: The longest way within a cell of level 0, in radians; half of it within one of the next, and so on.
_DIAGONAL_MAX = 2.4386545944340210
_TOKEN = re.compile(r"[0-9a-fA-F]{1,16}\Z")
_FACES = [(2 * face + 1) << 60 for face in range(6)]


def _cell(text: str | None) -> int | None:
    """The cell of a text; None for what is none."""
    if text is None or not _TOKEN.match(text):
        return None
    cell = int(text.ljust(16, "0"), 16)
    return cell if grid.is_valid(cell) else None


def _known_level(level: int | None) -> bool:
    return level is not None and 0 <= level <= grid.LEVEL_MAX


def _at_point(longitude: float | None, latitude: float | None, level: int | None) -> str:
    point = read_point(longitude, latitude)
    if point is None or level is None or not _known_level(level):
        return ""
    return grid.token(grid.parent(grid.leaf(point), level))


def _center(text: str | None) -> str | None:
    cell = _cell(text)
    return None if cell is None else point_text(grid.center(cell))


def _polygon(text: str | None) -> str | None:
    cell = _cell(text)
    if cell is None:
        return None
    corners = [to_degrees(point) for point in grid.corners(cell)]
    return geometry_text({"type": "Polygon", "coordinates": [[*corners, corners[0]]]})


def _neighbors(text: str | None) -> str | None:
    cell = _cell(text)
    return None if cell is None else _array(grid.neighbors(cell))


def _array(cells: list[int]) -> str:
    return msgspec.json.encode([grid.token(cell) for cell in cells]).decode()


def _covering(edges: Edges, level: int, has: Callable[[Vector], bool]) -> list[int] | None:
    """The cells of a level that have a part of edges, or of what ``has`` says they enclose; None if they are
    too many."""
    length = math.fsum(angle(a, b) for a, b in edges.pairs)
    if length > _CELLS_MAX * _DIAGONAL_MAX / (1 << level):
        return None
    found: list[int] = []
    waiting: list[tuple[int, list[Edge]]] = [(cell, edges.pairs) for cell in _FACES[::-1]]
    while waiting:
        cell, near = waiting.pop()
        corners = grid.corners(cell, _WIDER)
        near = _near(near, Edges(list(pairwise((*corners, corners[0])))), corners)
        missing = level - grid.level(cell)
        if not near and not has(grid.center(cell)):
            continue
        if not missing:
            found.append(cell)
        elif not near and 4**missing > _CELLS_MAX:
            return None
        else:
            waiting.extend((each, near) for each in grid.children(cell)[::-1])
        if len(found) > _CELLS_MAX:
            return None
    return found


def _near(edges: list[Edge], border: Edges, corners: list[Vector]) -> list[Edge]:
    """The edges that have a part in a cell, given its border."""
    if not edges:
        return []
    crossing = {one for one, _ in Edges(edges).crossings(border)}
    cell = Polygons(((tuple(corners),),))
    return [edge for at, edge in enumerate(edges) if at in crossing or inside(edge[0], cell)]


def _polygon_cells(text: str | None, level: int | None, radius_m: float | None) -> str | None:
    polygons = read_polygons(text)
    if polygons is None or level is None or not _valid_cover("geo_polygon_to_s2cells", level, radius_m):
        return None
    cells = _covering(polygons.edges, level, lambda point: inside(point, polygons))
    return None if cells is None else _array(cells)


def _line_cells(text: str | None, level: int | None, radius_m: float | None) -> str | None:
    lines = read_lines(text)
    if lines is None or level is None or not _valid_cover("geo_line_to_s2cells", level, radius_m):
        return None
    cells = _covering(lines.edges, level, lambda point: False)
    return None if cells is None else _array(cells)


def _valid_cover(name: str, level: int, radius_m: float | None) -> bool:
    if not _known_level(level) or radius_m is None or radius_m < 0:
        return False
    if radius_m:
        raise ValueError(f"{name}() with a radius is not supported: leave it out")
    return True


FUNCTIONS: dict[str, Any] = {
    "geo_point_to_s2cell(number, number, whole) text": _at_point,
    "geo_s2cell_to_central_point(text) text": _center,
    "geo_s2cell_to_polygon(text) text": _polygon,
    "geo_s2cell_neighbors(text) text": _neighbors,
    "geo_polygon_to_s2cells(text, whole, number) text": _polygon_cells,
    "geo_line_to_s2cells(text, whole, number) text": _line_cells,
}
