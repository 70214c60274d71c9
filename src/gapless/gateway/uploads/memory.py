"""What the index keeps of the gateway's own streams: a fold of the journal, like the rest of it.

Rules, where each stream stands, and the digests of recent requests: so a gateway that starts knows a request
that comes again, and goes on counting where the journal proves it stood.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from gapless.gateway import schema
from gapless.gateway.uploads.book import Counter, Remembered
from gapless.model.batch import BatchHeader
from gapless.model.claim import ClaimSet
from gapless.model.entry import RuleEntry
from gapless.model.rule import Rule
from gapless.model.stream import GATEWAY_AGENT


class UploadChanges:
    """What a run of entries changes. ``damaged_at`` is the last of them that cannot be read, -1 without."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule | None] = {}
        self.counters: dict[str, tuple[Counter, int]] = {}
        self.requests: dict[str, int] = {}
        self.damaged_at = -1

    def batch(self, header: BatchHeader, journaled_us: int, position: int) -> None:
        """A batch; it counts if it is the gateway's own."""
        if header.upload is not None:
            counter = Counter(header.stream, header.opened, header.next)
            self.counters[header.stream.id] = counter, position
            self.requests[header.upload.request] = journaled_us

    def claims(self, agent: str, statement: str, position: int) -> None:
        """A set of claims; it counts if it is the gateway's own."""
        if agent == GATEWAY_AGENT:
            for claim in msgspec.json.decode(statement, type=ClaimSet).streams:
                counter = Counter(claim.stream, claim.opened, claim.next, claim.closed)
                self.counters[claim.stream.id] = counter, position

    def rule(self, entry: RuleEntry) -> None:
        """A rule that takes effect, or is deleted."""
        self.rules[entry.rule.id] = None if entry.deleted else entry.rule


def keep(connection: Connection, changes: UploadChanges, *, window_us: int) -> None:
    """Put ``changes`` into the index, in the caller's transaction; requests older than the window go."""
    for id_, rule in changes.rules.items():
        connection.execute(delete(schema.rules).where(schema.rules.c.id == id_))
        if rule is not None:
            values = {"id": id_, "rule": msgspec.json.encode(rule).decode()}
            connection.execute(schema.rules.insert(), values)
    for id_, (counter, position) in changes.counters.items():
        connection.execute(delete(schema.counters).where(schema.counters.c.stream == id_))
        if not counter.closed:
            text = msgspec.json.encode(counter).decode()
            connection.execute(
                schema.counters.insert(), {"stream": id_, "counter": text, "position": position}
            )
    if changes.requests:
        rows = [{"request": each, "journaled_us": at_us} for each, at_us in changes.requests.items()]
        statement = upsert(schema.requests)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["request"], set_={"journaled_us": statement.excluded.journaled_us}
            ),
            rows,
        )
        oldest_us = max(changes.requests.values()) - window_us
        connection.execute(delete(schema.requests).where(schema.requests.c.journaled_us < oldest_us))
    if changes.damaged_at >= 0:
        connection.execute(schema.meta.update().values(damaged_at=changes.damaged_at))


def remembered(connection: Connection, *, requests_max: int) -> Remembered:
    """What the index knows; of the requests the newest ``requests_max``."""
    rules = [
        msgspec.json.decode(text, type=Rule)
        for text in connection.scalars(select(schema.rules.c.rule).order_by(schema.rules.c.number))
    ]
    counters: dict[str, Counter] = {}
    doubtful = []
    damaged_at = connection.scalar(select(func.max(schema.meta.c.damaged_at)))
    for text, position in connection.execute(select(schema.counters.c.counter, schema.counters.c.position)):
        counter = msgspec.json.decode(text, type=Counter)
        counters[counter.stream.id] = counter
        if position < damaged_at:
            doubtful.append(counter.stream)
    columns = schema.requests.c
    newest = (
        select(columns.request, columns.journaled_us)
        .order_by(columns.journaled_us.desc())
        .limit(requests_max)
    )
    requests = [(request, at_us) for request, at_us in connection.execute(newest)]
    return Remembered(
        rules={rule.id: rule for rule in rules},
        counters={counter.stream: counter for counter in counters.values()},
        doubtful=frozenset(doubtful),
        requests=requests[::-1],
    )
