"""The gateway's bounds. Each has its unit in its name; ``check`` finds every fault at once.

Of what may be in flight at once one tenant takes half at most, and one token a quarter (``Budget``).
"""

from __future__ import annotations

import msgspec

from gapless.model.errors import Misconfigured

#: Settings that may be zero.
_MAY_BE_ZERO = frozenset({"index_wait_s"})


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the gateway takes at most, of whom, and how long it waits.

    The journal's queue must hold ``bytes_in_flight_max`` and a tenth more, so that batches alone can
    never fill it: what is left is for claims.
    """

    #: A request body of POST /v1/batches; more is answered with 413.
    body_bytes_max: int = 16 << 20
    #: Batches in one body; more is answered with 413.
    frames_max: int = 64
    #: One batch's header (JSON); more and the batch is refused.
    header_bytes_max: int = 256 << 10
    #: What one batch may decompress to; more and the batch is refused.
    raw_bytes_max: int = 64 << 20
    #: Requests of POST /v1/batches at once. Over it: 429.
    requests_in_flight_max: int = 256
    #: The bodies of those requests together. Over it: 429.
    bytes_in_flight_max: int = 256 << 20
    #: Batches being journaled at once. Over it they are answered "busy", or 429 if all of them are.
    batches_in_flight_max: int = 4096
    #: A request body of POST /v1/claims, and of the administrative requests.
    claims_bytes_max: int = 4 << 20
    #: Claims being received or journaled at once. Over it: 429.
    claims_in_flight_max: int = 128
    #: Streams, losses or ranges in one set of claims.
    claim_items_max: int = 100_000
    #: A body of an upload (a JSON array for a data collection rule), and what it may expand to; then 413.
    upload_bytes_max: int = 4 << 20
    #: Uploads for rules that filter, at once: transforms may be slow. Over it: 429.
    uploads_filtered_in_flight_max: int = 16
    #: For how long an upload that is sent again is known, and not stored twice.
    retry_window_s: float = 900.0
    #: Of so many uploads at most; older ones are forgotten before the window is over.
    uploads_remembered_max: int = 200_000
    #: Data collection rules at once; more are refused.
    rules_max: int = 1000
    #: How often the gateway claims what is in the streams of a tenant's rules, while something arrives.
    own_claims_interval_s: float = 2.0
    #: And while nothing does: of the journal, a statement takes some 400 bytes, and 280 more for each stream.
    own_quiet_claims_interval_s: float = 30.0
    #: How long a client may take to send one body; then 408.
    body_timeout_s: float = 60.0
    #: Epochs whose ranges are held in memory; others are looked up in the index.
    epochs_max: int = 100_000
    #: Journaled batches that the index does not have yet. Over it: 429.
    unindexed_batches_max: int = 100_000
    #: Agents whose last claims are held in memory; others are looked up in the index.
    chains_max: int = 10_000
    #: How often the index follows the journal.
    index_interval_s: float = 0.5
    #: How long ``start`` waits for the index to catch up; after that it goes on in the background.
    index_wait_s: float = 5.0
    #: How long an access token holds.
    access_token_s: int = 3600
    #: Requests for access tokens of one peer, by its address; twice as many at once. Over it: 429.
    token_requests_per_s_max: float = 20.0
    #: Those requests at once, of all peers; over it: 429. One peer at its rate does not get there.
    token_requests_in_flight_max: int = 256
    #: The form of such a request; more is answered with 413.
    token_form_bytes_max: int = 64 << 10
    #: How long a client may take to send it; then 408.
    token_form_timeout_s: float = 10.0
    #: No progress for so long, while something waits, is "stuck" in /healthz.
    stuck_after_s: float = 10.0

    def check(self) -> GatewaySettings:
        """Return self if every bound makes sense. Raises Misconfigured with all faults."""
        faults = [
            f"gateway.{name} is {value}: it must be {'at least 0' if name in _MAY_BE_ZERO else 'more than 0'}"
            for name, value in msgspec.structs.asdict(self).items()
            if not (value >= 0 if name in _MAY_BE_ZERO else value > 0)
        ]
        if self.bytes_in_flight_max < self.body_bytes_max:
            faults.append(
                "gateway.bytes_in_flight_max is less than body_bytes_max: no large body could enter"
            )
        if self.batches_in_flight_max < self.frames_max:
            faults.append("gateway.batches_in_flight_max is less than frames_max: no full body could enter")
        if faults:
            raise Misconfigured(faults)
        return self
