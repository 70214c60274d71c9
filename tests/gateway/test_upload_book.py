"""The book of uploads, and what the index remembers: dense seqs, each request once, also after a crash."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.gateway.fold import fold
from gapless.gateway.index import BatchIndex
from gapless.gateway.uploads.book import Arrival, Part, Remembered, UploadBook
from gapless.gateway.uploads.payloads import Payload
from gapless.gateway.uploads.rounds import Round, Rounds
from gapless.gateway.uploads.witness import Witness
from gapless.log.disk import OsDisk
from gapless.log.segments import LogReader, LogWriter, Message
from gapless.model.batch import BatchHeader, Upload
from gapless.model.claim import ClaimSet, StreamClaim
from gapless.model.entry import BatchEntry, ClaimsEntry, Kind, RuleEntry
from gapless.model.rule import Rule, RuleStream
from gapless.model.signing import Signer, verify
from gapless.model.stream import StreamKey

WINDOW_US = 1000
RULE = Rule(
    id="dcr-" + 32 * "a",
    tenant="contoso",
    created_us=0,
    by="test",
    streams=(
        RuleStream(name="Custom-A", table="A_CL"),
        RuleStream(name="Microsoft-SigninLogs", table="SigninLogs"),
    ),
)
FILTERING = Rule(
    id="dcr-" + 32 * "f",
    tenant="contoso",
    created_us=0,
    by="test",
    streams=(RuleStream(name="Custom-F", table="F_CL", transform="source | where n > 1"),),
)
KEYS = [RULE.key(stream) for stream in RULE.streams]
KEY = bytes(range(32))


def new_book(uploads_max: int = 100) -> UploadBook:
    numbers = count(1)
    return UploadBook(
        Remembered(rules={RULE.id: RULE}),
        window_us=WINDOW_US,
        uploads_max=uploads_max,
        mint=lambda: f"{next(numbers):032x}",
    )


def rounds(claims: Mapping[str, tuple[StreamClaim, ...]]) -> dict[str, Round]:
    """All claims, due again in two seconds."""
    return {tenant: Round(streams, 2.0) for tenant, streams in claims.items()}


def arrival(content: str, records: int = 1, stream: StreamKey = KEYS[0], request: str = "") -> Arrival:
    payload = Payload(b"x", "0" * 64, records, 9 * records)
    return Arrival(Upload(RULE.id, content, request), (Part(stream, payload),), 0)


class Step(NamedTuple):
    """Requests that come at once, each (number, stream); whether the journal takes them; what ends after."""

    requests: list[tuple[int, int]]
    taken: bool
    restarted: bool
    claimed: bool


steps = st.lists(
    st.builds(
        Step,
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), max_size=4),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
)


class World:
    """A journal, the index that follows it, and the book of the gateway that runs at the moment."""

    def __init__(self, directory: str, window_us: int = WINDOW_US) -> None:
        self.directory = directory
        self.window_us = window_us
        self.log = LogWriter(OsDisk(), f"{directory}/journal", segment_bytes_max=1 << 20)
        self.batches: list[BatchHeader] = []
        self.epochs = count(1)
        self.append(Kind.RULE, RuleEntry(0, "test", RULE))
        self.restart()

    def restart(self) -> None:
        index = BatchIndex(
            f"{self.directory}/index.sqlite",
            LogReader(OsDisk(), f"{self.directory}/journal"),
            uploads_window_us=self.window_us,
        )
        while index.step():
            pass
        self.book = UploadBook(
            index.uploads(uploads_max=100),
            window_us=self.window_us,
            uploads_max=100,
            mint=lambda: f"{next(self.epochs):032x}",
        )
        signer = Signer(KEY)
        last = index.chain(("gapless-gateway", signer.public_key))
        self.witness = Witness(signer, last)
        index.close()

    def append(self, kind: Kind, *entries: msgspec.Struct) -> None:
        self.log.append([Message(kind, msgspec.json.encode(entry), b"") for entry in entries])
        self.log.sync()

    def send(self, step: Step, now_us: int) -> None:
        arrivals = [arrival(f"{request}/{at}", request + 1, KEYS[at]) for request, at in step.requests]
        headers = self.book.plan(arrivals, now_us)
        if not step.taken:
            return
        new = list(chain.from_iterable(headers))
        self.append(Kind.BATCH, *(BatchEntry(header, now_us) for header in new))
        self.batches += new
        if not step.restarted:  # else the gateway dies before it hears of it
            self.book.journaled(new, now_us)

    def claim(self, now_us: int) -> list[StreamClaim]:
        claims = self.book.claims(now_us)
        signed = self.witness.state(rounds(claims), now_us)
        self.append(Kind.CLAIMS, *(ClaimsEntry(each, now_us) for each in signed))
        self.witness.journaled()
        self.book.claimed(claim for streams in claims.values() for claim in streams)
        return [claim for streams in claims.values() for claim in streams]


@settings(deadline=None, max_examples=15)
@given(steps)
def test_seqs_are_dense_and_each_request_is_journaled_once_whatever_fails(script: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory)
        for now_us, step in enumerate(script, start=1):
            world.send(step, now_us)
            if step.restarted:
                world.restart()
            if step.claimed:
                for claim in world.claim(now_us):
                    assert claim.next == sum(b.count for b in world.batches if b.stream == claim.stream)
        contents = [batch.upload.content for batch in world.batches if batch.upload]
        assert len(contents) == len(set(contents))
        for key in KEYS:
            mine = [batch for batch in world.batches if batch.stream == key]
            assert [b.first for b in mine] == [0, *(b.next for b in mine)][: len(mine)]
            assert len({b.epoch for b in mine}) <= 1


def upload(content: str, request: str = "") -> Upload:
    return Upload(RULE.id, content, request)


def test_an_upload_is_known_for_the_window_and_no_longer() -> None:
    book = new_book()
    headers = book.plan([arrival("r")], 10)
    book.journaled(headers[0], 10)
    assert book.seen(upload("r"), 10 + WINDOW_US) and not book.seen(upload("r"), 11 + WINDOW_US)
    again = book.plan([arrival("r")], 11 + WINDOW_US)
    assert [(header.first, header.next) for header in again[0]] == [(1, 2)]


def test_the_same_content_is_a_retry_with_the_same_id_or_without_one_or_if_nobody_was_told() -> None:
    book = new_book()
    book.journaled(book.plan([arrival("r", request="a")], 1)[0], 1)
    assert [book.seen(upload("r", request), 2) for request in ("a", "", "b")] == [True, True, False]
    book.untold(upload("r", "b"))  # which is another
    assert not book.seen(upload("r", "b"), 2)
    book.untold(upload("r", "a"))
    assert book.seen(upload("r", "b"), 2)
    at_once = book.plan([arrival("s", request=request) for request in ("a", "a", "", "b")], 3)
    assert [len(headers) for headers in at_once] == [1, 0, 0, 1]


def test_one_request_alone_stands_in_for_one_whose_client_was_not_told() -> None:
    book = new_book()
    book.journaled(book.plan([arrival("r", request="a")], 1)[0], 1)
    book.untold(upload("r", "a"))
    # Three clients at once, each with the same content: the first may be the one that was not told.
    at_once = book.plan([arrival("r", request=request) for request in ("b", "b", "c")], 2)
    assert [len(headers) for headers in at_once] == [0, 0, 1]
    book.told(upload("r", "b"))
    assert [book.seen(upload("r", request), 2) for request in ("b", "", "c")] == [True, True, False]
    book.untold(upload("r", "b"))
    assert book.seen(upload("r", "c"), 2)


def test_after_a_restart_it_is_not_known_who_was_told_last() -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory, window_us=60_000_000)
        for content, at_us in (("old", 1), ("new", 10_000_002)):
            headers = world.book.plan([arrival(content, request="a")], at_us)
            world.append(Kind.BATCH, *(BatchEntry(header, at_us) for header in headers[0]))
        world.claim(11_000_000)
        world.restart()
        assert not world.book.seen(upload("old", "b"), 12_000_000)
        assert world.book.seen(upload("old", "a"), 12_000_000)
        assert world.book.seen(upload("new", "b"), 12_000_000)


def test_only_so_many_uploads_are_remembered() -> None:
    book = new_book(uploads_max=2)
    for number in range(4):
        book.journaled(book.plan([arrival(str(number))], number)[0], number)
    assert [book.seen(upload(str(number)), 4) for number in range(4)] == [False, False, True, True]


def test_a_stream_whose_rule_went_while_the_gateway_was_down_is_closed_once() -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory)
        world.send(Step([(6, 0)], True, False, False), 1)
        world.append(Kind.RULE, RuleEntry(2, "test", RULE, deleted=True))
        world.restart()
        assert not any(world.book.counts(arrival("x", stream=key)) for key in KEYS)
        assert {(c.stream.table, c.next, c.closed) for c in world.claim(3)} == {("A_CL", 7, True)}
        assert world.claim(4) == []
        world.restart()
        assert world.claim(5) == []


def test_damage_behind_the_last_word_on_a_stream_begins_an_epoch_that_closes_nothing(tmp_path: Path) -> None:
    world = World(str(tmp_path))
    world.send(Step([(2, 0)], True, False, False), 1)
    world.claim(2)
    epoch = world.batches[0].epoch
    segment = max((tmp_path / "journal").glob("*.log"))
    whole = segment.stat().st_size
    world.send(Step([(3, 0)], True, False, False), 3)
    world.append(Kind.CONFIG, msgspec.defstruct("Other", ["more"])("x" * 100))
    with segment.open("r+b") as file:
        file.seek(whole + 40)
        file.write(b"\xff" * 8)
    (tmp_path / "index.sqlite").unlink()
    world.restart()
    claims = {claim.stream: claim for claim in world.claim(4)}
    assert claims[KEYS[0]].opened.epoch != epoch
    assert (claims[KEYS[0]].opened.prev_epoch, claims[KEYS[0]].opened.prev_next) == (epoch, None)
    # What is claimed behind the damage is proven again.
    world.restart()
    assert {c.stream: c.opened for c in world.claim(5)} == {c.stream: c.opened for c in claims.values()}


def two_parts(content: str, filtered: str = "f", request: str = "") -> Arrival:
    """``filtered`` stands for which of its records were filtered out."""
    payload = Payload(b"x", "0" * 64, 2, 18)
    stream = FILTERING.streams[0]
    part = Part(FILTERING.filtered_key(stream), payload._replace(digest=filtered * 64), filtered=True)
    return Arrival(Upload(FILTERING.id, content, request), (part, Part(FILTERING.key(stream), payload)), 0)


def test_a_request_of_two_parts_is_known_when_both_are_there() -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory)
        world.append(Kind.RULE, RuleEntry(1, "test", FILTERING))
        world.restart()
        (headers,) = world.book.plan([two_parts("r")], 2)
        world.append(Kind.BATCH, BatchEntry(headers[0], 2))  # and the write is cut off behind it
        world.restart()
        assert not world.book.seen(two_parts("r").upload, 3)
        # Twice at once: the half that is there is there for one of them.
        again, none = world.book.plan([two_parts("r"), two_parts("r")], 3)
        assert [(h.first, h.next, h.upload and h.upload.filtered) for h in again] == [(0, 2, False)]
        assert none == []
        world.append(Kind.BATCH, *(BatchEntry(header, 3) for header in again))
        world.restart()
        assert world.book.plan([two_parts("r")], 4) == [[]]
        claims = {claim.stream.source[37:]: claim.next for claim in world.claim(5)}
        assert claims["Custom-F:filtered"] == 2 and claims["Custom-F"] == 2


def test_half_a_request_stands_for_nothing_but_the_same_half_of_the_same_request() -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory, window_us=60_000_000)
        world.append(Kind.RULE, RuleEntry(1, "test", FILTERING))
        world.restart()
        (headers,) = world.book.plan([two_parts("r", request="a")], 2)
        world.append(Kind.BATCH, BatchEntry(headers[0], 2))
        world.restart()
        world.claim(20_000_000)  # long after: at the next start all who were to be told were told
        world.restart()
        (other,) = world.book.plan([two_parts("r", request="b")], 20_000_001)
        assert [(h.first, h.next) for h in other] == [(2, 4), (0, 2)]
        # A transform that looks at the clock kept others this time: no record may be left out.
        (later,) = world.book.plan([two_parts("r", "e", request="a")], 20_000_001)
        assert [(h.first, h.next) for h in later] == [(2, 4), (0, 2)]


def test_what_is_quiet_is_claimed_more_rarely_and_at_once_when_it_is_not() -> None:
    book = new_book()
    pace = Rounds(interval_s=2, quiet_interval_s=30, quiet_after_s=15)

    def claimed(from_s: int, to_s: int, *, durable: bool = True) -> list[tuple[int, float]]:
        """At which times there are claims, and for how long they hold; it is asked every second."""
        found = []
        for at_s in range(from_s, to_s):
            due = pace.due(book.claims(at_s), at_s)
            if durable:
                pace.made()
            found += [(at_s, each.interval_s) for each in due.values()]
        return found

    busy = [(at_s, 2.0) for at_s in range(100, 115, 2)]
    assert claimed(100, 180) == [*busy, (116, 30.0), (146, 30.0), (176, 30.0)]
    book.journaled(book.plan([arrival("r")], 1)[0], 1)
    assert claimed(180, 182, durable=False) == [(180, 2.0), (181, 2.0)], "not made: due as before"
    assert claimed(182, 200)[:2] == [(182, 2.0), (184, 2.0)]
    book.remove(RULE)
    closing = book.claims(200)["contoso"]
    assert claimed(200, 201) == [(200, 2.0)]
    book.claimed(closing)
    assert claimed(201, 230) == []


def test_statements_are_a_chain_and_one_that_was_not_journaled_was_never_made() -> None:
    signer = Signer(KEY)
    witness = Witness(signer, None)
    book = new_book()
    lost = witness.state(rounds(book.claims(1)), 1)
    (first,) = witness.state(rounds(book.claims(2)), 2)
    witness.journaled()
    (second,) = witness.state(rounds(book.claims(3)), 3)
    read = [verify(signed, signer.public_key, ClaimSet) for signed in (*lost, first, second)]
    assert [claims.n for claims in read] == [0, 0, 1]
    assert read[1].prev == "" and read[2].prev != ""


def test_the_fold_forgets_uploads_that_are_older_than_the_window() -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory)
        world.send(Step([(1, 0)], True, False, False), 1)
        world.send(Step([(2, 0)], True, False, False), 2 + WINDOW_US)
        world.restart()
        assert not world.book.seen(upload("1/0"), 1) and world.book.seen(upload("2/0"), 2 + WINDOW_US)


def test_an_agents_entries_change_nothing_here() -> None:
    changes = fold([], 0)
    assert not changes.uploads.counters and changes.uploads.damaged_at == -1
