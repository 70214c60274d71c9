"""The port to the file system: what real and simulated disks have in common, and what each is for."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapless.log.disk import Disk, OsDisk, OsFile
from gapless.testing.disk import Fate, SimDisk
from gapless.testing.faults import Fault, SimCrash, faults


@pytest.fixture(params=["simulated", "real"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Disk, str]:
    disk: Disk = OsDisk() if request.param == "real" else SimDisk(Random(0))
    directory = str(tmp_path / "a") if request.param == "real" else "a"
    disk.make_dirs(directory)
    return disk, directory


class TestEveryDisk:
    def test_files(self, place: tuple[Disk, str]) -> None:
        disk, directory = place
        file = disk.create(f"{directory}/f")
        file.write([b"abc", b"", bytearray(b"def"), memoryview(b"ghi")], 0)
        file.write([b"XY"], 1)
        file.write([b"!"], 12)
        assert file.size() == 13
        assert file.pread(100, 0) == b"aXYdefghi\0\0\0!"
        assert file.pread(2, 3) == b"de"
        assert file.pread(5, 13) == b""
        assert file.pread(5, 99) == b""
        file.write([], 4)
        file.truncate(4)
        file.sync()
        assert file.pread(100, 0) == b"aXYd"
        file.truncate(6)
        assert file.pread(100, 0) == b"aXYd\0\0"
        assert disk.head(f"{directory}/f", 3) == b"aXY"
        assert disk.head(f"{directory}/f", 100) == b"aXYd\0\0"
        reader = disk.open(f"{directory}/f", writable=False)
        assert reader.size() == 6
        with pytest.raises(OSError, match="Bad file descriptor"):
            reader.write([b"x"], 0)
        file.close()
        file.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            file.size()

    def test_names(self, place: tuple[Disk, str]) -> None:
        disk, directory = place
        assert disk.names(directory) == disk.names(f"{directory}/none") == []
        for name in "ba":
            disk.create(f"{directory}/{name}").write([name.encode()], 0)
        disk.make_dirs(f"{directory}/below/it")
        disk.create(f"{directory}/below/it/c").close()
        disk.sync_dir(directory)
        assert [name for name in disk.names(directory) if name != "below"] == ["a", "b"]
        assert disk.names(f"{directory}/below/it") == ["c"]
        before = disk.open(f"{directory}/b", writable=False)
        disk.rename(f"{directory}/a", f"{directory}/b")
        assert [name for name in disk.names(directory) if name != "below"] == ["b"]
        assert disk.open(f"{directory}/b", writable=True).pread(9, 0) == b"a"
        disk.unlink(f"{directory}/b")
        assert before.pread(9, 0) == b"b", "what is open stays readable"
        disk.make_dirs(f"{directory}/below/it")
        assert disk.free_bytes(directory) > 0

    def test_what_is_there_or_is_not(self, place: tuple[Disk, str]) -> None:
        disk, directory = place
        disk.create(f"{directory}/f")
        with pytest.raises(FileExistsError):
            disk.create(f"{directory}/f")
        for act in (
            lambda: disk.open(f"{directory}/none", writable=True),
            lambda: disk.head(f"{directory}/none", 1),
            lambda: disk.unlink(f"{directory}/none"),
            lambda: disk.rename(f"{directory}/none", f"{directory}/g"),
            lambda: disk.create(f"{directory}/none/f"),
            lambda: disk.sync_dir(f"{directory}/none"),
        ):
            with pytest.raises(FileNotFoundError):
                act()


class TestOsDisk:
    @given(sizes=st.lists(st.integers(0, 3_000), max_size=30), random=st.randoms(use_true_random=False))
    def test_short_writes_are_continued(self, sizes: list[int], random: Random) -> None:
        buffers = [random.randbytes(size) for size in sizes]
        written = bytearray(b"." * 7)

        def pwritev(descriptor: int, views: list[memoryview], offset: int) -> int:
            assert offset == len(written)
            whole = b"".join(views)
            part = whole[: random.randint(1, len(whole))]
            written.extend(part)
            return len(part)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "pwritev", pwritev)
            OsFile(-1).write(buffers, 7)
        assert written == b"." * 7 + b"".join(buffers)

    def test_a_write_that_takes_nothing_is_an_error_not_a_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "pwritev", lambda *arguments: 0)
        with pytest.raises(OSError, match="nothing was written"):
            OsFile(-1).write([b"x"], 0)

    def test_more_buffers_than_one_call_takes(self, tmp_path: Path) -> None:
        file = OsDisk().create(str(tmp_path / "f"))
        file.write([b"%04d" % number for number in range(2_500)], 0)
        assert file.pread(1 << 20, 0) == b"".join(b"%04d" % number for number in range(2_500))

    def test_short_reads_are_continued(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = OsDisk().create(str(tmp_path / "f"))
        file.write([bytes(range(100))], 0)
        pread = os.pread
        monkeypatch.setattr(os, "pread", lambda descriptor, size, at: pread(descriptor, min(size, 7), at))
        assert file.pread(200, 3) == bytes(range(3, 100))
        assert file.pread(20, 3) == bytes(range(3, 23))

    def test_each_new_directory_is_durable_before_the_next_is_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And one that another process made, but may not have lived to sync, is synced as well."""
        acts: list[str] = []
        mkdir = os.mkdir

        def make(path: str, mode: int) -> None:
            acts.append(f"make {path}")
            mkdir(path, mode)

        monkeypatch.setattr(os, "mkdir", make)
        monkeypatch.setattr(OsDisk, "sync_dir", lambda disk, path: acts.append(f"sync {path}"))
        top = str(tmp_path)
        OsDisk().make_dirs(f"{top}/a/b")
        made = [f"make {top}/a", f"sync {top}", f"make {top}/a/b", f"sync {top}/a"]
        assert acts == [f"sync {tmp_path.parent}", *made]
        del acts[:]
        OsDisk().make_dirs(f"{top}/a/b")
        assert acts == [f"sync {top}/a"]

    def test_a_parent_that_may_not_be_read_is_left_to_who_made_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(disk: OsDisk, path: str) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", path)

        monkeypatch.setattr(OsDisk, "sync_dir", refuse)
        OsDisk().make_dirs(str(tmp_path))
        with pytest.raises(PermissionError):
            OsDisk().make_dirs(str(tmp_path / "mine"))

    def test_files_are_for_their_owner_only(self, tmp_path: Path) -> None:
        OsDisk().make_dirs(str(tmp_path / "a" / "b"))
        OsDisk().create(str(tmp_path / "a" / "f")).close()
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "a" / "f").stat().st_mode & 0o777 == 0o600


