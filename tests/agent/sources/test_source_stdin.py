"""Standard input as a source."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_rig import Run, run_of

from gapless.agent.sources import StdinSource

FILE = "0" * 31 + "1"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            pass


def take(source: StdinSource, budget: int = 1 << 30) -> list[Run]:
    source.poll(0, 0)
    return [run_of(chunk) for chunk in source.read(0, budget)]


def records(runs: list[Run]) -> list[bytes]:
    return [record for run in runs for record in run.records]


def test_lines_come_as_they_are_written_and_the_last_one_at_the_end(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    source = StdinSource(reader, FILE)
    assert take(source) == []
    os.write(writer, b"one\ntw")
    assert records(take(source)) == [b"one"]
    assert source.backlog() == (4, 2)
    assert take(source) == []
    os.write(writer, b"o\nthree")
    assert records(take(source)) == [b"two"]
    os.close(writer)
    last, end = take(source)
    assert last.records == [b"three"] and [mark.kind for mark in last.marks] == ["unterminated"]
    assert (end.records, end.start, end.end, end.done) == ([], 13, 13, True)
    assert source.done and take(source) == []


def test_what_is_not_asked_for_stays_in_the_pipe(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    source = StdinSource(reader, FILE, read_bytes_max=10)
    os.write(writer, b"123456789\n" * 100)
    assert len(records(take(source, budget=25))) == 3
    assert source.backlog() == (30, 970)
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)


def test_a_regular_file_and_dev_null_end_as_pipes_do(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"a\nb\n")
    with path.open("rb") as file:
        source = StdinSource(file.fileno(), FILE)
        assert records(take(source)) == [b"a", b"b"] and source.done
    with Path("/dev/null").open("rb") as file:
        source = StdinSource(file.fileno(), FILE)
        assert records(take(source)) == [] and source.done


@given(
    writes=st.lists(st.one_of(st.binary(min_size=1, max_size=60), st.just(b"\n")), max_size=10),
    line_bytes_max=st.integers(1, 50),
    read_bytes_max=st.integers(1, 50),
    budget=st.integers(1, 100),
)
def test_any_bytes_at_any_bounds(
    writes: list[bytes], line_bytes_max: int, read_bytes_max: int, budget: int
) -> None:
    reader, writer = os.pipe()
    source = StdinSource(reader, FILE, line_bytes_max=line_bytes_max, read_bytes_max=read_bytes_max)
    runs: list[Run] = []
    for data in writes:
        os.write(writer, data)
        runs += take(source, budget)
    os.close(writer)
    while not source.done:
        runs += take(source, budget)
    os.close(reader)
    content = b"".join(writes)
    at = 0
    for run in runs:
        assert run.start == at
        at = run.end
        if any(mark.kind == "part" for mark in run.marks):
            assert len(run.records[0]) == line_bytes_max
            assert content[run.end : run.end + 1] not in (b"", b"\n")
    assert b"".join(run.raw for run in runs) == content
    assert max(map(len, records(runs)), default=0) <= line_bytes_max
    if not any(run.marks for run in runs):
        assert records(runs) == content.split(b"\n")[:-1]
