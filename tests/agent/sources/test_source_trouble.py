"""Errors, settings, patterns, and the second look at a source."""

from __future__ import annotations

import errno
import glob
import os
import resource
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_rig import MemoryDisk, Rig

from gapless.agent.sources import Attention, FileCursor, FileSettings, Observed, OsHost, observe
from gapless.agent.sources.globs import path_matches
from gapless.agent.sources.handles import Handles
from gapless.agent.sources.problems import PROBLEMS_MAX
from gapless.agent.sources.tracked import TrackedFile
from gapless.model.errors import Misconfigured

DENIED = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
BROKEN = OSError(errno.EIO, os.strerror(errno.EIO))


def rig_of(disk: MemoryDisk, **more: object) -> Rig:
    return Rig(FileSettings(paths=("/log/*.log",), **more).check(), disk)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [DENIED, BROKEN])
def test_a_file_in_trouble_does_not_stop_the_others_and_is_retried(error: OSError) -> None:
    disk = MemoryDisk()
    rig = rig_of(disk)
    disk.write("/log/bad.log", b"one\n")
    disk.write("/log/good.log", b"two\n")
    disk.errors["/log/bad.log"] = error
    rig.step()
    since_us = rig.now_us
    rig.settle()
    assert rig.records == [b"two"]
    (problem,) = rig.source.problems()
    assert (problem.path, problem.error, problem.since_us) == ("/log/bad.log", error.strerror, since_us)
    del disk.errors["/log/bad.log"]
    rig.settle()
    assert rig.records == [b"two", b"one"]
    assert rig.source.problems() == []


def test_read_error_in_the_middle_loses_nothing() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk)
    disk.write("/log/a.log", b"one\n")
    rig.step()
    disk.append("/log/a.log", b"two\n")
    disk.errors["/log/a.log"] = BROKEN
    rig.settle(20)
    assert len(rig.source.problems()) == 1
    disk.errors.clear()
    rig.settle(20)
    assert rig.records == [b"one", b"two"]
    assert not rig.skipped and not rig.source.problems()


def test_unreadable_file_that_is_deleted_is_told() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk)
    disk.write("/log/a.log", b"one\n")
    disk.errors["/log/a.log"] = DENIED
    rig.step()
    disk.delete("/log/a.log")
    disk.errors.clear()
    rig.step()
    assert [(skipped.start, skipped.end, skipped.cause) for skipped in rig.skipped] == [
        (0, 4, "source_deleted")
    ]
    assert rig.durable == {}


def test_directory_that_cannot_be_read_makes_no_file_vanish() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk, rotated_quiet_s=5.0)
    disk.write("/log/a.log", b"one\n")
    rig.step()
    disk.errors["/log"] = DENIED
    rig.settle(60)
    assert [problem.path for problem in rig.source.problems()] == ["/log"]
    del disk.errors["/log"]
    disk.append("/log/a.log", b"two\n")
    rig.step()
    assert rig.records == [b"one", b"two"]


def test_problems_are_bounded() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk)
    for n in range(2 * PROBLEMS_MAX):
        disk.write(f"/log/{n}.log", b"x\n")
        disk.errors[f"/log/{n}.log"] = DENIED
    rig.step()
    assert len(rig.source.problems()) == PROBLEMS_MAX


def test_files_beyond_files_max_are_reported_and_read_when_there_is_room() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk, files_max=2, quiet_s=1.0)
    for name in "abc":
        disk.write(f"/log/{name}.log", name.encode() + b"\n")
    rig.step()
    assert rig.records == [b"a", b"b"]
    assert [problem.path for problem in rig.source.problems()] == ["/log/c.log"]
    disk.delete("/log/a.log")
    rig.settle()
    assert rig.records == [b"a", b"b", b"c"]
    assert not rig.source.problems()


def test_nothing_that_matches_is_fine(tmp_path: Path) -> None:
    rig = Rig(FileSettings(paths=(f"{tmp_path}/none/*.log", f"{tmp_path}/*.log")))
    rig.step()
    assert not rig.kept and not rig.source.problems()
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.log").write_bytes(b"one\n")
    rig.step()
    assert rig.records == [b"one"]


