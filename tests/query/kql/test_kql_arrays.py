"""Functions of arrays."""

from __future__ import annotations

import pytest
from kql_answers import check, rows, values

from gapless.model.errors import Refused

_WORDS = "dynamic(['this', 'is', 'an', 'example', 'an', 'example'])"


def test_positions() -> None:
    check(
        {
            f"array_index_of({_WORDS}, 'an')": 2,
            f"array_index_of({_WORDS}, 'example', 1, 3)": 3,
            f"array_index_of({_WORDS}, 'example', 1, 2)": -1,
            f"array_index_of({_WORDS}, 'an', 1, -1, 2)": 4,
            f"array_index_of({_WORDS}, 'an', -3)": 4,
            f"array_index_of({_WORDS}, 'is', -4)": -1,
            f"array_index_of({_WORDS}, 'is', -40)": 1,
            f"array_index_of({_WORDS}, 'is', 0, -2)": None,
            "array_index_of(dynamic([1, '1']), '1')": 1,
            "array_index_of(dynamic('x'), 'x')": None,
        }
    )


def test_orders() -> None:
    check(
        {
            "array_sort_asc(dynamic(['b', null, 'a']))": ["a", "b", None],
            "array_sort_asc(dynamic(['b', null, 'a']), false)": [None, "a", "b"],
            "array_sort_desc(dynamic([1, null, 2]))": [2, 1, None],
            "array_sort_desc(dynamic([1, null, 2]), false)": [None, 2, 1],
            "array_sort_desc(dynamic([9007199254740992, 9007199254740993]))": [
                9007199254740993,
                9007199254740992,
            ],
            "array_sort_asc(dynamic([]))": [],
            "array_sort_asc(dynamic([3, 1, 2]), dynamic(['c', 'a', 'b']))[1]": ["a", "b", "c"],
            "array_sort_asc(dynamic([3, 1, 2]), dynamic(['c']))[1]": [None, None, "c"],
        }
    )
    assert rows("print array_sort_asc(dynamic([2, 1]), dynamic([5, 6]))") == [[[1, 2], [6, 5]]]


def test_an_array_of_numbers_and_texts_has_no_order() -> None:
    with pytest.raises(Refused):
        values("array_sort_asc(dynamic([1, 'a']))")


def test_moves_and_parts() -> None:
    check(
        {
            "array_shift_right(dynamic([1, 2, 3]), 2)": [None, None, 1],
            "array_shift_right(dynamic([1, 2, 3]), 1, -1)": [-1, 1, 2],
            "array_shift_left(dynamic(['a', 'b']), 1)": ["b", ""],
            "array_shift_left(dynamic([1, 2]), -1)": [None, 1],
            "array_rotate_left(dynamic([1, 2, 3]), 7)": [2, 3, 1],
            "array_rotate_right(dynamic([1, 2, 3]), 1)": [3, 1, 2],
            "array_rotate_left(dynamic([]), 1)": [],
            "array_split(dynamic([1, 2, 3, 4]), dynamic([1, 3]))": [[1], [2, 3], [4]],
            "array_split(dynamic([1, 2, 3]), -1)": [[1, 2], [3]],
            "array_iff(dynamic([true, 0, 5, 'x', null]), dynamic([1, 2, 3, 4, 5]), -1)": [
                1,
                -1,
                3,
                None,
                None,
            ],
        }
    )
