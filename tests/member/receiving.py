"""A store's own webhook endpoint, as a test runs one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any


@dataclass
class Receiver:
    """What came in, and how it is answered.

    Attributes:
        url: where it listens.
        posts: headers and body, as they came.
        answer: the status of the next answers.
        location: where redirects point.
    """

    url: str = ""
    posts: SimpleQueue[tuple[dict[str, str], bytes]] = field(default_factory=SimpleQueue)
    answer: Callable[[], int] = lambda: 204
    location: str = ""


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Listen on a local port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.answer()
            self.send_response(status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.end_headers()
            receiver.posts.put(({k.lower(): v for k, v in self.headers.items()}, body))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the standard library's name
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/acx"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