def test_patterns_on_a_real_disk(tmp_path: Path) -> None:
    names = ["a.log", "b.log.gz", ".hidden.log", "x/c.log", "x/y/d.log", "x/.secret/e.log", "z.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    (tmp_path / "dir.log").mkdir()
    os.mkfifo(tmp_path / "fifo.log")

    def found(*paths: str, exclude: tuple[str, ...] = ()) -> set[str]:
        scan = OsHost().scan([f"{tmp_path}/{path}" for path in paths], exclude, 1000)
        assert not scan.failed
        return {os.path.relpath(seen.path, tmp_path) for seen in scan.files}

    assert found("*.log") == {"a.log"}
    assert found("*.log*") == {"a.log", "b.log.gz"}
    assert found("*.log*", exclude=("*.gz",)) == {"a.log"}
    assert found("*", exclude=(f"{tmp_path}/[ab]*",)) == {"z.txt"}
    assert found("**/*.log") == {"a.log", "x/c.log", "x/y/d.log"}
    assert found("x/?.log", ".hidden.log") == {"x/c.log", ".hidden.log"}
    assert found("*/y/d.log") == {"x/y/d.log"}
    assert found("missing/*.log", "a.log/b") == set()


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.log"
    with open(path, "wb") as file:
        file.write(b"one\n")
    rig = Rig(FileSettings(paths=(f"{tmp_path}/*.log",)))
    rig.step()
    with open(path, "ab") as file:
        file.write(b"two\n")
    (cursor,) = rig.durable.values()
    rig.durable = {cursor.file: msgspec.json.decode(msgspec.json.encode(cursor), type=FileCursor)}
    rig.crash()
    rig.step()
    assert rig.records == [b"one", b"two"] and not rig.skipped


def test_links_that_lead_in_circles_are_reported_and_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "loop.log").symlink_to("loop.log")
    (tmp_path / "a.log").write_bytes(b"one\n")
    rig = Rig(FileSettings(paths=(f"{tmp_path}/*.log", f"{tmp_path}/*/*.log")))
    rig.step()
    assert [problem.path for problem in rig.source.problems()] == [str(tmp_path / "loop.log")]
    (tmp_path / "a.log").unlink()
    rig.crash()
    rig.step()
    assert rig.records == [b"one"]
    assert [skipped.cause for skipped in rig.skipped] == ["source_deleted"]


def test_scan_says_what_it_cannot_cover(tmp_path: Path) -> None:
    for n in range(20):
        (tmp_path / f"{n}.log").touch()
    scan = OsHost().scan([f"{tmp_path}/*.log"], (), 10)
    assert [path for path, _ in scan.failed] == [str(tmp_path)]


def test_every_file_looked_at_or_opened_shows_that_the_source_goes_on(tmp_path: Path) -> None:
    for n in range(20):
        (tmp_path / f"{n}.log").write_bytes(b"one\n")
    steps = count()
    host = OsHost(lambda: next(steps) and None)
    host.scan([f"{tmp_path}/*.log"], (), 1000)
    assert next(steps) == 20
    host.open(f"{tmp_path}/1.log").close()
    assert next(steps) == 22


def test_files_beyond_the_bound_are_told_of_once_and_read_when_there_is_room(tmp_path: Path) -> None:
    for name in "abcde":
        (tmp_path / f"{name}.log").write_bytes(f"{name}\n".encode())
    rig = Rig(FileSettings(paths=(f"{tmp_path}/*.log",), files_max=2, quiet_s=0.1))
    rig.settle()
    assert sorted(rig.records) == [b"a", b"b"]
    (problem,) = rig.source.problems()
    assert problem.path == f"{tmp_path}/c.log" and "files_max = 2 files: 3 are not read" in problem.error
    (tmp_path / "a.log").unlink()
    rig.settle()
    assert sorted(rig.records) == [b"a", b"b", b"c"] and not rig.skipped
    (problem,) = rig.source.problems()
    assert problem.path == f"{tmp_path}/d.log" and "2 are not read" in problem.error


