"""Lines, polygons and cells of grids: against values that the documentation shows, and against properties."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kql_answers import check, rows, value, values

from gapless.model.errors import Refused
from gapless.query import allowed
from gapless.query.computed import s2_grid
from gapless.query.computed.registry import COMPUTED
from gapless.query.computed.sphere import RADIUS_M, angle, from_degrees
from gapless.query.pool import QueryPool
from gapless.query.request import QueryRequest

_PARK = "[[[-73.9495,40.7969],[-73.95807266235352,40.80068603561921],[-73.98201942443848,40.76825672305777],"
_PARK += "[-73.97317886352539,40.76455136505513],[-73.9495,40.7969]]]"
PARK = f'dynamic({{"type":"Polygon","coordinates":{_PARK}}})'
LINE = 'dynamic({"type":"LineString","coordinates":[[-73.95796,40.80042],[-73.97317,40.764486]]})'

_LONGITUDES, _LATITUDES = st.floats(-180, 180), st.floats(-89, 89)


def polygon(*rings: str) -> str:
    return f'dynamic({{"type":"Polygon","coordinates":[{",".join(rings)}]}})'


def test_every_computed_function_may_be_called_and_no_other() -> None:
    assert set(COMPUTED) == allowed.COMPUTED


def test_documented_values() -> None:
    check(
        {
            f"geo_polygon_area({PARK})": 3475207.28346606,
            f"geo_polygon_centroid({PARK}).coordinates": [-73.965735689907618, 40.782550538057812],
            f"geo_closest_point_on_polygon(-73.9839, 40.7705, {PARK}).coordinates": [
                -73.981205580153926,
                40.769359452843211,
            ],
            f"geo_distance_point_to_polygon(-73.9839, 40.7705, {PARK})": 259.940756070596,
            f"geo_line_interpolate_point({LINE}, 0.25).coordinates": [
                -73.961764043218281,
                40.791436687257232,
            ],
            f"geo_line_locate_point({LINE}, -73.965, 40.792)": 0.25560135100307552,
            "geo_point_to_h3cell(-73.956683, 40.807907, 5)": "852a100bfffffff",
            "geo_point_to_s2cell(-80.195829, 25.802215, 8)": "88d9b",
            f"array_length(geo_polygon_to_s2cells({polygon('[[0,0],[0,50],[100,50],[0,0]]')}, 5))": 286,
        }
    )


@pytest.mark.parametrize(
    "expression",
    [
        f"geo_closest_point_on_line(300, 3, {LINE})",
        f"geo_distance_point_to_line(real(null), 3, {LINE})",
        f"geo_line_interpolate_point({LINE}, 1.5)",
        "geo_line_locate_point(dynamic({'type': 'LineString', 'coordinates': [[1, 1]]}), 1, 1)",
        "geo_line_centroid(dynamic(null))",
        "geo_polygon_area(dynamic([1]))",
        "geo_polygon_area(dynamic({'type': 'Polygon'}))",
        f"geo_polygon_area({polygon('[[0,0],[10,10],[10,10],[0,0]]')})",
        # A ring that crosses itself, one that is open, and one that is not on Earth.
        f"geo_polygon_perimeter({polygon('[[0,0],[10,10],[10,0],[0,10],[0,0]]')})",
        f"geo_polygon_perimeter({polygon('[[0,0],[10,0],[10,10]]')})",
        f"geo_polygon_perimeter({polygon('[[0,0],[10,0],[10,100],[0,0]]')})",
        f"geo_polygon_densify({PARK}, -1.0)",
        f"geo_intersection_2polygons({PARK}, {LINE})",
        f"geo_intersects_2lines({PARK}, {LINE})",
        "geo_union_polygons_array(dynamic([]))",
        f"geo_union_polygons_array(pack_array({PARK}, 1))",
        "geo_h3cell_neighbors('abc')",
        "geo_h3cell_rings('862a1072fffffff', -1)",
        "geo_s2cell_to_central_point('a')",
        f"geo_polygon_to_h3cells({PARK}, 16)",
        f"geo_polygon_to_s2cells({polygon('[[0,0],[0,50],[100,50],[0,0]]')}, 30)",
    ],
)
def test_what_is_none_gives_null(expression: str) -> None:
    assert value(expression) is None


def test_no_place_has_no_cell() -> None:
    wanted = {
        f"geo_point_to_{grid}cell({place})": "" for grid in ("h3", "s2") for place in ("300, 1", "1, 1, 31")
    }
    check(wanted | {"geo_point_to_h3cell(1, 1, int(null))": ""})


def test_which_way_round_a_ring_goes_is_no_matter() -> None:
    around = "[[0,0],[10,0],[10,10],[0,10],[0,0]]"
    back = "[[0,0],[0,10],[10,10],[10,0],[0,0]]"
    hole, hole_back = "[[4,1],[4,2],[6,2],[6,1],[4,1]]", "[[4,1],[6,1],[6,2],[4,2],[4,1]]"
    areas = values(
        *(
            f"geo_polygon_area({polygon(*rings)})"
            for rings in ((around, hole), (back, hole), (around, hole_back))
        )
    )
    assert len(set(areas)) == 1
    assert areas[0] < value(f"geo_polygon_area({polygon(around)})")


def test_a_multipolygon_is_what_its_polygons_are_together() -> None:
    one, other = "[[0,0],[10,0],[10,10],[0,10],[0,0]]", "[[5,5],[15,5],[15,15],[5,15],[5,5]]"
    both = f'dynamic({{"type":"MultiPolygon","coordinates":[[{one}],[{other}]]}})'
    union = f"geo_union_polygons_array(pack_array({polygon(one)}, {polygon(other)}))"
    area, united, single, common, inside = values(
        f"geo_polygon_area({both})",
        f"geo_polygon_area({union})",
        f"geo_polygon_area({polygon(one)}) + geo_polygon_area({polygon(other)})",
        f"geo_polygon_area(geo_intersection_2polygons({polygon(one)}, {polygon(other)}))",
        f"geo_point_in_polygon(7, 7, {both})",
    )
    assert math.isclose(area, united, rel_tol=1e-12)
    assert math.isclose(united, single - common, rel_tol=1e-9)
    assert inside is True


def test_polygons_far_apart_and_large_ones() -> None:
    squares = [
        [[[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1], [x, y]]] for x in range(0, 40, 4) for y in (0, 9)
    ]
    many = json.dumps({"type": "MultiPolygon", "coordinates": squares})
    # Two bands of more than half the globe's length, which overlap on its other side.
    band = "[[-120,-10],[0,-10],[120,-10],[120,10],[0,10],[-120,10],[-120,-10]]"
    other = "[[100,-5],[170,-5],[-100,-5],[-100,5],[170,5],[100,5],[100,-5]]"
    parts, inside, outside, meet = values(
        f"geo_polygon_area(dynamic({many})) / geo_polygon_area({polygon(str(squares[0][0]))})",
        f"geo_point_in_polygon(36.5, 9.5, dynamic({many}))",
        f"geo_point_in_polygon(35.5, 9.5, dynamic({many}))",
        f"geo_intersects_2polygons({polygon(band)}, {polygon(other)})",
    )
    assert 19 < parts < 20
    assert (inside, outside, meet) == (True, False, True)


def test_a_hole_is_left_out() -> None:
    shell, hole = "[[0,0],[10,0],[10,10],[0,10],[0,0]]", "[[2,2],[2,8],[8,8],[8,2],[2,2]]"
    ring = polygon(shell, hole)
    check(
        {
            f"geo_point_in_polygon(5, 5, {ring})": False,
            f"geo_point_in_polygon(1, 1, {ring})": True,
            f"geo_distance_point_to_polygon(1, 1, {ring})": 0.0,
            f"geo_intersects_2polygons({ring}, {polygon('[[4,4],[6,4],[6,6],[4,4]]')})": False,
            f"geo_intersects_2polygons({ring}, {polygon('[[1,4],[6,4],[6,6],[1,4]]')})": True,
            # What is in common with a band across the hole are the parts on both sides.
            f"array_length(geo_intersection_2polygons({ring}, "
            f"{polygon('[[-1,4],[11,4],[11,6],[-1,6],[-1,4]]')}).coordinates)": 2,
        }
    )


def test_lines_together() -> None:
    cross = 'dynamic({"type":"LineString","coordinates":[[-1,0],[1,0]]})'
    other = 'dynamic({"type":"LineString","coordinates":[[0,-1],[0,1]]})'
    after = 'dynamic({"type":"LineString","coordinates":[[1,0],[2,1]]})'
    point, apart, union = values(
        f"geo_intersection_2lines({cross}, {other})",
        f"geo_intersection_2lines({other}, {after})",
        f"geo_union_lines_array(pack_array({cross}, {after}))",
    )
    assert point["type"] == "Point" and max(map(abs, point["coordinates"])) < 1e-12
    assert apart == {"type": "GeometryCollection", "geometries": []}
    assert union["type"] == "LineString" and len(union["coordinates"]) == 3


def test_what_would_hang_on_rounding_is_refused() -> None:
    on_edge = polygon("[[5,0],[8,-5],[2,-5],[5,0]]")
    square = polygon("[[0,0],[10,0],[10,10],[0,10],[0,0]]")
    with pytest.raises(
        Refused, match=r"^geometries whose vertices lie on each other's edges are not supported$"
    ):
        value(f"geo_intersection_2polygons({square}, {on_edge})")
    with pytest.raises(Refused, match="radius is not supported"):
        value(f"geo_polygon_to_h3cells({PARK}, 5, 10.0)")


def test_over_rows_with_nulls() -> None:
    table = f"datatable(x: real, y: real)[-73.965, 40.78, real(null), 1.0, 0.0, 0.0] | extend p = {PARK}"
    asked = "| project a = geo_point_in_polygon(x, y, p), c = geo_point_to_s2cell(x, y, 3)"
    found = rows(table + asked)
    assert [row[0] for row in found] == [True, None, False]
    assert [row[1] for row in found][1:] == ["", "104"]
    assert rows(f"{table} | where x > 200 {asked}") == []


def test_in_a_confined_process() -> None:
    async def main() -> list[list[Any]]:
        async with QueryPool(workers_max=1) as pool:
            text = "datatable(x: real, y: real)[-73.956683, 40.807907] | project geo_point_to_h3cell(x, y, 5)"
            return (await pool.run(QueryRequest(text=text, language="kql", tables=()))).rows

    assert asyncio.run(main()) == [["852a100bfffffff"]]


@given(_LONGITUDES, _LATITUDES, st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_a_point_is_in_its_s2_cell(longitude: float, latitude: float, level: int) -> None:
    point = from_degrees(longitude, latitude)
    cell = s2_grid.parent(s2_grid.leaf(point), level)
    assert s2_grid.level(cell) == level
    assert angle(point, s2_grid.center(cell)) <= 2.44 / (1 << level)
    around = s2_grid.neighbors(cell)
    assert len(around) == len(set(around)) and all(cell in s2_grid.neighbors(each) for each in around)


@given(_LONGITUDES, _LATITUDES, _LONGITUDES, _LATITUDES)
@settings(max_examples=40, deadline=None)
def test_the_nearest_point_of_a_line_is_not_further_than_its_ends(
    x: float, y: float, longitude: float, latitude: float
) -> None:
    nearest = COMPUTED["geo_distance_point_to_line"].compute
    ends = [(x, y), (10.0, 20.0)]
    if angle(from_degrees(*ends[0]), from_degrees(*ends[1])) > 3.1 or ends[0] == ends[1]:
        return
    found = nearest(longitude, latitude, json.dumps({"type": "LineString", "coordinates": ends}))
    point = from_degrees(longitude, latitude)
    assert found <= RADIUS_M * min(angle(point, from_degrees(*end)) for end in ends) * (1 + 1e-12) + 1e-6
