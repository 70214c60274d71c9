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
from typing import Literal, NamedTuple, Protocol

from gapless.gateway.admission import EpochKey
from gapless.model.claim import StreamClaim

#: How many numbers behind the newest a statement may arrive (32 are about a minute).
LATE_MAX = 32

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


class _Chain:
    def __init__(self, newest: Newest | None) -> None:
        self.newest = newest
        self.digests = {newest.n: newest.digest} if newest else {}

    def contradicts(self, statement: Statement) -> bool:
        known = self.digests.get(statement.n, statement.digest)
        before = self.digests.get(statement.n - 1, statement.prev)
        return (known, before) != (statement.digest, statement.prev)

    def learn(self, statement: Statement) -> None:
        self.digests.setdefault(statement.n, statement.digest)
        self.digests.setdefault(statement.n - 1, statement.prev)
        if self.newest is None or statement.n > self.newest.n:
            self.newest = Newest(statement.n, statement.digest, statement.epochs)
        oldest = self.newest.n - LATE_MAX
        self.digests = {n: digest for n, digest in self.digests.items() if n >= oldest}


class Chains:
    """The newest statements of every agent. ``chains_max`` bounds the agents held in memory."""

    def __init__(self, index: Index, *, chains_max: int) -> None:
        self._index = index
        self._chains_max = chains_max
        self._chains: OrderedDict[ChainKey, _Chain] = OrderedDict()

    def judge(self, statement: Statement) -> Verdict:
        """How a statement stands to those journaled before; changes nothing."""
        chain = self._chain(statement.key)
        newest = chain.newest
        if newest is None:
            return Verdict("next")
        if chain.contradicts(statement) or statement.n < newest.n - LATE_MAX:
            return Verdict("conflict", statement.epochs & newest.epochs)
        if statement.n > newest.n:
            return Verdict("next")
        return Verdict("again" if statement.n == newest.n else "late")

    def take(self, statement: Statement) -> None:
        """A statement is journaled, or came late and was left out: remember it."""
        self._chain(statement.key).learn(statement)

    def _chain(self, key: ChainKey) -> _Chain:
        chain = self._chains.get(key)
        if chain is None:
            chain = self._chains[key] = _Chain(self._index.newest(key))
            if len(self._chains) > self._chains_max:
                self._chains.popitem(last=False)
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
