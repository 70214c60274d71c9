"""A pipe cannot be read twice: what was not made durable is given again from memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest

from gapless.agent.sources import FileCursor, KeptPipe, StdinSource

FILE = "f" * 32


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def test_every_record_is_kept_once_although_commits_fail(ends: tuple[int, int]) -> None:
    reading, writing = ends
    pipe = KeptPipe(StdinSource(reading, FILE, read_bytes_max=64))
    lines = [b"record %d\n" % n for n in range(300)]
    os.write(writing, b"".join(lines))
    os.close(writing)
    random = Random(7)
    durable, cursor, ended = b"", FileCursor(file=FILE, path="-"), False
    for _ in range(10_000):
        pipe.poll(1, 1)
        taken, after = b"", cursor
        for chunk in pipe.read(1, random.choice([10, 100, 1000])):
            taken += bytes(chunk.data)
            after = chunk.cursor
            if random.random() < 0.2:
                break  # the collector failed in the middle
        else:
            if random.random() < 0.6:
                durable, cursor = durable + taken, after
                ended = ended or after.done
                if ended:
                    break
                continue
        # Nothing of this tick is durable: the collector builds its sources again.
        pipe.resume([cursor])
        if random.random() < 0.2:
            pipe.resume([cursor])
    assert ended
    assert durable == b"".join(lines)
