"""Files by how they begin, so that a thousand new ones and a thousand lost ones are not compared in pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gapless.agent.sources.tracked import TrackedFile, head_digest

_INDEX_BYTES = 16


class NewFiles:
    """Undecided files whose heads are known, to be found by the digest of a head of any length."""

    def __init__(self, files: Iterable[TrackedFile]) -> None:
        self._files = list(files)
        self._by_digest: dict[int, dict[str, list[TrackedFile]]] = {}

    def add(self, f: TrackedFile) -> None:
        self._files.append(f)
        for length, table in self._by_digest.items():
            self._enter(f, length, table)

    def beginning_like(self, f: TrackedFile) -> list[TrackedFile]:
        """Files with the head of ``f`` as far as that was read; the likeliest first: one that is held back
        for it, then one at its path. None where nothing of the head is known."""
        length, digest = f.proof()
        if not length:
            return []
        table = self._by_digest.get(length)
        if table is None:
            table = self._by_digest[length] = {}
            for c in self._files:
                self._enter(c, length, table)
        return sorted(table.get(digest, ()), key=lambda c: (c.held_for != f.file, c.path != f.path))

    @staticmethod
    def _enter(f: TrackedFile, length: int, table: dict[str, list[TrackedFile]]) -> None:
        if len(f.head) >= length:
            table.setdefault(head_digest(f.head[:length]), []).append(f)


class AdmittedFiles:
    """Files that are being read, to be found by a head that may be shorter or longer than theirs."""

    def __init__(self, files: Iterable[TrackedFile]) -> None:
        self._all: list[TrackedFile] = []
        self._short: list[TrackedFile] = []
        self._by_start: dict[bytes, list[TrackedFile]] = {}
        for f in files:
            self.add(f)

    def add(self, f: TrackedFile) -> None:
        if not f.head:
            return
        self._all.append(f)
        if len(f.head) < _INDEX_BYTES:
            self._short.append(f)
        else:
            self._by_start.setdefault(f.head[:_INDEX_BYTES], []).append(f)

    def candidates(self, new: TrackedFile) -> Iterator[TrackedFile]:
        """The files that may begin like ``new``, as they are now."""
        if len(new.head) < _INDEX_BYTES:
            yield from list(self._all)
        else:
            yield from list(self._by_start.get(new.head[:_INDEX_BYTES], ()))
            yield from list(self._short)
