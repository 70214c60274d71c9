"""Series taken apart: trend, season, and what stands out."""

from __future__ import annotations

from typing import Any

import pytest
from kql_answers import rows

from gapless.model.errors import Refused

#: Traffic of a month, twice a day, with a week's rhythm (an example of Kusto's documentation).
_TRAFFIC = [
    80, 139, 87, 110, 68, 54, 50, 51, 53, 133, 86, 141, 97, 156, 94, 149, 95, 140, 77, 61, 50, 54, 47, 133,
    72, 152, 94, 148, 105, 162, 101, 160, 87, 63, 53, 55, 54, 151, 103, 189, 108, 183, 113, 175, 113, 178, 90,
    71, 62, 62, 65, 165, 109, 181, 115, 182, 121, 178, 114, 170,
]  # fmt: skip


def _parts(series: list[Any], *arguments: str) -> list[Any]:
    given = ", ".join([f"dynamic({series})", *arguments])
    (found,) = rows(f"print series_decompose({given})")
    return found


def test_a_season_is_the_median_of_its_phase_and_a_trend_is_a_line() -> None:
    season = [0, 5, 0, -5]
    series = [10 + 2 * at + season[at % 4] for at in range(24)]
    series[9] += 100
    baseline, seasonal, trend, residual = _parts(series[:8] * 3, "4", '"none"')
    assert (seasonal, trend) == (baseline, [0.0] * 24)
    baseline, seasonal, trend, residual = _parts([0, 5, 0, -5] * 6, "4", '"avg"')
    assert (baseline, seasonal) == ([0.0, 5.0, 0.0, -5.0] * 6, [0.0, 5.0, 0.0, -5.0] * 6)
    assert (trend, residual) == ([0.0] * 24, [0.0] * 24)
    baseline, seasonal, trend, residual = _parts([3, 5, 7, 9, 11], "0", '"linefit"')
    assert (baseline, seasonal, residual) == ([3.0, 5.0, 7.0, 9.0, 11.0], [0.0] * 5, [0.0] * 5)


def test_points_of_a_test_are_foretold_not_learned() -> None:
    baseline, *_ = _parts([3, 5, 7, 100], "0", '"linefit"', "1")
    assert baseline == [3.0, 5.0, 7.0, 9.0]


def test_a_period_is_found_and_what_has_none_has_no_season() -> None:
    _, seasonal, _, _ = _parts(_TRAFFIC)
    assert seasonal[:14] == seasonal[14:28] != [0.0] * 14
    assert _parts([1, 2, 4, 7, 11, 16, 22, 29], "-1", '"linefit"')[1] == [0.0] * 8


def test_what_stands_out_has_its_column_and_its_sign() -> None:
    series = [10, 11, 12, 11] * 6
    series[7], series[13] = 40, -20
    text = f"print s = dynamic({series}) | extend (flag, score, base) = series_decompose_anomalies(s, 1.5, 4)"
    (found,) = rows(f"{text} | project flag, todouble(score[7]) > 1, todouble(score[13]) < -1, base")
    assert [at for at, flag in enumerate(found[0]) if flag] == [7, 13]
    assert (found[0][7], found[0][13], found[1], found[2]) == (1, -1, True, True)
    (names,) = rows(f"print s = dynamic({series}) | extend series_decompose_anomalies(s) | project-away s")
    assert len(names) == 3


def test_what_is_no_series_of_numbers_gives_null() -> None:
    for text in ("[]", "[1, null]", '["a"]', "{}", "1"):
        assert rows(f"print series_decompose(dynamic({text}))") == [[None] * 4]


@pytest.mark.parametrize("arguments", ['0, "cubic"', '1.5, 0, "avg", 0, "median"'])
def test_what_there_is_not_is_refused(arguments: str) -> None:
    name = "series_decompose" if arguments.startswith("0") else "series_decompose_anomalies"
    with pytest.raises(Refused, match="there is no"):
        rows(f"print {name}(dynamic([1, 2, 3]), {arguments})")
