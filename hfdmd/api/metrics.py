"""`GET /metrics`: the state of the daemon in the Prometheus text format."""

from __future__ import annotations

import time
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hfdmd.api.access import Handler
from hfdmd.api.stream import EventStream
from hfdmd.scheduler.core import Scheduler
from hfdmd.wire.types import Reason, Status

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class _SchedulerCollector(Collector):
    """Reads the scheduler at each scrape, so that nothing is counted twice."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def collect(self) -> Iterator[Metric]:
        scheduler = self._scheduler
        running = scheduler.running
        read = running.received_bytes
        yield CounterMetricFamily("hfdmd_received_bytes", "Content bytes read from the network.", value=read)
        yield GaugeMetricFamily("hfdmd_bytes_per_second", "Present speed.", value=running.total_bytes_per_second)
        downloads = GaugeMetricFamily("hfdmd_downloads", "Downloads by status.", labels=["status"])
        for status in Status:
            downloads.add_metric([status.value], scheduler.index.counts[status])
        yield downloads
        retries = CounterMetricFamily("hfdmd_retries", "Waits of downloads, by cause.", labels=["reason"])
        for reason in Reason:
            if reason in scheduler.retries.counts:
                retries.add_metric([reason.value], scheduler.retries.counts[reason])
        yield retries
        yield GaugeMetricFamily("hfdmd_connections", "Connections that fetch content.", value=running.connections)
        yield GaugeMetricFamily("hfdmd_queue_length", "Queued downloads.", value=scheduler.index.counts[Status.QUEUED])
        yield GaugeMetricFamily("hfdmd_listeners", "Open event streams.", value=len(scheduler.events))


class Metrics:
    def __init__(self, scheduler: Scheduler) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_SchedulerCollector(scheduler))
        self._latency = Histogram(
            "hfdmd_api_seconds",
            "Time to answer a request, streams left out.",
            ["method", "route", "status"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )

    def text(self) -> bytes:
        return generate_latest(self._registry)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await handler(request)
        if not isinstance(response, EventStream):
            resource = request.match_info.route.resource  # None for an unknown path or method: its text is no label
            route = resource.canonical if resource is not None else "unknown"
            method = request.method if resource is not None else "unknown"
            self._latency.labels(method, route, str(response.status)).observe(time.perf_counter() - started)
        return response
