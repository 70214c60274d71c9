"""Streams and epochs: whose records they are, and which run of the counter they belong to."""

from __future__ import annotations

import hashlib
import re

import msgspec

from gapless.model.errors import Refused

#: Tenant, agent and source names. No slash and no white space: they stand in paths and identities.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}\Z")
_EPOCH = re.compile(r"[0-9a-f]{32}\Z")

#: The agent of streams whose records the gateway itself takes from its clients: nobody else may use the name.
GATEWAY_AGENT = "gapless-gateway"


def check_name(what: str, name: str) -> str:
    """Return ``name`` if it can name a tenant, an agent or a source. Raises Refused otherwise."""
    if not _NAME.match(name):
        raise Refused(
            f"{what} {name[:40]!r} is not a name: use 1 to 128 letters, digits or . _ @ : -, "
            "starting with a letter or digit"
        )
    return name


def check_epoch(epoch: str) -> str:
    """Return ``epoch`` if it is 32 lower-case hex digits (a UUID). Raises Refused otherwise."""
    if not _EPOCH.match(epoch):
        raise Refused(f"epoch {epoch[:40]!r} is not a UUID written as 32 lower-case hex digits")
    return epoch


class StreamKey(msgspec.Struct, frozen=True, order=True):
    """The records of one source as one agent collects them."""

    tenant: str
    table: str
    agent: str
    source: str

    @property
    def id(self) -> str:
        """The stream's identity in paths, columns and commands: 32 hex digits, from its four names."""
        names = "\x00".join((self.tenant, self.table, self.agent, self.source))
        return hashlib.sha256(b"gapless.stream.v1\x00" + names.encode()).hexdigest()[:32]

    def check(self) -> StreamKey:
        """Return self if every name is valid (the table's existence is not looked at). Raises Refused."""
        check_name("tenant", self.tenant)
        check_name("table", self.table)
        check_name("agent", self.agent)
        check_name("source", self.source)
        return self


class EpochOpen(msgspec.Struct, frozen=True, omit_defaults=True):
    """An epoch and the one before it. It travels with every batch and claim of the epoch, so that
    whichever arrives first opens it (I7).

    ``prev_epoch`` is None for a stream's first epoch *as far as the agent knows*: a spool that was lost
    also starts so, and the ledger then finds a predecessor that nobody closed.
    ``prev_next`` is the final ``next`` of the predecessor, if the agent can still prove it.
    """

    epoch: str
    prev_epoch: str | None = None
    prev_next: int | None = None
