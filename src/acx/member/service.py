"""Screening as a service: the index opened once, warm, and kept up to date as the log grows.

The same `Screener` answers as in `acx check` and `acx screen`. One thread at a time asks or changes
it; what a check looked up is remembered as `acx check` does it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from acx.errors import AcxError
from acx.log.errors import InconsistentLog
from acx.member.checked import remember
from acx.member.errors import MemoryFailure
from acx.member.home import Member
from acx.member.memory import Memory
from acx.member.replica import Replica
from acx.member.screen import Hit, Screener, accounts_frame, require_fresh
from acx.member.settings import Settings
from acx.member.watch import Connected, Disconnected
from acx.records.account import Account

REFRESH_SECONDS: Final = 0.2
"""How often the replica is asked whether it has grown."""
FOLLOW_AGAIN_SECONDS: Final = 30.0

_log = logging.getLogger("acx.member.service")


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a check found.

    Attributes:
        hits: most probable first.
        log_size: entries of the log that were known.
        synced_at: when the exchange's head was last reached, in seconds since 1970.
        warning: that the replica is old, or that the account could not be remembered.
    """

    hits: list[Hit]
    log_size: int
    synced_at: float
    warning: str = ""


class Screened(msgspec.Struct, frozen=True, kw_only=True):
    """The hits of one account of many, in the order in which they came."""

    account_id: str
    hits: list[Hit]


class ScreeningService:
    """A replica, warm.

    Attributes:
        problem: why the log is not followed any more; empty while it is.
    """

    def __init__(
        self,
        replica: Path,
        settings: Settings,
        *,
        home: Path | None = None,
        prior: float | None = None,
    ) -> None:
        """Open the index, and answer one question, so that the matcher is compiled.

        Args:
            replica: directory of the replica; another process, or `follow`, writes it.
            settings: `max_age`, `default_country`, `weights` and `remember_checked` count.
            home: the member's directory, if the replica is its: checks are remembered there.
            prior: share of accounts expected to be somebody reported.

        Raises:
            ReplicaError: there is none.
        """
        self.problem = ""
        self._settings = settings
        self._replica = Replica.open(replica, read_only=True)
        self._screener = Screener(
            self._replica,
            prior=prior,
            default_country=settings.default_country,
            weights=settings.weights,
            home=home,
        )
        self._lock = threading.Lock()
        self._memory_lock = threading.Lock()
        self._memory = self._remembering(home)
        self._leaving = threading.Event()
        self._threads: list[threading.Thread] = []
        self.screen([Account(name=("Nobody At All",), email=("nobody@acx-test.example",))])
        self._screener.check(Account(name=("Nobody At All",)))
        self._start(self._refresh)

    def __enter__(self) -> Self:
        """Nothing further."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop following, and give the files back."""
        self._leaving.set()
        for thread in self._threads:
            thread.join()
        with self._lock, self._memory_lock:
            self._replica.close()
            if self._memory is not None:
                self._memory.close()

    def check(self, account: Account) -> Answer:
        """The hits of one account, as at a sign-up; it is remembered.

        Raises:
            ReplicaError: the replica is older than `max_age` allows, or was never synced.
        """
        with self._lock:
            warning = require_fresh(self._replica, self._settings.max_age)
            hits = self._screener.check(account)
            size, synced = self._screener.log_size, self._replica.synced
        if self._memory is not None:
            try:
                with self._memory_lock:
                    remember(
                        self._memory,
                        account,
                        hits,
                        log_size=size,
                        matching_key=self._replica.trust.matching_key,
                        days=self._settings.remember_checked,
                        default_country=self._settings.default_country,
                    )
            except MemoryFailure as error:
                warning = "; ".join(filter(None, (warning, f"not remembered: {error}")))
        return Answer(hits=hits, log_size=size, synced_at=synced, warning=warning)

    def screen(self, accounts: Sequence[Account]) -> list[Screened]:
        """The hits of some accounts, in their order; they are not remembered.

        How common values are is taken from the seller base that `acx screen` or `acx watch` read
        last, for a stream cannot be read twice.
        """
        # Ids of a stream may be missing or come twice; its places do not.
        numbered = [
            msgspec.structs.replace(account, id=str(place))
            for place, account in enumerate(accounts)
        ]
        with self._lock:
            hits = self._screener.screen_more(accounts_frame(numbered))
        found: dict[str, list[Hit]] = {}
        for row in hits.iter_rows(named=True):
            found.setdefault(row["account_id"], []).append(msgspec.convert(row, Hit))
        return [
            Screened(
                account_id=account.id,
                hits=[
                    msgspec.structs.replace(hit, account_id=account.id)
                    for hit in found.get(str(place), ())
                ],
            )
            for place, account in enumerate(accounts)
        ]

    def require_ready(self) -> None:
        """Raise what keeps it from answering: a replica too old, or a log that lies.

        Raises:
            ReplicaError: see `check`.
            InconsistentLog: the log contradicted itself while it was followed.
        """
        if self.problem:
            raise InconsistentLog(self.problem)
        with self._lock:
            require_fresh(self._replica, self._settings.max_age)

    @property
    def log_size(self) -> int:
        """Entries of the log that are known."""
        return self._screener.log_size

    def follow(self, member: Member) -> None:
        """Stay connected to the exchange from now on, and keep the replica up to date."""
        self._start(lambda: self._follow(member))

    def _follow(self, member: Member) -> None:
        while not self._leaving.is_set():
            try:
                for item in member.follow(self._leaving):
                    if isinstance(item, Connected):
                        _log.info("connected", extra={"log_size": item.size})
                    elif isinstance(item, Disconnected):
                        _log.warning("disconnected", extra={"reason": item.reason})
            except InconsistentLog as error:
                self.problem = str(error)
                _log.error("the log contradicts itself", extra={"reason": str(error)})
                return
            except AcxError as error:
                _log.warning("not followed", extra={"reason": str(error)})
            self._leaving.wait(FOLLOW_AGAIN_SECONDS)

    def _refresh(self) -> None:
        while not self._leaving.wait(REFRESH_SECONDS):
            try:
                with self._lock:
                    self._screener.refresh()
            except AcxError as error:
                _log.warning("the index is not brought up to date", extra={"reason": str(error)})

    def _remembering(self, home: Path | None) -> Memory | None:
        if home is None or not self._settings.remember_checked:
            return None
        try:
            return Memory.open(home)
        except MemoryFailure as error:
            _log.warning("checks are not remembered", extra={"reason": str(error)})
            return None

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()
