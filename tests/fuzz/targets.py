"""What reads bytes from outside or from a disk. A target takes any bytes, and raises only for a defect."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from random import Random
from typing import NamedTuple

import duckdb
import msgspec

from gapless.agent.acks import AckWriter
from gapless.agent.claims import Chain, read_chain
from gapless.agent.config import parse_config
from gapless.agent.fenced import read_fenced
from gapless.agent.restarts import read_restarts
from gapless.agent.sources.events import LineState
from gapless.agent.sources.lines import cut
from gapless.gateway.bodies import decode_json
from gapless.gateway.bounds import check_claims
from gapless.gateway.fold import fold as fold_index
from gapless.gateway.frames import examine
from gapless.gateway.keys import receipt_signer
from gapless.gateway.settings import GatewaySettings
from gapless.gateway.tokens import TokenStore, mint
from gapless.lake.intake import take
from gapless.ledger.ledger import Ledger
from gapless.log.frame import decode_all
from gapless.log.segments import LogReader, LogWriter, Message
from gapless.model.claim import ClaimSet
from gapless.model.errors import Corrupt, GaplessError, Misconfigured, Refused, Unavailable
from gapless.model.signing import Signed, verify
from gapless.model.tables import TableSchema, table_schema
from gapless.platform.auditor_store import Step
from gapless.platform.books import fold as fold_books
from gapless.platform.queries import QueryBody
from gapless.query.check import check
from gapless.query.kql.translate import translate
from gapless.testing.disk import SimDisk
from gateway.support import batch, body

from . import azure_targets as azure
from . import logs

_SETTINGS = GatewaySettings()
_LINE_BYTES_MAX = 16


class Target(NamedTuple):
    """``framed``: the seeds are frames with checksums."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    framed: bool = False


def batches_body(data: bytes) -> None:
    """``POST /v1/batches``."""
    with suppress(Corrupt):
        frames = list(decode_all(data, frames_max=50))
        assert [frame.position for frame in frames] == [0, *(frame.next_position for frame in frames)][:-1]
        assert len(examine(data, _SETTINGS)) == len(frames)


def claims_body(data: bytes) -> None:
    """``POST /v1/claims``: the body, and a statement that is signed."""
    statement = data.decode("utf-8", "replace")
    signature = logs.SIGNER._key.sign(statement.encode()).hex()
    with suppress(GaplessError):
        decode_json(data, Signed, "a signed statement")
    with suppress(Refused, RecursionError):  # which the gateway answers as Refused
        claims = verify(
            Signed(statement, logs.SIGNER.public_key, signature), logs.SIGNER.public_key, ClaimSet
        )
        check_claims(claims, items_max=_SETTINGS.claim_items_max)
        Ledger().claims(logs.SIGNER.sign(claims), 9, ())


def query_body(data: bytes) -> None:
    """``POST /v1/query``."""
    with suppress(GaplessError):
        decode_json(data, QueryBody, "a query")


def sql(data: bytes) -> None:
    """The text of a query in SQL."""
    with duckdb.connect(":memory:") as connection, suppress(Refused):
        check(connection, data.decode("utf-8", "replace"), ["App_CL", "SigninLogs"])


def kql(data: bytes) -> None:
    """The text of a query in KQL."""
    with suppress(Refused):
        translate(data.decode("utf-8", "replace"), _schemas(), now_us=7)


def journal(data: bytes) -> None:
    """A journal's segment: read by the lake, the index and the ledger; gone on with by its next writer."""
    disk = _disk("journal", data)
    reader = LogReader(disk, "journal")
    frames = list[object]()
    ledger, step, position = Ledger(), Step(cursors={}), 0
    for frame in reader.read(0, bytes_max=1 << 30):
        assert frame.position == position < frame.next_position
        position = frame.next_position
        frames.append(frame)
        with suppress(Corrupt):
            fold_index([frame], frame.position)
        fold_books(ledger, frame, step, 9)
    assert position == reader.durable()
    with suppress(Corrupt):
        take(reader, 0, group_bytes_max=1 << 20, entries_max=100, raw_bytes_max=1 << 20)
    reader.close()
    _goes_on(disk, "journal")


def spool(data: bytes) -> None:
    """A spool's segment: claimed from, and gone on with."""
    disk = _disk("spool", data)
    with suppress(Unavailable):
        logs.claimed(disk)
        opened = logs.spool(disk)
        logs.fill(opened)
        at = opened.stream(logs.STREAM)
        opened.close()
        logs.claimed(disk)
        again = logs.spool(disk)
        assert again.stream(logs.STREAM) == at
        again.close()


def acks(data: bytes) -> None:
    """The segment of a log of outcomes: heeded by the collector, and gone on with."""
    disk = _disk("acks", data)
    with suppress(Unavailable):
        logs.claimed(disk)
        writer = AckWriter(disk, "acks", spool_first=lambda: 0)
        writer.close()
        _goes_on(disk, "acks")


def small_files(data: bytes) -> None:
    """The agent's and the gateway's files of one object each."""
    disk = SimDisk(Random(0))
    names = ("claims.json", "fenced.json", "restarts.json", "tokens.json", "receipt.key")
    disk.restore(dict.fromkeys(names, data) | {f"./{name}": data for name in names})
    read_chain(disk, "claims.json")
    read_fenced(disk, ".")
    read_restarts(disk, ".")
    with suppress(Corrupt):
        TokenStore(disk, "tokens.json").find("gl_x")
    with suppress(Misconfigured):
        receipt_signer(disk, "receipt.key")


