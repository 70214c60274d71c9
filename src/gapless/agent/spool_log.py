"""The spool's frames in one durable append: what is added counts after the commit, or not at all."""

from __future__ import annotations

import msgspec

from gapless.agent.follow import SpoolView
from gapless.agent.frames import Batch, LossNote, Meta, SpoolKind, StreamState
from gapless.log.disk import Buffer, Disk
from gapless.log.segments import LogWriter, Message
from gapless.model.claim import Loss
from gapless.model.errors import Unavailable
from gapless.model.stream import StreamKey


class SpoolLog:
    """The log that the spool is, with what its frames add up to: ``state`` ahead of the commit, ``view`` (the
    batches) behind it. Raises Unavailable if the disk refuses."""

    def __init__(self, disk: Disk, directory: str, *, segment_bytes_max: int) -> None:
        self.writer = LogWriter(disk, directory, segment_bytes_max=segment_bytes_max, snapshot=self._snapshot)
        self.view = SpoolView(disk, directory)
        self.view.follow_all()
        self.state = self.view.state
        self._pending: list[tuple[int, int, Batch]] = []
        self._before: dict[StreamKey, StreamState | None] = {}
        self._losses_before: dict[str, Loss] | None = None

    @property
    def used_bytes(self) -> int:
        """What is kept on the disk."""
        return self.writer.kept_bytes

    def commit(self) -> None:
        """One sync: on return everything added is durable. Raises Unavailable, and then nothing that was
        added since the last commit counts: build the sources again from ``stream``'s cursors."""
        try:
            self.writer.sync()
        except Unavailable:
            self._take_back()
            raise
        for position, next_position, batch in self._pending:
            self.view.add(position, next_position, batch)
        self.view.withdrawn.clear()
        self._forget_undo()

    def streams(self) -> list[StreamKey]:
        """Every stream that this spool has counted for."""
        return self.state.streams()

    def parts(self, stream: StreamKey) -> int:
        """How many parts without a record wait for the stream's next batch."""
        return len(self.state.parts(stream))

    def stream(self, stream: StreamKey) -> StreamState:
        """Where a stream stands. Raises KeyError for one that was not started."""
        state = self.state.get(stream)
        if state is None:
            raise KeyError(stream)
        return state

    def add(self, batch: Batch, payload: Buffer) -> None:
        """Append a batch; ``view`` lists it once it is durable. Raises Unavailable, as ``append``."""
        position = self.append(SpoolKind.BATCH, batch, batch.header.stream, payload)
        self._pending.append((position, self.writer.end, batch))

    def append(self, kind: SpoolKind, meta: Meta, stream: StreamKey, body: Buffer = b"") -> int:
        """Append a frame about ``stream``, and take what it says into ``state``; return its position. Raises
        Unavailable, and then nothing that was added since the last commit counts."""
        if stream not in self._before:
            self._before[stream] = self.state.get(stream)
        try:
            [position] = self.writer.append([Message(kind, msgspec.json.encode(meta), body)])
        except Unavailable:
            self._take_back()
            raise
        if isinstance(meta, LossNote) and self._losses_before is None:
            self._losses_before = dict(self.state.losses)
        self.state.apply(meta, position)
        return position

    def close(self) -> None:
        self.writer.close()
        self.view.close()

    def _take_back(self) -> None:
        for stream, state in self._before.items():
            self.state.put_back(stream, state)
        if self._losses_before is not None:
            self.state.losses = self._losses_before
        self._forget_undo()

    def _forget_undo(self) -> None:
        self._pending, self._before, self._losses_before = [], {}, None

    def _snapshot(self) -> Message:
        return Message(SpoolKind.SNAPSHOT, msgspec.json.encode(self.state.snapshot()))
