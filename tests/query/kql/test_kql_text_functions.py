"""Functions of text, their positions and encodings."""

from __future__ import annotations

import pytest
from kql_answers import check, rows, values

from gapless.query.kql.errors import KqlError


def test_positions_of_texts() -> None:
    check(
        {
            "indexof('abcdefg', 'cde', 1, 4)": 2,
            "indexof('abcdefg', 'cde', 1, 2)": -1,
            "indexof('abcdefg', 'cde', -5)": 2,
            "indexof(1234567, 5, 1, 4)": 4,
            "indexof('abcabcabc', 'abc', 0, -1, 3)": 6,
            "indexof('abc', 'c', 10)": -1,
            "indexof('abc', 'c', -10)": 2,
            "indexof('abc', 'c', 0, -2)": None,
            "indexof('aб😀c', 'c')": 3,
        }
    )


def test_positions_of_matches() -> None:
    check(
        {
            "indexof_regex('abcabc', @'a.c')": 0,
            "indexof_regex('abcabcdefg', @'a.c', 0, 9, 2)": 3,
            "indexof_regex('abcabc', @'a.c', 1, -1, 2)": -1,
            "indexof_regex('ababaa', @'a.a', 0, -1, 2)": -1,
            "indexof_regex('abcabc', @'a|ab', -1)": None,
            "has_any_index('this is an example', dynamic(['not', 'example']))": 1,
            "has_any_index('this is an example', dynamic(['exam']))": -1,
            "has_any_index('Example number 2', range(1, 3, 1))": 1,
            "has_any_index('x', dynamic([]))": -1,
        }
    )


def test_code_points_and_bytes() -> None:
    check(
        {
            "unicode_codepoints_from_string('aб😀')": [97, 1073, 128512],
            "unicode_codepoints_from_string('')": [],
            "unicode_codepoints_to_string(dynamic([75, 117]), 115, 128512)": "Kus😀",
            "unicode_codepoints_to_string(-1, 55296, 1114112, 65)": "A",
            "base64_decode_toarray('S3VzdG8=')": [75, 117, 115, 116, 111],
            "base64_decode_toarray('no')": None,
            "base64_encode_fromarray(dynamic([75, 117, 115, 116, 111]))": "S3VzdG8=",
            "base64_encode_fromarray(dynamic([256]))": "",
            "hash_md5(datetime(2020-01-01))": "786c530672d1f8db31fee25ea8a9390b",
            "url_encode('https://a.b/hello world')": "https%3a%2f%2fa.b%2fhello+world",
            "url_encode_component('https://a.b/hello world')": "https%3a%2f%2fa.b%2fhello%20world",
            "url_decode(url_encode('a+b c/д%'))": "a+b c/д%",
            "reverse(123.45)": "54.321",
            "reverse(3h)": "00:00:30",
        }
    )


def test_parts_by_a_column() -> None:
    found = rows("range i from 0 to 2 step 1 | project split('a,b', ',', i), split('a0b', tostring(i))")
    assert found == [[["a"], ["a", "b"]], [["b"], ["a0b"]], [[], ["a0b"]]]


def test_arrays_are_joined_by_a_column() -> None:
    text = (
        "datatable(d: dynamic, s: string)[dynamic(['a', 1, null]), '-', dynamic([]), '+', dynamic(null), '']"
    )
    assert rows(f"{text} | project strcat_array(d, s)") == [["a-1-"], [""], [""]]


def test_groups_by_name() -> None:
    check({"extract_all(@'(?P<x>a)(?P<y>.)', dynamic(['y', 1]), 'ab ac')": [["b", "a"], ["c", "a"]]})
    with pytest.raises(KqlError, match="by number or by name"):
        values("extract_all(@'(?P<x>a)', dynamic(['z']), 'a')")


def test_parse_fills_all_columns_or_none_unless_it_is_relaxed() -> None:
    table = (
        "datatable(s: string)['a=2024-01-02, b=5, c=x', 'a=never, b=5, c=x', 'a=2024-01-02, b=y, c=x', 'z']"
    )
    pattern = "s with 'a=' a: datetime ', b=' b: long ', c=' c"
    whole = ["2024-01-02T00:00:00.0000000Z", 5, "x"]
    none = [None, None, ""]
    assert rows(f"{table} | parse {pattern} | project a, b, c") == [whole, none, none, none]
    assert rows(f"{table} | parse kind=regex {pattern} | project a, b, c") == [whole, none, none, none]
    assert rows(f"{table} | parse-where {pattern} | project a, b, c") == [whole]
    assert rows(f"{table} | parse kind=relaxed {pattern} | project a, b, c") == [
        whole,
        [None, 5, "x"],
        [whole[0], None, "x"],
        none,
    ]
