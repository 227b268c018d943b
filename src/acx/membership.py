"""acx from Python: `from acx import Membership, Replica`, and the same to await.

Thin over what the commands do (`acx.member.home`), in the same words: files, settings and homes are
the same, so a script and a command may share one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import msgspec
import polars as pl

from acx.member.errors import ContributionError
from acx.member.home import REPLICA, Member, OwnReport, Reported, Sent, Synced
from acx.member.join import TERMS
from acx.member.replica import Replica as StoredReplica
from acx.member.screen import Hit, Screener, accounts_frame, require_fresh
from acx.member.settings import resolve
from acx.records.account import LIST_FIELDS, Account
from acx.records.files import Rejects, read_accounts
from acx.records.files.reports import ReportRow
from acx.records.report import Report
from acx.records.state import State

if TYPE_CHECKING:
    from acx.member.watch import Item

__all__ = ["Account", "AsyncMembership", "AsyncReplica", "Hit", "Membership", "Replica"]

AccountLike: TypeAlias = "Account | Mapping[str, Any]"
"""An account, or its fields; a field of several values may hold one."""
Accounts: TypeAlias = "str | Path | pl.DataFrame | Iterable[AccountLike]"
"""A seller base: a file, a frame with the columns of an account, or accounts."""
Reason = Literal["error", "duplicate", "cleared"]

_REPORT_FIELDS: Final = tuple(name for name in ReportRow.__struct_fields__[3:])
QUEUED: Final = 1_000
"""Items that wait for an asynchronous subscriber; then the watch waits for it."""


class Replica:
    """A verified copy of the log, opened for reading: no wallet, no network.

    Many processes may read one that another writes. Use it as a context manager, or `close` it.
    """

    def __init__(
        self, directory: str | Path, *, home: str | Path | None = None, **settings: object
    ) -> None:
        """Open it.

        Args:
            directory: `HOME/replica`, or a copy of one.
            home: the member's directory, where the matching index is kept and checks are
                remembered; neither without.
            **settings: as in docs/configuration.md, such as `default_country` or `max_age`.

        Raises:
            ReplicaError: there is none, or it does not open.
        """
        self._home = Path(home) if home is not None else None
        self._settings = resolve(self._home or Path(directory), settings)
        self._replica = StoredReplica.open(Path(directory), read_only=True)
        self._screener: Screener | None = None

    def __enter__(self) -> Self:
        """Nothing further."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Give the files back."""
        self._replica.close()

    def __len__(self) -> int:
        """Entries of the log."""
        return self._replica.size

    def check(self, account: AccountLike | None = None, **fields: object) -> list[Hit]:
        """The hits of one account, as at a sign-up, most probable first.

        Args:
            account: it; or give its fields by name.
            **fields: `name`, `email`, …

        Raises:
            ReplicaError: the replica is older than `max_age` allows, or was never synced.
        """
        given = _account(account if account is not None else fields)
        if self._home is not None:
            from acx.member.home import check

            require_fresh(self._replica, self._settings.max_age)
            return check(self._replica, given, settings=self._settings, home=self._home)[0]
        return self._matcher().check(given)

    def screen(self, sellers: Accounts, *, level: str = "possible") -> pl.DataFrame:
        """The hits of a whole seller base, most probable first, with the columns of HITS.

        Args:
            sellers: all of them, for how common a value is among them counts.
            level: weakest level to give.
        """
        from acx.member.home import screen

        frames = _frames(sellers)
        return screen(self._replica, frames, settings=self._settings, level=level, home=self._home)[
            0
        ]

    def reports(self, *states: State) -> Iterator[tuple[str, State, Report | None]]:
        """Id, state and content of every report; the content is None once it is gone."""
        for view in self._replica.reports(*states):
            yield view.id, view.state, view.report

    def _matcher(self) -> Screener:
        require_fresh(self._replica, self._settings.max_age)
        if self._screener is None:
            self._screener = Screener(
                self._replica,
                default_country=self._settings.default_country,
                weights=self._settings.weights,
            )
        self._screener.refresh()
        return self._screener


