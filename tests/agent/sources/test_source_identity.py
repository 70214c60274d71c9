"""Content is recognised by what it is: records that all end alike, files that begin alike, files that were
cut, and files that are gone after a restart."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_rig import MemoryDisk, Rig

from gapless.agent.sources import FileCursor, FileSettings
from gapless.agent.sources.trail import WITNESS_BYTES, extended, points_within, trail_digest, witness_digest

HEADER = b"h" * 1100 + b"\n"


def lines(first: int, next_: int, width: int = 60) -> bytes:
    """Records of one width with the same last bytes: what differs is at their front."""
    return b"".join(b"%06d %s\n" % (n, b"x" * width) for n in range(first, next_))


def numbers(rig: Rig) -> list[int]:
    return [int(record[:6]) for record in rig.records if record[:1].isdigit()]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def settings(directory: Path, pattern: str = "app.log", **more: object) -> FileSettings:
    return FileSettings(paths=(f"{directory}/{pattern}",), **more).check()  # type: ignore[arg-type]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


# -- records that end alike


@pytest.mark.parametrize("header", [b"", HEADER])
@pytest.mark.parametrize("count", [10, 100, 150])
@pytest.mark.parametrize("seconds", [0.2, 1.0])
def test_rewritten_in_place_with_records_of_the_same_width_and_end(
    log: Path, header: bytes, count: int, seconds: float
) -> None:
    rig = Rig(settings(log.parent))
    log.write_bytes(header + lines(0, 100))
    rig.step()
    log.write_bytes(header + lines(1000, 1000 + count))
    rig.step(seconds)
    rig.settle()
    assert numbers(rig) == [*range(100), *range(1000, 1000 + count)]
    # It had just been written: what came before the second writing was perhaps not all.
    assert [(skipped.end, skipped.cause) for skipped in rig.skipped] == [(None, "source_truncated")]


def test_rewritten_in_place_with_records_longer_than_the_witness(log: Path) -> None:
    rig = Rig(settings(log.parent))
    log.write_bytes(lines(0, 5, 2 * WITNESS_BYTES))
    rig.step()
    log.write_bytes(lines(10, 20, 2 * WITNESS_BYTES))
    rig.step(0.2)  # too early for a look: the read itself must notice
    assert numbers(rig) == list(range(5))
    rig.step(0.2)
    assert numbers(rig) == [*range(5), *range(10, 20)]


@pytest.mark.parametrize("count", [50, 100, 150])
def test_replaced_while_down_by_a_file_with_the_same_header(log: Path, count: int) -> None:
    rig = Rig(settings(log.parent))
    log.write_bytes(HEADER + lines(0, 100))
    rig.step()
    log.unlink()
    log.write_bytes(HEADER + lines(1000, 1000 + count))
    rig.crash()
    rig.settle()
    assert numbers(rig) == [*range(100), *range(1000, 1000 + count)]
    assert rig.records.count(HEADER[:-1]) == 2
    assert [skipped.end for skipped in rig.skipped] == [None]


@pytest.mark.case("T39")
@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
@pytest.mark.parametrize("header", [b"", HEADER])
@pytest.mark.parametrize("crash", [False, True])
def test_t39_copy_truncate_with_growing_bursts(log: Path, pattern: str, header: bytes, crash: bool) -> None:
    rig = Rig(settings(log.parent, pattern))
    first = 100
    log.write_bytes(header + lines(0, first))
    rig.step()
    for generation in range(5):
        shutil.copy(log, log.with_name(f"app.log.{generation}"))
        burst = 100 + 20 * (generation + 1)
        log.write_bytes(header + lines(first, first + burst))
        first += burst
        if crash:
            rig.crash()
        rig.settle(15)
    rig.settle()
    assert sorted(numbers(rig)) == list(range(900))
    assert rig.records.count(HEADER[:-1]) == 6 * bool(header)
    # Before the first rotation its writer was at it, and of the others nobody can say after a restart.
    assert [skipped.end for skipped in rig.skipped] == [None] * (not crash)


def test_file_with_the_header_and_the_ends_of_another_is_read_at_once(tmp_path: Path) -> None:
    rig = Rig(settings(tmp_path, "*.log"))
    append(tmp_path / "a.log", HEADER + lines(0, 100))
    append(tmp_path / "b.log", HEADER + lines(100, 200))
    rig.step()
    append(tmp_path / "c.log", HEADER + lines(200, 300))
    rig.step()
    assert sorted(numbers(rig)) == list(range(300))


@pytest.mark.parametrize("change", ["append", "rewrite"])
def test_cursor_from_before_there_was_a_witness(log: Path, change: str) -> None:
    rig = Rig(settings(log.parent))
    log.write_bytes(lines(0, 100))
    rig.step()
    (cursor,) = rig.durable.values()
    old = {
        **msgspec.to_builtins(cursor),
        "tail": msgspec.to_builtins(lines(99, 100)[-64:]),
        "trail": [[len(lines(0, 50)), "0123456789abcdef"]],
    }
    del old["witness"], old["witness_bytes"]
    rig.durable = {cursor.file: msgspec.json.decode(msgspec.json.encode(old), type=FileCursor)}
    rig.crash()
    if change == "append":
        append(log, lines(100, 110))
    else:
        log.write_bytes(lines(100, 210))
    rig.settle()
    append(log, lines(300, 310))
    rig.settle()
    assert numbers(rig) == [*range(100), *range(100, 110 if change == "append" else 210), *range(300, 310)]
    assert all(cursor.witness_bytes == WITNESS_BYTES for cursor in rig.durable.values())


changes = st.lists(
    st.tuples(st.sampled_from(["append", "rewrite", "copy-truncate"]), st.integers(1, 120), st.booleans()),
    max_size=6,
)


@given(changes=changes, width=st.sampled_from([60, 90, 1000]), matching=st.booleans())
def test_generations_with_one_header_and_records_of_one_width_are_all_read(
    changes: list[tuple[str, int, bool]], width: int, matching: bool
) -> None:
    """Nothing tells the generations apart but the numbers in their records, and each fits any other."""
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/app.log*" if matching else "/log/app.log",)), disk)
    disk.write("/log/app.log", HEADER + lines(0, 100, width))
    rig.step()
    first, generations = 100, 1
    for at, (how, count, crash) in enumerate(changes):
        fresh = lines(first, first + count, width)
        if how == "append":
            disk.append("/log/app.log", fresh)
        else:
            if how == "copy-truncate":
                disk.copy("/log/app.log", f"/log/app.log.{at}")
            disk.write("/log/app.log", HEADER + fresh)
            generations += 1
        first += count
        if crash:
            rig.crash()
        rig.settle(20)
    assert numbers(rig) == list(range(first))
    assert rig.records.count(HEADER[:-1]) == generations
    assert all(skipped.end is None for skipped in rig.skipped)
    rig.source.close()


# -- files that were cut


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("count", "left"), [(100, 50), (1000, 500), (10_000, 2000)])
def test_file_cut_and_appended_is_read_on_near_the_cut(log: Path, count: int, left: int, crash: bool) -> None:
    rig = Rig(settings(log.parent))
    append(log, lines(0, count))
    rig.step()
    os.truncate(log, len(lines(0, left)))
    append(log, lines(count, count + 10))
    if crash:
        rig.crash()
    rig.settle()
    read = numbers(rig)
    again = [n for n in read[count:] if n < left]
    assert read == [*range(count), *again, *range(count, count + 10)]
    assert again == list(range(left - len(again), left))
    assert len(again) <= count / 8 + 1
    assert [skipped.end for skipped in rig.skipped] == [None]


def test_file_cut_where_a_read_ended_gives_nothing_twice(log: Path) -> None:
    rig = Rig(settings(log.parent))
    for n in range(0, 1000, 100):
        append(log, lines(n, n + 100))
        rig.step()
    rig.settle()
    os.truncate(log, len(lines(0, 900)))
    append(log, lines(1000, 1010))
    rig.settle()
    assert numbers(rig) == [*range(1000), *range(1000, 1010)]
    assert not rig.skipped


cuts = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 300), st.booleans()), min_size=1, max_size=5)


@given(cuts=cuts, width=st.integers(0, 300))
def test_whatever_a_cut_file_holds_is_read(cuts: list[tuple[int, int, bool]], width: int) -> None:
    """Cut anywhere, within lines too, and written on before anybody looks."""
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/a.log",), read_bytes_max=8192), disk)
    content, first = lines(0, 200, width), 200
    disk.write("/log/a.log", content)
    rig.step()
    for percent, count, crash in cuts:
        content = content[: len(content) * percent // 100] + lines(first, first + count, width)
        first += count
        disk.write("/log/a.log", content)
        if crash:
            rig.crash()
        rig.settle(20)
        kept = content.split(b"\n")
        assert set(kept[:-1]) <= set(rig.records)
    rig.source.close()


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("copies", [1, 8])
def test_emptied_file_that_begins_with_the_same_header_gives_it_again(
    log: Path, crash: bool, copies: int
) -> None:
    rig = Rig(settings(log.parent))
    append(log, HEADER * copies)
    rig.step()
    append(log, lines(0, 100 * copies**2))
    rig.step()
    log.write_bytes(HEADER * copies)
    if crash:
        rig.crash()
    rig.settle()
    append(log, lines(9000, 9010))
    rig.settle()
    assert numbers(rig) == [*range(100 * copies**2), *range(9000, 9010)]
    assert rig.records.count(HEADER[:-1]) == 2 * copies


def test_shorter_file_that_leaves_a_long_common_beginning_loses_nothing(tmp_path: Path) -> None:
    """It is no copy: behind the last proven offset it is read, whatever that costs."""
    rig = Rig(settings(tmp_path, "*.log"))
    append(tmp_path / "a.log", lines(0, 300))
    rig.step()
    (tmp_path / "a.log").unlink()
    append(tmp_path / "b.log", lines(0, 200) + lines(1000, 1050))
    rig.crash()
    rig.settle()
    assert set(numbers(rig)) == {*range(300), *range(1000, 1050)}


@given(sizes=st.lists(st.tuples(st.integers(0, 70), st.integers(1, 300)), min_size=1, max_size=30))
def test_trail_is_bounded_ascending_and_true(sizes: list[tuple[int, int]]) -> None:
    content, trail = b"", ()
    for width, count in sizes:
        start = len(content)
        content += lines(start, start + count, width) if width else b"\n" * count
        base = start - min(start, WITNESS_BYTES)
        buffer = bytearray(content[base:])
        points = tuple(points_within(buffer, base, start - base, len(buffer)))
        trail = extended(trail, points, len(content))
    offsets = [offset for offset, _ in trail]
    assert len(trail) <= 20 and sorted(set(offsets)) == offsets
    for offset, digest in trail:
        assert content[offset - 1 : offset] == b"\n"
        window = content[max(0, offset - WITNESS_BYTES) : offset]
        assert digest == trail_digest(witness_digest(window))
    longest = max(map(len, content.split(b"\n"))) + 1
    gaps = [b - a for a, b in itertools.pairwise([0, *offsets, len(content)])]
    assert max(gaps) <= max(64, len(content) / 4) + longest


# -- files that are gone after a restart


@pytest.mark.parametrize("how", ["moved", "deleted"])
@pytest.mark.parametrize("inode_reused", [False, True])
def test_file_rotated_out_of_the_pattern_and_read_is_no_loss_when_it_is_gone(
    how: str, inode_reused: bool
) -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/*.log",), quiet_s=5.0), disk)
    disk.write("/log/c.log", lines(0, 200))
    rig.step()
    ino = disk.ino("/log/c.log")
    disk.rename("/log/c.log", "/log/c.log.1" if how == "deleted" else "/old/c.log.1")
    disk.write("/log/c.log", lines(200, 300))
    for _ in range(12):
        rig.step()
    rig.source.close()
    if how == "deleted":
        disk.delete("/log/c.log.1")
        if inode_reused:
            disk.write("/log/d.log", lines(300, 310))
            assert disk.ino("/log/d.log") == ino
    rig.crash()
    rig.settle()
    assert numbers(rig)[:300] == list(range(300))
    assert not rig.skipped
    assert ino not in {cursor.ino for cursor in rig.durable.values()} or inode_reused


def test_file_under_its_pattern_that_is_gone_after_a_restart_may_have_held_more() -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/*.log",)), disk)
    disk.write("/log/c.log", lines(0, 200))
    rig.settle()
    disk.append("/log/c.log", lines(200, 210))
    disk.delete("/log/c.log")
    rig.crash()
    rig.settle()
    assert [(skipped.cause, skipped.start, skipped.end) for skipped in rig.skipped] == [
        ("source_deleted", len(lines(0, 200)), None)
    ]


def test_file_rotated_away_a_moment_ago_may_have_held_more() -> None:
    """Its writer goes on until it is told of the rotation."""
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/*.log",), quiet_s=5.0), disk)
    disk.write("/log/c.log", lines(0, 200))
    rig.step()
    disk.rename("/log/c.log", "/old/c.log")
    rig.step()
    disk.append("/old/c.log", lines(200, 210))
    rig.crash()
    rig.settle()
    assert [skipped.end for skipped in rig.skipped] == [None]


@pytest.mark.parametrize("back", [False, True])
def test_rested_file_that_is_in_use_again_may_have_held_more(back: bool) -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/*.log",), quiet_s=5.0), disk)
    disk.write("/log/c.log", lines(0, 200))
    rig.step()
    disk.rename("/log/c.log", "/log/c.log.1")
    rig.settle(20)
    name = "/log/c.log.1"
    if back:
        disk.rename(name, "/log/c.log")
        name = "/log/c.log"
    else:
        disk.append(name, lines(200, 210))
    rig.step()
    disk.delete(name)
    rig.crash()
    rig.settle()
    assert numbers(rig) == list(range(200 if back else 210))
    assert [skipped.end for skipped in rig.skipped] == [None]


def test_rested_file_that_had_grown_unread_is_told_byte_for_byte() -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/*.log",), quiet_s=5.0), disk)
    disk.write("/log/c.log", lines(0, 200))
    rig.step()
    disk.rename("/log/c.log", "/log/c.log.1")
    rig.settle(20)
    disk.append("/log/c.log.1", lines(200, 210))
    rig.step(budget=0)
    disk.delete("/log/c.log.1")
    rig.crash()
    rig.settle()
    assert [(skipped.start, skipped.end) for skipped in rig.skipped] == [
        (len(lines(0, 200)), len(lines(0, 210)))
    ]
