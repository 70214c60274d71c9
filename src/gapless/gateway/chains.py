"""Whether an agent's claims go on from the ones before, and which epochs must not go on.

Pure, like ``admission``. Each agent numbers its statements (``n``) and names the digest of the one before
(``prev``). Who restores an older spool, or runs it twice, sooner or later signs a number that was signed
before with another digest: that is a rollback (I5). Statements can also just arrive late, when
connections broke or the gateway stood still; so the newest ``LATE_MAX`` numbers may come in any order, as
long as nothing they say contradicts what is known. The ledger judges the whole chain; here it is only
decided what the agent is told at once.

What is fenced is exactly the epochs that both sides of the contradiction count in: those of the
conflicting statement that were also in the newest one. Epochs opened after the rollback are in one of them
only, so an agent that did what the fence asks is not fenced again.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from gapless.gateway.admission import EpochKey
from gapless.model.claim import CLAIMS_LATE_MAX as LATE_MAX
from gapless.model.claim import StreamClaim

#: An agent's name and its public key.
ChainKey = tuple[str, str]


class Statement(NamedTuple):
    """What the chain looks at in a set of claims; ``epochs`` are those of all its streams."""

    key: ChainKey
    n: int
    digest: str
    prev: str
    epochs: frozenset[str]


class Verdict(NamedTuple):
    """``next`` and ``conflict`` are to be journaled; ``again`` is the newest one once more; ``late`` says
    nothing that the newest does not say better. ``shared`` are the epochs to fence."""

    kind: Literal["next", "again", "late", "conflict"]
    shared: frozenset[str] = frozenset()

    @property
    def journal(self) -> bool:
        return self.kind in ("next", "conflict")


class Newest(NamedTuple):
    """The journaled statement with the highest number; of two with the same, the first."""

    n: int
    digest: str
    epochs: frozenset[str]


class Index(Protocol):
    """The chains as far as the index followed the journal."""

    def newest(self, key: ChainKey) -> Newest | None: ...


W = TypeVar("W")


class _Chain(Generic[W]):
    """``under_way`` are statements that the journal is about to have, each with whoever brings it."""

    def __init__(self, newest: Newest | None) -> None:
        self.newest = newest
        self.digests = {newest.n: newest.digest} if newest else {}
        self.under_way: list[tuple[Statement, W]] = []

    def contradicts(self, statement: Statement) -> bool:
        digests = dict(self.digests)
        for other, _ in self.under_way:
            digests |= {other.n: other.digest, other.n - 1: other.prev}
        known = digests.get(statement.n, statement.digest)
        before = digests.get(statement.n - 1, statement.prev)
        return (known, before) != (statement.digest, statement.prev)

    def expected(self) -> Newest | None:
        """The newest, once those under way are journaled."""
        newest = self.newest
        for other, _ in self.under_way:
            if newest is None or other.n > newest.n:
                newest = Newest(other.n, other.digest, other.epochs)
        return newest

    def learn(self, statement: Statement) -> None:
        self.digests.setdefault(statement.n, statement.digest)
        self.digests.setdefault(statement.n - 1, statement.prev)
        if self.newest is None or statement.n > self.newest.n:
            self.newest = Newest(statement.n, statement.digest, statement.epochs)
        oldest = self.newest.n - LATE_MAX
        self.digests = {n: digest for n, digest in self.digests.items() if n >= oldest}


class Chains(Generic[W]):
    """The newest statements of every agent. ``chains_max`` bounds the agents held in memory, but for those
    with statements under way. ``W`` stands for whoever brings one."""

    def __init__(self, index: Index, *, chains_max: int) -> None:
        self._index = index
        self._chains_max = chains_max
        self._chains: OrderedDict[ChainKey, _Chain[W]] = OrderedDict()

    def judge(self, statement: Statement) -> Verdict:
        """How a statement stands to those journaled before, or about to be; changes nothing."""
        chain = self._chain(statement.key)
        newest = chain.expected()
        if newest is None:
            return Verdict("next")
        if chain.contradicts(statement) or statement.n < newest.n - LATE_MAX:
            return Verdict("conflict", statement.epochs & newest.epochs)
        if statement.n > newest.n:
            return Verdict("next")
        return Verdict("again" if statement.n == newest.n else "late")

    def begin(self, statement: Statement, by: W) -> None:
        """A statement is about to be journaled: until ``take`` or ``give_up`` it counts as if it were."""
        self._chain(statement.key).under_way.append((statement, by))

    def awaited(self, statement: Statement) -> W | None:
        """Who brings the statement without which this one would be neither late nor again; None if what is
        journaled already makes it so."""
        chain = self._chain(statement.key)
        if chain.newest is not None and chain.newest.n >= statement.n:
            return None
        return next((by for other, by in chain.under_way if other.n >= statement.n), None)

    def take(self, statement: Statement) -> None:
        """A statement is journaled, or came late and was left out: remember it."""
        chain = self._chain(statement.key)
        chain.learn(statement)
        self.give_up(statement)

    def give_up(self, statement: Statement) -> None:
        """A statement is not under way any more."""
        chain = self._chain(statement.key)
        chain.under_way = [each for each in chain.under_way if each[0] is not statement]

    def _chain(self, key: ChainKey) -> _Chain[W]:
        chain = self._chains.get(key)
        if chain is None:
            chain = self._chains[key] = _Chain(self._index.newest(key))
            if len(self._chains) > self._chains_max:
                idle = (k for k, other in self._chains.items() if not other.under_way and k != key)
                if (oldest := next(idle, None)) is not None:
                    del self._chains[oldest]
        self._chains.move_to_end(key)
        return chain


class Fences:
    """The epochs that must not go on; the newest ``fences_max`` of them. Thread-safe.

    Older ones are forgotten here: their agents left them long ago, and the journal keeps the findings.
    """

    def __init__(self, fences_max: int = 100_000) -> None:
        self._fences_max = fences_max
        self._lock = Lock()
        self._keys: OrderedDict[EpochKey, None] = OrderedDict()
        self._epochs: Counter[str] = Counter()

    def add(self, key: EpochKey) -> None:
        with self._lock:
            if key in self._keys:
                return
            self._keys[key] = None
            self._epochs[key[1]] += 1
            if len(self._keys) > self._fences_max:
                (_, epoch), _ = self._keys.popitem(last=False)
                self._epochs[epoch] -= 1
                if not self._epochs[epoch]:
                    del self._epochs[epoch]

    def __contains__(self, key: EpochKey) -> bool:
        return key in self._keys

    def among(self, streams: Iterable[StreamClaim]) -> list[EpochKey]:
        """Those of an agent's epochs that are fenced."""
        # The identity of a stream costs a hash: only those with a fenced epoch pay for it.
        candidates = [claim for claim in streams if claim.opened.epoch in self._epochs]
        keys = [(claim.stream.id, claim.opened.epoch) for claim in candidates]
        return [key for key in keys if key in self._keys]
