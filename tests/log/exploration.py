"""Every way through a small script: each effect refused, each effect the last one."""

from __future__ import annotations

import errno
from collections.abc import Callable
from copy import deepcopy
from random import Random

from gapless.log.segments import LogWriter
from gapless.testing.disk import Fate, SimDisk
from gapless.testing.faults import Fault, SimCrash, faults

from .oracle import OpenLog, Owner

# How the process comes to its end: the machine runs on, or the power goes with all, nothing or any part
# of what was not synced reaching the disk.
KILLED = "killed"
POWER = "power"
EFFECTS_MAX = 200  # of the script, or of a recovery
UNBOUNDED = "more effects than the script can have"
End = tuple[str, tuple[Fate, ...], int]
NewDisk = Callable[..., SimDisk]
ENDS: list[End] = [
    (KILLED, tuple(Fate), 0),
    ("kept", (Fate.KEPT,), 0),
    ("dropped", (Fate.DROPPED,), 0),
    *[(f"any part {seed}", tuple(Fate), seed) for seed in range(2)],
]


def script(owner: Owner) -> None:
    """Appends, syncs, rolls, drops, reopens."""
    owner.open()
    owner.append(10)
    owner.sync()
    owner.append(40, 600, 20)
    owner.append(30)
    owner.sync()  # the segment is full
    owner.append(50, 60)
    owner.drop_before(owner.log.end if owner.log else 0)
    owner.sync()
    owner.follow(100)
    owner.append(700)
    owner.sync()
    owner.append(5, 5)
    owner.sync()
    owner.follow(1 << 20)
    owner.append(400)
    owner.drop_before(owner.followed)
    owner.sync()
    owner.drop_before(owner.followed)  # two segments, one after the other
    owner.follow(1 << 20)
    owner.append(70)
    owner.close()
    owner.open()
    owner.append(800)
    owner.sync()
    owner.append(80)  # begins a segment; no later step of this script would mend it
    owner.sync()
    owner.follow(1)


def end(disk: SimDisk, owner: Owner, how: str) -> None:
    if how == KILLED:
        disk.kill()
    else:
        disk.crash()
    owner.ended(everywhere=how != KILLED)


def go_on(disk: SimDisk, owner: Owner) -> None:
    """Nothing is wrong any more: without anybody's help, the log takes up its work."""
    disk.before_effect = faults()
    if owner.log is None:
        owner.open()
    acknowledged = len(owner.acknowledged)
    owner.append(15)
    owner.sync()
    owner.may_lag = False
    owner.check()
    assert len(owner.acknowledged) == acknowledged + 1, "the log has stopped for good"
    owner.follow(1 << 20)


def proceed(disk: SimDisk, owner: Owner, how: str) -> None:
    """The next process goes on, and the one after it finds everything."""
    owner.ended()
    go_on(disk, owner)
    end(disk, owner, how)
    owner.open()


def run(disk: SimDisk, owner: Owner, *plan: Fault) -> bool:
    """Run the script into its faults; True if the process crashed."""
    disk.before_effect = faults(*plan)
    try:
        script(owner)
    except SimCrash:
        return True
    return False


def recover_into_a_crash(disk: SimDisk, owner: Owner, at: int, how: str) -> bool:
    """End the process before an effect of a recovery, then go on; True if it has fewer effects than that."""
    disk.before_effect = faults(Fault("", None, skip=at))
    try:
        owner.open()
        recovered = True
    except SimCrash:
        end(disk, owner, how)
        recovered = False
    proceed(disk, owner, POWER)
    return recovered


def crash_everywhere(end_as: End, new_disk: NewDisk = SimDisk, open_log: OpenLog = LogWriter) -> None:
    """End the process before each effect of the script, then before each effect of each recovery; the
    second end is of either kind, whatever the first was."""
    how, fates, seed = end_as
    for at in range(EFFECTS_MAX):
        disk = new_disk(Random(f"{seed} {at}"), fates=fates)
        owner = Owner(disk, open_log=open_log)
        if not run(disk, owner, Fault("", None, skip=at)):
            return
        end(disk, owner, how)
        for then in (KILLED, POWER):
            again = 0
            while not recover_into_a_crash(*deepcopy((disk, owner)), again, then):
                again += 1
                assert again < EFFECTS_MAX, UNBOUNDED
    raise AssertionError(UNBOUNDED)


def fail_everywhere(
    effect: str,
    error: int,
    times: int,
    end_as: End,
    new_disk: NewDisk = SimDisk,
    open_log: OpenLog = LogWriter,
) -> None:
    """Refuse each effect of a kind in turn, go on, and end in each way."""
    how, fates, seed = end_as
    for at in range(EFFECTS_MAX):
        disk = new_disk(Random(f"{seed} {at}"), fates=fates)
        owner = Owner(disk, open_log=open_log)
        owner.may_lag = True
        fault = Fault(effect, error, skip=at, times=times)
        assert not run(disk, owner, fault)
        if fault.times == times:
            return
        go_on(disk, owner)
        end(disk, owner, how)
        proceed(disk, owner, how)
    raise AssertionError(UNBOUNDED)


def fail_and_crash_everywhere(end_as: End) -> None:
    """Refuse each two effects in a row, and end the process before each fourth of those behind them."""
    how, fates, seed = end_as
    for refused in range(EFFECTS_MAX):
        for crashed in range(refused + refused % 4, EFFECTS_MAX, 4):
            disk = SimDisk(Random(f"{seed} {refused} {crashed}"), fates=fates)
            owner = Owner(disk)
            owner.may_lag = True
            refusal = Fault("", errno.EIO, skip=refused, times=2)
            if not run(disk, owner, refusal, Fault("", None, skip=crashed)):
                break
            end(disk, owner, how)
            proceed(disk, owner, how)
        if refusal.times == 2:
            return
    raise AssertionError(UNBOUNDED)
