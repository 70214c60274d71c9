"""The S2 grid: the six faces of a cube around the sphere, each divided into four again and again, in order
of a Hilbert curve. A cell is a number of 64 bits: its face, two bits a level, and a bit that ends them."""

from __future__ import annotations

import math

from gapless.query.computed.sphere import Vector, unit

LEVEL_MAX = 30
_SIZE = 1 << LEVEL_MAX
#: For each of four orientations of the curve, the quarters in order: column and row, a bit each.
_QUARTERS = ((0, 1, 3, 2), (0, 2, 3, 1), (3, 2, 0, 1), (3, 1, 0, 2))
#: How the quarter at each place turns the orientation.
_TURNS = (1, 0, 0, 3)


def leaf(point: Vector) -> int:
    """The smallest cell that a point is in."""
    axis = max(range(3), key=lambda each: (abs(point[each]), each))
    x, y, z = point
    face = axis + 3 * (point[axis] < 0)
    if axis == 0:
        u, v = (y / x, z / x) if x > 0 else (z / x, y / x)
    elif axis == 1:
        u, v = (-x / y, z / y) if y > 0 else (z / y, -x / y)
    else:
        u, v = (-x / z, -y / z) if z > 0 else (-y / z, -x / z)
    return from_place(face, _index(u), _index(v))


def _index(u: float) -> int:
    """The column or row of a place on a face, which is from -1 to 1."""
    s = 0.5 * math.sqrt(1 + 3 * u) if u >= 0 else 1 - 0.5 * math.sqrt(1 - 3 * u)
    return max(0, min(_SIZE - 1, math.floor(s * _SIZE)))


def from_place(face: int, column: int, row: int) -> int:
    """The smallest cell at a column and row of a face."""
    bits, orientation = face, face & 1
    for level in reversed(range(LEVEL_MAX)):
        quarter = (column >> level & 1) << 1 | row >> level & 1
        place = _QUARTERS[orientation].index(quarter)
        bits = bits << 2 | place
        orientation ^= _TURNS[place]
    return bits << 1 | 1


def place(cell: int) -> tuple[int, int, int, int]:
    """The face of a cell, its least column and row, and how many it has of each."""
    face = cell >> 61
    orientation, column, row = face & 1, 0, 0
    for above in range(level(cell)):
        digit = cell >> (59 - 2 * above) & 3
        quarter = _QUARTERS[orientation][digit]
        column, row = column << 1 | quarter >> 1, row << 1 | quarter & 1
        orientation ^= _TURNS[digit]
    size = _SIZE >> level(cell)
    return face, column * size, row * size, size


def level(cell: int) -> int:
    """0 for a whole face, up to 30."""
    return LEVEL_MAX - ((cell & -cell).bit_length() - 1) // 2


def parent(cell: int, to_level: int) -> int:
    """The cell of a level, not above the cell's own, that a cell is in."""
    last = 1 << 2 * (LEVEL_MAX - to_level)
    return cell & -last | last


def children(cell: int) -> list[int]:
    """The four cells that a cell is divided into, in order."""
    last = cell & -cell
    return [cell + (2 * at - 3) * (last >> 2) for at in range(4)]


def is_valid(cell: int) -> bool:
    """Whether a number is a cell's."""
    return 0 < cell < 6 << 61 and ((cell & -cell).bit_length() - 1) % 2 == 0


def token(cell: int) -> str:
    """A cell as a text: hexadecimal, without the zeros at the end."""
    return f"{cell:016x}".rstrip("0")


def on_face(face: int, u: float, v: float) -> Vector:
    """The direction to a place on a face, which is from -1 to 1; beyond, to one beside it."""
    return unit(_in_space(face, u, v))


def _in_space(face: int, u: float, v: float) -> Vector:
    return ((1, u, v), (-u, 1, v), (-u, -v, 1), (-1, -v, -u), (v, -1, -u), (v, u, -1))[face]


def _on_plane(s: float) -> float:
    return (4 * s * s - 1) / 3 if s >= 0.5 else (1 - 4 * (1 - s) * (1 - s)) / 3


def center(cell: int) -> Vector:
    """The middle of a cell."""
    face, column, row, size = place(cell)
    return on_face(face, _on_plane((column + size / 2) / _SIZE), _on_plane((row + size / 2) / _SIZE))


def corners(cell: int, wider: float = 0) -> list[Vector]:
    """The corners of a cell, counterclockwise, or of one that is wider on all sides, on a face of size 2."""
    face, column, row, size = place(cell)
    around = ((0, 0), (1, 0), (1, 1), (0, 1))
    return [
        on_face(
            face,
            _on_plane((column + x * size) / _SIZE) + (2 * x - 1) * wider,
            _on_plane((row + y * size) / _SIZE) + (2 * y - 1) * wider,
        )
        for x, y in around
    ]


def neighbors(cell: int) -> list[int]:
    """The cells of the same level that touch a cell: first those beside it, then those at its corners; a cell
    at a corner of the cube has one fewer."""
    face, column, row, size = place(cell)
    beside = ((0, -1), (1, 0), (0, 1), (-1, 0))
    diagonal = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    found: list[int] = []
    for x, y in (*beside, *diagonal):
        across, up = column + size * (x + 0.5), row + size * (y + 0.5)
        outside = not 0 <= across < _SIZE, not 0 <= up < _SIZE
        if all(outside):
            continue  # three faces meet at a corner of the cube: there is no cell
        other = parent(leaf(_beyond(face, across / _SIZE, up / _SIZE)), level(cell))
        if other not in found:
            found.append(other)
    return found


def _beyond(face: int, s: float, t: float) -> Vector:
    """The direction to a place on a face, or over an edge of it: the next face begins there, and is divided
    in the same way along the edge."""
    u, v = (_on_plane(min(1.0, max(0.0, each))) for each in (s, t))
    space = list(_in_space(face, u, v))
    over = max(0.0, -s, s - 1, -t, t - 1)
    space[face % 3] *= _on_plane(1 - over)
    return unit((space[0], space[1], space[2]))
