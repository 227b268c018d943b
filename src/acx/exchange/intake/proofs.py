"""Proofs: presentations verified in processes of their own, so that nobody else waits for them.

A proof costs a thousand times what the other checks do, and anybody can send one that does not
hold. So there is a bounded number of processes, which leave a core to everything else and give way
where they cannot, and a bounded number of proofs that wait for them: what comes beyond is told to
come again, and the stream goes on as if nothing were.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Final

from acx.credentials.errors import CredentialError
from acx.credentials.keys import SecretKey
from acx.credentials.presentation import verify
from acx.credentials.single_use import verify_once
from acx.exchange.errors import Unavailable

WAITING_PER_PROCESS: Final = 64
"""Claims that may wait for each process: less than half a second of its time."""
NICENESS: Final = 10


@dataclass(frozen=True, slots=True)
class Shown:
    """A presentation, and the tag it is to prove.

    Attributes:
        context: what the tag is for.
        limit: how often a member may present in it; 1 for the single-use profile.
        presentation: as it was sent.
        tag: as the event has it.
    """

    context: str
    limit: int
    presentation: bytes
    tag: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """That members in good standing made an event's tags.

    Attributes:
        key: the encoded secret key that the event names.
        request_context: of all credentials.
        message: digest of the event.
        shown: what is to prove it.
    """

    key: bytes
    request_context: bytes
    message: bytes
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Refutation:
    """Why a claim does not hold.

    Attributes:
        context: of the presentation that does not.
        error: what it is.
    """

    context: str
    error: CredentialError | None


def refute(claim: Claim) -> Refutation | None:
    """Verify a claim; nothing if it holds."""
    key = _decoded(claim.key)
    for shown in claim.shown:
        context = shown.context.encode()
        try:
            if shown.limit == 1:
                tag = verify_once(
                    key,
                    shown.presentation,
                    request_context=claim.request_context,
                    context=context,
                    message=claim.message,
                )
            else:
                tag = verify(
                    key,
                    shown.presentation,
                    request_context=claim.request_context,
                    context=context,
                    limit=shown.limit,
                    message=claim.message,
                )
        except CredentialError as error:
            return Refutation(shown.context, error)
        if tag != shown.tag:
            return Refutation(shown.context, None)
    return None


class Proofs:
    """The processes of this machine that verify, started when there is something to verify."""

    def __init__(self, processes: int = 0) -> None:
        """Start nothing yet.

        Args:
            processes: how many; 0 leaves one core to everything else.
        """
        self.processes = processes or max(1, (os.cpu_count() or 1) - 1)
        self._lock = threading.Lock()
        self._executor: ProcessPoolExecutor | None = None
        self._waiting = 0

    def refute(self, claim: Claim) -> Future[Refutation | None]:
        """Verify a claim; see `refute`. A process that dies ends it in BrokenProcessPool.

        Raises:
            Unavailable: too many wait already, or no process can be started.
        """
        with self._lock:
            if self._waiting >= self.processes * WAITING_PER_PROCESS:
                raise Unavailable("too many proofs wait to be verified: send it again later")
            try:
                verdict = self._submitted(claim)
            except (OSError, RuntimeError) as error:
                self._executor = None
                raise Unavailable(
                    f"no process can be started to verify the proof ({type(error).__name__}): send"
                    " the same bytes again later"
                ) from None
            self._waiting += 1
        verdict.add_done_callback(self._done)
        return verdict

    def close(self) -> None:
        """End the processes; they start again when they are needed."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(cancel_futures=True)

    def _submitted(self, claim: Claim) -> Future[Refutation | None]:
        try:
            return self._started().submit(refute, claim)
        except BrokenProcessPool:
            self._executor = None
            return self._started().submit(refute, claim)

    def _started(self) -> ProcessPoolExecutor:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self.processes,
                # Threads and locks of this process must not be copied.
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
            )
        return self._executor

    def _done(self, _verdict: Future[Refutation | None]) -> None:
        with self._lock:
            self._waiting -= 1


@functools.cache
def machine_proofs() -> Proofs:
    """Those of this machine, for every exchange in this process."""
    return Proofs()


@functools.lru_cache(maxsize=4)
def _decoded(key: bytes) -> SecretKey:
    return SecretKey.decode(key)


def _begin() -> None:
    """Give way to others, leave Ctrl-C to the server, and end when it does, however it does."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
