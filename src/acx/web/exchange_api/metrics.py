"""Figures for the operator (Prometheus), on a port of their own; none tells members apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from acx.exchange.errors import HomeError
from acx.exchange.sequencer.sequencer import Published
from acx.exchange.serving import Following, Service


class Metrics:
    """The figures of one exchange.

    Attributes:
        registry: holds them.
    """

    def __init__(self, service: Service | Following | None = None) -> None:
        self.registry = CollectorRegistry()
        self._appended = Counter(
            "acx_events_appended", "Events appended to the log.", registry=self.registry
        )
        self._commits = Counter(
            "acx_commits", "Groups of events committed.", registry=self.registry
        )
        self._requests = Counter(
            "acx_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self._seconds = Counter(
            "acx_request_seconds",
            "Time spent on requests, streams left out.",
            ["route"],
            registry=self.registry,
        )
        self._followers = Gauge(
            "acx_stream_followers", "Streams that are open.", registry=self.registry
        )
        self._size = Gauge("acx_log_size", "Entries that are published.", registry=self.registry)
        self._cosigned = Gauge(
            "acx_cosigned_size",
            "Entries that enough witnesses have cosigned.",
            registry=self.registry,
        )
        self._posts = Counter(
            "acx_webhook_posts",
            "Posts to members' webhooks, by whether they were taken.",
            ["outcome"],
            registry=self.registry,
        )
        self._ready = Gauge("acx_ready", "1 while events are being taken.", registry=self.registry)
        if service is not None:
            self.watch(service)

    def watch(self, service: Service | Following) -> None:
        """Read size and readiness off a service whenever somebody asks."""
        self._size.set_function(lambda: service.published.size)
        self._cosigned.set_function(lambda: service.cosigned.size)
        self._ready.set_function(lambda: float(service.ready))
        if isinstance(service, Service):
            service.webhooks.dispatcher.told = self.posted

    def published(self, published: Published) -> None:
        """Count a commit."""
        self._commits.inc()
        self._appended.inc(len(published.rows))

    def posted(self, taken: bool) -> None:
        """Count a post to a webhook."""
        self._posts.labels("taken" if taken else "failed").inc()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request by its route's pattern."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).inc(seconds)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Count a stream while it is open."""
        self._followers.inc()
        try:
            yield
        finally:
            self._followers.dec()

    def serve(self, host: str, port: int) -> None:
        """Answer Prometheus, in a thread of its own.

        Raises:
            HomeError: the port is in use.
        """
        try:
            start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise HomeError(
                f"the metrics port {host}:{port} cannot be used: {error.strerror}; choose another"
            ) from None
