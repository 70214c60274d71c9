"""How fast the books are kept: a million batches and their postings over ten thousand streams.

    python -m bench.ledger [BATCHES] [STREAMS]

Prints CPU-seconds for folding the batches and for the postings, and the memory that the books take.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

from gapless.ledger.ledger import Ledger
from gapless.model.batch import BatchHeader
from gapless.model.stream import EpochOpen, StreamKey

RECORDS = 1000
DIGEST = "0" * 64


class Kept(NamedTuple):
    """CPU-seconds of both halves, and the bytes by which the process grew."""

    fold_s: float
    post_s: float
    grown_bytes: int


def keep(batches: int, streams: int) -> Kept:
    """Fold ``batches`` batches, and as many postings. For a process of its own: its memory only grows."""
    keys = [StreamKey("contoso", "SigninLogs", f"host-{i}", "entra") for i in range(streams)]
    ids = [key.id for key in keys]
    opened = EpochOpen("1" * 32)
    before = _resident_bytes()
    ledger = Ledger()
    fold_s = post_s = 0.0
    for round_ in range(batches // streams):
        first, next_ = round_ * RECORDS, (round_ + 1) * RECORDS
        headers = [
            BatchHeader(
                stream=key,
                opened=opened,
                first=first,
                next=next_,
                digest=DIGEST,
                raw_bytes=RECORDS,
                read_from_us=round_,
                read_to_us=round_,
            )
            for key in keys
        ]
        start = time.process_time()
        for header in headers:
            ledger.batch(header, round_)
        middle = time.process_time()
        for stream_id in ids:
            ledger.posting("stored", stream_id, opened.epoch, first, next_)
        post_s += time.process_time() - middle
        fold_s += middle - start
    return Kept(fold_s, post_s, _resident_bytes() - before)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(batches: int = 1_000_000, streams: int = 10_000) -> None:
    kept = keep(batches, streams)
    print(
        f"{batches} batches over {streams} streams: fold {kept.fold_s:.2f} CPU-s, "
        f"postings {kept.post_s:.2f} CPU-s"
    )
    print(f"memory of the books: {kept.grown_bytes >> 20} MiB, {kept.grown_bytes // streams} bytes a stream")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
