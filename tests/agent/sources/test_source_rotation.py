"""Rotation of every kind, on real files: each record exactly once, or told to be lost."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from source_rig import MemoryDisk, Rig

from gapless.agent.sources import FileSettings


def lines(first: int, next_: int, width: int = 40) -> bytes:
    return b"".join(b"%06d %s\n" % (n, b"x" * width) for n in range(first, next_))


def numbers(rig: Rig) -> list[int]:
    return [int(record[:6]) for record in rig.records]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def settings(directory: Path, pattern: str = "app.log", **more: object) -> FileSettings:
    return FileSettings(paths=(f"{directory}/{pattern}",), **more).check()  # type: ignore[arg-type]


def open_descriptors() -> list[str]:
    return [path for name in os.listdir("/proc/self/fd") if os.path.islink(path := f"/proc/self/fd/{name}")]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.mark.case("T35")
def test_t35_burst_then_rotation_with_a_slow_reader_delivers_everything(log: Path) -> None:
    rig = Rig(settings(log.parent, read_bytes_max=4096))
    append(log, lines(0, 10))
    rig.step()
    append(log, lines(10, 5000))
    rig.step(0.2, budget=4096)
    log.rename(log.with_name("rotated-away"))
    append(log, lines(5000, 5010))
    for _ in range(100):
        rig.step(1.0, budget=4096)
    assert sorted(numbers(rig)) == list(range(5010))
    assert not rig.skipped


@pytest.mark.case("T35")
def test_t35_rotated_file_is_not_given_up_while_it_is_still_written(log: Path) -> None:
    rig = Rig(settings(log.parent, rotated_quiet_s=30.0))
    append(log, lines(0, 1))
    rig.step()
    with log.open("ab") as held_by_writer:
        log.rename(log.with_name("old"))
        for n in range(1, 10):
            held_by_writer.write(lines(n, n + 1))
            held_by_writer.flush()
            rig.settle(25)
    assert numbers(rig) == list(range(10))
    rig.settle(60)
    assert rig.runs[-1].done
    assert rig.durable == {} and rig.source.cursors() == []


@pytest.mark.case("T36")
def test_t36_content_on_a_reused_inode_is_read_from_its_beginning() -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/app.log",)), disk)
    disk.write("/log/app.log", lines(0, 100))
    rig.step()
    rig.source.close()
    ino = disk.ino("/log/app.log")
    disk.delete("/log/app.log")
    disk.write("/log/app.log", lines(100, 105))
    assert disk.ino("/log/app.log") == ino
    rig.crash()
    rig.step()
    rig.step()
    assert numbers(rig) == list(range(105))
    # Nobody was looking when it was replaced: that is told.
    (skipped,) = rig.skipped
    assert (skipped.start, skipped.end) == (len(lines(0, 100)), None)
    assert skipped.not_before_us < skipped.not_after_us


@pytest.mark.case("T36")
def test_t36_reused_inode_with_content_longer_than_the_old_offset() -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/app.log",)), disk)
    disk.write("/log/app.log", lines(0, 10))
    rig.step()
    rig.source.close()
    ino = disk.ino("/log/app.log")
    disk.delete("/log/app.log")
    disk.write("/log/app.log", lines(10, 200))
    assert disk.ino("/log/app.log") == ino
    rig.crash()
    rig.step()
    rig.step()
    assert numbers(rig) == list(range(200))


@pytest.mark.case("T36")
@pytest.mark.parametrize("content", [b"", b"x", lines(0, 100)])
def test_t36_inode_given_to_a_file_that_no_pattern_shows(content: bytes) -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/*.log",)), disk)
    disk.write("/log/app.log", content)
    rig.step()
    ino = disk.ino("/log/app.log")
    disk.delete("/log/app.log")
    rig.step()
    rig.crash()
    disk.write("/log/private", lines(500, 600))
    assert disk.ino("/log/private") == ino
    rig.settle()
    assert numbers(rig) == list(range(content.count(b"\n")))
    assert rig.durable == {}


@pytest.mark.case("T38")
def test_t38_a_thousand_tiny_files_of_which_some_are_deleted_soon(tmp_path: Path) -> None:
    rig = Rig(settings(tmp_path, "*.log"))
    expected = []
    for n in range(1000):
        content = b"%d" % n if n % 3 else b"same\n"
        (tmp_path / f"{n}.log").write_bytes(content)
        expected.append(content.rstrip(b"\n"))
    rig.step()
    for _ in range(5):
        rig.step(1.0)
    for n in range(0, 1000, 2):
        (tmp_path / f"{n}.log").unlink()
    rig.settle(40)
    assert sorted(rig.records) == sorted(expected)
    assert not rig.skipped
    assert len(rig.source.cursors()) == 500


@pytest.mark.case("T39")
@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
def test_t39_copy_truncate_twice_with_restarts_between(log: Path, pattern: str) -> None:
    rig = Rig(settings(log.parent, pattern))
    append(log, lines(0, 50))
    rig.step()
    append(log, lines(50, 100))  # not read before the copy
    shutil.copy(log, log.with_name("app.log.1"))
    os.truncate(log, 0)
    append(log, lines(100, 120))
    rig.crash()
    rig.step()
    rig.step()
    append(log, lines(120, 150))
    rig.crash()
    log.with_name("app.log.1").rename(log.with_name("app.log.2"))
    shutil.copy(log, log.with_name("app.log.1"))
    os.truncate(log, 0)
    append(log, lines(150, 400))  # refilled beyond the old offset before anybody looks
    rig.step()
    rig.settle()
    assert sorted(numbers(rig)) == list(range(400))
    assert not rig.skipped


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
@pytest.mark.parametrize("refill", [0, 10, 500])
@pytest.mark.parametrize("quiet", [False, True])
def test_t39_copy_truncate_while_running(log: Path, pattern: str, refill: int, quiet: bool) -> None:
    rig = Rig(settings(log.parent, pattern))
    append(log, lines(0, 50))
    rig.step()
    append(log, lines(50, 100))
    if quiet:
        rig.settle(15)
    shutil.copy(log, log.with_name("app.log.1"))
    rig.step(0.2)  # the copy is there, the original still whole
    os.truncate(log, 0)
    append(log, lines(100, 100 + refill))
    rig.step()
    rig.settle()
    assert sorted(numbers(rig)) == list(range(100 + refill))
    # Whose writer is at it may have written between copy and truncation, and nobody would know.
    assert [(each.start, each.end) for each in rig.skipped] == [(len(lines(0, 100)), None)] * (not quiet)


@pytest.mark.case("T39")
def test_t39_a_busy_file_that_is_emptied_is_not_called_whole(log: Path) -> None:
    """All that a look had shown was read, but its writer wrote on until somebody emptied the file."""
    rig = Rig(settings(log.parent))
    for n in range(10):
        append(log, lines(n, n + 1))
        rig.step(1.0)
        append(log, lines(100 + n, 101 + n))
        rig.step(0.2)  # read between two looks: the next one finds the size that is known
    append(log, lines(50, 60))  # which nobody sees
    os.truncate(log, 0)
    rig.step()
    (skipped,) = rig.skipped
    assert (skipped.start, skipped.end, skipped.cause) == (len(lines(0, 20)), None, "source_truncated")
    assert skipped.not_after_us - skipped.not_before_us <= 1_200_000


def test_t35_a_rotated_file_that_is_written_between_looks_is_not_at_rest(log: Path) -> None:
    rig = Rig(settings(log.parent, rotated_quiet_s=20.0))
    append(log, lines(0, 1))
    rig.step()
    log.rename(log.with_name("old"))
    rig.step()
    for n in range(1, 30):
        append(log.with_name("old"), lines(n, n + 1))
        rig.step(0.2)  # what the next look finds is read by then
        rig.step(0.8)
        assert not any(cursor.rested for cursor in rig.durable.values())
    assert numbers(rig) == list(range(30))


@pytest.mark.case("T39")
def test_t39_bytes_written_between_copy_and_truncation_are_told(log: Path) -> None:
    rig = Rig(settings(log.parent, "app.log*"))
    append(log, lines(0, 50))
    rig.step()
    copied = lines(50, 80)
    append(log, copied)
    shutil.copy(log, log.with_name("app.log.1"))
    append(log, lines(80, 90))
    rig.step(budget=0)  # seen, not read
    seen_us = rig.now_us
    os.truncate(log, 0)
    rig.step()
    rig.settle()
    assert sorted(numbers(rig)) == list(range(80))
    (skipped,) = rig.skipped
    assert (skipped.start, skipped.end) == (len(lines(0, 80)), len(lines(0, 90)))
    assert skipped.cause == "source_truncated"
    assert "app.log.1 was copied" in skipped.evidence
    assert (skipped.not_before_us, skipped.not_after_us) == (seen_us, seen_us + 1_000_000)


@pytest.mark.parametrize("crash", [False, True])
def test_t39_copy_that_ends_before_what_was_read_is_not_read_again(log: Path, crash: bool) -> None:
    rig = Rig(settings(log.parent, "app.log*"))
    append(log, lines(0, 50))
    rig.step()
    for n in range(50, 60):
        append(log, lines(n, n + 1))
        rig.step(1.0)
    shutil.copy(log, log.with_name("app.log.1"))
    append(log, lines(60, 70))
    rig.step(0.1)  # between two looks at the directory: the last lines are read, the copy is not seen
    os.truncate(log, 0)
    append(log, lines(70, 75))
    if crash:
        rig.crash()
    rig.step()
    rig.settle()
    assert sorted(numbers(rig)) == list(range(75))
    # Nobody can say what else was written before it was emptied.
    assert [(skipped.start, skipped.end) for skipped in rig.skipped] == [(len(lines(0, 70)), None)]


def test_t39_identical_file_that_is_no_rotated_copy_is_read_after_the_grace(log: Path) -> None:
    rig = Rig(settings(log.parent, "app.log*", copy_grace_s=10.0))
    append(log, lines(0, 50))
    rig.step()
    shutil.copy(log, log.with_name("app.log.bak"))
    for _ in range(9):
        rig.step(1.0)
    assert numbers(rig) == list(range(50))
    for _ in range(4):
        rig.step(1.0)
    assert numbers(rig) == list(range(50)) * 2


def test_t39_copy_in_progress_is_held_until_it_is_complete(log: Path) -> None:
    rig = Rig(settings(log.parent, "app.log*", copy_grace_s=3.0))
    append(log, lines(0, 500))
    rig.step()
    whole, copy = log.read_bytes(), log.with_name("app.log.1")
    for at in range(0, len(whole), 2000):
        append(copy, whole[at : at + 2000])
        rig.step(1.0)
    os.truncate(log, 0)
    append(log, lines(500, 510))
    rig.settle()
    assert sorted(numbers(rig)) == list(range(510))
    assert not rig.skipped


def test_truncation_without_copy_tells_the_bytes_that_were_seen(log: Path) -> None:
    rig = Rig(settings(log.parent))
    append(log, lines(0, 10))
    rig.step()
    append(log, lines(10, 30))
    rig.step(budget=0)
    before_us = rig.now_us
    os.truncate(log, 0)
    append(log, lines(30, 35))
    rig.step()
    rig.step()
    assert numbers(rig) == [*range(10), *range(30, 35)]
    (skipped,) = rig.skipped
    assert (skipped.start, skipped.end) == (len(lines(0, 10)), len(lines(0, 30)))
    assert (skipped.not_before_us, skipped.not_after_us) == (before_us, before_us + 1_000_000)


def test_truncation_of_a_file_that_was_read_to_its_end_is_no_loss(log: Path) -> None:
    rig = Rig(settings(log.parent))
    for generation in range(5):
        append(log, lines(10 * generation, 10 * generation + 10))
        rig.step()
        rig.crash()
        rig.step()
        os.truncate(log, 0)
        rig.step()
    assert numbers(rig) == list(range(50))
    assert not rig.skipped


def test_refilled_beyond_the_offset_between_two_looks(log: Path) -> None:
    rig = Rig(settings(log.parent))
    append(log, lines(0, 10))
    rig.step()
    log.write_bytes(lines(10, 40))
    rig.step(0.2)  # too early for a look: the read itself must notice
    assert numbers(rig) == list(range(10))
    rig.step(0.2)
    assert numbers(rig) == list(range(40))


def test_t39_small_copy_found_after_a_restart_is_known_after_another(log: Path) -> None:
    rig = Rig(settings(log.parent, "app.log*"))
    append(log, lines(0, 5))
    rig.step()
    append(log, lines(5, 8))
    shutil.copy(log, log.with_name("app.log.1"))
    os.truncate(log, 0)
    rig.crash()
    rig.step()
    rig.crash()
    append(log.with_name("app.log.1"), lines(8, 9))
    rig.step()
    rig.crash()
    rig.settle()
    assert numbers(rig) == list(range(9))
    assert not rig.skipped


def test_cut_at_the_end_goes_on_and_tells_the_bytes(log: Path) -> None:
    rig = Rig(settings(log.parent))
    append(log, lines(0, 10) + b"torn")
    rig.step()
    os.truncate(log, len(lines(0, 10)))
    rig.step()
    append(log, lines(10, 20))
    rig.step()
    assert numbers(rig) == list(range(20))
    (skipped,) = rig.skipped
    assert (skipped.start, skipped.end) == (len(lines(0, 10)), len(lines(0, 10)) + 4)


@pytest.mark.case("T41a")
def test_t41a_rename_and_create_while_running(log: Path) -> None:
    rig = Rig(settings(log.parent))
    for generation in range(5):
        append(log, lines(10 * generation, 10 * generation + 5))
        rig.step()
        append(log, lines(10 * generation + 5, 10 * generation + 10))
        log.rename(log.with_name(f"elsewhere-{generation}"))
    rig.settle()
    assert numbers(rig) == list(range(50))
    assert not rig.skipped


@pytest.mark.case("T41a")
@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
def test_t41a_rename_and_create_while_down(log: Path, pattern: str) -> None:
    rig = Rig(settings(log.parent, pattern))
    append(log, lines(0, 5))
    rig.step()
    append(log, lines(5, 10))
    log.rename(log.with_name("app.log.1"))
    append(log, lines(10, 15))
    rig.crash()
    rig.step()
    rig.settle()
    assert sorted(numbers(rig)) == list(range(15))
    assert not rig.skipped


@pytest.mark.case("T41a")
def test_t41a_replacement_of_equal_size_within_one_poll(log: Path) -> None:
    rig = Rig(settings(log.parent))
    append(log, lines(0, 10))
    rig.step()
    new = log.with_name("new")
    append(new, lines(10, 20))
    new.replace(log)
    rig.step()
    assert numbers(rig) == list(range(20))


@pytest.mark.case("T41a")
def test_t41a_overwritten_in_place_with_equal_size(log: Path) -> None:
    rig = Rig(settings(log.parent))
    append(log, lines(0, 10))
    rig.step()
    with log.open("r+b") as file:
        file.write(lines(10, 20))
    rig.step()
    rig.step()
    assert numbers(rig) == list(range(20))


@pytest.mark.case("T41b")
def test_t41b_deleted_and_recreated_a_thousand_times(log: Path) -> None:
    rig = Rig(settings(log.parent, rescan_s=0.1))
    chance = random.Random(41)
    for n in range(1000):
        append(log, lines(n, n + 1))
        rig.step(chance.choice([0.1, 0.2, 1.0]))
        log.unlink()
        if chance.random() < 0.5:
            rig.step(chance.choice([0.1, 6.0]))
    rig.settle()
    assert numbers(rig) == list(range(1000))
    assert not rig.skipped
    assert rig.durable == {}


def test_deleted_while_open_is_read_to_its_end(log: Path) -> None:
    rig = Rig(settings(log.parent))
    append(log, lines(0, 10))
    rig.step()
    append(log, lines(10, 500) + b"last")
    log.unlink()
    rig.settle()
    assert rig.records == [*lines(0, 500).split(b"\n")[:-1], b"last"]
    assert rig.marks == [(b"last", "unterminated")]
    assert rig.runs[-1].done and not rig.skipped


def test_deleted_while_down_with_unread_bytes_is_told(log: Path) -> None:
    rig = Rig(settings(log.parent, read_bytes_max=1000))
    append(log, lines(0, 100))
    rig.step(budget=1)
    offset = rig.runs[-1].end
    log.unlink()
    rig.crash()
    rig.step()
    (skipped,) = rig.skipped
    assert (skipped.start, skipped.cause) == (offset, "source_deleted")
    assert skipped.end == offset or skipped.end is None or skipped.end > offset
    assert rig.durable == {} and rig.source.cursors() == []


def test_deleted_file_whose_inode_was_given_to_another_that_matches() -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/*.log",)), disk)
    disk.write("/log/a.log", lines(0, 10))
    rig.step(budget=0)
    rig.source.close()
    ino = disk.ino("/log/a.log")
    disk.delete("/log/a.log")
    disk.write("/log/b.log", lines(10, 20))
    assert disk.ino("/log/b.log") == ino
    rig.crash()
    rig.settle()
    (skipped,) = rig.skipped
    assert (skipped.path, skipped.cause, skipped.end) == ("/log/a.log", "source_deleted", len(lines(0, 10)))
    assert numbers(rig) == list(range(10, 20))


def test_deleted_file_that_is_written_on_is_read_on() -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/*.log",), quiet_s=5.0), disk)
    disk.write("/log/a.log", lines(0, 1))
    inode = disk.names["/log/a.log"]
    rig.step()
    disk.delete("/log/a.log")
    rig.step()
    rig.pass_time(6)
    rig.source.poll(rig.now_us, rig.elapsed_us)  # quiet for so long that it is given up with the next read
    disk.change(inode, lines(0, 2))
    rig.step(0.2)
    disk.change(inode, lines(0, 3))
    rig.settle()
    assert numbers(rig) == [0, 1, 2]
    assert rig.runs[-1].done


def test_same_content_written_again_after_it_was_emptied_is_read_once() -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/*.log",)), disk)
    disk.write("/log/a.log", lines(0, 1))
    rig.step(budget=0)
    disk.write("/log/a.log", b"")
    rig.step(budget=0)
    disk.write("/log/a.log", lines(0, 1))
    rig.settle()
    assert numbers(rig) == [0]
    assert [(skipped.start, skipped.end) for skipped in rig.skipped] == [(0, len(lines(0, 1)))]


def test_empty_file_that_was_rotated_away_is_let_go(log: Path) -> None:
    rig = Rig(settings(log.parent, rotated_quiet_s=10.0))
    log.touch()
    rig.step()
    log.rename(log.with_name("old"))
    rig.settle()
    assert not any(os.readlink(fd).startswith(str(log.parent)) for fd in open_descriptors())
    assert not rig.kept


def test_new_file_that_begins_like_a_rotated_one_is_read_at_once(log: Path) -> None:
    rig = Rig(settings(log.parent))
    append(log, lines(0, 1))
    rig.step()
    log.rename(log.with_name("old"))
    append(log, lines(0, 1))
    rig.step()
    assert numbers(rig) == [0, 0]


def test_files_that_begin_differently_and_go_on_alike_are_read_at_once(tmp_path: Path) -> None:
    rig = Rig(settings(tmp_path, "*.log"))
    append(tmp_path / "a.log", b"000001\n" + lines(5, 10))
    append(tmp_path / "b.log", b"000002\n" + lines(5, 10))
    rig.step()
    assert sorted(numbers(rig)) == sorted([1, 2, *range(5, 10), *range(5, 10)])


def test_file_with_the_head_of_a_deleted_one_is_not_taken_for_it(tmp_path: Path) -> None:
    rig = Rig(settings(tmp_path, "*.log"))
    append(tmp_path / "a.log", lines(0, 60))
    rig.step()
    (tmp_path / "a.log").unlink()
    append(tmp_path / "b.log", lines(0, 50) + lines(100, 120))
    rig.crash()
    rig.step()
    assert numbers(rig) == [*range(60), *range(50), *range(100, 120)]
    assert len(rig.skipped) == 1


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
def test_t39_copy_truncate_of_a_file_that_could_not_be_read_yet(log: Path, pattern: str) -> None:
    rig = Rig(settings(log.parent, pattern))
    append(log, lines(0, 10))
    rig.step(budget=0)
    rig.step(5.0, budget=0)
    shutil.copy(log, log.with_name("app.log.1"))
    os.truncate(log, 0)
    append(log, lines(10, 12))
    rig.step(budget=0)
    rig.settle()
    assert sorted(numbers(rig)) == list(range(12))
    assert not rig.skipped


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
@pytest.mark.parametrize("read", [0, 4])
def test_t39_copy_truncate_of_a_file_that_is_written_anew_between_two_looks(
    log: Path, pattern: str, read: int
) -> None:
    """What is in it then is not taken for the rest of what was seen and not read."""
    rig = Rig(settings(log.parent, pattern))
    append(log, lines(0, read))
    rig.step()
    append(log, lines(read, 20))
    rig.step(budget=0)
    rig.step(5.0, budget=0)
    shutil.copy(log, log.with_name("app.log.1"))
    os.truncate(log, 0)
    append(log, lines(20, 60))
    rig.step(0.1)
    rig.settle()
    assert sorted(numbers(rig)) == list(range(60))
    assert not rig.skipped


def test_t39_copy_of_a_small_file_that_grew_unread(log: Path) -> None:
    rig = Rig(settings(log.parent, "app.log*"))
    append(log, b"000000\n")
    rig.step()
    append(log, lines(1, 10))
    shutil.copy(log, log.with_name("app.log.1"))
    rig.step(budget=0)
    rig.step(5.0, budget=0)
    os.truncate(log, 0)
    rig.settle()
    assert numbers(rig) == list(range(10))
    assert not rig.skipped


def test_t39_copy_made_before_the_last_partial_line_was_seen(log: Path) -> None:
    rig = Rig(settings(log.parent, "app.log*"))
    append(log, lines(0, 3))
    rig.step()
    shutil.copy(log, log.with_name("app.log.1"))
    append(log, b"part of a line")
    rig.step(0.2)
    os.truncate(log, 0)
    rig.settle()
    assert numbers(rig) == list(range(3))
    (skipped,) = rig.skipped
    assert (skipped.start, skipped.end) == (len(lines(0, 3)), len(lines(0, 3)) + 14)


def test_two_files_with_the_same_first_4_kib_are_both_read(tmp_path: Path) -> None:
    same = lines(0, 100)[:4096]
    rig = Rig(settings(tmp_path, "*.log"))
    append(tmp_path / "a.log", same + b"\n" + lines(1000, 1100))
    append(tmp_path / "b.log", same + b"\n" + lines(2000, 2100))
    rig.step()
    rig.step()
    assert {1000, 1099, 2000, 2099} <= set(numbers(rig))
    assert len(rig.records) == 2 * (same.count(b"\n") + 1 + 100)


def test_links_to_one_file_are_read_once(tmp_path: Path) -> None:
    append(tmp_path / "a.log", lines(0, 10))
    os.link(tmp_path / "a.log", tmp_path / "b.log")
    (tmp_path / "c.log").symlink_to("a.log")
    (tmp_path / "dangling.log").symlink_to("nowhere")
    rig = Rig(settings(tmp_path, "*.log"))
    rig.step()
    (tmp_path / "a.log").unlink()
    append(tmp_path / "b.log", lines(10, 20))
    rig.settle()
    assert numbers(rig) == list(range(20))


def test_symbolic_link_that_moves_on_to_the_next_file(tmp_path: Path) -> None:
    """As container runtimes do: the link matches, rotation happens where it leads."""
    (tmp_path / "pods").mkdir()
    (tmp_path / "links").mkdir()
    target, link = tmp_path / "pods" / "0.log", tmp_path / "links" / "app.log"
    link.symlink_to(target)
    append(target, lines(0, 10))
    rig = Rig(settings(tmp_path / "links"))
    rig.step()
    append(target, lines(10, 20))
    target.rename(tmp_path / "pods" / "0.log.20240901")
    append(target, lines(20, 30))
    rig.crash()
    rig.step()
    rig.settle()
    assert sorted(numbers(rig)) == list(range(30))
    assert not rig.skipped


def test_more_files_than_may_be_open(tmp_path: Path) -> None:
    rig = Rig(settings(tmp_path, "*.log", open_files_max=8))
    for round_ in range(3):
        for n in range(40):
            append(tmp_path / f"{n}.log", lines(100 * n + round_, 100 * n + round_ + 1))
        rig.step()
        assert sum(os.readlink(fd).startswith(str(tmp_path)) for fd in open_descriptors()) <= 8
    (tmp_path / "3.log").rename(tmp_path / "renamed")
    append(tmp_path / "renamed", lines(303, 304))
    rig.settle()
    expected = [100 * n + round_ for n in range(40) for round_ in range(3)]
    assert sorted(numbers(rig)) == sorted([*expected, 303])
    assert not rig.skipped


@pytest.mark.parametrize("mount_point", [False, True])
def test_disk_that_comes_back_under_another_device_number(mount_point: bool) -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/*.log",), missing_grace_s=600.0), disk)
    disk.write("/log/a.log", lines(0, 10))
    disk.write("/log/b.log", lines(10, 20))
    rig.step()
    disk.append("/log/a.log", lines(20, 25))
    names = disk.names
    if mount_point:
        disk.names, disk.dev = {}, 2
    else:
        disk.missing.add("/log")
    rig.crash()
    rig.settle(100)
    assert [problem.path for problem in rig.source.problems()] == ["/log"]
    assert not rig.skipped
    disk.missing.clear()
    disk.names, disk.dev = names, 7
    for inode in disk.names.values():
        inode.dev = 7
    rig.settle()
    assert sorted(numbers(rig)) == list(range(25))
    assert not rig.skipped and not rig.source.problems()


def test_directory_that_never_comes_back_is_told_in_the_end() -> None:
    disk = MemoryDisk()
    rig = Rig(FileSettings(paths=("/log/*.log",), missing_grace_s=20.0), disk)
    disk.write("/log/a.log", lines(0, 10))
    rig.step()
    disk.missing.add("/log")
    rig.crash()
    rig.settle(60)
    assert [skipped.cause for skipped in rig.skipped] == ["source_deleted"]
    assert rig.durable == {}