class Membership:
    """A member, at home in a directory."""

    def __init__(self, home: str | Path, **settings: object) -> None:
        """Open a home.

        Args:
            home: the directory.
            **settings: as in docs/configuration.md.

        Raises:
            NoMember: it is none; `join` makes one.
        """
        self.home = Path(home)
        self._member = Member.open(self.home, settings)
        self._settings = settings

    @classmethod
    def join(
        cls,
        invite: str,
        home: str | Path,
        *,
        keep_phrase: Callable[[str], object],
        terms: str = TERMS,
        **settings: object,
    ) -> Self:
        """Become a member: keys are made here, and the invite is used up.

        Args:
            invite: the line that the operator handed over.
            home: a directory that is no home yet.
            keep_phrase: given the recovery phrase, this once: it brings lost keys back.
            terms: version of the terms of membership that are accepted.
            **settings: as in docs/configuration.md; `url`, where the exchange answers elsewhere.
        """
        joined = Member.join(invite, Path(home), terms=terms, arguments=settings)
        keep_phrase(joined.phrase)
        return cls(home, **settings)

    def sync(self) -> Synced:
        """Bring the replica up to the exchange's head, verified.

        Raises:
            ExchangeError: no or no proper answer.
            InconsistentLog: the log contradicts itself.
        """
        return self._member.sync()

    def report(
        self, rows: Iterable[Mapping[str, Any]], *, dry_run: bool = False, at_once: bool = False
    ) -> Reported:
        """Share confirmed counterfeiters; the same rows again send only what changed.

        Args:
            rows: an account's fields, and `conduct`, `confirmed_by`, `confirmed_on`, …
            dry_run: decide, and send nothing.
            at_once: without the gaps that hide which reports belong together.

        Raises:
            ContributionError: a row is no report.
        """
        return self._member.report(
            [_row(number, row) for number, row in enumerate(rows, start=1)],
            dry_run=dry_run,
            at_once=at_once,
        )

    def withdraw(self, report: str, reason: Reason, *, at_once: bool = False) -> Sent:
        """Take a report or corroboration back.

        Args:
            report: its id, or our own id of the account.
            reason: `error`, `duplicate` or `cleared`.
            at_once: without waiting.
        """
        return self._member.withdraw(report, reason, at_once=at_once)

    def reports(self) -> list[OwnReport]:
        """Everything we said, and how it stands."""
        return self._member.reports()

    def subscribe(
        self,
        sellers: Accounts | None = None,
        *,
        level: str = "possible",
        left: threading.Event | None = None,
    ) -> Iterator[Item]:
        """Stay connected: events, hits among `sellers`, and reports on whom was checked before.

        Args:
            sellers: own sellers; a file is remembered by its place, so that the next subscription
                goes on where this one ends.
            level: weakest level of hits to tell.
            left: ends it, within a second, when another thread sets it.
        """
        base = f"{Path(sellers).absolute()}\0{level}" if isinstance(sellers, str | Path) else ""
        frame = None if sellers is None else _whole(sellers)
        return self._member.watch(frame, level=level, base=base, left=left)

    def replica(self) -> Replica:
        """Our copy of the log, to be asked often."""
        return Replica(self.home / REPLICA, home=self.home, **self._settings)

    def check(self, account: AccountLike | None = None, **fields: object) -> list[Hit]:
        """See `Replica.check`; it is remembered, so that a later report on the account is told."""
        with self.replica() as replica:
            return replica.check(account, **fields)

    def screen(self, sellers: Accounts, *, level: str = "possible") -> pl.DataFrame:
        """See `Replica.screen`."""
        with self.replica() as replica:
            return replica.screen(sellers, level=level)


class AsyncReplica:
    """A `Replica` to await: its work is done in a thread, one question at a time."""

    def __init__(
        self, directory: str | Path, *, home: str | Path | None = None, **settings: object
    ) -> None:
        """Open it; see `Replica`."""
        self._replica = Replica(directory, home=home, **settings)
        self._asking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Nothing further."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        self._replica.close()

    async def check(self, account: AccountLike | None = None, **fields: object) -> list[Hit]:
        """See `Replica.check`."""
        async with self._asking:
            return await asyncio.to_thread(self._replica.check, account, **fields)

    async def screen(self, sellers: Accounts, *, level: str = "possible") -> pl.DataFrame:
        """See `Replica.screen`."""
        async with self._asking:
            return await asyncio.to_thread(self._replica.screen, sellers, level=level)


