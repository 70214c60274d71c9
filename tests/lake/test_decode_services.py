"""Records as the services write them fit their tables."""

from __future__ import annotations

import pytest

from gapless.lake.decode import DecodeLimits, Decoder
from gapless.model.tables import known_tables, table_schema
from gapless.services.generate import table_lines

from .decode_oracle import assert_faithful

START_US = 1_725_000_000_000_000
TABLES = sorted(known_tables())


@pytest.mark.parametrize("table", TABLES)
def test_sample_records_need_no_extra(table: str) -> None:
    schema = table_schema(table)
    lines = list(table_lines(table, records=100, seed=7, start_us=START_US, rate_per_s=10.0))
    decoder = Decoder()
    decoded = decoder.decode(schema, b"".join(line + b"\n" for line in lines), received_us=START_US)
    decoder.close()
    assert decoded.rows["_Extra"].null_count == len(lines)
    assert set(decoded.rows["_TimeSource"].to_pylist()) == {"record"}
    assert_faithful(schema, DecodeLimits(), START_US, lines, decoded)
