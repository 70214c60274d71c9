"""The process that runs the transforms of data collection rules.

Spoken to over its standard input and output by ``gapless.platform.sieve``; confined as a query's process is.
"""

from __future__ import annotations

import os
import sys

import msgspec

from gapless.model.rule import RuleStream
from gapless.model.tables import Column, known_tables
from gapless.platform.sieve_engine import SieveEngine, SieveRequest
from gapless.query.confine import allow_only_reading, die_with_parent, limit_resources
from gapless.query.frames import header, read_frame
from gapless.query.languages import prepare
from gapless.query.request import QueryLimits

#: Of one upload's transform. What goes over the memory that the engine knows of ends the process.
LIMITS = QueryLimits(time_s_max=2.0, memory_bytes_max=256 << 20, threads_max=1)
_PROCESS_BYTES_MAX = 768 << 20
READY = b"ready"

_FIRST = SieveRequest(
    RuleStream(
        name="Custom-First",
        table="First_CL",
        columns=(Column("At", "datetime"), Column("Text", "string"), Column("N", "long")),
        transform="source | where At < now() and Text has 'first' and N in (1, 2)",
    ),
    b'{"At":"2024-09-02T12:00:00Z","Text":"first","N":1,"More":{"a":"\\n"}}\n{"N":"x"}\nno record\n',
    1_725_282_000_000_000,
)


def main() -> int:
    """Answer until standard input ends. Returns the status to exit with."""
    die_with_parent(os.getppid())
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints goes to standard error
    engine = SieveEngine(LIMITS)
    # What is loaded at its first use must be loaded before that is forbidden.
    prepare()
    known_tables()
    engine.answer(_FIRST)
    limit_resources(_PROCESS_BYTES_MAX)
    allow_only_reading(())
    payload: bytes | None = READY
    while payload is not None:
        answers.write(header(payload) + payload)
        answers.flush()
        frame = read_frame(requests)
        payload = frame and msgspec.msgpack.encode(
            engine.answer(msgspec.msgpack.decode(frame, type=SieveRequest))
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
