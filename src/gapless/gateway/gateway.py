"""The gateway: its pieces put together, started in order, stopped in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

import msgspec
import structlog

from gapless import clock
from gapless.gateway.access import Access
from gapless.gateway.administration import Administration
from gapless.gateway.admission import EpochKey, Row
from gapless.gateway.budget import Budget
from gapless.gateway.chains import Fences
from gapless.gateway.claims import ClaimsIntake
from gapless.gateway.follower import Follower
from gapless.gateway.index import BatchIndex
from gapless.gateway.intake import Intake
from gapless.gateway.keys import access_key, receipt_signer
from gapless.gateway.metrics import GatewayMetrics
from gapless.gateway.oauth.access_tokens import AccessTokens
from gapless.gateway.oauth.rate import Rate
from gapless.gateway.ports import Journal, NoSieve, Sieve
from gapless.gateway.settings import GatewaySettings
from gapless.gateway.tokens import EVERY_TENANT, FIRST_START, TokenStore, admin_needed, write_admin
from gapless.gateway.uploads.uploads import Uploads
from gapless.log.disk import OsDisk

_log = structlog.get_logger("gapless.gateway")


class Health(msgspec.Struct, frozen=True):
    """Whether the gateway gets on with what waits for it. Quiet is healthy; waiting for long is not."""

    status: Literal["ok", "stuck"]
    text: str
    journal_stalled_s: float
    batches_stalled_s: float
    claims_stalled_s: float
    uploads_stalled_s: float
    index_failing_s: float
    index_behind_bytes: int
    index_complete: bool


class Gateway:
    """Everything under ``/v1`` that writes; ``gapless.gateway.routes`` puts it on HTTP.

    ``directory`` is the platform's data directory; in it, each readable by its owner alone:
    ``receipt.key`` (signs receipts), ``access.key`` (signs access tokens), ``admin.token`` (written at the
    first start, and again when it is missing), ``tokens.json`` and ``index.sqlite`` (may be deleted while the
    gateway is stopped).
    At most one gateway may use a directory and its journal at a time. The journal stays the caller's:
    open it before, close it after. Raises Misconfigured for settings or a key file that cannot be,
    Corrupt for a damaged ``tokens.json``, Unavailable if the disk takes nothing.
    """

    def __init__(
        self,
        directory: str,
        journal: Journal,
        *,
        settings: GatewaySettings | None = None,
        sieve: Sieve | None = None,
        metrics: GatewayMetrics | None = None,
        now_us: Callable[[], int] = clock.now_us,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = bounds = (settings or GatewaySettings()).check()
        self.metrics = metrics or GatewayMetrics()
        self._journal = journal
        self._disk = OsDisk()
        self._disk.make_dirs(directory)
        self._admin_path = f"{directory}/admin.token"
        self._signer, self._new_key = receipt_signer(self._disk, f"{directory}/receipt.key")
        self.tokens = TokenStore(self._disk, f"{directory}/tokens.json")
        self.now_us = now_us
        self.access_tokens = AccessTokens(
            access_key(self._disk, f"{directory}/access.key"), bounds.access_token_s
        )
        self.token_rate = Rate(bounds.token_requests_per_s_max, monotonic_s)
        # Of its own: nobody has shown a token yet, and must not keep those out who have one.
        self.token_budget = Budget(
            "requests for access tokens",
            count_max=bounds.token_requests_in_flight_max,
            bytes_max=bounds.token_requests_in_flight_max * bounds.token_form_bytes_max,
        )
        self.access = Access(self.tokens, self.access_tokens, now_us)
        self.administration = Administration(journal, self.tokens, now_us)
        self._index = BatchIndex(
            f"{directory}/index.sqlite",
            journal.reader(),
            uploads_window_us=int(bounds.retry_window_s * 1e6),
        )
        self._fences = Fences()
        for key in self._index.fences():
            self._fences.add(key)
        self.intake = Intake(
            journal,
            self._index,
            self._signer,
            self._fences,
            settings=bounds,
            metrics=self.metrics,
            now_us=now_us,
        )
        self.claims = ClaimsIntake(
            journal, self._index, self._fences, settings=bounds, metrics=self.metrics, now_us=now_us
        )
        self.uploads = Uploads(
            journal,
            self._index,
            self._signer,
            sieve or NoSieve(),
            settings=bounds,
            metrics=self.metrics,
            now_us=now_us,
        )
        self._follower = Follower(
            self._index, self.intake.indexed, interval_s=bounds.index_interval_s, monotonic_s=monotonic_s
        )
        self.batches_budget = Budget(
            "requests with batches",
            count_max=bounds.requests_in_flight_max,
            bytes_max=bounds.bytes_in_flight_max,
        )
        self.claims_budget = Budget(
            "requests with claims",
            count_max=bounds.claims_in_flight_max,
            bytes_max=bounds.claims_in_flight_max * bounds.claims_bytes_max,
        )

    @property
    def receipt_key(self) -> str:
        """The public key that receipts verify with, in hex."""
        return self._signer.public_key

    async def start(self) -> None:
        """Put what is new on record, write ``admin.token`` if need be, begin to follow the journal.

        Waits up to ``index_wait_s`` for the index; batches are answered with 429 until it has caught up.
        Raises Unavailable if the journal or the disk takes nothing.
        """
        if self._new_key:
            await self.administration.config(f"receipt key {self.receipt_key} in force", FIRST_START)
        await self._ensure_admin()
        self._follower.start()
        self.uploads.start(self._follower.caught_up)
        try:
            await asyncio.wait_for(self.uploads.ready.wait(), self.settings.index_wait_s)
        except TimeoutError:
            _log.info("index_catching_up", cursor=self._index.cursor)

    async def stop(self) -> None:
        """Finish what is under way, then stop. No request may come in any more."""
        await self.uploads.stop()
        await self._follower.stop()
        await self.intake.close()
        await self.claims.close()
        self._index.close()

    async def find(self, key: EpochKey, seq: int) -> Row | None:
        """The journaled batch that holds ``seq`` of an epoch, as far as the index is: at most
        ``index_interval_s`` behind in steady state. Raises Busy while it is catching up."""
        return await asyncio.to_thread(self._index.find, key, seq)

    def health(self) -> Health:
        """Progress, not liveness."""
        stalled_s = {
            "the journal has made nothing durable": self._journal.stalled_s(),
            "the index has not followed the journal": self._follower.failing_s(),
            "no request with batches has ended": self.intake.stalled_s(),
            "no request with claims has ended": self.claims.stalled_s(),
            "no upload has ended": self.uploads.stalled_s(),
        }
        what, longest_s = max(stalled_s.items(), key=lambda item: item[1])
        stuck = longest_s > self.settings.stuck_after_s
        journal_s, index_s, batches_s, claims_s, uploads_s = stalled_s.values()
        return Health(
            status="stuck" if stuck else "ok",
            text=f"{what} for {longest_s:.0f} s: look at its disk" if stuck else "what arrives gets on",
            journal_stalled_s=journal_s,
            batches_stalled_s=batches_s,
            claims_stalled_s=claims_s,
            uploads_stalled_s=uploads_s,
            index_failing_s=index_s,
            index_behind_bytes=self._index.behind_bytes,
            index_complete=self._index.complete,
        )

    def render_metrics(self) -> bytes:
        """All metrics in Prometheus' text format."""
        metrics = self.metrics
        metrics.requests_in_flight.set(self.batches_budget.count)
        metrics.bytes_in_flight.set(self.batches_budget.bytes)
        metrics.claims_in_flight.set(self.claims_budget.count)
        metrics.journal_stalled.set(self._journal.stalled_s())
        metrics.index_behind.set(self._index.behind_bytes)
        return metrics.render()

    async def _ensure_admin(self) -> None:
        """A token that may do everything, in a file for whoever owns the machine.

        Made anew when the file is missing or its token is not accepted; the one before is revoked. A
        crash before the file is written leaves a token that nobody has; the next start revokes it.
        """
        if not admin_needed(self.tokens, self._disk, self._admin_path):
            return
        for token in self.tokens.all():
            if token.by == FIRST_START and token.revoked_us is None:
                await self.administration.revoke_token(token, by=FIRST_START)
        _, secret = await self.administration.create_token(EVERY_TENANT, (), "admin", by=FIRST_START)
        write_admin(self._disk, self._admin_path, secret)
