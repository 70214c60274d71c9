"""Transforms in their process: what they keep, and that none loses a record or brings anybody down."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gapless.model.batch import RECEIVED
from gapless.model.errors import Refused
from gapless.model.rule import Effect, RuleStream
from gapless.model.stream import GATEWAY_AGENT, StreamKey
from gapless.model.tables import Column
from gapless.platform.sieve import SieveProcess

COLUMNS = (Column("Level", "string"), Column("n", "long"), Column("At", "datetime"), Column("d", "dynamic"))
KEY = StreamKey("contoso", "App_CL", GATEWAY_AGENT, "dcr-1:Custom-App")
NOW_US = 1_725_282_000_000_000  # 2024-09-02 13:00 UTC


def stream(transform: str, columns: tuple[Column, ...] = COLUMNS, name: str = "Custom-App") -> RuleStream:
    table = "App_CL" if name.startswith("Custom-") else name.partition("-")[2]
    return RuleStream(name=name, table=table, columns=columns, transform=transform)


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


RECORDS = lines(
    {"Level": "debug", "n": 1, "At": "2024-09-02T12:59:00Z"},
    {"Level": "info", "n": "2", "d": {"a": [7]}},
    {"n": 3, "n ": 4, "At": "2024-09-01"},
    {"Level": "de\u00e4\n", "n": 5},
    {"Level": {}, "Level ": 1, "n": 6, "TimeGenerated": "2024-09-02T12:00:00Z"},
)


@pytest.fixture(scope="module")
def sieve() -> Iterator[SieveProcess]:
    sieve = SieveProcess(pause_s=3600)
    yield sieve
    sieve.close()


@pytest.mark.system
@pytest.mark.parametrize(
    ("transform", "kept"),
    [
        ("source | where Level != 'debug'", [1, 2, 3, 4]),
        ("source | where n % 2 == 0", [1, 4]),
        ("source | where At > ago(1h)", [0]),
        ("source | where isnull(At) and TimeGenerated >= ago(30m)", [1, 3]),
        ("source | where tolong(d.a[0]) == 7", [1]),
        ("source | where false", []),
    ],
)
def test_a_transform_keeps_what_it_says(sieve: SieveProcess, transform: str, kept: list[int]) -> None:
    sieve.check(stream(transform))
    assert sieve.kept(KEY, stream(transform), RECORDS, NOW_US).nonzero()[0].tolist() == kept


@pytest.mark.system
@pytest.mark.parametrize(
    ("transform", "effect"),
    [
        ("source | where n > 1", Effect()),
        ("source | extend TimeGenerated = now()", Effect(filters=False, time=RECEIVED)),
        ("source | extend TimeGenerated = At", Effect(filters=False, time="At")),
        ("source | extend TimeGenerated = todatetime(Level) | where n > 1", Effect(time="Level")),
        ("source | project-away Level, d*", Effect(filters=False, drops=("Level", "d"))),
        (
            "source | where n > 1 | project TimeGenerated = At, n",
            Effect(time="At", drops=("Level", "At", "d")),
        ),
        ("source | project-keep TimeGenerated, n, At, d", Effect(filters=False, drops=("Level",))),
        (
            "source | project-rename m = n | extend TimeGenerated = At, d = d.a, Level",
            Effect(
                filters=False,
                time="At",
                drops=("n",),
                computes=(Column("m", "long"), Column("d", "dynamic")),
            ),
        ),
        (
            "source | parse-where Level with a:long 'x' * | project b = a + 1, s = strlen(Level)",
            Effect(drops=("Level", "n", "At", "d"), computes=(Column("b", "long"), Column("s", "long"))),
        ),
        (
            "source | extend TimeGenerated = now() | project TimeGenerated, Level, n, At, d | where n > 1",
            Effect(time=RECEIVED),
        ),
        (
            "source | extend TimeGenerated = At | extend TimeGenerated = TimeGenerated",
            Effect(filters=False, time="At"),
        ),
    ],
)
def test_what_a_transform_does_is_known_when_the_rule_is_made(
    sieve: SieveProcess, transform: str, effect: Effect
) -> None:
    assert sieve.check(stream(transform)) == effect


@pytest.mark.system
def test_a_condition_sees_the_time_that_the_transform_gives(sieve: SieveProcess) -> None:
    of = stream("source | extend TimeGenerated = At | where TimeGenerated > ago(1h) | project n")
    assert sieve.kept(KEY, of, RECORDS, NOW_US).nonzero()[0].tolist() == [0]


@pytest.mark.system
def test_of_a_known_table_a_transform_only_filters(sieve: SieveProcess) -> None:
    for text in ("source | extend TimeGenerated = now()", "source | project-away ResultType"):
        with pytest.raises(Refused, match="only filter"):
            sieve.check(stream(text, (), "Microsoft-SigninLogs"))


@pytest.mark.system
def test_a_known_table_has_its_own_columns(sieve: SieveProcess) -> None:
    of = stream("source | where ResultType == '0'", (), "Microsoft-SigninLogs")
    sieve.check(of)
    records = lines({"ResultType": "0"}, {"ResultType": 50126}, {"ResultType": 0})
    assert sieve.kept(KEY, of, records, NOW_US).tolist() == [True, False, True]


@pytest.mark.system
def test_records_that_are_no_rows_are_kept(sieve: SieveProcess) -> None:
    twice = b'{"x":1,"x":2}\n'  # has no place in a row
    deep = b'{"d":' + b"[" * 70 + b"]" * 70 + b"}\n"
    assert sieve.kept(KEY, stream("source | where false"), twice + deep + b"{}\n", NOW_US).tolist() == [
        True,
        True,
        False,
    ]


@pytest.mark.system
@pytest.mark.parametrize(
    ("transform", "columns"),
    [
        ("source | extend m = now() - At", COLUMNS),
        ("source | extend m = rand()", COLUMNS),
        ("source | extend m = toscalar(print rand())", COLUMNS),
        ("source | extend m = iff(now() > datetime(2035-01-01), 1, 2)", COLUMNS),
        ("let f = () { ago(1h) }; source | extend m = f() > datetime(2035-01-01)", COLUMNS),
        ("source | extend m = _Stream", COLUMNS),
        ("source | extend n = 1 | extend At = now() | extend TimeGenerated = At", COLUMNS),
        ("source | mv-expand d", COLUMNS),
        ("source | summarize count() by n", COLUMNS),
        ("source | extend m = n", (*COLUMNS, Column("N", "long"))),
        ("source | extend TimeGenerated = n", COLUMNS),
        ("source | extend TimeGenerated = At + 1h", COLUMNS),
        ("source | extend TimeGenerated = todatetime(n)", COLUMNS),
        ("source | project Level | extend TimeGenerated = At", COLUMNS),
        ("source | parse Level with TimeGenerated:datetime 'x' *", COLUMNS),
        ("source | where _Stream == ''", COLUMNS),
        ("source | where n > 1", ()),
        ("source | where n > 1", (Column("_row", "long"), Column("n", "long"))),
        ("source | where externaldata(n: long) ['/etc/passwd'] > 1", COLUMNS),
    ],
)
def test_what_is_not_supported_is_refused(
    sieve: SieveProcess, transform: str, columns: tuple[Column, ...]
) -> None:
    with pytest.raises(Refused):
        sieve.check(stream(transform, columns))


@pytest.mark.system
def test_a_transform_that_fails_keeps_all_and_stops_nobody_else() -> None:
    greedy = stream("source | where array_length(range(1, 100000000 + n, 1)) > 3")
    nothing = stream("source | where false")
    other = StreamKey("fabrikam", "App_CL", GATEWAY_AGENT, "dcr-2:Custom-App")
    sieve = SieveProcess(answer_s_max=10, pause_s=3600)
    try:
        for _ in range(2):
            assert sieve.kept(KEY, greedy, RECORDS, NOW_US).all()
            assert not sieve.kept(KEY, nothing, RECORDS, NOW_US).any()
        assert sieve._process is not None
        sieve._process.kill()
        assert sieve.kept(KEY, nothing, RECORDS, NOW_US).all(), "nobody knows: all are kept"
        # A new process answers for another tenant's rule, though that one says the same.
        assert not sieve.kept(other, nothing, RECORDS, NOW_US).any()
        assert sieve.kept(KEY, nothing, RECORDS, NOW_US).all(), "not asked again so soon"
    finally:
        sieve.close()
