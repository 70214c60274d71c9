"""Functions of lines and polygons on Earth, and of the cells of grids, that Python computes (see
``gapless.query.computed``). Geometries are GeoJSON, edges great circles; what is none gives null."""

from __future__ import annotations

from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import BOOL, LONG, REAL, Constant

LINES = Family("Lines on Earth")
POLYGONS = Family("Polygons on Earth")
H3 = Family("Cells of H3 at places")
S2 = Family("Cells of S2")

_RESOLUTION = Constant(6, LONG)
_S2_LEVEL = Constant(11, LONG)
_NO_RADIUS = Constant(0.0, REAL)
_DENSE = (Constant(10.0, REAL), Constant(False, BOOL))


_POINT = "longitude: real, latitude: real"

LINES.computed(
    f"geo_closest_point_on_line({_POINT}, line: dynamic): dynamic",
    "The point of a line that is nearest to a point.",
)
LINES.computed(
    f"geo_distance_point_to_line({_POINT}, line: dynamic): real",
    "The shortest distance between a point and a line.",
)
LINES.computed("geo_line_centroid(line: dynamic): dynamic", "The middle of the mass of a line.")
LINES.computed(
    "geo_line_densify(line: dynamic, tolerance?: real, preserve_crossing?: bool): dynamic",
    "A line that is straight on a map, with so many more points that its edges stay within a tolerance of "
    "it, 10 by default.",
    *_DENSE,
)
LINES.computed(
    "geo_line_interpolate_point(line: dynamic, fraction: real): dynamic",
    "The point at a fraction of a line's length.",
)
LINES.computed(
    f"geo_line_locate_point(line: dynamic, {_POINT}): real",
    "The fraction of a line's length at which it is nearest to a point.",
)
LINES.computed(
    "geo_intersects_2lines(line1: dynamic, line2: dynamic): bool",
    "Whether two lines have a point in common.",
)
LINES.computed(
    "geo_intersection_2lines(line1: dynamic, line2: dynamic): dynamic",
    "The points and edges that two lines have in common.",
)
LINES.computed(
    "geo_union_lines_array(lines: dynamic): dynamic",
    "What the lines of an array are together, if none crosses another.",
)
POLYGONS.computed(
    f"geo_point_in_polygon({_POINT}, polygon: dynamic): bool",
    "Whether a point is in a polygon.",
)
POLYGONS.computed(
    f"geo_closest_point_on_polygon({_POINT}, polygon: dynamic): dynamic",
    "The point of a polygon that is nearest to a point: that point itself, if it is inside.",
)
POLYGONS.computed(
    f"geo_distance_point_to_polygon({_POINT}, polygon: dynamic): real",
    "The shortest distance between a point and a polygon; 0 inside.",
)
POLYGONS.computed("geo_polygon_area(polygon: dynamic): real", "The area of a polygon.")
POLYGONS.computed("geo_polygon_perimeter(polygon: dynamic): real", "The length of a polygon's border.")
POLYGONS.computed("geo_polygon_centroid(polygon: dynamic): dynamic", "The middle of the mass of a polygon.")
POLYGONS.computed(
    "geo_polygon_densify(polygon: dynamic, tolerance?: real, preserve_crossing?: bool): dynamic",
    "As geo_line_densify(), of a polygon's border.",
    *_DENSE,
)
POLYGONS.computed(
    "geo_intersects_2polygons(polygon1: dynamic, polygon2: dynamic): bool",
    "Whether two polygons have a point in common.",
)
POLYGONS.computed(
    "geo_intersects_line_with_polygon(line: dynamic, polygon: dynamic): bool",
    "Whether a line and a polygon have a point in common.",
)
POLYGONS.computed(
    "geo_intersection_line_with_polygon(line: dynamic, polygon: dynamic): dynamic",
    "The parts of a line that are in a polygon.",
)
POLYGONS.computed(
    "geo_intersection_2polygons(polygon1: dynamic, polygon2: dynamic): dynamic",
    "What two polygons have in common.",
)
POLYGONS.computed(
    "geo_union_polygons_array(polygons: dynamic): dynamic",
    "What the polygons of an array are together.",
)
H3.computed(
    f"geo_point_to_h3cell({_POINT}, resolution?: long): string",
    "The cell of a resolution, 6 by default, that a point is in; empty text for none.",
    _RESOLUTION,
)
H3.computed("geo_h3cell_neighbors(cell: string): dynamic", "The cells beside a cell.")
H3.computed(
    "geo_h3cell_rings(cell: string, distance: long): dynamic",
    "The cells at each distance from a cell, from 0 on, an array each.",
)
H3.computed("geo_h3cell_to_central_point(cell: string): dynamic", "The middle of a cell in GeoJSON.")
H3.computed("geo_h3cell_to_polygon(cell: string): dynamic", "The border of a cell in GeoJSON.")
H3.computed(
    "geo_polygon_to_h3cells(polygon: dynamic, resolution?: long, radius?: real): dynamic",
    "The cells of a resolution, 6 by default, whose middle is in a polygon; null if they are more than "
    "61,680. A radius other than 0 is refused.",
    _RESOLUTION,
    _NO_RADIUS,
)
S2.computed(
    f"geo_point_to_s2cell({_POINT}, level?: long): string",
    "The cell of a level, 11 by default, that a point is in; empty text for none.",
    _S2_LEVEL,
)
S2.computed("geo_s2cell_neighbors(cell: string): dynamic", "The cells of the same level around a cell.")
S2.computed("geo_s2cell_to_central_point(cell: string): dynamic", "The middle of a cell in GeoJSON.")
S2.computed("geo_s2cell_to_polygon(cell: string): dynamic", "The border of a cell in GeoJSON.")
for _name, _what in (("line", "line"), ("polygon", "polygon")):
    S2.computed(
        f"geo_{_name}_to_s2cells({_what}: dynamic, level?: long, radius?: real): dynamic",
        f"The cells of a level, 11 by default, that cover a {_what}; null if they are more than 65,536. A "
        "radius other than 0 is refused.",
        _S2_LEVEL,
        _NO_RADIUS,
    )