def simulated(*fates: Fate, seed: int = 0, capacity_bytes: int | None = None) -> SimDisk:
    disk = SimDisk(Random(seed), fates=fates or tuple(Fate), capacity_bytes=capacity_bytes)
    disk.make_dirs("a")
    return disk


def outcomes(change: bytes) -> Iterator[bytes]:
    """What a crash leaves of a change that was not synced, over a synced file of as many dots."""
    for seed in range(300):
        disk = simulated(seed=seed)
        file = disk.create("a/f")
        file.write([b"." * len(change)], 0)
        file.sync()
        disk.sync_dir("a")
        file.write([change], 0)
        disk.crash()
        yield disk.content("a/f")


class TestSimDisk:
    def test_a_crash_keeps_drops_or_tears_what_was_not_synced(self) -> None:
        left = set(outcomes(b"x" * 512 + b"y" * 512 + b"z" * 100))
        assert left == {
            x * 512 + y * 512 + z * 100 for x in (b"x", b".") for y in (b"y", b".") for z in (b"z", b".")
        }

    def test_a_torn_write_may_grow_the_file_and_leave_zeros(self) -> None:
        left = set()
        for seed in range(200):
            disk = simulated(seed=seed)
            file = disk.create("a/f")
            disk.sync_dir("a")
            file.write([b"x" * 600], 0)
            disk.crash()
            left.add(disk.content("a/f"))
        assert {b"", b"x" * 600, bytes(600), b"x" * 512, bytes(512) + b"x" * 88} <= left

    def test_what_is_synced_outlives_any_crash(self) -> None:
        for seed in range(50):
            disk = simulated(seed=seed)
            file = disk.create("a/f")
            file.write([b"first"], 0)
            file.truncate(3)
            file.write([b"second"], 3)
            file.sync()
            disk.sync_dir("a")
            disk.crash()
            disk.crash()
            assert disk.content("a/f") == b"firsecond"

    def test_names_may_be_lost_until_their_directory_is_synced(self) -> None:
        left = set()
        for seed in range(100):
            disk = simulated(seed=seed)
            for name in "fg":
                file = disk.create(f"a/{name}")
                file.write([name.encode()], 0)
                file.sync()
            disk.sync_dir("a")
            disk.unlink("a/f")
            disk.create("a/h")
            disk.rename("a/g", "a/i")
            disk.make_dirs("b")
            disk.sync_dir("b")
            disk.crash()
            left.add("".join(disk.names("a")))
            assert disk.content("a/i" if "i" in disk.names("a") else "a/g") == b"g"
        assert left == {"fg", "g", "fgh", "gh", "fi", "i", "fhi", "hi"}

    @pytest.mark.parametrize(("fate", "saved"), [(Fate.KEPT, b"new"), (Fate.DROPPED, b"old")])
    def test_after_a_sync_that_failed_the_next_succeeds_without_having_saved_anything(
        self, fate: Fate, saved: bytes
    ) -> None:
        disk = simulated(fate)
        file = disk.create("a/f")
        file.write([b"old"], 0)
        file.sync()
        disk.sync_dir("a")
        file.write([b"new"], 0)
        disk.before_effect = faults(Fault("sync", errno.EIO))
        with pytest.raises(OSError, match="Input/output error"):
            file.sync()
        file.sync()
        assert file.pread(9, 0) == b"new"
        disk.crash()
        assert disk.content("a/f") == saved

    def test_a_killed_process_loses_its_open_files_and_no_bytes(self) -> None:
        disk = simulated(Fate.DROPPED)
        file = disk.create("a/f")
        file.write([b"x"], 0)
        elsewhere = disk.open("a/f", writable=False)
        disk.kill()
        with pytest.raises(OSError, match="Bad file descriptor"):
            file.size()
        assert elsewhere.pread(9, 0) == disk.content("a/f") == b"x"
        disk.crash()
        with pytest.raises(OSError, match="Bad file descriptor"):
            elsewhere.size()
        assert disk.names("a") == []

    def test_nothing_reaches_the_disk_after_the_process_ended(self) -> None:
        disk = simulated(Fate.KEPT)
        file = disk.create("a/f")
        disk.before_effect = faults(Fault("write", None))
        for _ in range(2):
            with pytest.raises(SimCrash):
                file.write([b"x"], 0)
        with pytest.raises(SimCrash):
            disk.unlink("a/f")
        disk.crash()
        assert disk.content("a/f") == b""

    def test_a_full_disk_takes_what_fits(self) -> None:
        disk = simulated(capacity_bytes=10)
        file = disk.create("a/f")
        file.write([b"12345678"], 0)
        assert disk.free_bytes("a") == 2
        with pytest.raises(OSError, match="No space left"):
            file.write([b"abcdef"], 6)
        assert file.pread(99, 0) == b"123456abcd"
        file.write([b"over"], 0)
        with pytest.raises(OSError, match="No space left"):
            disk.create("a/g")
        file.truncate(0)
        disk.create("a/g").write([b"1234567890"], 0)

    def test_a_write_that_fails_has_written_some_of_its_sectors(self) -> None:
        left = set()
        for seed in range(50):
            disk = simulated(seed=seed)
            file = disk.create("a/f")
            disk.before_effect = faults(Fault("write", errno.EIO))
            with pytest.raises(OSError, match="Input/output error"):
                file.write([b"x" * 1_200], 0)
            left.add(file.size())
        assert left == {0, 512, 1_024, 1_200}

    def test_faults_strike_when_and_where_they_are_told_to(self) -> None:
        struck: list[str] = []
        hook = faults(Fault("write", errno.EIO, skip=1, times=2, path_end=".log"), Fault("", None, skip=9))
        effects = [("write", "a.log"), ("write", "b"), ("sync", "a.log")] + [("write", "c.log")] * 9
        for effect, path in effects:
            try:
                hook(effect, path)
            except OSError:
                struck.append(f"error {path}")
            except SimCrash:
                struck.append(f"crash {path}")
        assert struck == ["error c.log", "error c.log", "crash c.log"]

    def test_bits_flip_for_good(self) -> None:
        disk = simulated(Fate.DROPPED)
        file = disk.create("a/f")
        file.write([b"abc"], 0)
        file.sync()
        disk.sync_dir("a")
        disk.flip("a/f", 9)
        assert file.pread(9, 0) == b"a`c"
        disk.crash()
        assert disk.content("a/f") == b"a`c"
        disk.damage("a/f", None)
        disk.crash()
        assert disk.names("a") == []
