"""Places on Earth: against values that the documentation shows, and against properties."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from kql_answers import check, value, values

_HOLE = "[[4,1],[6,1],[6,2],[4,2],[4,1]]"
_SQUARE = f'{{"type": "Polygon", "coordinates": [[[0,0],[10,0],[10,10],[0,10],[0,0]], {_HOLE}]}}'
_FLAT = '{"type": "Polygon", "coordinates": [[[0,0],[1,1],[1,1],[0,0]]]}'
_DATE_LINE = '{"type": "Polygon", "coordinates": [[[179,-1],[-179,-1],[-179,1],[179,1],[179,-1]]]}'


def test_points() -> None:
    check(
        {
            "geo_distance_2points(-122.407628, 47.578557, -118.275287, 34.019056)": 1546754.35197381,
            "geo_distance_2points(300, 1, 1, 1)": None,
            "geo_azimuth(5, 10, 10, -40)": 3.05459939796449,
            "geo_azimuth(5, 10, 5, 10)": None,
            "degrees(geo_angle(0, 10, 0, 5, 3, -10))": 168.732543198009,
            "geo_point_in_circle(-122.137575, 47.630683, -122.100896, 47.527351, 3500)": False,
            "geo_point_in_circle(1, 1, 1, 1, 0)": True,
            "geo_point_in_circle(1, 1, 1, 1, -1)": None,
        }
    )


def test_lines_and_polygons() -> None:
    line = "[[-73.95807266235352,40.800426144169315],[-73.94966125488281,40.79691751000055],"
    line += "[-73.97317886352539,40.764486356930334]]"
    check(
        {
            f'geo_line_length(dynamic({{"type":"LineString","coordinates":{line}}}))': 4922.48016992081,
            'geo_line_length(dynamic({"type":"LineString","coordinates":[[1, 1]]}))': None,
            f"geo_point_in_polygon(5, 1.5, dynamic({_SQUARE}))": False,
            f"geo_point_in_polygon(5, 5, dynamic({_SQUARE}))": True,
            f"geo_point_in_polygon(5, 10.01, dynamic({_SQUARE}))": True,
            f"geo_point_in_polygon(11, 5, dynamic({_SQUARE}))": False,
            f"geo_point_in_polygon(179.5, 0, dynamic({_DATE_LINE}))": True,
            f"geo_point_in_polygon(0, 0, dynamic({_DATE_LINE}))": False,
            f"geo_point_in_polygon(1, 1, dynamic({_FLAT}))": None,
        }
    )


def test_geohashes() -> None:
    check(
        {
            "geo_point_to_geohash(-122.303404, 47.570482)": "c23n8",
            "geo_point_to_geohash(180, 90, 18)": "z" * 18,
            "geo_point_to_geohash(200, 1, 8)": "",
            "geo_point_to_geohash(1, 1, int(null))": "",
            "geo_geohash_to_central_point('sunny').coordinates": [42.47314453125, 23.70849609375],
            "geo_geohash_to_central_point('a')": None,
            "geo_geohash_neighbors('sunny')": (
                ["sunnt", "sunpj", "sunnx", "sunpn", "sunnv", "sunpp", "sunnz", "sunnw"]
            ),
            "array_length(geo_geohash_neighbors('z'))": 5,
        }
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(-180_000, 179_999), st.integers(-90_000, 89_999), st.integers(1, 16))
def test_a_point_is_in_its_geohash(east: int, north: int, accuracy: int) -> None:
    longitude, latitude = east / 1000, north / 1000
    place = f"real({longitude!r}), real({latitude!r})"
    geohash = value(f"geo_point_to_geohash({place}, {accuracy})")
    (low, _, high, *_) = value(f"geo_geohash_to_polygon('{geohash}').coordinates[0]")
    assert low[0] <= longitude <= high[0] and low[1] <= latitude <= high[1]


def test_cells_of_h3() -> None:
    cell = "'862a1072fffffff'"
    parent, far, none, level, children = values(
        f"geo_h3cell_parent({cell})",
        f"geo_h3cell_parent({cell}, 1)",
        f"geo_h3cell_parent({cell}, 15)",
        f"geo_h3cell_level({cell})",
        f"geo_h3cell_children({cell}, 8)",
    )
    assert (parent, far, none, level) == ("852a1073fffffff", "812a3ffffffffff", "", 6)
    assert len(set(children)) == 49
    assert set(values(*(f"geo_h3cell_parent('{child}', 6)" for child in children))) == {"862a1072fffffff"}
    check({"geo_h3cell_level('abc')": None, "geo_h3cell_level('862a1072ffffff0')": None})
    # Around a pentagon a cell is missing.
    check({"array_length(geo_h3cell_children('8009fffffffffff'))": 6})