class AsyncMembership:
    """A `Membership` to await: its work is done in threads."""

    def __init__(self, home: str | Path, **settings: object) -> None:
        """Open a home; see `Membership`."""
        self._membership = Membership(home, **settings)

    @classmethod
    async def join(
        cls,
        invite: str,
        home: str | Path,
        *,
        keep_phrase: Callable[[str], object],
        terms: str = TERMS,
        **settings: object,
    ) -> Self:
        """See `Membership.join`."""
        await asyncio.to_thread(
            Membership.join, invite, home, keep_phrase=keep_phrase, terms=terms, **settings
        )
        return cls(home, **settings)

    async def sync(self) -> Synced:
        """See `Membership.sync`."""
        return await asyncio.to_thread(self._membership.sync)

    async def report(
        self, rows: Iterable[Mapping[str, Any]], *, dry_run: bool = False, at_once: bool = False
    ) -> Reported:
        """See `Membership.report`."""
        return await asyncio.to_thread(
            self._membership.report, rows, dry_run=dry_run, at_once=at_once
        )

    async def withdraw(self, report: str, reason: Reason, *, at_once: bool = False) -> Sent:
        """See `Membership.withdraw`."""
        return await asyncio.to_thread(self._membership.withdraw, report, reason, at_once=at_once)

    async def reports(self) -> list[OwnReport]:
        """See `Membership.reports`."""
        return await asyncio.to_thread(self._membership.reports)

    async def check(self, account: AccountLike | None = None, **fields: object) -> list[Hit]:
        """See `Membership.check`."""
        return await asyncio.to_thread(self._membership.check, account, **fields)

    async def screen(self, sellers: Accounts, *, level: str = "possible") -> pl.DataFrame:
        """See `Membership.screen`."""
        return await asyncio.to_thread(self._membership.screen, sellers, level=level)

    async def subscribe(
        self, sellers: Accounts | None = None, *, level: str = "possible"
    ) -> AsyncIterator[Item]:
        """See `Membership.subscribe`; leaving the loop, or cancelling it, ends the connection."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Item | BaseException | None] = asyncio.Queue(QUEUED)
        left = threading.Event()

        def put(item: Item | BaseException | None) -> None:
            waiting = asyncio.run_coroutine_threadsafe(arrived.put(item), loop)
            while not left.is_set():
                with suppress(TimeoutError):
                    waiting.result(timeout=1.0)
                    return
            waiting.cancel()

        def follow() -> None:
            try:
                items = self._membership.subscribe(sellers, level=level, left=left)
                with closing(items):  # type: ignore[type-var]  # a generator, as all of them
                    for item in items:
                        put(item)
                        if left.is_set():
                            return
                put(None)
            except Exception as error:  # noqa: BLE001 -- raised again at the subscriber
                put(error)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            while (item := await arrived.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            left.set()


def _account(given: AccountLike) -> Account:
    if isinstance(given, Account):
        return given
    values = {
        name: [value] if name in LIST_FIELDS and isinstance(value, str) else value
        for name, value in given.items()
    }
    if unknown := set(values) - set(Account.__struct_fields__):
        raise ContributionError(f"{min(unknown)!r} is no field of an account; see docs/reference")
    try:
        return msgspec.convert(values, Account)
    except msgspec.ValidationError as error:
        raise ContributionError(f"the account: {error}") from None


def _row(number: int, given: Mapping[str, Any]) -> ReportRow:
    fields = {name: value for name, value in given.items() if name not in _REPORT_FIELDS}
    rest = {name: given[name] for name in _REPORT_FIELDS if name in given}
    try:
        return msgspec.convert(
            {"file": "report", "line": number, "account": _account(fields), **rest}, ReportRow
        )
    except msgspec.ValidationError as error:
        raise ContributionError(f"report {number}: {error}") from None


def _frames(accounts: Accounts) -> pl.DataFrame | Iterator[pl.DataFrame]:
    if isinstance(accounts, pl.DataFrame):
        return accounts
    if isinstance(accounts, str | Path):
        return read_accounts(accounts, rejects=Rejects())
    return accounts_frame([_account(account) for account in accounts])


def _whole(accounts: Accounts) -> pl.DataFrame:
    frames = _frames(accounts)
    return frames if isinstance(frames, pl.DataFrame) else pl.concat(frames)
