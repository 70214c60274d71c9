"""Findings of what happened once, at one entry of the journal.

Their ids come from what happened, not from when it was seen: folding the journal anew says the same again,
under the same ids.
"""

from __future__ import annotations

import hashlib

from gapless.model.claim import Loss, Restart, StreamClaim
from gapless.model.finding import Finding
from gapless.model.stream import StreamKey

_QUOTED_CHARACTERS_MAX = 300


def name_of(*parts: object) -> str:
    """A short name for ids, of what may be long: 32 hex digits."""
    return hashlib.sha256("\x00".join(map(str, parts)).encode()).hexdigest()[:32]


def label(key: StreamKey) -> str:
    """A stream as people know it."""
    return f"{key.tenant}/{key.table} from {key.agent}/{key.source}"


def quoted(text: str) -> str:
    """Somebody else's words, cut where they are too many."""
    return text if len(text) <= _QUOTED_CHARACTERS_MAX else text[:_QUOTED_CHARACTERS_MAX] + " ..."


def unbalanced(
    account: str, stream_id: str, key: StreamKey | None, epoch: str, count: int, faults: list[str], at_us: int
) -> Finding:
    """The lake posted what cannot be. One for each account of an epoch: what comes after the first is the
    same defect again. ``key`` is None for a stream that nobody knows."""
    return Finding(
        id=f"books_unbalanced/{stream_id}/{epoch}/{account}",
        kind="books_unbalanced",
        at_us=at_us,
        state="opened",
        text=f"{label(key) if key else f'stream {stream_id}'}: {'; '.join(faults)}",
        tenant=key.tenant if key else "",
        table=key.table if key else "",
        agent=key.agent if key else "",
        stream=stream_id,
        epoch=epoch,
        count=count,
    )


def loss_declared(stream_id: str, loss: Loss) -> Finding:
    """An agent, an operator or the auditor gave records up."""
    evidence = f": {quoted(loss.evidence)}" if loss.evidence else ""
    return Finding(
        id=f"loss_declared/{stream_id}/{name_of(loss.id)}",
        kind="loss_declared",
        at_us=loss.declared_us,
        state="opened",
        text=f"{label(loss.stream)}: {_extent(loss)} declared lost ({loss.cause}){evidence}",
        tenant=loss.stream.tenant,
        table=loss.stream.table,
        agent=loss.stream.agent,
        stream=stream_id,
        epoch=loss.epoch,
        count=loss.count,
    )


def went_back(stream_id: str, claim: StreamClaim, claimed_next: int, at_us: int) -> Finding:
    """A claimed next decreased (I5). The id is that of the gateway's own finding on the same epoch: it is
    the same rollback."""
    key = claim.stream
    return Finding(
        id=f"rollback/{stream_id}/{claim.opened.epoch}",
        kind="rollback",
        at_us=at_us,
        state="opened",
        text=f"{label(key)}: the claimed next went back from {claimed_next} to {claim.next}",
        tenant=key.tenant,
        table=key.table,
        agent=key.agent,
        stream=stream_id,
        epoch=claim.opened.epoch,
    )


def rolled_back(tenant: str, agent: str, signing_key: str, n: int, at_us: int) -> Finding:
    """An agent's claims contradict each other. Said once of each key that it signs with: a clone contradicts
    the original all the time."""
    return Finding(
        id=f"rollback/agent/{name_of(tenant, agent, signing_key)}",
        kind="rollback",
        at_us=at_us,
        state="opened",
        text=f"agent {agent} of {tenant} made claim {n} twice, or lost one: it was rolled back or cloned",
        tenant=tenant,
        agent=agent,
    )


def key_changed(tenant: str, agent: str, signing_key: str, at_us: int) -> Finding:
    """An agent's claims are signed with another key than before."""
    return Finding(
        id=f"agent_key_changed/{name_of(tenant, agent, signing_key)}",
        kind="agent_key_changed",
        at_us=at_us,
        state="opened",
        text=f"agent {agent} of {tenant} signs with a new key: it was set up anew, or is another",
        tenant=tenant,
        agent=agent,
    )


def restarted(tenant: str, agent: str, restart: Restart, at_us: int) -> Finding:
    """An agent's watchdog replaced a child; claims repeat it for a while."""
    return Finding(
        id=f"agent_restart/{name_of(tenant, agent, restart.child, restart.at_us)}",
        kind="agent_restart",
        at_us=at_us,
        state="opened",
        text=f"agent {agent} of {tenant} replaced its {quoted(restart.child)}: {quoted(restart.reason)}",
        tenant=tenant,
        agent=agent,
    )


def _extent(loss: Loss) -> str:
    """How much was lost, as exactly as can be said."""
    if loss.ranges:
        ranges = ", ".join(f"[{first}, {next_})" for first, next_ in loss.ranges[:8])
        return f"{loss.count} records {ranges}"
    most = "nobody can say how many" if loss.records_max is None else f"at most {loss.records_max}"
    bytes_lost = "" if loss.bytes_lost is None else f", {loss.bytes_lost} bytes"
    return f"at least {loss.records_min} records ({most}{bytes_lost})"
