"""How fast the books are kept: a million batches and their postings over ten thousand streams.

    python bench/ledger.py [BATCHES] [STREAMS]

Prints CPU-seconds for folding the batches and for the postings, and the memory that the books take.
"""

from __future__ import annotations

import resource
import sys
import time

from gapless.ledger.ledger import Ledger
from gapless.model.batch import BatchHeader
from gapless.model.stream import EpochOpen, StreamKey

RECORDS = 1000
DIGEST = "0" * 64


def main(batches: int = 1_000_000, streams: int = 10_000) -> None:
    keys = [StreamKey("contoso", "SigninLogs", f"host-{i}", "entra") for i in range(streams)]
    ids = [key.id for key in keys]
    opened = EpochOpen("1" * 32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
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
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{batches} batches over {streams} streams: fold {fold_s:.2f} CPU-s, postings {post_s:.2f} CPU-s")
    print(f"memory of the books: {grown / 1024:.0f} MiB, {grown * 1024 / streams:.0f} bytes a stream")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
