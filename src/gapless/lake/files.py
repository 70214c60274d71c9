"""Parquet files: written, made durable, found and removed.

A file is written once, under a name that was never used before, and is part of a table only when the
catalogue says so. Its name is ``tables/TENANT/TABLE/DAY.GENERATION.UUID.parquet``; the generation is that of
the catalogue's owner who wrote it, so that what a dead owner left unfinished can be told from what the living
one is writing at this moment.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from gapless.lake.facts import FileRow
from gapless.log.disk import Disk, File
from gapless.model.errors import Unavailable

_TABLES = "tables"
_SUFFIX = ".parquet"
_READ_BYTES = 1 << 20

#: A dictionary pays for few values that are often repeated. Of many, as in a column of ids, it would be as
#: large as they are: beyond this size, of a column in a row group, they are written as they are.
_DICTIONARY_BYTES_MAX = 32 * 1024


class Written(NamedTuple):
    """A durable file: its path relative to the lake's directory, rows, size in bytes and digest."""

    path: str
    rows: int
    bytes: int
    digest: str


class OpenFile:
    """A Parquet file in memory, growing by one row group with each ``write``; see ``TableFiles.save``."""

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            compression_level=1,
            dictionary_pagesize_limit=_DICTIONARY_BYTES_MAX,
            store_schema=False,
        )
        self.rows = 0

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows, row_group_size=max(len(rows), 1))
        self.rows += len(rows)

    def finish(self) -> pa.Buffer:
        """The whole file."""
        self._writer.close()
        return self._sink.getvalue()


class TableFiles:
    """The files of the lake in directory ``root``, as ``generation`` of its owners sees them."""

    def __init__(self, disk: Disk, root: str, generation: int) -> None:
        self._disk = disk
        self._root = root
        self._generation = generation

    def new_path(self, tenant: str, table: str, day: str) -> str:
        """A path for a new file, relative to ``root``, in a directory that exists durably."""
        directory = f"{_TABLES}/{tenant}/{table}"
        try:
            self._disk.make_dirs(self.absolute(directory))
        except OSError as error:
            raise Unavailable(f"the disk did not take {directory}: {error.strerror}") from error
        return f"{directory}/{day}.{self._generation}.{uuid4().hex}{_SUFFIX}"

    def absolute(self, path: str) -> str:
        return f"{self._root}/{path}"

    def save(self, path: str, file: OpenFile) -> Written:
        """Write a file; its bytes are durable on return, its name after ``sync_names``.

        Raises Unavailable if the disk refuses; nothing that counts is left then.
        """
        data = file.finish()
        try:
            handle = self._disk.create(self.absolute(path))
            try:
                handle.write([memoryview(data)], 0)
                handle.sync()
            finally:
                handle.close()
        except OSError as error:
            self.unlink([path])
            raise Unavailable(f"the disk did not take {path}: {error.strerror}") from error
        return Written(path, file.rows, data.size, sha256(data).hexdigest())

    def make_durable(self, path: str) -> tuple[int, str]:
        """Make a file durable that somebody else wrote at ``path``; return its size in bytes and its
        digest."""
        try:
            handle = self._disk.open(self.absolute(path), writable=True)
            try:
                handle.sync()
                measured = _measured(handle)
            finally:
                handle.close()
        except OSError as error:
            self.unlink([path])
            raise Unavailable(f"the disk did not take {path}: {error.strerror}") from error
        self.sync_names([path])
        return measured

    def fault(self, file: FileRow) -> str:
        """What is wrong with a file, in words: it is gone, cannot be read, or is not what was written. Empty
        if nothing is. Raises Unavailable for refusals that say nothing of the file."""
        try:
            handle = self._disk.open(file.path, writable=False)
            try:
                found = _measured(handle)
            finally:
                handle.close()
        except (FileNotFoundError, NotADirectoryError):
            return "it is gone"
        except OSError as error:
            if error.errno != errno.EIO:
                raise Unavailable(f"{file.path} cannot be looked at: {error.strerror}") from error
            return "the disk cannot read it"
        return "" if found == (file.bytes, file.digest) else "it is not what was written"

    def missing(self, files: Iterable[FileRow]) -> list[FileRow]:
        """Those of ``files`` that are gone. Raises Unavailable if a directory cannot be looked at."""
        names: dict[str, set[str]] = {}
        gone = []
        for file in files:
            directory, _, name = file.path.rpartition("/")
            if directory not in names:
                try:
                    names[directory] = set(self._names(directory.removeprefix(f"{self._root}/")))
                except OSError as error:
                    raise Unavailable(f"{directory} cannot be looked at: {error.strerror}") from error
            if name not in names[directory]:
                gone.append(file)
        return gone

    def sync_names(self, paths: Sequence[str]) -> None:
        """On return the names of these files are durable."""
        for directory in dict.fromkeys(path.rpartition("/")[0] for path in paths):
            try:
                self._disk.sync_dir(self.absolute(directory))
            except OSError as error:
                raise Unavailable(f"the disk did not take names in {directory}: {error.strerror}") from error

    def unlink(self, paths: Sequence[str]) -> list[str]:
        """Remove files; return those that are gone. What cannot be removed now is left to a later sweep."""
        gone = []
        for path in paths:
            try:
                self._disk.unlink(self.absolute(path))
            except FileNotFoundError:
                pass
            except OSError:
                continue
            gone.append(path)
        return gone

    def tables(self) -> Iterator[tuple[str, str]]:
        """Every tenant and table that has a directory."""
        for tenant in self._names(_TABLES):
            for table in self._names(f"{_TABLES}/{tenant}"):
                yield tenant, table

    def of_earlier_generations(self, tenant: str, table: str) -> list[str]:
        """The files of a table that earlier owners wrote, committed or not."""
        directory = f"{_TABLES}/{tenant}/{table}"
        names = self._names(directory)
        return [f"{directory}/{name}" for name in names if _generation(name) < self._generation]

    def leftovers(self, directory: str) -> list[str]:
        """What is in a directory of the lake's own that outlives no process."""
        return [f"{directory}/{name}" for name in self._names(directory)]

    def _names(self, directory: str) -> list[str]:
        try:
            return self._disk.names(self.absolute(directory))
        except NotADirectoryError:  # not of the lake's making
            return []


def _measured(file: File) -> tuple[int, str]:
    """A file's size in bytes, and the SHA-256 of them in hex."""
    digest, size = sha256(), 0
    while data := file.pread(_READ_BYTES, size):
        digest.update(data)
        size += len(data)
    return size, digest.hexdigest()


def _generation(name: str) -> int:
    """The generation in a file's name; for names that are not ours a number above all generations."""
    parts = name.split(".")
    if len(parts) == 4 and parts[1].isdigit() and name.endswith(_SUFFIX):
        return int(parts[1])
    return 1 << 62
