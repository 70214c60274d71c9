"""How fast the lake decodes SigninLogs records, against DuckDB's plain ``from_json`` in the same run.

    python bench/decode.py [--megabytes 16] [--rounds 10] [--threads 1]

``from_json`` is no substitute: it loses unknown fields, misfits and duplicates without a word, and fails for
the whole payload on one bad line. It is the measure of what parsing alone costs. Each case and ``from_json``
(always on clean records) take turns, so that both see the same machine; figures are those of the best round.
With ``--threads 2`` both engines may use two threads, and a last line has two decoders work side by side.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import duckdb
import numpy as np
import pyarrow as pa

from gapless.lake.decode import Decoder
from gapless.model.tables import table_schema
from gapless.services.generate import table_lines

SCHEMA = table_schema("SigninLogs")
START_US = 1_725_000_000_000_000
SQL_TYPES = {"string": "VARCHAR", "dynamic": "JSON", "long": "BIGINT", "real": "DOUBLE", "bool": "BOOLEAN"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--megabytes", type=int, default=16, help="of one payload")
    options.add_argument("--rounds", type=int, default=10)
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args()

    records = sample(chosen.megabytes * 1_000_000)
    clean = payload(records)
    plain = from_json(clean, len(records), chosen.threads)
    decoder = Decoder(threads=chosen.threads)
    print(f"{len(records)} records of {len(clean) // len(records)} bytes, {chosen.threads} thread(s)")
    print(f"{'':44} {'MB/CPU-s':>9} {'MB/s':>7} {'/from_json':>10} {'rows':>7} {'quarantined':>11}")
    for name, lines in cases(records).items():
        data = payload(lines)
        decoded = decoder.decode(SCHEMA, data, received_us=START_US)
        counts = f"{decoded.rows.num_rows:7} {decoded.quarantined.num_rows:11}"
        report(name, data, clean, partial(decode, decoder, data), plain, chosen.rounds, counts)
    if chosen.threads == 2:
        side_by_side(clean, plain, chosen.rounds)
    decoder.close()


def sample(size_bytes: int) -> list[bytes]:
    """Records of about that many bytes altogether."""
    lines = table_lines("SigninLogs", records=1_000_000, seed=1, start_us=START_US, rate_per_s=1000.0)
    records, size = [], 0
    while size < size_bytes:
        records.append(next(lines))
        size += len(records[-1]) + 1
    return records


def cases(records: list[bytes]) -> dict[str, list[bytes]]:
    """What is measured: the records, some or all of them changed."""

    def changed(every: int, change: Callable[[bytes], bytes]) -> list[bytes]:
        return [
            change(record) if number % every == 7 % every else record for number, record in enumerate(records)
        ]

    return {
        "clean": records,
        "1 in 1000 cut off": changed(1000, lambda record: record[: len(record) // 2]),
        "1 in 1000 not UTF-8": changed(1000, lambda record: record[:99] + b"\xff" + record[100:]),
        "1 in 1000 with NaN": changed(1000, lambda record: record[:-1] + b',"x":NaN}'),
        "1 in 1000 of 100,000 brackets": changed(1000, lambda record: b"[{" * 50_000),
        "1 in 1000 with 20,000 blanks": changed(1000, lambda record: record[:-1] + b" " * 20_000 + b"}"),
        "1 in 10 with an unknown field": changed(10, lambda record: record[:-1] + b',"Unknown":"value"}'),
        "1 in 10 with a value that does not fit": changed(
            10, lambda record: record[:-1] + b',"_BilledSize":"x"}'
        ),
        "all with a null": changed(1, lambda record: record[:-1] + b',"Unknown":null}'),
        "all with blanks between tokens": changed(1, lambda record: json.dumps(json.loads(record)).encode()),
        "all with nested values as escaped text": changed(1, nested_as_text),
    }


def nested_as_text(record: bytes) -> bytes:
    members = json.loads(record)
    texts = {name: json.dumps(value) for name, value in members.items() if isinstance(value, dict | list)}
    return json.dumps({**members, **texts}, separators=(",", ":")).encode()


def payload(records: list[bytes]) -> bytes:
    return b"".join(record + b"\n" for record in records)


def decode(decoder: Decoder, data: bytes) -> None:
    decoder.decode(SCHEMA, data, received_us=START_US)


def from_json(data: bytes, records: int, threads: int) -> Callable[[], None]:
    """DuckDB's ``from_json`` over the lines, which stay where they are."""
    structure = {column.name: SQL_TYPES.get(column.type, "TIMESTAMPTZ") for column in SCHEMA.columns}
    query = f"unnest(from_json(line, '{json.dumps(structure)}'))"
    connection = duckdb.connect(config={"threads": threads})
    offsets = np.append(0, np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1).astype(np.int32)
    lines = pa.StringArray.from_buffers(records, pa.py_buffer(offsets), pa.py_buffer(data))
    table = pa.table({"line": lines})

    def run() -> None:
        connection.from_arrow(table).project(query).to_arrow_table()

    return run


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """CPU-seconds of the process and seconds on the clock."""
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - clock


def report(
    name: str,
    data: bytes,
    clean: bytes,
    work: Callable[[], object],
    plain: Callable[[], None],
    rounds: int,
    counts: str = "",
) -> None:
    rounds_spent = np.array([[measure(work), measure(plain)] for _ in range(rounds + 1)])[1:]
    (cpu, clock), (plain_cpu, _) = rounds_spent.min(axis=0)
    speed, plain_speed = len(data) / 1e6 / cpu, len(clean) / 1e6 / plain_cpu
    print(f"{name:44} {speed:9.0f} {len(data) / 1e6 / clock:7.0f} {speed / plain_speed:10.2f} {counts}")


def side_by_side(clean: bytes, plain: Callable[[], None], rounds: int) -> None:
    decoders = [Decoder(), Decoder()]
    with ThreadPoolExecutor(len(decoders)) as pool:

        def work() -> None:
            for done in [pool.submit(decode, decoder, clean) for decoder in decoders]:
                done.result()

        report("clean, two decoders side by side", clean * 2, clean, work, plain, rounds)


if __name__ == "__main__":
    main()
