"""Collects cosignatures for what is published, and publishes them too.

It runs beside the sequencer and never holds it up: events are acknowledged under the log's own
signature, and a witness that is slow or down delays nothing but its own cosignature. Rounds: the
newest checkpoint is shown to all witnesses at once; as soon as enough have signed it, it is
published as `cosigned`, and again if more sign within the round. What was published meanwhile is
the next round's.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import Final

from acx.exchange.sequencer.publisher import Publisher
from acx.exchange.witnessing.client import (
    TIMEOUT_SECONDS,
    WitnessAhead,
    WitnessClient,
    WitnessContradicts,
    WitnessFailed,
)
from acx.log.checkpoint import Checkpoint
from acx.log.errors import LogError
from acx.log.note import Signature, add_signatures
from acx.log.policy import Policy
from acx.log.tiles import root_from_tiles

ROUND_SECONDS: Final = 1.0
"""Between the beginnings of two rounds, so that witnesses are not asked for every commit."""
PATIENCE_SECONDS: Final = 10.0
"""How long a round waits for enough witnesses."""
COMPANY_SECONDS: Final = 1.0
"""How long it waits for the others once enough have signed."""
FIRST_ASKED_SECONDS: Final = 2.0
"""How long whoever takes the lead waits for a witness."""
LONGEST_PAUSE_SECONDS: Final = 60.0
"""Between attempts with a witness that fails while nothing new is published."""

_log = logging.getLogger("acx.exchange.witnessing")


class Collector:
    """Asks witnesses, in threads of its own, from `start` to `stop`.

    Attributes:
        cosigned: the newest checkpoint with enough cosignatures; of size 0 before the first.
    """

    def __init__(
        self, publisher: Publisher, policy: Policy, announce: Callable[[Checkpoint], None]
    ) -> None:
        """Take up what was published before.

        Args:
            publisher: what is visible of the log.
            policy: who is asked, and how many are enough.
            announce: told of each cosigned checkpoint, in the collector's thread.
        """
        self._publisher = publisher
        self._policy = policy
        self._announce = announce
        self._clients = clients(policy)
        self.cosigned = publisher.read_cosigned()
        self._wake = threading.Event()
        self._stopping = False
        self._busy: set[str] = set()
        self._pool = ThreadPoolExecutor(max(1, len(self._clients)), "acx-witness")
        self._thread = threading.Thread(target=self._run, name="acx-collector", daemon=True)

    def start(self) -> None:
        """Ask from now on."""
        if self._clients:
            self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(cancel_futures=True)
        for client in self._clients:
            client.close()

    def wake(self) -> None:
        """Something was published."""
        self._wake.set()

    def _run(self) -> None:
        target, signatures = self._publisher.published, dict[str, Signature]()
        pause = ROUND_SECONDS
        while not self._stopping:
            self._wake.clear()
            if target.size != self._publisher.published.size:
                target, signatures = self._publisher.published, {}
                pause = ROUND_SECONDS
            left = [client for client in self._clients if client.name not in signatures]
            if not target.size or not left:
                self._wake.wait()
                continue
            started = time.monotonic()
            try:
                self._round(target, left, signatures)
            except Exception:  # noqa: BLE001 -- a dead thread would never ask again
                _log.exception("a round of witnesses failed")
            if all(client.name in signatures for client in left):
                self._rest(started + ROUND_SECONDS - time.monotonic())
            else:
                self._rest(ROUND_SECONDS)
                # Something new is asked for at once, the same again later and later.
                self._wake.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _rest(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def _round(
        self, target: Checkpoint, left: list[WitnessClient], signatures: dict[str, Signature]
    ) -> None:
        asked: dict[Future[Signature], WitnessClient] = {}
        for client in left:
            # One that has not answered to the last round has enough to do.
            if client.name not in self._busy:
                self._busy.add(client.name)
                future = self._pool.submit(client.cosign, target, self._publisher.reader)
                future.add_done_callback(partial(self._answered, client.name))
                asked[future] = client
        pending = set(asked)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while pending and not self._stopping and (rest := deadline - time.monotonic()) > 0:
            done, pending = wait(pending, timeout=min(rest, 0.5), return_when=FIRST_COMPLETED)
            for future in done:
                self._take(asked[future], future, signatures)
            if done and self._publish(target, signatures.values()):
                deadline = min(deadline, time.monotonic() + COMPANY_SECONDS)

    def _answered(self, name: str, _future: Future[Signature]) -> None:
        self._busy.discard(name)

    def _take(
        self, client: WitnessClient, future: Future[Signature], signatures: dict[str, Signature]
    ) -> None:
        try:
            signatures[client.name] = future.result()
        except WitnessAhead as error:
            _log.error("a witness is ahead of this log", extra={"reason": str(error)})
            self._learn(client)
        except WitnessContradicts as error:
            _log.error("a witness does not find the log continued", extra={"reason": str(error)})
            self._learn(client)
        except WitnessFailed as error:
            _log.warning("not cosigned", extra={"reason": str(error)})

    def _learn(self, client: WitnessClient) -> None:
        """See whether the log's key signed more, or something else: then it signs no further."""
        with contextlib.suppress(WitnessFailed, OSError):
            seen = client.last(self._publisher.verifier)
            if seen is not None:
                take_notice(self._publisher, client.name, seen)

    def _publish(self, target: Checkpoint, signatures: Iterable[Signature]) -> bool:
        note = add_signatures(target.note, signatures)
        if not self._policy.satisfied(note):
            return False
        cosigned = replace(target, note=note)
        self._publisher.publish_cosigned(cosigned)
        self.cosigned = cosigned
        self._announce(cosigned)
        return True


def clients(policy: Policy, *, timeout: float = TIMEOUT_SECONDS) -> list[WitnessClient]:
    """The policy's witnesses that say where they answer."""
    return [
        WitnessClient(name, witness, timeout=timeout)
        for name, witness in policy.witnesses.items()
        if witness.url
    ]


def ask_what_was_signed(publisher: Publisher, policy: Policy) -> None:
    """Compare with what the witnesses have seen, before anything is signed.

    More than the rows hold is noted down as signed, so that nothing is signed until it is brought
    back; nor is anything signed beside another log. A witness that is down is passed over: then the
    high-water file has to do.

    Raises:
        OSError: the high-water file cannot be written.
    """
    asked = clients(policy, timeout=FIRST_ASKED_SECONDS)
    if not asked:
        return
    with ThreadPoolExecutor(len(asked), "acx-witness") as pool:
        answers = [pool.submit(client.last, publisher.verifier) for client in asked]
    for client, answer in zip(asked, answers, strict=True):
        client.close()
        try:
            seen = answer.result()
        except WitnessFailed as error:
            _log.warning("a witness was not asked", extra={"reason": str(error)})
            continue
        if seen is not None:
            take_notice(publisher, client.name, seen)


def take_notice(publisher: Publisher, witness: str, seen: Checkpoint) -> None:
    """Hold what a witness has cosigned against what is published.

    Args:
        publisher: signs nothing from now on if the two do not go together.
        witness: its name.
        seen: signed by this log's key.
    """
    if seen.size > publisher.published.size:
        publisher.keep(seen)
    elif _other_root(publisher, seen):
        publisher.stop(
            f"witness {witness} has cosigned another log of {seen.size} entries under this log's"
            " key: nothing is signed, because the log has forked. Keep both, and tell the members"
        )


def _other_root(publisher: Publisher, seen: Checkpoint) -> bool:
    try:
        return root_from_tiles(publisher.reader, seen.size) != seen.root
    except LogError:
        # Files that are damaged are written again from the rows, which have checks of their own.
        return False
