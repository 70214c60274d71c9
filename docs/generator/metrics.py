"""metrics.md: what ``/metrics`` says."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from generator.markdown import page, table
from generator.platform import served


class Metric(NamedTuple):
    """A metric as ``/metrics`` names it."""

    name: str
    type: str
    text: str


def metrics() -> list[Metric]:
    """Every metric, in the order served; when a series was created is not one."""
    return [
        Metric(
            f"{family.name}_total" if family.type == "counter" else family.name,
            family.type,
            family.documentation,
        )
        for family in text_string_to_metric_families(served().metrics)
        if not family.name.endswith("_created")
    ]


def metrics_page() -> str:
    rows = [(f"`{metric.name}`", metric.type, f"{metric.text}.") for metric in metrics()]
    return page(
        "Metrics",
        "`GET /metrics` answers in Prometheus' text format, without a token. Counters begin at 0 when the "
        "gateway starts. Received is unique plus duplicate, for batches, records and bytes.",
        table(("metric", "type", "what it counts"), rows),
    )
