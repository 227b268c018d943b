"""A real exchange, as a process of its own, for tests from outside."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from acx.exchange.service import Exchange

ACX = (sys.executable, "-c", "from acx.cli.app import main; main()")


@dataclass(frozen=True, slots=True)
class RealExchange:
    """A running exchange.

    Attributes:
        home: the operator's directory.
        url: where it answers.
    """

    home: Path
    url: str

    def operate(self) -> Exchange:
        """The exchange, as its operator's commands use it beside the running server."""
        return Exchange.open(self.home)

    def invite(self, name: str, role: str = "contributor") -> str:
        """An invite for a new member."""
        with self.operate() as opened:
            return opened.invite(name, role)

    def verify_brand(self, name: str, *numbers: str) -> None:
        """Two operators verify a brand's registered marks."""
        with self.operate() as opened:
            proposal = opened.admissions.verify(name, numbers, "one")
            opened.approve(proposal.id, "two")


@contextmanager
def running(directory: Path) -> Iterator[RealExchange]:
    """Make an exchange in a directory, and run it on a free port."""
    home, port = directory / "exchange", free_port()
    url = f"http://127.0.0.1:{port}"
    with Exchange.init(home, origin="", url=url, database="", sandbox=True) as made:
        for name in ("one", "two"):
            made.add_operator(name)
    # One exchange serves all tests of a run, which together invite more than an operator may alone.
    config = home / "config.toml"
    daily = config.read_text(encoding="utf-8").replace("invites_daily = 50", "invites_daily = 9999")
    config.write_text(daily, encoding="utf-8")
    with serving(home, port):
        yield RealExchange(home, url)


@contextmanager
def serving(home: Path, port: int) -> Iterator[None]:
    """Run an exchange as a process of its own."""
    log = home.parent / "exchange.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*ACX, "exchange", "serve", "--home", str(home), "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(300):
            try:
                ready = f"http://127.0.0.1:{port}/readyz"
                if httpx.get(ready, timeout=5.0, trust_env=False).is_success:
                    break
            except httpx.TransportError:
                pass
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    """A port that nobody listens on."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
