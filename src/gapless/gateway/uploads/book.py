"""Where the gateway's own streams stand, and which uploads it has had. Pure: no clock, no socket, no file.

The gateway is the agent of the streams of data collection rules, and the journal is their spool: a seq is
given in the same durable write that puts the record there. So nothing here moves until the journal has taken
what was planned, and only one plan is under way at a time: a write that fails gives no seq away.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from gapless.gateway.uploads.payloads import Payload
from gapless.model.batch import BatchHeader, Upload
from gapless.model.claim import StreamClaim
from gapless.model.declared import Declared, declared_by
from gapless.model.rule import Rule
from gapless.model.stream import EpochOpen, StreamKey


class Counter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a stream stands: the journal holds every seq of its epoch below ``next``, and no other."""

    stream: StreamKey
    opened: EpochOpen
    next: int = 0
    closed: bool = False


class Part(NamedTuple):
    """Those records of an upload that are counted in ``stream``."""

    stream: StreamKey
    payload: Payload
    filtered: bool = False


class Arrival(NamedTuple):
    """An upload that may enter; it has one part, or two, where a rule filters some of its records out."""

    upload: Upload
    parts: tuple[Part, ...]
    received_us: int

    def payload(self, stream: StreamKey) -> Payload:
        """The records that are counted in ``stream``."""
        return next(part.payload for part in self.parts if part.stream == stream)


class Known(NamedTuple):
    """An upload that the journal has, the id of its request, and whether its client was perhaps not told.
    ``half``: a crash cut it off behind the batch with this digest, and the other is not there."""

    at_us: int
    request: str
    untold: bool = False
    half: str = ""

    def repeated_by(self, upload: Upload) -> bool:
        """Whether an upload of the same content is this one once more."""
        return self.untold or self.request in (upload.request, "") or not upload.request

    def told(self, upload: Upload) -> Known:
        """What is known once the client of ``upload``, which repeats this one, is told: one request stands in
        for a client that was not told, and the next of another id is another upload."""
        if not self.untold:
            return self
        return Known(self.at_us, upload.request if self.request and upload.request else self.request)


class Remembered(NamedTuple):
    """What the journal says at a start. ``doubtful`` are the streams whose newest seqs it may not show, as it
    is damaged behind the last word on them; ``uploads`` are recent ones by their content, oldest first.
    ``declared`` are the declared columns of custom tables, by tenant and table."""

    rules: Mapping[str, Rule] = {}
    counters: Mapping[StreamKey, Counter] = {}
    doubtful: frozenset[StreamKey] = frozenset()
    uploads: Sequence[tuple[str, Known]] = ()
    declared: Mapping[tuple[str, str], Declared] = {}


