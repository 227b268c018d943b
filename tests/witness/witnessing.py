"""Witnesses over real sockets, and logs that ask them; the logs' trees are RFC 9162's words."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.log.definitions import mth, proof

from acx.log.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from acx.log.note import Signer, Verifier
from acx.log.witness import AddCheckpoint
from acx.web.server import Server, config, listen, url_of
from acx.web.witness_api import build_app
from acx.witness.witness import Witness

ORIGIN = "acx.example/log"


@dataclass
class Log:
    """A log of which a test knows every entry."""

    signer: Signer = field(default_factory=lambda: Signer.generate(ORIGIN))
    entries: list[bytes] = field(default_factory=list)

    @property
    def key(self) -> Verifier:
        return self.signer.verifier

    def grow(self, *entries: bytes) -> Checkpoint:
        self.entries += entries
        return self.checkpoint()

    def fork(self, size: int) -> Log:
        """Another log under the same key, that is the same up to a size."""
        return Log(self.signer, self.entries[:size])

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        size = len(self.entries) if size is None else size
        unsigned = Checkpoint(self.signer.name, size, mth(self.entries[:size]))
        return read_checkpoint(sign_checkpoint(unsigned, self.signer))

    def ask(self, old: int, size: int | None = None, path: Sequence[bytes] | None = None) -> bytes:
        """The body that asks for a cosignature."""
        checkpoint = self.checkpoint(size)
        if path is None:
            path = proof(old, self.entries[: checkpoint.size]) if old else []
        return AddCheckpoint(old, tuple(path), checkpoint).body.encode()


@contextmanager
def witnessing(home: Path, *logs: Verifier, name: str = "") -> Iterator[tuple[Witness, str]]:
    """A witness in a thread of its own; gives it and its URL."""
    with Witness.open(home, name=name) as witness:
        for log in logs:
            witness.add_log(log)
        with serving(witness) as url:
            yield witness, url


@contextmanager
def serving(witness: Witness) -> Iterator[str]:
    ready = threading.Event()
    with listen("127.0.0.1", 0) as listening:
        server = Server(config(build_app(witness)), ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        assert ready.wait(30)
        try:
            yield url_of("127.0.0.1", listening)
        finally:
            server.should_exit = True
            thread.join()


def add(url: str, body: bytes) -> httpx.Response:
    return httpx.post(f"{url}/add-checkpoint", content=body, timeout=30, trust_env=False)


def eventually(done: Callable[[], object]) -> None:
    """Wait until something is so, however busy the machine."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)
