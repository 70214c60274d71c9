"""Small files are replaced as a whole or not at all (T23, T28)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from gapless.log.disk import Disk, OsDisk, read_small, write_atomically
from gapless.testing.disk import Fate, SimDisk
from gapless.testing.faults import Fault, SimCrash, faults

PATH = "root/state"
OLD, NEW = b"old " * 300, b"new, and longer " * 300
FATES = [(Fate.KEPT,), (Fate.DROPPED,), tuple(Fate), tuple(Fate), tuple(Fate)]


def crash_at_every_effect(
    new_disk: Callable[..., SimDisk], write: Callable[[Disk, str, bytes], None]
) -> None:
    """Old or new after a crash anywhere; new after a return; and the next write succeeds."""
    for seed, fates in enumerate(FATES):
        effect, returned = 0, False
        while not returned:
            disk = new_disk(Random(f"{seed} {effect}"), fates=fates)
            disk.make_dirs("root")
            write(disk, PATH, OLD)
            disk.crash()
            assert read_small(disk, PATH) == OLD
            disk.before_effect = faults(Fault("", None, skip=effect))
            try:
                write(disk, PATH, NEW)
                returned = True
            except SimCrash:
                pass
            disk.crash()
            assert read_small(disk, PATH) in ([NEW] if returned else [OLD, NEW])
            disk.before_effect = faults()
            write(disk, PATH, b"next")
            disk.crash()
            assert read_small(disk, PATH) == b"next"
            effect += 1


@pytest.mark.case("T28")
def test_a_crash_leaves_the_old_bytes_or_the_new_ones() -> None:
    crash_at_every_effect(SimDisk, write_atomically)


@pytest.mark.parametrize("effect", ["create", "write", "sync", "rename", "sync_dir"])
@pytest.mark.parametrize("fates", FATES[:3])
def test_a_refusal_leaves_the_old_bytes_or_the_new_ones(effect: str, fates: tuple[Fate, ...]) -> None:
    disk = SimDisk(Random(0), fates=fates)
    disk.make_dirs("root")
    write_atomically(disk, PATH, OLD)
    disk.before_effect = faults(Fault(effect, errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        write_atomically(disk, PATH, NEW)
    assert read_small(disk, PATH) == (NEW if effect == "sync_dir" else OLD)
    disk.crash()
    assert read_small(disk, PATH) in ([OLD, NEW] if effect == "sync_dir" else [OLD])
    write_atomically(disk, PATH, NEW)
    disk.crash()
    assert read_small(disk, PATH) == NEW


def test_on_real_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, path = OsDisk(), str(tmp_path / "state")
    assert read_small(disk, path) is None
    write_atomically(disk, path, OLD)
    (tmp_path / "state.new").write_bytes(b"left by a crash before the rename")
    write_atomically(disk, path, NEW)
    assert read_small(disk, path) == NEW
    assert disk.names(str(tmp_path)) == ["state"]
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600
    monkeypatch.chdir(tmp_path)
    write_atomically(disk, "beside", OLD)
    assert read_small(disk, "beside") == OLD
