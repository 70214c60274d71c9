"""What every journal must do. An implementation's tests subclass ``JournalConformance`` and give it a
``harness``: a way to open the journal, to close it, and to open it again."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

import pytest

from gapless.journal.port import Journal
from gapless.log.frame import DAMAGED, Frame
from gapless.log.port import EntryReader
from gapless.log.segments import Message
from gapless.model.errors import Busy, Refused, Unavailable

QUEUE_BYTES_MAX = 10_000


class Harness(ABC):
    """One place where a journal lives, with the faults that can be thrown into it."""

    @abstractmethod
    def open(self) -> Journal:
        """The journal with what is durable in it; ``QUEUE_BYTES_MAX`` may wait."""

    @abstractmethod
    def stall(self) -> None:
        """Nothing becomes durable any more, until ``resume``."""

    @abstractmethod
    def stalled(self) -> None:
        """Wait until the journal is held up by ``stall``."""

    @abstractmethod
    def resume(self) -> None: ...

    @abstractmethod
    def refuse(self) -> None:
        """Nothing can be made durable any more: each attempt fails, until ``resume``."""


def message(number: int, size: int = 10) -> Message:
    return Message(1 + number % 6, b'{"number":%d}' % number, bytes([number % 256]) * size)


def everything(reader: EntryReader) -> list[Frame]:
    frames: list[Frame] = []
    position = reader.first()
    while more := reader.read(position, bytes_max=1 << 16):
        frames += more
        position = more[-1].next_position
    return frames


def contents(journal: Journal) -> list[Message]:
    return [Message(f.kind, f.meta, bytes(f.body)) for f in everything(journal.reader())]


class JournalConformance:
    def test_entries_are_read_back_in_order_and_byte_for_byte(self, harness: Harness) -> None:
        journal = harness.open()
        sent = [message(n, size=n * 7) for n in range(20)]
        positions = asyncio.run(journal.append(sent))
        frames = everything(journal.reader())
        assert [Message(f.kind, f.meta, bytes(f.body)) for f in frames] == sent
        assert [f.position for f in frames] == positions == sorted(set(positions))
        journal.close()

    def test_nothing_appended_is_no_wait_and_no_entry(self, harness: Harness) -> None:
        journal = harness.open()
        assert asyncio.run(journal.append([])) == []
        assert contents(journal) == []
        journal.close()

    def test_entries_outlive_the_journal_and_positions_go_on(self, harness: Harness) -> None:
        journal = harness.open()
        before = asyncio.run(journal.append([message(1)]))
        journal.close()
        journal = harness.open()
        after = asyncio.run(journal.append([message(2)]))
        assert after[0] > before[0]
        assert contents(journal) == [message(1), message(2)]
        journal.close()

    def test_concurrent_appends_each_stay_together_and_learn_their_own_positions(
        self, harness: Harness
    ) -> None:
        journal = harness.open()

        async def run() -> list[list[int]]:
            return await asyncio.gather(
                *(journal.append([message(3 * n + part) for part in range(3)]) for n in range(30))
            )

        appended = asyncio.run(run())
        frames = {f.position: f for f in everything(journal.reader())}
        order = sorted(frames)
        for n, positions in enumerate(appended):
            metas = [frames[position].meta for position in positions]
            assert metas == [message(3 * n + part).meta for part in range(3)]
            at = order.index(positions[0])
            assert order[at : at + 3] == positions
        journal.close()

    def test_nothing_returns_or_is_seen_before_it_is_durable(self, harness: Harness) -> None:
        journal = harness.open()

        async def run() -> None:
            harness.stall()
            waiting = asyncio.create_task(journal.append([message(1)]))
            await asyncio.to_thread(harness.stalled)
            assert not waiting.done()
            assert contents(journal) == []
            harness.resume()
            await waiting

        asyncio.run(run())
        assert contents(journal) == [message(1)]
        journal.close()

    def test_a_failure_reaches_every_waiter_and_leaves_nothing_behind(self, harness: Harness) -> None:
        journal = harness.open()
        asyncio.run(journal.append([message(0)]))

        async def run() -> list[list[int] | BaseException]:
            return await asyncio.gather(
                *(journal.append([message(n), message(n)]) for n in range(1, 6)), return_exceptions=True
            )

        harness.refuse()
        assert [type(outcome) for outcome in asyncio.run(run())] == [Unavailable] * 5
        assert contents(journal) == [message(0)]
        assert journal.stalled_s() > 0
        harness.resume()
        asyncio.run(journal.append([message(9)]))
        assert journal.stalled_s() == 0
        assert contents(journal) == [message(0), message(9)]
        journal.close()
        journal = harness.open()
        assert contents(journal) == [message(0), message(9)]
        journal.close()

    def test_what_waits_is_bounded_and_the_bound_frees_itself(self, harness: Harness) -> None:
        journal = harness.open()

        async def run() -> None:
            harness.stall()
            first = asyncio.create_task(journal.append([message(1, size=QUEUE_BYTES_MAX // 2)]))
            await asyncio.to_thread(harness.stalled)
            with pytest.raises(Busy):
                await journal.append([message(2, size=QUEUE_BYTES_MAX // 2)])
            harness.resume()
            await first
            await journal.append([message(2, size=QUEUE_BYTES_MAX // 2)])

        asyncio.run(run())
        journal.close()

    def test_what_could_never_wait_is_refused(self, harness: Harness) -> None:
        journal = harness.open()
        with pytest.raises(Refused):
            asyncio.run(journal.append([message(1, size=QUEUE_BYTES_MAX)]))
        assert contents(journal) == []
        journal.close()

    @pytest.mark.parametrize("kind", [-1, DAMAGED, 256])
    def test_a_kind_that_cannot_be_written_is_refused_and_stops_nobody(
        self, harness: Harness, kind: int
    ) -> None:
        journal = harness.open()
        with pytest.raises(Refused):
            asyncio.run(journal.append([message(1), Message(kind, b"", b"")]))
        asyncio.run(journal.append([message(2)]))
        assert contents(journal) == [message(2)]
        journal.close()

    def test_a_cancelled_waiter_stops_nobody(self, harness: Harness) -> None:
        journal = harness.open()
        complaints: list[dict[str, Any]] = []

        async def run() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            harness.stall()
            tasks = [asyncio.create_task(journal.append([message(n)])) for n in range(6)]
            await asyncio.to_thread(harness.stalled)
            for task in tasks[::2]:
                task.cancel()
            harness.resume()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(o, asyncio.CancelledError) for o in outcomes] == [True, False] * 3
            await journal.append([message(6)])

        asyncio.run(run())
        assert complaints == []
        assert {m.meta for m in contents(journal)} >= {message(n).meta for n in (1, 3, 5, 6)}
        journal.close()

    def test_a_waiter_whose_event_loop_is_gone_stops_nobody(self, harness: Harness) -> None:
        journal = harness.open()
        harness.stall()
        loop = asyncio.new_event_loop()
        abandoned = loop.create_task(journal.append([message(1)]))
        loop.call_later(0, loop.stop)
        loop.run_forever()
        abandoned.cancel()
        loop.run_until_complete(asyncio.gather(abandoned, return_exceptions=True))
        loop.close()
        harness.resume()
        asyncio.run(journal.append([message(2)]))
        assert contents(journal)[-1] == message(2)
        journal.close()

    def test_closing_finishes_what_waits_and_then_refuses(self, harness: Harness) -> None:
        journal = harness.open()

        async def run() -> None:
            harness.stall()
            waiting = asyncio.create_task(journal.append([message(1)]))
            await asyncio.to_thread(harness.stalled)
            closing = asyncio.create_task(asyncio.to_thread(journal.close))
            harness.resume()
            await closing
            assert len(await waiting) == 1
            with pytest.raises(Unavailable):
                await journal.append([message(2)])

        asyncio.run(run())
        journal.close()
        journal = harness.open()
        assert contents(journal) == [message(1)]
        journal.close()

    def test_stalled_seconds_count_only_while_something_waits(self, harness: Harness) -> None:
        journal = harness.open()
        assert journal.stalled_s() == 0

        async def run() -> None:
            harness.stall()
            waiting = asyncio.create_task(journal.append([message(1)]))
            await asyncio.to_thread(harness.stalled)
            assert journal.stalled_s() > 0
            harness.resume()
            await waiting
            assert journal.stalled_s() == 0

        asyncio.run(run())
        journal.close()
