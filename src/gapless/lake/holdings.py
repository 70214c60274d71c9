"""Which records a data file holds: ranges of seqs by epoch, kept in the catalogue beside the file.

So a file that is gone can be named record by record, and made again, without having been read. Work is per
run of consecutive records, in native loops; a file whose records are scattered has as many ranges as runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zstandard
from numpy.typing import NDArray

from gapless.model.errors import Corrupt

#: Of one epoch: a row (first, next) for each run, ascending, disjoint and not adjoining.
Ranges = NDArray[np.int64]

#: A stream's identity and an epoch.
EpochName = tuple[str, str]


def runs_of(rows: pa.Table, records: NDArray[np.int64] | None = None) -> Iterator[tuple[EpochName, Ranges]]:
    """The runs of stored rows, in the order of the rows. A row stands for ``records`` records from its
    ``_Seq`` on (None: for one)."""
    streams, epochs = rows["_Stream"].combine_chunks(), rows["_Epoch"].combine_chunks()
    firsts = rows["_Seq"].to_numpy()
    nexts = firsts + (1 if records is None else records)
    goes_on = firsts[1:] == nexts[:-1]
    for names in (streams, epochs):
        goes_on &= pc.equal(names[1:], names[:-1]).to_numpy(zero_copy_only=False)
    begins = np.concatenate(([0], np.flatnonzero(~goes_on) + 1))
    ends = np.append(begins[1:], len(firsts)) - 1
    runs = np.stack((firsts[begins], nexts[ends]), axis=1)
    stream, epoch = (names.take(pa.array(begins)).dictionary_encode() for names in (streams, epochs))
    codes = stream.indices.to_numpy() * np.int64(len(epoch.dictionary)) + epoch.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        yield (stream[int(group[0])].as_py(), epoch[int(group[0])].as_py()), runs[group]


def joined(parts: Sequence[Ranges]) -> Ranges:
    """Runs of one epoch as ranges. Raises Corrupt if a seq is in two of them."""
    runs = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if len(runs) == 1:
        return runs
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    if (runs[1:, 0] < runs[:-1, 1]).any():
        raise Corrupt("files of the lake hold a record twice: stop the lake and report this")
    apart = runs[1:, 0] != runs[:-1, 1]
    return np.stack((runs[np.append(True, apart), 0], runs[np.append(apart, True), 1]), axis=1)


def count(holdings: Iterable[Ranges]) -> int:
    """How many records these are."""
    return sum([int((ranges[:, 1] - ranges[:, 0]).sum()) for ranges in holdings])


def merged(holdings: Iterable[Mapping[int, Ranges]]) -> dict[int, Ranges]:
    """What several files hold together. Raises Corrupt if two hold the same record."""
    parts: dict[int, list[Ranges]] = {}
    for each in holdings:
        for epoch_id, ranges in each.items():
            parts.setdefault(epoch_id, []).append(ranges)
    return {epoch_id: joined(ranges) for epoch_id, ranges in parts.items()}


def encode(holdings: Mapping[int, Ranges]) -> bytes:
    """Holdings by the catalogue's ids of epochs, as bytes: all ids, all firsts, all lengths; each as the
    difference to the number before it, little-endian; zstd."""
    ids = sorted(holdings)
    runs = np.concatenate([holdings[each] for each in ids])
    owners = np.repeat(np.array(ids, np.int64), [len(holdings[each]) for each in ids])
    columns = np.concatenate((owners, runs[:, 0], runs[:, 1] - runs[:, 0]))
    return zstandard.compress(np.diff(columns, prepend=0).astype("<i8").tobytes())


def decode(data: bytes) -> dict[int, Ranges]:
    """What ``encode`` made bytes of."""
    columns = np.cumsum(np.frombuffer(zstandard.decompress(data), "<i8").astype(np.int64))
    owners, firsts, lengths = columns.reshape(3, -1)
    edges = np.flatnonzero(np.diff(owners)) + 1
    runs = np.split(np.stack((firsts, firsts + lengths), axis=1), edges)
    return dict(zip(owners[np.append(0, edges)].tolist(), runs, strict=True))
