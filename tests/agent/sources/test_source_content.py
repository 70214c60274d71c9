"""What is in the files: long lines, last lines, every byte value, and the clock."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_rig import MemoryDisk, Rig

from gapless.agent.sources import FileSettings

LOG = "/log/a.log"


def rig_of(disk: MemoryDisk, **more: object) -> Rig:
    return Rig(FileSettings(paths=("/log/*.log",), **more).check(), disk)  # type: ignore[arg-type]


@pytest.mark.case("T63")
def test_t63_line_of_100_mb_is_cut_into_marked_pieces_in_bounded_memory(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"before\n")
    os.truncate(log, 100_000_000)  # a hole: NUL bytes
    with log.open("ab") as file:
        file.write(b"\nafter\n")
    rig = Rig(FileSettings(paths=(str(log),)))
    sizes, kinds = [], []
    tracemalloc.start()
    for _ in range(3):
        rig.pass_time(1)
        rig.source.poll(rig.now_us, rig.elapsed_us)
        for event in rig.source.read(rig.now_us, 1 << 40):
            if event.count:
                sizes.append(len(event.data))
                kinds.extend((mark.at, mark.kind) for mark in event.marks)
                last = bytes(event.data[-6:])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    piece = 8 * 1024 * 1024
    pieces, rest = divmod(100_000_000 - 7, piece)
    assert sizes[: pieces + 1] == [7, *[piece + 1] * pieces]
    assert sum(sizes[pieces + 1 :]) == rest + 1 + len(b"after\n")
    assert kinds == [(0, "part")] * pieces + [(0, "last_part")]
    assert last == b"after\n"
    assert peak < 2 * piece


@pytest.mark.case("T63")
def test_t63_line_that_is_exactly_as_long_as_allowed_is_whole() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk, line_bytes_max=10, read_bytes_max=4)
    disk.write(LOG, b"0123456789\nabcdefghijk\nx\n")
    rig.step()
    assert rig.records == [b"0123456789", b"abcdefghij", b"k", b"x"]
    assert rig.marks == [(b"abcdefghij", "part"), (b"k", "last_part")]


@pytest.mark.case("T64")
def test_t64_file_of_long_lines_only_is_not_read_again_after_a_restart() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk, line_bytes_max=10)
    disk.write(LOG, b"x" * 95)
    rig.step()
    rig.crash()
    rig.step()
    assert rig.records == [b"x" * 10] * 9
    disk.append(LOG, b"y\n")
    rig.crash()
    rig.step()
    assert rig.records[9:] == [b"xxxxxy"]
    assert rig.marks[-1] == (b"xxxxxy", "last_part")


@pytest.mark.case("T65")
def test_t65_all_bytes_come_through_unchanged() -> None:
    every = bytes(value for value in range(256) if value != 0x0A)
    lines = [
        every,
        b"",
        b"\0",
        b"windows\r",
        b"\r",
        b"\xed\xa0\x80 lone surrogate",
        b"\xff\xfe",
        "ünïcode".encode(),
    ]
    disk = MemoryDisk()
    rig = rig_of(disk, read_bytes_max=7, line_bytes_max=300)
    disk.write(LOG, b"".join(line + b"\n" for line in lines))
    rig.step()
    assert rig.records == lines
    assert not rig.marks


@pytest.mark.case("T66")
def test_t66_last_line_without_newline_is_delivered_once_after_the_quiet_time() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk, quiet_s=5.0)
    disk.write(LOG, b"one\ntwo")
    rig.step()
    rig.step(4.0)
    assert rig.records == [b"one"]
    rig.step()
    rig.settle()
    rig.crash()
    rig.settle()
    assert rig.records == [b"one", b"two"]
    assert rig.marks == [(b"two", "unterminated")]
    assert rig.runs[-1].end == 7


@pytest.mark.case("T66")
@pytest.mark.parametrize("crash", [False, True])
def test_t66_bytes_appended_to_a_delivered_last_line_are_a_record_of_their_own(crash: bool) -> None:
    disk = MemoryDisk()
    rig = rig_of(disk)
    disk.write(LOG, b"half")
    rig.settle()
    if crash:
        rig.crash()
    disk.append(LOG, b" more\nnext\n")
    rig.step()
    assert rig.records == [b"half", b" more", b"next"]
    assert rig.marks == [(b"half", "unterminated"), (b" more", "continued")]


@pytest.mark.parametrize("crash", [False, True])
def test_t66_newline_of_a_delivered_last_line_makes_no_record(crash: bool) -> None:
    disk = MemoryDisk()
    rig = rig_of(disk)
    disk.write(LOG, b"half")
    rig.settle()
    if crash:
        rig.crash()
    disk.append(LOG, b"\n")
    rig.step()
    assert rig.source.backlog() == (5, 0)
    disk.append(LOG, b"next\n\n")
    rig.step()
    assert rig.records == [b"half", b"next", b""]
    assert rig.marks == [(b"half", "unterminated")]


def test_t66_line_that_grows_slowly_is_not_delivered_before_it_is_quiet() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk, quiet_s=5.0)
    for n in range(50):
        disk.append(LOG, b"%d" % (n % 10) * 200)
        rig.step(3.0)
    assert rig.records == []
    disk.append(LOG, b"\n")
    rig.step()
    assert [len(record) for record in rig.records] == [10_000]
    assert not rig.marks


def test_t66_long_line_that_ends_after_a_pause_is_delivered_at_once() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk, read_bytes_max=4096)
    disk.write(LOG, b"x" * 5000)
    rig.step()
    disk.append(LOG, b"y" * 20_000 + b"\n")
    rig.step()
    assert [len(record) for record in rig.records] == [25_000]


def test_t66_last_line_that_grows_while_it_is_overdue_is_waited_for() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk, quiet_s=5.0)
    disk.write(LOG, b"half")
    rig.step()
    rig.pass_time(6)
    rig.source.poll(rig.now_us, rig.elapsed_us)
    disk.append(LOG, b" of")
    rig.step(0.1)
    assert rig.records == []
    disk.append(LOG, b" it\n")
    rig.step()
    assert rig.records == [b"half of it"]


@pytest.mark.case("T66")
def test_t66_every_way_a_long_line_can_stop_and_go_on() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk, line_bytes_max=4)
    disk.write(LOG, b"aaaabb")
    rig.settle()
    disk.append(LOG, b"ccccd")
    rig.settle()
    disk.append(LOG, b"e\nf\n")
    rig.settle()
    assert rig.records == [b"aaaa", b"bb", b"cccc", b"d", b"e", b"f"]
    assert rig.marks == [
        (b"aaaa", "part"),
        (b"bb", "last_part"),
        (b"bb", "unterminated"),
        (b"cccc", "continued"),
        (b"cccc", "part"),
        (b"d", "last_part"),
        (b"d", "unterminated"),
        (b"e", "continued"),
    ]


@pytest.mark.case("T61")
@pytest.mark.parametrize("days", [-2, 2])
def test_t61_clock_that_jumps_neither_stalls_nor_hurries(days: int) -> None:
    disk = MemoryDisk()
    rig = rig_of(disk, rotated_quiet_s=60.0)
    disk.write(LOG, b"one\n")
    rig.step()
    disk.rename(LOG, "/log/rotated")
    rig.step()
    rig.now_us += 86_400_000_000 * days
    rig.step()
    assert len(rig.source.cursors()) == 1  # the rotated file is still followed
    disk.append("/log/rotated", b"two\n")
    disk.write("/log/b.log", b"three\nfour")
    rig.step()
    rig.step()
    assert rig.records == [b"one", b"two", b"three"]
    rig.settle()
    assert rig.records[-1] == b"four"


@pytest.mark.case("T61")
@pytest.mark.parametrize("seconds", [-9, 9, 86_400])
def test_t61_a_line_that_is_being_written_is_no_record_because_a_clock_was_set(seconds: int) -> None:
    disk = MemoryDisk()
    rig = rig_of(disk)
    disk.write(LOG, b"one\nha")
    rig.step()
    rig.now_us += 1_000_000 * seconds
    rig.step()
    disk.append(LOG, b"lf\n")
    rig.step()
    assert rig.records == [b"one", b"half"] and rig.marks == []


def test_clock_that_stands_still_does_not_stop_reading() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk)
    disk.write(LOG, b"one\n")
    rig.step(0.0)
    disk.append(LOG, b"two\n")
    rig.step(0.0)
    assert rig.records == [b"one", b"two"]


def test_no_file_starves_the_others() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk, read_bytes_max=100)
    disk.write("/log/a.log", b"big\n" * 10_000)
    for n in range(20):
        disk.write(f"/log/b{n}.log", b"%05d\n" % n)
    rig.step(budget=20 * 6 + 200)
    assert sorted(set(rig.records)) == [*(b"%05d" % n for n in range(20)), b"big"]
    assert rig.records.count(b"big") < 100


@pytest.mark.parametrize("crash", [False, True])
def test_start_at_the_end_gives_only_what_comes_later(crash: bool) -> None:
    disk = MemoryDisk()
    disk.write("/log/a.log", b"old\nhalf")
    disk.write("/log/b.log", b"old\n")
    rig = rig_of(disk, start_at="end")
    rig.step()
    disk.append("/log/a.log", b" of it\nnew\n")
    disk.append("/log/b.log", b"newer\n")
    disk.write("/log/c.log", b"newest\n")
    if crash:
        rig.crash()
    rig.step()
    assert sorted(rig.records) == [b" of it", b"new", b"newer", b"newest"]
    assert rig.marks == [(b" of it", "continued")]


@pytest.mark.parametrize("resumed", [False, True])
def test_start_at_the_end_holds_for_the_very_first_start_only(resumed: bool) -> None:
    disk = MemoryDisk()
    disk.write(LOG, b"old\n")
    rig = Rig(FileSettings(paths=("/log/*.log",), start_at="end"), disk, resumed=resumed)
    rig.step()
    assert rig.records == ([b"old"] if resumed else [])


contents = st.lists(
    st.one_of(st.binary(max_size=40), st.just(b"\n"), st.just(b"\n\n"), st.just(b"x" * 30)), max_size=12
)


@given(pieces=contents, line_bytes_max=st.integers(1, 40), read_bytes_max=st.integers(1, 40), data=st.data())
def test_any_bytes_at_any_bounds_are_read_once_and_cut_only_where_marked(
    pieces: list[bytes], line_bytes_max: int, read_bytes_max: int, data: st.DataObject
) -> None:
    disk = MemoryDisk()
    disk.write(LOG, b"")
    rig = rig_of(disk, line_bytes_max=line_bytes_max, read_bytes_max=read_bytes_max)
    for piece in pieces:
        disk.append(LOG, piece)
        budget, crash = data.draw(st.sampled_from([0, 1, 1 << 30])), data.draw(st.booleans())
        rig.step(data.draw(st.sampled_from([0.2, 1.0, 6.0])), budget=budget, commit=not crash)
        if crash:
            rig.crash()
    rig.settle()
    content = b"".join(pieces)
    assert b"".join(raw for _, raw in rig.streams().values()) == content
    assert max(map(len, rig.records), default=0) <= line_bytes_max
    marked = {(run.start, mark.at): mark.kind for run in rig.runs for mark in run.marks}
    if not marked:
        assert rig.records == content.split(b"\n")[:-1]
    for run in rig.runs:
        if any(mark.kind == "part" for mark in run.marks):
            assert len(run.records[0]) == line_bytes_max
            assert content[run.end : run.end + 1] not in (b"", b"\n")
    assert rig.source.backlog() == (len(content), 0)
    rig.source.close()
