"""Rings out of pieces of borders, in the order in which the reference library gives them.

A ring begins after the piece of the last input edge: so one that is also an input ring begins as that did.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gapless.query.computed.geojson import Ring
from gapless.query.computed.s2_grid import leaf
from gapless.query.computed.sphere import Vector, cross, dot, normal


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an input edge; ``number`` is the edge's place."""

    start: Vector
    end: Vector
    number: int


def rings_of(pieces: Sequence[Piece]) -> list[Ring]:
    """The rings that pieces make, whose inside is to the left of each."""
    leaving: dict[Vector, list[Piece]] = {}
    for piece in pieces:
        leaving.setdefault(piece.start, []).append(piece)
    found: list[list[Piece]] = []
    for begin in sorted(pieces, key=lambda piece: (leaf(piece.start), leaf(piece.end))):
        if begin in leaving[begin.start]:
            found.append(_in_order(_ring(begin, leaving)))
    return [tuple(piece.start for piece in ring) for ring in sorted(found, key=lambda ring: ring[0].number)]


def _ring(begin: Piece, leaving: dict[Vector, list[Piece]]) -> list[Piece]:
    """The ring of a piece, whose pieces are taken out of ``leaving``: at a vertex of several rings the
    sharpest turn to the left leads on in the same one."""
    ring = [begin]
    leaving[begin.start].remove(begin)
    while ring[-1].end != begin.start:
        choices = leaving[ring[-1].end]
        if not choices:
            raise ValueError("polygons that meet in this way are not supported")
        following = min(choices, key=lambda piece: _turn(ring[-1], piece))
        choices.remove(following)
        ring.append(following)
    return ring


def _turn(piece: Piece, following: Piece) -> float:
    """The angle inside between two pieces that follow each other, from 0 to a whole turn."""
    back, on = normal(piece.end, piece.start), normal(following.start, following.end)
    around = math.atan2(dot(cross(on, back), piece.end), dot(on, back))
    return around % math.tau


def _in_order(ring: list[Piece]) -> list[Piece]:
    """The ring with the last pieces of the edge with the greatest number at its end."""
    place, gap = 0, False
    for index, piece in enumerate(ring):
        if piece.number < ring[place].number:
            gap = True
        elif piece.number > ring[place].number or not gap:
            place, gap = index, False
    return ring[place + 1 :] + ring[: place + 1]
