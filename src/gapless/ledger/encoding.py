"""Books as MessagePack, for keeping between runs."""

from __future__ import annotations

from typing import Any

import msgspec

from gapless.ledger.chains import AgentBook
from gapless.ledger.ledger import StreamBook
from gapless.model.ranges import Range, RangeSet


def encode_book(book: StreamBook | AgentBook) -> bytes:
    """A book as bytes; its range sets become lists of pairs."""
    return msgspec.msgpack.encode(book, enc_hook=_encode_ranges)


def decode_stream(data: bytes) -> StreamBook:
    """The other way round. Raises msgspec.MsgspecError for what no book of this version is."""
    return _STREAM.decode(data)


def decode_agent(data: bytes) -> AgentBook:
    """The other way round. Raises msgspec.MsgspecError for what no book of this version is."""
    return _AGENT.decode(data)


def _encode_ranges(value: object) -> list[Range]:
    if isinstance(value, RangeSet):
        return list(value)
    raise NotImplementedError(type(value))


def _decode_ranges(kind: type, value: Any) -> Any:
    if kind is RangeSet:
        return RangeSet((first, next_) for first, next_ in value)
    raise NotImplementedError(kind)


_STREAM = msgspec.msgpack.Decoder(StreamBook, dec_hook=_decode_ranges)
_AGENT = msgspec.msgpack.Decoder(AgentBook)
