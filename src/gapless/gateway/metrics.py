"""What the gateway counts, for Prometheus. A registry of its own: nothing else of the process is in it.

``received = unique + duplicates``: the first is counted where a receipt is given, the second where the
journal has answered, the third where a batch was recognised.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gapless.model.batch import BatchHeader

_SYNC_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)


class GatewayMetrics:
    """The gateway's counters, gauges and histograms; every name begins with ``gapless_gateway_``."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._received = self._counters("received", "given a receipt")
        self._unique = self._counters("unique", "journaled for the first time")
        self._duplicates = self._counters("duplicate", "that the journal had, or was about to have")
        self._refusals = self._counter("refusals", "Answers other than success, by code", ("code",))
        self._claims = self._counter(
            "claims", "Sets of claims, by verdict on their place in the chain", ("verdict",)
        )
        self._uploads = self._counter(
            "uploads", "Uploads answered with 204: stored, or repeated and known", ("outcome",)
        )
        self._sync = Histogram(
            "gapless_gateway_journal_sync_seconds",
            "Time to write and sync one group of journal entries",
            buckets=_SYNC_BUCKETS_S,
            registry=self._registry,
        )
        self.requests_in_flight = self._gauge("requests_in_flight", "Requests with batches under way")
        self.bytes_in_flight = self._gauge("bytes_in_flight", "Bytes of those requests' bodies")
        self.claims_in_flight = self._gauge("claims_in_flight", "Requests with claims under way")
        self.journal_stalled = self._gauge(
            "journal_stalled_seconds", "How long appends have waited or failed without one success"
        )
        self.index_behind = self._gauge("index_behind_bytes", "Journal not yet in the index")

    def received(self, header: BatchHeader, payload_bytes: int) -> None:
        """A receipt was given."""
        _add(self._received, header, payload_bytes)

    def unique(self, header: BatchHeader, payload_bytes: int) -> None:
        """The journal has a batch that it did not have."""
        _add(self._unique, header, payload_bytes)

    def duplicate(self, header: BatchHeader, payload_bytes: int) -> None:
        """A batch was recognised, and will be given the receipt it had."""
        _add(self._duplicates, header, payload_bytes)

    def refused(self, code: str) -> None:
        self._refusals.labels(code).inc()

    def upload(self, outcome: str) -> None:
        self._uploads.labels(outcome).inc()

    def claims(self, verdict: str) -> None:
        self._claims.labels(verdict).inc()

    def synced(self, seconds: float) -> None:
        """For ``LocalJournal(on_sync_s=...)``; thread-safe."""
        self._sync.observe(seconds)

    def render(self) -> bytes:
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"gapless_gateway_{name}", text, labels, registry=self._registry)

    def _counters(self, name: str, text: str) -> tuple[Counter, Counter, Counter, Counter]:
        return (
            self._counter(f"{name}_batches", f"Batches {text}"),
            self._counter(f"{name}_records", f"Records of batches {text}"),
            self._counter(f"{name}_payload_bytes", f"Compressed bytes of batches {text}"),
            self._counter(f"{name}_raw_bytes", f"Uncompressed bytes of batches {text}"),
        )

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"gapless_gateway_{name}", text, registry=self._registry)


def _add(
    counters: tuple[Counter, Counter, Counter, Counter], header: BatchHeader, payload_bytes: int
) -> None:
    batches, records, payload, raw = counters
    batches.inc()
    records.inc(header.count)
    payload.inc(payload_bytes)
    raw.inc(header.raw_bytes)
