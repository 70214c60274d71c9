"""Everything that parses bytes from outside or from a disk, over bytes that are nearly right: never a crash,
a hang, or memory without bound.

``make fuzz`` looks for longer (``GAPLESS_FUZZ_EXAMPLES`` for each target). What it finds is put in ``FOUND``.
"""

from __future__ import annotations

import os
import tracemalloc

import pytest
from hypothesis import given, settings

from gapless.log.frame import encode

from .mutation import nearly, with_checksums
from .targets import TARGETS

#: What no bytes of a few hundred may make anybody allocate.
MEMORY_BYTES_MAX = 64 << 20

EXAMPLES = int(os.environ.get("GAPLESS_FUZZ_EXAMPLES", 50))

#: By target: what broke it once.
FOUND: dict[str, list[bytes]] = {
    "acks": [b"".join(encode(2, b'"\xff"')), b"".join(encode(1, b"{"))],
    "configuration": [b"a=" + b"[" * 5_000],
    "journal": [b"".join(encode(1, b'{"header":{"stream":{"tenant":"\xe3"'))],
    "small_files": [
        b'[["uploader",7,"\xff"]]',
        b'[{"stream":"\xff","epoch":"b"}]',
        b'{"v":1,"tokens":"\xff"}',
    ],
}


@pytest.mark.parametrize("name", TARGETS)
def test_never_a_crash_a_hang_or_memory_without_bound(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    for known in (*seeds, *FOUND.get(name, ())):
        target.run(known)

    @settings(deadline=10_000, max_examples=EXAMPLES)
    @given(nearly(seeds, framed=target.framed))
    def bounded(data: bytes) -> None:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        target.run(data)
        assert tracemalloc.get_traced_memory()[1] - before < MEMORY_BYTES_MAX

    tracemalloc.start()
    try:
        bounded()
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.framed])
def test_checksums_do_not_hide_what_stands_behind_them(name: str) -> None:
    """Of good frames they come out the same."""
    for seed in TARGETS[name].seeds():
        assert with_checksums(seed) == seed
