"""Damage at rest: what cannot be read comes as DAMAGED, exactly that, and the log goes on (T18, T19, T23,
T25, T28)."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.log.layout import encode_published
from gapless.log.segments import DAMAGED, LogReader, LogWriter, Message
from gapless.testing.disk import SimDisk

from .oracle import DATA, DIRECTORY, SNAPSHOT, Entry, Seen, read_all

PUBLISHED = f"{DIRECTORY}/durable"


class Built:
    """A log of four segments, closed, and what is in it. Between two syncs stand one to three frames."""

    def __init__(self) -> None:
        self.disk = SimDisk(Random(0))
        self.entries: dict[int, Entry] = {}
        log = self.open()
        for number in range(12):
            meta = b'{"number": %d}' % number
            body = bytes([number]) * (number * 37 % 113)
            positions = log.append([Message(DATA, meta, body)] * (number % 3 + 1))
            log.sync()
            self.entries |= dict.fromkeys(positions, (DATA, meta, body))
        self.segments = log.segments()
        self.end = log.end
        log.close()
        assert len(self.segments) == 4
        starts = [*self.entries, *[base for base, _ in self.segments]]
        self.next = dict(zip(sorted(starts), [*sorted(starts)[1:], self.end], strict=True))
        for base, _ in self.segments:
            self.entries[base] = (SNAPSHOT, b"", b"s" * 8)

    def open(self) -> LogWriter:
        return LogWriter(
            self.disk,
            DIRECTORY,
            segment_bytes_max=600,
            snapshot=lambda: Message(SNAPSHOT, b"", b"s" * 8),
        )

    def path(self, number: int) -> str:
        return f"{DIRECTORY}/{self.segments[number][0]:020d}.log"

    def read(self) -> dict[int, Seen]:
        return read_all(LogReader(self.disk, DIRECTORY), 0)

    def frame_at(self, position: int) -> int:
        """Where the frame begins that holds a position."""
        return max(start for start in self.next if start <= position)

    def check(self, damaged: set[int], end: int | None = None) -> None:
        """Exactly these frames, by position, are called damaged; all others come as they were written."""
        found = self.read()
        gone = [(at, seen.next_position) for at, seen in found.items() if seen.entry[0] == DAMAGED]
        for position, next_position in self.next.items():
            if position in damaged:
                assert any(first <= position and next_position <= next_ for first, next_ in gone)
            else:
                assert found[position].entry == self.entries[position]
        extra = sum(next_ - first for first, next_ in gone) - sum(self.next[at] - at for at in damaged)
        assert extra == 0, "more is called damaged than is"
        assert max(seen.next_position for seen in found.values()) == (end or self.end)

    def check_and_go_on(self, damaged: set[int]) -> None:
        """The same after one and after two recoveries and a power loss; then the log takes more."""
        self.check(damaged)
        for _ in range(2):
            log = self.open()
            assert log.durable == self.end
            log.close()
            self.disk.crash()
            self.check(damaged)
        log = self.open()
        message = Message(DATA, b"more", b"after the damage")
        [position] = log.append([message])
        log.sync()
        assert position >= self.end, "a position is given twice"
        assert self.read()[position].entry == message
        log.close()
        with_more = self.read()
        assert [at for at, seen in with_more.items() if seen.entry[0] == DAMAGED and at >= self.end] == []


BUILT = Built()
BYTES = [(number, at) for number, (base, end) in enumerate(BUILT.segments) for at in range(end - base)]


def test_undamaged() -> None:
    Built().check_and_go_on(set())


@pytest.mark.parametrize("part", range(4))
def test_one_bit_of_many_bytes(part: int) -> None:
    """One frame is lost, whichever of its bytes it was; never a neighbour."""
    for number, at in BYTES[part * 2 :: 8]:
        built = Built()
        built.disk.flip(built.path(number), at * 8 + Random(at).randrange(8))
        built.check_and_go_on({built.frame_at(built.segments[number][0] + at)})


def test_a_damaged_body_leaves_its_meta() -> None:
    built = Built()
    position = built.segments[1][0] - 1
    built.disk.flip(built.path(0), position * 8)
    frame = built.read()[built.frame_at(position)]
    assert frame.entry == (DAMAGED, built.entries[built.frame_at(position)][1], b"")
    reader = LogReader(built.disk, DIRECTORY)
    frames = reader.read(0, bytes_max=1 << 20, bodies=False)
    assert DAMAGED not in [each.kind for each in frames], "bodies that are not read are not checked"


def test_damage_is_not_searched_for_frames_inside_the_damaged_one() -> None:
    """A body may hold anything, also a frame that would be intact just there."""
    disk = SimDisk(Random(0))
    log = LogWriter(disk, DIRECTORY, segment_bytes_max=10_000)
    inner = LogWriter(SimDisk(Random(0)), DIRECTORY, segment_bytes_max=10_000)
    inner.append([Message(DATA, b"", b"x" * 5)])  # as long as the head and meta around it
    inner.append([Message(DATA, b"forged")])
    forged = inner._disk.content(f"{DIRECTORY}/{0:020d}.log")[45:]  # type: ignore[attr-defined]
    log.append([Message(DATA, b"outer", forged)])
    log.append([Message(DATA, b"next")])
    log.sync()
    disk.flip(f"{DIRECTORY}/{0:020d}.log", 41 * 8)
    found = read_all(LogReader(disk, DIRECTORY), 0)
    assert [seen.entry[1] for seen in found.values()] == [b"", b"next"]


@pytest.mark.parametrize("number", range(4))
def test_a_segment_cut_anywhere(number: int) -> None:
    base, end = BUILT.segments[number]
    for size in range(0, end - base, 3):
        built = Built()
        built.disk.damage(built.path(number), built.disk.content(built.path(number))[:size])
        built.check_and_go_on({at for at in built.next if base <= at < end and built.next[at] > base + size})


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("how", ["deleted", "empty", "zeros", "noise", "of another segment"])
def test_a_whole_segment_gone(number: int, how: str) -> None:
    built = Built()
    base, end = built.segments[number]
    content = {
        "deleted": None,
        "empty": b"",
        "zeros": bytes(end - base),
        "noise": Random(0).randbytes(end - base),
        "of another segment": built.disk.content(built.path((number + 1) % 4)),
    }
    built.disk.damage(built.path(number), content[how])
    if number == 0 and how == "deleted":
        assert LogReader(built.disk, DIRECTORY).first() == end
    built.check_and_go_on({at for at in built.next if base <= at < end})


def test_two_damaged_neighbours_and_one_apart() -> None:
    built = Built()
    first, second, _, fourth, *_ = [at for at in built.next if at >= built.segments[2][0]]
    for position in (first, second, fourth):
        built.disk.flip(built.path(2), (position - built.segments[2][0]) * 8)
    built.check_and_go_on({first, second, fourth})


@pytest.mark.case("T1", "T23")
@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        bytes(8),
        bytes(12),
        bytes(4096),
        b"\xff" * 12,
        (1 << 40).to_bytes(8, "little"),
        (1 << 40).to_bytes(8, "little") + bytes(4),
    ],
    ids=lambda content: "deleted" if content is None else f"{len(content)} bytes {content[:6].hex()}",
)
def test_the_durable_position_destroyed(content: bytes | None) -> None:
    """It is made anew from the segments; nothing is lost and no damage is invented (T23)."""
    built = Built()
    built.disk.damage(PUBLISHED, content)
    assert built.read() == {}
    log = built.open()
    assert log.recovery == (0, ())
    log.close()
    built.check_and_go_on(set())


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_log_that_was_set_back_goes_on_behind_what_was_read_of_it(kept: int) -> None:
    """A copy is put in its place, of when it had fewer segments and said so."""
    built = Built()
    end = built.segments[kept - 1][1] if kept else 0
    for number in range(kept, 4):
        built.disk.unlink(built.path(number))
    built.disk.damage(PUBLISHED, encode_published(end))
    log = LogWriter(built.disk, DIRECTORY, segment_bytes_max=600, read_to=built.end)
    assert log.recovery == (0, ((end, built.end),) * bool(kept))
    [position] = log.append([Message(DATA, b"", b"new")])
    log.sync()
    assert position == built.end
    reader = LogReader(built.disk, DIRECTORY)
    assert [frame.body for frame in reader.read(built.end, bytes_max=1 << 20)] == [b"new"]
    log.close()
    # Whoever has read less, or as much as there is, changes nothing.
    again = LogWriter(built.disk, DIRECTORY, segment_bytes_max=600, read_to=position)
    assert again.recovery == (0, ()) and again.end > position
    again.close()


def test_one_bit_of_the_durable_position() -> None:
    for bit in range(12 * 8):
        built = Built()
        built.disk.flip(PUBLISHED, bit)
        built.open().close()
        built.check_and_go_on(set())


def test_a_reader_keeps_what_it_knew_while_the_durable_position_cannot_be_read() -> None:
    built = Built()
    reader = LogReader(built.disk, DIRECTORY)
    assert reader.durable() == built.end
    for content in (bytes(12), b"", None):
        built.disk.damage(PUBLISHED, content)
        assert reader.durable() == built.end
    log = built.open()  # makes the file anew: a reader must not hold on to the old one
    log.append([Message(DATA, b"more")])
    log.sync()
    assert reader.durable() == log.durable > built.end


def test_damage_to_what_was_acknowledged_is_told_from_a_torn_tail_by_the_frames_behind_it() -> None:
    """A later frame says that everything before its group was durable when it was written."""
    built = Built()
    base, end = built.segments[3]
    damaged = min(at for at in built.next if base < at)
    built.disk.damage(PUBLISHED, encode_published(base))  # older than it was: a power loss may do that
    built.disk.flip(built.path(3), (damaged - base) * 8)
    log = built.open()
    assert log.recovery == (0, ((damaged, built.next[damaged]),))
    assert log.durable == end
    log.close()
    built.check_and_go_on({damaged})


def test_the_head_of_a_torn_frame_says_what_was_acknowledged_before_it() -> None:
    """Power is lost while the last frame is written, and the acknowledged one before it rots. (Seed 10611
    of the simulation at revision 7ae4a38.)"""
    disk = SimDisk(Random(0))
    log = LogWriter(disk, DIRECTORY, segment_bytes_max=10_000)
    for number in range(3):
        log.append([Message(DATA, b"%d" % number, bytes(100))])
        log.sync()
    (last,) = log.append([Message(DATA, b"torn", bytes(1000))])
    log.close()
    path = f"{DIRECTORY}/{0:020d}.log"
    disk.damage(path, disk.content(path)[: last + 100])
    (damaged,) = (
        frame.position for frame in LogReader(disk, DIRECTORY).read(0, bytes_max=9999) if frame.meta == b"2"
    )
    disk.flip(path, 8 * damaged)
    disk.damage(PUBLISHED, encode_published(0))
    log = LogWriter(disk, DIRECTORY, segment_bytes_max=10_000)
    assert log.recovery == (100, ((damaged, last),))
    assert log.durable == last
    log.append([Message(DATA, b"3")])
    log.sync()
    found = read_all(LogReader(disk, DIRECTORY), 0)
    assert [(at, seen.entry[0]) for at, seen in found.items()][2:] == [(damaged, DAMAGED), (last, DATA)]


def test_what_is_broken_counts_as_acknowledged_where_the_durable_position_is_destroyed() -> None:
    for number in range(4):
        built = Built()
        _, end = built.segments[number]
        for later in range(number + 1, 4):
            built.disk.damage(built.path(later), None)
        content = built.disk.content(built.path(number))
        built.disk.damage(built.path(number), content[:-1] + b"?")
        built.disk.damage(PUBLISHED, None)
        log = built.open()
        last = max(at for at in built.next if at < end)
        assert log.recovery == (0, ((last, end),))
        assert log.durable == end


def test_recovery_says_what_it_found() -> None:
    built = Built()
    base, _ = built.segments[3]
    last = max(built.next)
    built.disk.flip(built.path(3), (last - base) * 8)
    content = built.disk.content(built.path(3))
    built.disk.damage(built.path(3), content + b"never synced")
    log = built.open()
    assert log.recovery == (0, ((last, built.end),))
    assert log.end == built.end, "what was never acknowledged is no damage"
    log.append([Message(DATA, b"more")])
    log.sync()
    assert built.disk.content(built.path(3)) == content + b"never synced", "kept for whoever can read it"


@pytest.mark.parametrize("tail", ["GF", "zeros", "half a frame", "a frame of another place"])
def test_a_torn_tail_is_cut_and_counted(tail: str) -> None:
    built = Built()
    content = built.disk.content(built.path(3))
    base = built.segments[3][0]
    torn = {
        "GF": b"GF",
        "zeros": bytes(5_000),
        "half a frame": content[:30],
        "a frame of another place": content[: built.next[base] - base],
    }[tail]
    built.disk.damage(built.path(3), content + torn)
    log = built.open()
    assert log.recovery == (len(torn), ())
    assert built.disk.content(built.path(3)) == content
    log.close()
    built.check_and_go_on(set())


def test_other_files_beside_the_log_are_left_alone() -> None:
    built = Built()
    for name in ("notes.log", "1.log", "²²²²²²²²²²²²²²²²²²²².log", f"{7:020d}.log.old", "durable.new"):
        built.disk.create(f"{DIRECTORY}/{name}")
    built.check_and_go_on(set())


CHANGES = st.one_of(
    st.tuples(st.just("flip"), st.floats(0, 1, exclude_max=True), st.integers(0, 7)),
    st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
    st.tuples(st.just("zero"), st.floats(0, 1), st.integers(1, 700)),
    st.tuples(st.just("repeat"), st.floats(0, 1), st.integers(1, 700)),
    st.tuples(st.just("noise"), st.floats(0, 1), st.integers(1, 100)),
    st.tuples(st.just("delete"), st.just(0.0), st.just(0)),
)


def changed(content: bytes, how: str, share: float, size: int) -> bytes | None:
    at = int(share * len(content))
    match how:
        case "cut":
            return content[:at]
        case "zero":
            return content[:at] + bytes(min(size, len(content) - at)) + content[at + size :]
        case "repeat":  # whole frames may stand where they do not belong
            return content[:at] + content[max(0, at - size) : at] + content[at:]
        case "noise":
            return content[:at] + Random(size).randbytes(size) + content[at + size :]
        case "flip" if content:
            return content[:at] + bytes([content[at] ^ 1 << size]) + content[at + 1 :]
        case "delete":
            return None
    return content


@pytest.mark.case("T18")
@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 4), CHANGES), min_size=1, max_size=8))
def test_any_damage(changes: list[tuple[int, tuple[str, float, int]]]) -> None:
    """No crash, no loop, no forgery; frames of untouched files are there; the log takes more."""
    built = Built()
    paths = [PUBLISHED, *[built.path(number) for number in range(4)]]
    touched = {which for which, _ in changes}
    for which, (how, share, size) in changes:
        if paths[which].rpartition("/")[2] in built.disk.names(DIRECTORY):
            built.disk.damage(paths[which], changed(built.disk.content(paths[which]), how, share, size))
    for _ in range(2):
        found = built.read()
        for position, seen in found.items():
            assert seen.entry[0] == DAMAGED or seen.entry == built.entries[position], "a forged frame"
        if 0 not in touched:
            for number, (base, end) in enumerate(built.segments):
                if number + 1 not in touched:
                    assert all(found[at].entry == built.entries[at] for at in built.next if base <= at < end)
        log = built.open()
        assert 0 in touched or log.durable == built.end
        log.close()
    log = built.open()
    [position] = log.append([Message(DATA, b"more")])
    log.sync()
    assert LogReader(built.disk, DIRECTORY).read(position, bytes_max=1)[0].meta == b"more"


@pytest.mark.case("T25")
@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=3_000), published=st.integers(0, 4_000))
def test_a_segment_of_any_bytes(content: bytes, published: int) -> None:
    built = Built()
    for number in range(1, 4):
        built.disk.damage(built.path(number), None)
    built.disk.damage(built.path(0), content)
    reader = LogReader(built.disk, DIRECTORY)
    assert {seen.entry[0] for seen in read_all(reader, published).values()} <= {DAMAGED, DATA, SNAPSHOT}
    built.open().close()
    read_all(reader, 0)