def configuration(data: bytes) -> None:
    """The agent's configuration."""
    with suppress(Misconfigured):
        parse_config(data.decode("utf-8", "replace"))


def lines(data: bytes) -> None:
    """The line cutter: whatever is read, however little at a time, no byte is lost or made up."""
    buffer, delivered = bytearray(), bytearray()
    line: LineState = "start"
    step = 1 + (data[0] if data else 0) % (_LINE_BYTES_MAX + 1)
    added = consumed = 0
    for at in range(0, len(data) + step, step):
        buffer += data[at : at + step]
        last = at + step >= len(data) + step
        while buffer:
            stop = min(len(buffer), _LINE_BYTES_MAX + 1)
            found = cut(buffer, 0, stop, line, _LINE_BYTES_MAX, last=last)
            if found is None:
                break
            assert 0 < found.taken <= stop and all(0 <= mark.at < found.records for mark in found.marks)
            delivered += buffer[found.start : found.end]
            consumed += found.start
            added += found.add_newline
            assert found.records == buffer.count(b"\n", found.start, found.end) + found.add_newline
            del buffer[: found.taken]
            line = found.line
    assert not last or not buffer
    assert len(delivered) + consumed == len(data) and delivered.replace(b"\n", b"") == data.replace(
        b"\n", b""
    )


def _disk(directory: str, data: bytes) -> SimDisk:
    """A disk with the good logs, but for one segment."""
    disk = SimDisk(Random(0))
    disk.restore(_good() | {f"{directory}/{0:020d}.log": data})
    return disk


@cache
def _good() -> dict[str, bytes]:
    disk = SimDisk(Random(0))
    logs.journal(disk)
    opened = logs.spool(disk)
    logs.fill(opened)
    opened.close()
    logs.acks(disk)
    return disk.image()


def _goes_on(disk: SimDisk, directory: str) -> None:
    """What is appended now is read back, behind whatever was there."""
    writer = LogWriter(disk, directory, segment_bytes_max=1 << 20)
    [position] = writer.append([Message(1, b"{}", b"new")])
    writer.sync()
    reader = LogReader(disk, directory)
    [frame] = reader.read(position, bytes_max=1)
    assert (frame.kind, frame.meta, bytes(frame.body)) == (1, b"{}", b"new")
    reader.close()
    writer.close()


@cache
def _schemas() -> tuple[TableSchema, ...]:
    return tuple(table_schema(name) for name in ("App_CL", "SigninLogs", "AzureActivity"))


def _segment(directory: str) -> Callable[[], list[bytes]]:
    return lambda: [_good()[f"{directory}/{0:020d}.log"]]


_CONFIG = """
[agent]
name = "host-7"
data_dir = "/var/lib/gapless"
[gateway]
urls = ["http://127.0.0.1:8420"]
token_file = "/etc/gapless/token"
[spool]
size_bytes_max = 1_073_741_824
when_full = "declare"
[[source]]
type = "file"
paths = ["/var/log/*.log"]
tenant = "contoso"
table = "App_CL"
"""

TARGETS: dict[str, Target] = {
    "batches_body": Target(batches_body, lambda: [body(batch(0, 10), batch(10, 20))], framed=True),
    "claims_body": Target(claims_body, lambda: [msgspec.json.encode(logs.claims())]),
    "query_body": Target(
        query_body, lambda: [b'{"tenant": "contoso", "text": "App_CL", "language": "kql", "from_us": 1}']
    ),
    "sql": Target(
        sql,
        lambda: [
            b"select count(*), min(TimeGenerated) from App_CL where Data->>'$.n' like 'a%' group by all",
            b"with a as (select * from SigninLogs) select * from a join App_CL using (TenantId) limit 3",
        ],
    ),
    "kql": Target(
        kql,
        lambda: [
            b"SigninLogs | where TimeGenerated > ago(1h) and ResultType != '0' "
            b"| summarize count() by bin(TimeGenerated, 5m), AppDisplayName | top 10 by count_",
            b"let n = 5; App_CL | extend d = parse_json(Data) | project n = toint(d.n), s = strcat('a', "
            b"d['s']) | join kind=inner (SigninLogs) on $left.s == $right.Id",
        ],
    ),
    "journal": Target(journal, _segment("journal"), framed=True),
    "spool": Target(spool, _segment("spool"), framed=True),
    "acks": Target(acks, _segment("acks"), framed=True),
    "small_files": Target(
        small_files,
        lambda: [
            msgspec.json.encode(Chain(3, "ab", ("x/1",), 7)),
            b'[{"stream":"a","epoch":"b"}]',
            b'[["uploader",7,"stuck"]]',
            json.dumps(
                {"v": 1, "tokens": [msgspec.to_builtins(mint("a", (), "read", by="x", now_us=1)[0])]}
            ).encode(),
            b"ab" * 32,
        ],
    ),
    "configuration": Target(configuration, lambda: [_CONFIG.encode()]),
    "upload_body": Target(azure.upload_body, lambda: azure.UPLOADS),
    "upload_gzip": Target(azure.gzipped, lambda: azure.GZIPPED),
    "rule": Target(azure.rule, lambda: azure.RULES),
    "azure_headers": Target(azure.headers, lambda: azure.HEADERS),
    "lines": Target(lines, lambda: [b"one\ntwo\r\n\n" + b"x" * 40 + b"\nno end", b"\n\n\n"]),
}
