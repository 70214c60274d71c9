"""What a log promises, as an owner that remembers every promise and checks all of them after each step.

* What ``sync`` acknowledged is read back intact, in order, once, at the positions ``append`` gave, after
  any crash and any number of recoveries.
* What was reported as failed is not in the log of the same process. After a crash it may be, like what
  was never answered: then a group or the front of one, behind all that was acknowledged, and for good.
* What a reader saw once, every reader sees from then on; a position is never given to something else.
* Nothing is called damaged that is not; the newest segment begins with a snapshot of all before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gapless.log.disk import Disk
from gapless.log.segments import DAMAGED, LogReader, LogWriter, Message
from gapless.model.errors import Unavailable

DIRECTORY = "root/log"
SNAPSHOT = 1
DATA = 2
Entry = tuple[int, bytes, bytes]  # kind, meta, body
OpenLog = Callable[..., LogWriter]


class Seen(NamedTuple):
    entry: Entry
    next_position: int


def read_all(reader: LogReader, position: int, *, bytes_max: int = 1 << 20) -> dict[int, Seen]:
    """Everything up to what is durable, by position; without a gap, and reading must come to an end."""
    found: dict[int, Seen] = {}
    while frames := reader.read(position, bytes_max=bytes_max):
        for frame in frames:
            assert frame.position == position, "a gap or a step back between two frames"
            assert frame.next_position > position, "a frame of no bytes: a reader would never end"
            position = frame.next_position
            found[frame.position] = Seen((frame.kind, frame.meta, bytes(frame.body)), position)
    assert position >= reader.durable(), "reading ends before what is durable does"
    return found


class Owner:
    """Drives one log. ``log`` is None while no process has it open."""

    def __init__(self, disk: Disk, *, segment_bytes_max: int = 400, open_log: OpenLog = LogWriter) -> None:
        self.log: LogWriter | None = None
        self.acknowledged: dict[int, Entry] = {}
        self.floor = 0  # what is before it may be dropped
        self.followed = 0  # how far the long-lived reader has come
        self.may_lag = False  # the disk may refuse to tell readers what is durable, for the moment
        self._disk = disk
        self._segment_bytes_max = segment_bytes_max
        self._open_log = open_log
        self._follower: LogReader | None = None
        self._seen: dict[int, Seen] = {}  # all that readers were ever shown
        self._seen_end = 0
        self._pending: dict[int, Entry] = {}  # appended since the last sync
        self._unanswered: list[list[Entry]] = []  # each group that was begun
        self._serial = 0

    def open(self) -> None:
        """A new process opens the log."""
        self.ended()
        try:
            self.log = self._open_log(
                self._disk, DIRECTORY, segment_bytes_max=self._segment_bytes_max, snapshot=self._snapshot
            )
        except Unavailable:
            pass  # perhaps after what is in the log was published
        self.check(opened=True)

    def append(self, *body_sizes: int) -> None:
        if self.log is None:
            return
        entries: list[Entry] = []
        for size in body_sizes:
            self._serial += 1
            entries.append((DATA, b"%d" % self._serial, bytes([self._serial % 251]) * size))
        self._unanswered.append([*self._pending.values(), *entries])
        try:
            positions = self.log.append([Message(*entry) for entry in entries])
        except Unavailable:
            self._pending = {}
        else:
            assert all(position >= self._seen_end for position in positions), "a position is given twice"
            self._pending.update(zip(positions, entries, strict=True))
        self.check()

    def sync(self) -> None:
        if self.log is None:
            return
        try:
            self.log.sync()
        except Unavailable:
            pass
        else:
            self.acknowledged.update(self._pending)
        self._pending = {}
        self.check()

    def drop_before(self, position: int) -> None:
        if self.log is None:
            return
        self.floor = max(self.floor, position)
        try:
            self.log.drop_before(position)
        except Unavailable:
            pass
        self.check()

    def follow(self, bytes_max: int) -> None:
        """A long-lived reader, perhaps of another process, goes on by one step."""
        if self._follower is None:
            self._follower = LogReader(self._disk, DIRECTORY)
        for frame in self._follower.read(self.followed, bytes_max=bytes_max):
            assert frame.position == self.followed, "a gap or a step back between two frames"
            if frame.kind == DAMAGED:
                assert frame.next_position <= self.floor, "intact bytes called damaged"
            else:
                self._check_again(frame.position, (frame.kind, frame.meta, bytes(frame.body)))
            self.followed = frame.next_position

    def close(self) -> None:
        if self.log is not None:
            self.log.close()
        self.ended()

    def ended(self, *, everywhere: bool = False) -> None:
        """The process has ended, and with ``everywhere`` those that read, too: the power went."""
        self.log = None
        self._pending = {}
        if everywhere:
            self._follower = None
        self.check(opened=True)  # readers go on without a writer

    def check(self, *, opened: bool = False) -> None:
        """All promises, as a reader sees them that has just begun."""
        reader = LogReader(self._disk, DIRECTORY)
        first, durable = reader.first(), reader.durable()
        assert self.log is None or durable == self.log.durable or self.may_lag, "readers are not told"
        assert first <= self.floor, "a segment is gone that was still needed"
        found = read_all(reader, first)
        self._check_new([seen.entry for at, seen in found.items() if at >= self._seen_end], opened)
        for position, seen in found.items():
            if position < self._seen_end:
                self._check_again(position, seen.entry)
        for position, entry in self.acknowledged.items():
            if first <= position < durable:
                assert position in found, "an acknowledged entry is not read back"
                assert found[position].entry == entry, "an acknowledged entry is read back as another"
        serials = [int(seen.entry[1]) for seen in found.values() if seen.entry[0] == DATA]
        assert serials == sorted(set(serials)), "entries are there twice or out of order"
        self._seen |= found
        self._seen_end = max([self._seen_end, *(seen.next_position for seen in found.values())])
        self._check_snapshot(reader)
        reader.close()

    def _check_again(self, position: int, entry: Entry) -> None:
        assert position in self._seen, "a frame where none was before"
        assert self._seen[position].entry == entry, "another frame than was there before"

    def _check_new(self, entries: list[Entry], opened: bool) -> None:
        assert all(kind in (SNAPSHOT, DATA) for kind, _, _ in entries), "intact bytes called damaged"
        known = set(self.acknowledged.values())
        data = [entry for entry in entries if entry[0] == DATA]
        surplus = [entry for entry in data if entry not in known]
        if surplus:
            assert opened, "readers see what was not acknowledged"
            assert surplus == data[-len(surplus) :], "what was not acknowledged stands before what was"
            fronts = [group[: len(surplus)] for group in self._unanswered]
            assert surplus in fronts, "a group without its front"

    def _check_snapshot(self, reader: LogReader) -> None:
        base = reader.last_segment()
        frames = reader.read(base, bytes_max=1)
        if frames:
            assert frames[0].kind == SNAPSHOT, "a segment does not begin with its snapshot"
            before = [seen for at, seen in self._seen.items() if at < base and seen.entry[0] == DATA]
            assert int(frames[0].meta) == len(before), "a snapshot is not of what came before it"

    def _snapshot(self) -> Message:
        """Of all this process knows to be in the log, or has appended to it."""
        seen = {at for at, each in self._seen.items() if each.entry[0] == DATA}
        return Message(SNAPSHOT, b"%d" % len(seen | self.acknowledged.keys() | self._pending.keys()))