class UploadBook:
    """The rules, what they declare of tables, the counters of their streams, and the uploads of the last
    ``window_us``, at most ``uploads_max`` of them. ``mint`` gives new epochs.

    What tells a retry from another upload of the same content: it has the same request id, or is the first
    to come after one whose client was not told that it is stored. Where there is no request id, nobody can
    tell, and the same content is taken for a retry.
    """

    def __init__(
        self, remembered: Remembered, *, window_us: int, uploads_max: int, mint: Callable[[], str]
    ) -> None:
        self._window_us = window_us
        self._uploads_max = uploads_max
        self._mint = mint
        self.rules = dict(remembered.rules)
        self.declared = dict(remembered.declared)
        self._counters = dict(remembered.counters)
        self._uploads = OrderedDict(remembered.uploads)
        for stream in remembered.doubtful:
            # Its end is not known, so nothing closes the epoch: the ledger says so (I7).
            last = self._counters[stream].opened.epoch
            self._counters[stream] = Counter(stream, EpochOpen(mint(), last))
        expected = {key for rule in self.rules.values() for key in rule.counted_as()}
        for stream in expected - self._counters.keys():
            self._counters[stream] = Counter(stream, EpochOpen(mint()))
        self._close(self._counters.keys() - expected)

    def counts(self, arrival: Arrival) -> bool:
        """Whether its streams are (still) those of a rule."""
        counters = [self._counters.get(part.stream) for part in arrival.parts]
        return all(counter is not None and not counter.closed for counter in counters)

    def seen(self, upload: Upload, now_us: int) -> bool:
        """Whether the journal has this very upload, as far as is remembered."""
        known = self._known(upload.content, now_us)
        return known is not None and not known.half and known.repeated_by(upload)

    def told(self, upload: Upload) -> None:
        """The client of an upload that was ``seen`` is told that it is stored."""
        known = self._uploads.get(upload.content)
        if known is not None:
            self._uploads[upload.content] = known.told(upload)

    def untold(self, upload: Upload) -> None:
        """The client of an upload was gone before it was told that it is stored."""
        known = self._uploads.get(upload.content)
        if known is not None and known.request == upload.request:
            self._uploads[upload.content] = known._replace(untold=True)

    def plan(self, arrivals: Iterable[Arrival], now_us: int) -> list[list[BatchHeader]]:
        """The batches that each of ``arrivals`` becomes, one for each part but for those that the journal
        has: so none for one that was seen before, also among these. Their streams must all count. Changes
        nothing."""
        headers: list[list[BatchHeader]] = []
        nexts: dict[StreamKey, int] = {}
        planned: dict[str, Known] = {}
        for arrival in arrivals:
            upload = arrival.upload
            before = planned.get(upload.content) or self._known(upload.content, now_us)
            repeated = before if before is not None and before.repeated_by(upload) else None
            if repeated is not None and not repeated.half:
                planned[upload.content] = repeated.told(upload)
                headers.append([])
                continue
            planned[upload.content] = Known(now_us, upload.request)
            batches = []
            for part in arrival.parts:
                if repeated is not None and part.payload.digest == repeated.half and part.filtered:
                    continue
                counter = self._counters[part.stream]
                first = nexts.get(part.stream, counter.next)
                nexts[part.stream] = first + part.payload.records
                batches.append(_header(arrival, part, counter.opened, first, now_us))
            headers.append(batches)
        return headers

    def journaled(self, headers: Iterable[BatchHeader], now_us: int) -> None:
        """What ``plan`` gave is durable."""
        for header in headers:
            counter = self._counters[header.stream]
            self._counters[header.stream] = msgspec.structs.replace(counter, next=header.next)
            if header.upload is not None and header.upload.content:
                self._uploads[header.upload.content] = Known(now_us, header.upload.request)
                self._uploads.move_to_end(header.upload.content)
        while self._uploads and self._forgets(next(iter(self._uploads.values())), now_us):
            self._uploads.popitem(last=False)

    def add(self, rule: Rule) -> None:
        """A rule is durable: its streams count from here on."""
        self.rules[rule.id] = rule
        for table, declared in declared_by(rule).items():
            known = self.declared.get((rule.tenant, table), Declared())
            self.declared[rule.tenant, table] = known.with_(declared)
        for key in rule.counted_as():
            self._counters[key] = Counter(key, EpochOpen(self._mint()))

    def remove(self, rule: Rule) -> None:
        """A rule is deleted for good: its streams end where they stand."""
        del self.rules[rule.id]
        self._close(rule.counted_as())

    def claims(self, now_us: int) -> dict[str, tuple[StreamClaim, ...]]:
        """What is to be claimed of each tenant's streams."""
        claims: dict[str, list[StreamClaim]] = {}
        for counter in self._counters.values():
            claims.setdefault(counter.stream.tenant, []).append(
                StreamClaim(
                    stream=counter.stream,
                    opened=counter.opened,
                    next=counter.next,
                    reader_us=now_us,
                    closed=counter.closed,
                    coverage="from-socket",
                )
            )
        return {tenant: tuple(of_tenant) for tenant, of_tenant in claims.items()}

    def claimed(self, claims: Iterable[StreamClaim]) -> None:
        """The claims are durable: streams whose end was claimed need no more of them."""
        for claim in claims:
            if claim.closed:
                self._counters.pop(claim.stream, None)

    def _known(self, content: str, now_us: int) -> Known | None:
        known = self._uploads.get(content)
        return known if known is not None and now_us - known.at_us <= self._window_us else None

    def _close(self, streams: Iterable[StreamKey]) -> None:
        for stream in list(streams):
            self._counters[stream] = msgspec.structs.replace(self._counters[stream], closed=True)

    def _forgets(self, oldest: Known, now_us: int) -> bool:
        return now_us - oldest.at_us > self._window_us or len(self._uploads) > self._uploads_max


def _header(arrival: Arrival, part: Part, opened: EpochOpen, first: int, now_us: int) -> BatchHeader:
    payload, upload = part.payload, msgspec.structs.replace(arrival.upload, filtered=part.filtered)
    if part is not arrival.parts[-1]:
        # After a crash between the two half of the request is known: the other comes when it is sent again.
        upload = msgspec.structs.replace(upload, content="", begins=upload.content)
    return BatchHeader(
        stream=part.stream,
        opened=opened,
        first=first,
        next=first + payload.records,
        digest=payload.digest,
        raw_bytes=payload.raw_bytes,
        read_from_us=arrival.received_us,
        read_to_us=now_us,
        upload=upload,
    )
