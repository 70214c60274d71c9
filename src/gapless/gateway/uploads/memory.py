"""What the index keeps of the gateway's own streams: a fold of the journal, like the rest of it.

Rules, where each stream stands, and recent uploads: so a gateway that starts knows an upload that comes
again, and goes on counting where the journal proves it stood.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, select

from gapless.gateway import schema
from gapless.gateway.uploads.book import Counter, Known, Remembered
from gapless.model.batch import BatchHeader
from gapless.model.claim import ClaimSet
from gapless.model.declared import Declared, declared_by
from gapless.model.entry import RuleEntry
from gapless.model.rule import Rule
from gapless.model.stream import GATEWAY_AGENT, StreamKey

#: A client is told at once what is durable: for an upload so long before the gateway's last sign of life that
#: is certain.
_TOLD_WITHIN_US = 10_000_000


class UploadChanges:
    """What a run of entries changes. ``damaged_at`` is the last of them that cannot be read, -1 without;
    ``alive_us`` when the gateway last gave a sign of life."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule | None] = {}
        self.made: list[tuple[Rule, int]] = []
        self.counters: dict[str, tuple[Counter, int]] = {}
        self.uploads: dict[str, Known] = {}
        self.damaged_at = -1
        self.alive_us = 0

    def batch(self, header: BatchHeader, journaled_us: int, position: int) -> None:
        """A batch; it counts if it is the gateway's own."""
        if header.upload is not None:
            counter = Counter(header.stream, header.opened, header.next)
            self.counters[header.stream.id] = counter, position
            upload = header.upload
            if upload.content:
                self.uploads[upload.content] = Known(journaled_us, upload.request)
            elif upload.begins:
                self.uploads[upload.begins] = Known(journaled_us, upload.request, half=header.digest)
            self.alive_us = max(self.alive_us, journaled_us)

    def claims(self, agent: str, statement: str, received_us: int, position: int) -> None:
        """A set of claims; it counts if it is the gateway's own."""
        if agent == GATEWAY_AGENT:
            self.alive_us = max(self.alive_us, received_us)
            for claim in msgspec.json.decode(statement, type=ClaimSet).streams:
                counter = Counter(claim.stream, claim.opened, claim.next, claim.closed)
                self.counters[claim.stream.id] = counter, position

    def rule(self, entry: RuleEntry, position: int) -> None:
        """A rule that takes effect, or is deleted."""
        self.rules[entry.rule.id] = None if entry.deleted else entry.rule
        if not entry.deleted:
            self.made.append((entry.rule, position))


def keep(connection: Connection, changes: UploadChanges, *, window_us: int) -> None:
    """Put ``changes`` into the index, in the caller's transaction; uploads older than the window go."""
    for id_, rule in changes.rules.items():
        connection.execute(delete(schema.rules).where(schema.rules.c.id == id_))
        if rule is not None:
            values = {"id": id_, "rule": msgspec.json.encode(rule).decode()}
            connection.execute(schema.rules.insert(), values)
    for rule, position in changes.made:
        for table, declared in declared_by(rule).items():
            _declare(connection, (rule.tenant, table), declared, position)
    for id_, (counter, position) in changes.counters.items():
        connection.execute(delete(schema.counters).where(schema.counters.c.stream == id_))
        if not counter.closed:
            text = msgspec.json.encode(counter).decode()
            connection.execute(
                schema.counters.insert(), {"stream": id_, "counter": text, "position": position}
            )
    if changes.uploads:
        columns = schema.uploads.c
        rows = [
            {
                "content": content,
                "journaled_us": known.at_us,
                "request": known.request,
                "half": known.half,
            }
            for content, known in changes.uploads.items()
        ]
        connection.execute(
            delete(schema.uploads).where(columns.content == bindparam("old")),
            [{"old": content} for content in changes.uploads],
        )
        connection.execute(schema.uploads.insert(), rows)
        oldest_us = max(known.at_us for known in changes.uploads.values()) - window_us
        connection.execute(delete(schema.uploads).where(columns.journaled_us < oldest_us))
    news = {"damaged_at": changes.damaged_at, "alive_us": changes.alive_us}
    for name, value in news.items():
        column = schema.meta.c[name]
        connection.execute(schema.meta.update().where(column < value).values({name: value}))


def _declare(connection: Connection, table: tuple[str, str], declared: Declared, position: int) -> None:
    """Take in what the entry at ``position`` declares of a table, once."""
    kept = schema.declared
    this = and_(kept.c.tenant == table[0], kept.c.name == table[1])
    found = connection.execute(select(kept.c.declared, kept.c.position).where(this)).first()
    known = Declared() if found is None else msgspec.json.decode(found.declared, type=Declared)
    if found is None or found.position < position:
        text = msgspec.json.encode(known.with_(declared)).decode()
        connection.execute(delete(kept).where(this))
        connection.execute(
            kept.insert().values(tenant=table[0], name=table[1], declared=text, position=position)
        )


def remembered(connection: Connection, *, uploads_max: int) -> Remembered:
    """What the index knows; of the uploads the newest ``uploads_max``."""
    damaged_at, alive_us = connection.execute(select(schema.meta.c.damaged_at, schema.meta.c.alive_us)).one()
    rules = [
        msgspec.json.decode(text, type=Rule)
        for text in connection.scalars(select(schema.rules.c.rule).order_by(schema.rules.c.number))
    ]
    counters: dict[StreamKey, Counter] = {}
    doubtful = []
    for text, position in connection.execute(select(schema.counters.c.counter, schema.counters.c.position)):
        counter = msgspec.json.decode(text, type=Counter)
        counters[counter.stream] = counter
        if position < damaged_at:
            doubtful.append(counter.stream)
    kept = schema.declared.c
    declared = {
        (tenant, table): msgspec.json.decode(text, type=Declared)
        for tenant, table, text in connection.execute(select(kept.tenant, kept.name, kept.declared))
    }
    columns = schema.uploads.c
    newest = (
        select(columns.content, columns.journaled_us, columns.request, columns.half)
        .order_by(columns.journaled_us.desc())
        .limit(uploads_max)
    )
    uploads = [
        (content, Known(at_us, request, at_us >= alive_us - _TOLD_WITHIN_US, half))
        for content, at_us, request, half in connection.execute(newest)
    ]
    return Remembered(
        rules={rule.id: rule for rule in rules},
        counters=counters,
        doubtful=frozenset(doubtful),
        uploads=uploads[::-1],
        declared=declared,
    )
