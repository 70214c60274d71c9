"""Recipes: how the records of one table are put together, declared as data and compiled to templates.

A record is a concatenation of pre-rendered JSON fragments, chosen by weight, with the record's own values
put into their placeholders: ``${name}`` anywhere in a string, ``"${number:n}"`` where the JSON value itself
is to be a number. Placeholders that need no slot: ``id`` (a UUID), ``id_hex`` (32 digits), ``time``, and with
a parent ``parent`` and ``parent_hex``, which are the ``id`` and ``id_hex`` of the parent's record.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeAlias

from gapless.services.chance import guid_text, stream_bytes, stream_label
from gapless.services.organisation import Organisation
from gapless.services.slots import Draw, Slot, Text, time_text

Columns: TypeAlias = Mapping[str, object]
#: Columns with their values, a choice among nodes, or all of several nodes one after another.
Node: TypeAlias = "Columns | Pick | Cycle | tuple[Node, ...]"

_PICK_BYTES = 2
_PICK_RANGE = 1 << 8 * _PICK_BYTES
_ID_BYTES = 16
_JITTER_BYTES = 4
_RESERVED_BYTES = _ID_BYTES + _JITTER_BYTES
_NUMBER = re.compile(r'\\*"\$\{(\w+):n\}\\*"')
_TEXT = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Pick:
    """One of ``options``, given as (weight, node)."""

    options: Sequence[tuple[int, Node]]


@dataclass(frozen=True)
class Cycle:
    """The node at the record's position among the records of its parent, over and over."""

    nodes: Sequence[Node]


@dataclass(frozen=True)
class Parent:
    """What ``children`` consecutive records have in common: a run, an operation, a session.

    ``stream`` names it; only one in ``every`` of its entries has such records at all. The stream may be a
    table of the same service: then ``parent`` is the ``id`` of that table's record at index
    ``index // children * every``, and whatever both tables declare first comes out the same in both.
    """

    stream: str
    children: int
    node: Node
    slots: Mapping[str, Slot] = field(default_factory=dict)
    every: int = 1


@dataclass(frozen=True)
class Body:
    """The content of a table's records, without TimeGenerated and Type, which every record has."""

    node: Node
    slots: Mapping[str, Slot] = field(default_factory=dict)
    parent: Parent | None = None


@dataclass(frozen=True)
class Recipe:
    """How to make the records of ``table``.

    ``id_column`` holds an id that no other record has. ``share`` is the table's part of its service's
    records, relative to those of the other tables.
    """

    table: str
    id_column: str
    share: int
    body: Callable[[Organisation], Body]


def json_text(value: object) -> str:
    """Compact JSON, for the string columns that hold a JSON document."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def zipf(nodes: Iterable[Node]) -> Pick:
    """A choice in which the k-th node comes up 1/k as often as the first."""
    return Pick([(1_000_000 // rank, node) for rank, node in enumerate(nodes, 1)])


class _Layout:
    """Hands out the offsets into the random bytes of a stream, in the order of declaration."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes

    def take(self, size_bytes: int) -> int:
        offset = self.size_bytes
        self.size_bytes += size_bytes
        return offset


def _fragment(columns: Columns) -> str:
    """The members of a JSON object, each closed by a comma, as a template for the % operator."""
    if not columns:
        return ""
    text = json_text(columns)[1:-1].replace("%", "%%")
    return _TEXT.sub(r"%(\1)s", _NUMBER.sub(r"%(\1)s", text)) + ","


def _compile(node: Node, layout: _Layout) -> Text:
    if isinstance(node, Pick):
        return _compile_pick(node, layout)
    if isinstance(node, Cycle):
        turns = [_compile(turn, layout) for turn in node.nodes]
        return lambda draw: turns[draw.position % len(turns)](draw)
    if isinstance(node, tuple):
        parts = [_compile(part, layout) for part in node]
        return lambda draw: "".join([part(draw) for part in parts])
    fragment = _fragment(node)
    return lambda draw: fragment


def _compile_pick(pick: Pick, layout: _Layout) -> Text:
    offset = layout.take(_PICK_BYTES)
    first = end = layout.size_bytes
    options = []
    for _, option in pick.options:
        layout.size_bytes = first  # one option alone is made, so all may read the same bytes
        options.append(_compile(option, layout))
        end = max(end, layout.size_bytes)
    layout.size_bytes = end
    sums = list(accumulate(weight for weight, _ in pick.options))
    ends = [total * _PICK_RANGE // sums[-1] for total in sums]
    return lambda draw: options[bisect_right(ends, draw.raw[offset] << 8 | draw.raw[offset + 1])](draw)


def _compile_slots(slots: Mapping[str, Slot], layout: _Layout) -> list[tuple[str, Text]]:
    return [(name, slot.at(layout.take(slot.size_bytes))) for name, slot in slots.items()]


class _Stream:
    """A compiled node with its slots, and the stream of random bytes that both read."""

    def __init__(self, label: bytes, node: Node, slots: Mapping[str, Slot], first_byte: int) -> None:
        layout = _Layout(first_byte)
        # Slots before nodes: tables with a common parent may go on differently after a common node.
        self._slots = _compile_slots(slots, layout)
        self._node = _compile(node, layout)
        self._label = label
        self.size_bytes = layout.size_bytes

    def raw(self, index: int) -> bytes:
        return stream_bytes(self._label, index, self.size_bytes)

    def template(self, draw: Draw, values: dict[str, str]) -> str:
        for name, text in self._slots:
            values[name] = text(draw)
        return self._node(draw)


class Printer:
    """A recipe compiled for one service and seed: makes the record at any index as one line of JSON."""

    def __init__(self, service: str, seed: int, recipe: Recipe) -> None:
        body = recipe.body(Organisation.of(seed))
        self._closing = f'"Type":"{recipe.table}"}}'
        self._parent: _Stream | None = None
        self._children = self._every = 1
        first_byte = _RESERVED_BYTES
        if body.parent is not None:
            label = stream_label(service, body.parent.stream, seed)
            self._parent = _Stream(label, body.parent.node, body.parent.slots, first_byte)
            self._children, self._every = body.parent.children, body.parent.every
            # A table can be its own parent, and must not draw the same bytes twice.
            first_byte = self._parent.size_bytes
        self._own = _Stream(stream_label(service, recipe.table, seed), body.node, body.slots, first_byte)

    def line(self, index: int, due_ticks: int, jitter_ticks_max: int) -> bytes:
        """The record at ``index``, without newline.

        Its TimeGenerated is ``due_ticks`` (100 ns since the Unix epoch) plus less than ``jitter_ticks_max``.
        """
        raw = self._own.raw(index)
        jitter = int.from_bytes(raw[_ID_BYTES:_RESERVED_BYTES], "big") * jitter_ticks_max >> 8 * _JITTER_BYTES
        group, position = divmod(index, self._children)
        draw = Draw(raw, raw.hex(), index, position, due_ticks + jitter)
        time = time_text(draw.ticks)
        values = {"id": guid_text(draw.hexed[:32]), "id_hex": draw.hexed[:32], "time": time}
        middle = ""
        if self._parent is not None:
            raw = self._parent.raw(group * self._every)
            above = Draw(raw, raw.hex(), group * self._every, position, draw.ticks)
            values["parent"] = guid_text(above.hexed[:32])
            values["parent_hex"] = above.hexed[:32]
            middle = self._parent.template(above, values)
        middle += self._own.template(draw, values)
        template = f'{{"TimeGenerated":"{time}",{middle}{self._closing}'
        return (template % values).encode()
