"""Metrics in the text form of Prometheus, read anew for each scrape. Labels are statuses, reasons and keys of
configuration, never anything of a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

MEDIA_TYPE = CONTENT_TYPE_LATEST


class _Once(Collector):
    def __init__(self, summary: Mapping[str, Any], workers: int) -> None:
        self._summary = summary
        self._workers = workers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        summary = self._summary
        yield _family("habeas_requests", "Privacy requests by status.", "status", summary["statuses"])
        yield _family("habeas_requests_stopped", "Requests that failed or wait.", "reason", summary["reasons"])
        yield GaugeMetricFamily("habeas_requests_overdue", "Open requests past their due date.", summary["overdue"])
        yield GaugeMetricFamily("habeas_requests_at_risk", "Open requests due within a week.", summary["at_risk"])
        oldest = summary["oldest_open_days"] or 0
        yield GaugeMetricFamily("habeas_oldest_open_request_days", "Age of the oldest open request.", oldest)
        yield from _of_groups(summary["groups"])
        steps = GaugeMetricFamily(
            "habeas_steps", "Steps of the last year by connection.", labels=["connection", "status"]
        )
        for each in summary["connections"]:
            steps.add_metric([each["connection"] or "", each["status"]], each["steps"])
        yield steps
        yield GaugeMetricFamily("habeas_workers", "Workers that are alive.", self._workers)


def expose(summary: Mapping[str, Any], workers: int) -> bytes:
    """The text for a summary of `metrics.build_summary`."""
    registry = CollectorRegistry()
    registry.register(_Once(summary, workers))
    return generate_latest(registry)


def _of_groups(groups: Sequence[Mapping[str, Any]]) -> Iterator[GaugeMetricFamily]:
    """Of the last year, by regime and action; days only where there was an answer."""
    labels = ["regime", "action"]
    received = GaugeMetricFamily("habeas_requests_received", "Requests of the last year.", labels=labels)
    days = {
        name: GaugeMetricFamily(f"habeas_answer_days_{name}", f"Days until an answer, {name}.", labels=labels)
        for name in ("median", "mean")
    }
    for group in groups:
        values = [group["regime"] or "", group["action"]]
        received.add_metric(values, group["received"])
        for name, family in days.items():
            if group[f"{name}_days"] is not None:
                family.add_metric(values, group[f"{name}_days"])
    yield received
    yield from days.values()


def _family(name: str, text: str, label: str, sizes: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value in sorted(sizes):
        family.add_metric([value], sizes[value])
    return family