@given(pattern=st.sampled_from(["/a/*.log", "/a/**/x*", "/*/[bc]?d", "/**/.h", "/a/b"]), data=st.data())
def test_matching_a_path_agrees_with_walking(pattern: str, data: st.DataObject) -> None:
    """The matcher (exclude patterns, simulated disks) and the walk of a real disk are two programs."""
    names = st.sampled_from(["a", "b", "x1", "q.log", ".h", "bxd"])
    path = "/" + "/".join(data.draw(st.lists(names, min_size=1, max_size=4)))
    assert path_matches(pattern, path) == (path in walk_in_memory(pattern, path))


def walk_in_memory(pattern: str, path: str) -> set[str]:
    """Expand ``pattern`` over the one ``path``, directory by directory, as a shell would."""
    with tempfile.TemporaryDirectory() as root:
        target = Path(root + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
        found = glob.glob(root + pattern, recursive=True)
        assert {seen.path for seen in OsHost().scan([root + pattern], (), 1000).files} == set(found) - {
            name for name in found if os.path.isdir(name)
        }
        return {name.removeprefix(root) for name in found}


def test_all_faults_of_the_settings_are_told_at_once() -> None:
    with pytest.raises(Misconfigured) as caught:
        FileSettings(
            paths=("relative/*.log", "/var/[log", "/a/**b", "/dir/", "", "/x\0", "/a/../b", "/a/**"),
            exclude=("*.gz", "sub/*.gz"),
            line_bytes_max=0,
            rescan_s=float("nan"),
            open_files_max=0,
        ).check()
    for number, field in enumerate(f"paths[{n}]" for n in range(8)):
        assert caught.value.faults[number].startswith(field)
    rest = [fault.split(" ")[0] for fault in caught.value.faults[8:]]
    assert rest == ["exclude[1]", "line_bytes_max", "rescan_s", "open_files_max"]
    with pytest.raises(Misconfigured, match="paths is empty"):
        FileSettings(paths=()).check()


def test_observe_sees_a_stuck_reader_from_durable_cursors_alone() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk)
    disk.write("/log/a.log", b"one\ntwo\n")
    rig.step()
    settings = rig.settings

    def seen() -> tuple[int, int]:
        observed = observe(settings, rig.durable.values(), disk)
        return observed.read_bytes, observed.unread_bytes

    assert seen() == rig.source.backlog() == (8, 0)
    disk.append("/log/a.log", b"three\n")
    disk.write("/log/b.log", b"four\n")
    assert seen() == (8, 11)
    disk.write("/log/a.log", b"new\n")
    assert seen() == (8, 9)


def test_two_cursors_of_one_inode_stop_nothing() -> None:
    """A spool that lost the last word on a file may still have its cursor, beside that of the next one."""
    disk = MemoryDisk()
    rig = rig_of(disk)
    disk.write("/log/a.log", b"one\ntwo\n")
    rig.step()
    [cursor] = rig.durable.values()
    rig.durable["f" * 32] = msgspec.structs.replace(cursor, file="f" * 32)
    rig.crash()
    rig.step()
    disk.write("/log/a.log", b"new\n")
    rig.settle()
    assert rig.records == [b"one", b"two", b"new"]
    assert len(rig.durable) == 1


