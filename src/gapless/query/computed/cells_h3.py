"""Cells of the H3 grid, by its own library: those at points, around cells and in polygons."""

from __future__ import annotations

from typing import Any

import h3.api.basic_str as h3
import msgspec

from gapless.query.computed.areas import read_polygons
from gapless.query.computed.geojson import geometry_text
from gapless.query.computed.sphere import to_degrees

#: As many cells as one value may have.
_CELLS_MAX = 61_680
_RINGS_MAX = 142


def _valid(cell: str | None) -> str | None:
    """A cell in lower case; None for what is none."""
    found = (cell or "").lower()
    return found if len(found) == 15 and h3.is_valid_cell(found) else None


def _array(cells: Any) -> str:
    return msgspec.json.encode(cells).decode()


def _at_point(longitude: float | None, latitude: float | None, resolution: int | None) -> str:
    if longitude is None or latitude is None or resolution is None or not 0 <= resolution <= 15:
        return ""
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        return ""
    return str(h3.latlng_to_cell(latitude, longitude, resolution))


def _rings(cell: str | None, distance: int | None) -> str | None:
    found = _valid(cell)
    if found is None or distance is None or not 0 <= distance <= _RINGS_MAX:
        return None
    seen: set[str] = set()
    rings = []
    for size in range(distance + 1):
        disk = [each for each in h3.grid_disk(found, size) if each not in seen]
        seen.update(disk)
        rings.append(disk)
    return _array(rings)


def _neighbors(cell: str | None) -> str | None:
    found = _valid(cell)
    return None if found is None else _array([each for each in h3.grid_disk(found, 1) if each != found])


def _center(cell: str | None) -> str | None:
    found = _valid(cell)
    if found is None:
        return None
    latitude, longitude = h3.cell_to_latlng(found)
    return geometry_text({"type": "Point", "coordinates": (longitude, latitude)})


def _polygon(cell: str | None) -> str | None:
    found = _valid(cell)
    if found is None:
        return None
    corners = [(longitude, latitude) for latitude, longitude in h3.cell_to_boundary(found)]
    return geometry_text({"type": "Polygon", "coordinates": [[*corners, corners[0]]]})


def _in_polygon(text: str | None, resolution: int | None, radius_m: float | None) -> str | None:
    polygons = read_polygons(text)
    if polygons is None or resolution is None or not 0 <= resolution <= 15 or radius_m is None:
        return None
    if radius_m < 0:
        return None
    if radius_m:
        raise ValueError("geo_polygon_to_h3cells() with a radius is not supported: leave it out")
    cells: list[str] = []
    for part in polygons.parts:
        shell, *holes = ([to_degrees(point)[::-1] for point in ring] for ring in part)
        shape = h3.LatLngPoly(shell, *holes)
        cells.extend(h3.polygon_to_cells(shape, resolution))
        if len(cells) > _CELLS_MAX:
            return None
    return _array(sorted(set(cells)))


FUNCTIONS: dict[str, Any] = {
    "geo_point_to_h3cell(number, number, whole) text": _at_point,
    "geo_h3cell_rings(text, whole) text": _rings,
    "geo_h3cell_neighbors(text) text": _neighbors,
    "geo_h3cell_to_central_point(text) text": _center,
    "geo_h3cell_to_polygon(text) text": _polygon,
    "geo_polygon_to_h3cells(text, whole, number) text": _in_polygon,
}