def test_sources_leave_some_descriptors_to_others(tmp_path: Path) -> None:
    for n in range(40):
        (tmp_path / f"{n}.log").write_bytes(b"one\n")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 45, most[1]))
    try:
        rig = Rig(FileSettings(paths=(f"{tmp_path}/*.log",)))
        rig.settle()
        assert len(rig.records) == 40 and not rig.source.problems()
        others = [os.open("/dev/null", os.O_RDONLY) for _ in range(30)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
    for fd in others:
        os.close(fd)


def left_s(looks: list[Observed]) -> float:
    """What the last of some looks, 10 seconds apart, tells."""
    attention, settings = Attention(), FileSettings(paths=("/log/*",))
    told = [attention.left_s(settings, observed, 10.0 * at) for at, observed in enumerate(looks)]
    return told[-1]


A, B = (1, 1), (1, 2)


def test_a_file_that_is_left_out_shows_however_much_is_read_of_others() -> None:
    busy = [Observed({A: 100 * at}, {A: 50, B: 7}, False) for at in range(6)]
    assert left_s(busy) == 50 - 16  # its settings let a file wait for 16 s
    assert left_s([*busy, Observed({A: 600, B: 7}, {A: 50}, False)]) == 0
    # What is seen of the busy one grows, but it moves too.
    assert left_s([Observed({A: 100 * at, B: 7}, {A: 50}, False) for at in range(6)]) == 0


def test_files_that_wait_for_their_turn_are_not_left_out() -> None:
    """Each look finds another one moved: the reader has not been round yet."""
    files = [(1, ino) for ino in range(12)]
    looks = [Observed(dict.fromkeys(files[:at], 9), dict.fromkeys(files, 100), False) for at in range(12)]
    assert left_s(looks) == 0


def test_a_directory_that_cannot_be_looked_at_is_left_out() -> None:
    blind = [Observed({A: 100}, {}, True) for _ in range(4)]
    assert left_s(blind) == 30 - 16
    assert left_s([*blind, Observed({A: 100}, {}, False)]) == 0


@pytest.mark.parametrize("pattern", ["**/*.log", "*/app.log"])
def test_a_directory_without_permission_is_told_apart_from_an_empty_one(
    tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    stat, scandir = os.stat, os.scandir

    def refused(path: str, call: Callable[..., Any]) -> Any:  # root would not be
        if str(path).startswith(str(closed)):
            raise DENIED
        return call(path)

    monkeypatch.setattr(os, "stat", lambda path: refused(path, stat))
    monkeypatch.setattr(os, "scandir", lambda path: refused(path, scandir))
    paths = (f"{tmp_path}/{pattern}",)
    assert observe(FileSettings(paths=paths), (), OsHost()).blind
    for exclude in (str(closed), "closed"):
        assert not observe(FileSettings(paths=paths, exclude=(exclude,)), (), OsHost()).blind


def test_events_without_bytes_flow_with_a_budget_of_nothing() -> None:
    disk = MemoryDisk()
    rig = rig_of(disk)
    disk.write("/log/a.log", b"one\n")
    rig.step(budget=0)
    assert not rig.records and len(rig.durable) == 1
    assert rig.source.backlog() == (0, 4)
    disk.write("/log/a.log", b"")
    rig.step(budget=0)
    assert [(skipped.start, skipped.end) for skipped in rig.skipped] == [(0, 4)]


def tracked(disk: MemoryDisk, path: str) -> TrackedFile:
    return TrackedFile(path, path, disk.dev, disk.ino(path))


def test_handles_that_give_way_are_those_that_can_be_opened_again() -> None:
    disk = MemoryDisk()
    for name in "abcdef":
        disk.write(f"/log/{name}", name.encode())
    handles = Handles(disk, open_files_max=3)
    a, b, c, d, e, f = files = [tracked(disk, f"/log/{name}") for name in "abcdef"]
    a.away_t, a.left = 0, 1  # rotated away, with unread bytes
    b.suspect = True  # what is in it now is to be handed on
    assert all(handles.open(file) for file in (a, b, c, d))
    assert [file.handle is not None for file in files] == [True, True, False, True, False, False]
    handles.used(d)
    d.away_t, d.at_end = 0, True  # rotated away and read: may be given up
    assert handles.open(e) and handles.open(f)
    assert [file.handle is not None for file in files] == [True, True, False, True, False, True]
    assert d.ending and not a.ending
    disk.rename("/log/f", "/log/c")
    assert not handles.open(c)  # another file has its name
    handles.close_all()
    assert all(file.handle is None for file in files)


def test_descriptors_of_the_system_run_out() -> None:
    disk = MemoryDisk()
    disk.write("/log/a.log", b"one\n")
    disk.write("/log/b.log", b"two\n")
    rig = rig_of(disk)
    disk.errors["/log/b.log"] = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    rig.step()
    assert rig.records == [b"one"] and len(rig.source.problems()) == 1
    disk.errors.clear()
    disk.append("/log/a.log", b"three\n")
    rig.step()
    assert sorted(rig.records) == [b"one", b"three", b"two"]
