"""Whom the store checked before: a report that comes later is held against keyed digests of them.

Of an account that was let in, or went, nothing may be left but the digests of its values. What
agrees with a report is therefore known by the report's own value: an account is made of just these
values and compared by the matcher, so that the level and the reasons mean what they always mean.
What the account had besides counts neither for nor against.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from acx.member.index import SCREENED_STATES
from acx.member.memory import Memory, Remembered, day_of
from acx.member.screen import Hit, Screener
from acx.member.since_last import TOLD
from acx.records.account import DIGESTED_FIELDS, LIST_FIELDS, Account, Subject
from acx.records.normalise import (
    NotNormalisable,
    digest_all,
    fold_text,
    is_digest,
    latinise,
    mailbox,
    normalise_all,
    registered_domain,
)
from acx.records.report import Report
from acx.records.state import ReportView

BASE: Final = "checked"
"""Under which `Memory` keeps what was told of those who were checked."""
COMMON_FIELDS: Final = ("country", "birth_date", "image_hash", "address", "related")
"""What half the world shares finds nobody; it counts where something else was found to agree."""
_NAMES: Final = ("name", "alias")
_WORDS: Final = re.compile(r"\w+")


class _Writing(NamedTuple):
    """A way to write a value.

    Attributes:
        field: of the account.
        group: fields that hold the same kind of value meet.
        text: as it is written.
    """

    field: str
    group: str
    text: str


class _Told(msgspec.Struct, frozen=True, array_like=True):
    """What was told of a report and an account.

    Attributes:
        hit: as it was told.
        day: of the last check.
        level: the hit's, whatever the report's standing makes of it.
        seen: whether the check itself found it, which saw more than digests show.
    """

    hit: Hit
    day: int
    level: str
    seen: bool = False


class CheckedHit(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="checked"):
    """A report on an account that this store checked before.

    Attributes:
        change: `new`, `changed` or `retracted`.
        checked_on: UTC day of the last check.
        hit: of what agrees; `account_id` is the id given at the check, or empty.
    """

    change: str
    checked_on: str
    hit: Hit


def remember(
    memory: Memory,
    account: Account,
    hits: Sequence[Hit],
    *,
    log_size: int,
    matching_key: bytes,
    days: float,
    default_country: str = "",
    clock: Callable[[], float] = time.time,
) -> None:
    """Keep, as digests, that an account was checked.

    Args:
        memory: of the store.
        account: as it was checked.
        hits: what the check found, so that it is not told again.
        log_size: entries of the log that the check knew.
        matching_key: of the exchange.
        days: for how long; 0 keeps nothing.
        default_country: where national phone numbers are tried last.
        clock: seconds since 1970.

    Raises:
        MemoryFailure: the memory cannot be written.
    """
    if not days:
        return
    writings = _writings(account, matching_key, default_country)
    digests = list({memory.digest(each.group, each.text) for each in writings})
    if not digests:
        return
    with memory.explained(), memory.transaction():
        kept = memory.remember(account.id, digests, day_of(clock()))
        for hit in hits:
            told = _Told(hit, kept.day, hit.level, seen=True)
            memory.tell(BASE, hit.report_id, kept.account, msgspec.msgpack.encode(told))
        # A watch may have looked further meanwhile, at a report that this check did not know.
        memory.tell_from(BASE, log_size)


def recall(
    memory: Memory,
    screener: Callable[[], Screener],
    views: Sequence[ReportView],
    *,
    matching_key: bytes,
    days: float,
    clock: Callable[[], float] = time.time,
) -> list[CheckedHit]:
    """Hold reports against those who were checked, and note what is told of it.

    Args:
        memory: of the store; within a transaction.
        screener: gives the matcher, up to date; asked only if something agrees.
        views: reports that are new or have changed.
        matching_key: of the exchange.
        days: for how long checks count.
        clock: seconds since 1970.

    Returns:
        What is new, changed or retracted.
    """
    memory.forget(day_of(clock() - timedelta(days=days).total_seconds()), BASE)
    if not len(memory):
        return []
    return [item for view in views for item in _about(memory, screener, view, matching_key)]


def _about(
    memory: Memory, screener: Callable[[], Screener], view: ReportView, matching_key: bytes
) -> Iterator[CheckedHit]:
    before = {
        account: msgspec.msgpack.decode(told, type=_Told)
        for _, account, told in memory.told(BASE, view.id)
    }
    found: dict[bytes, _Told] = {}
    if view.state in SCREENED_STATES and view.report_json:
        found = _found(memory, screener, view, matching_key)
        for account, told in before.items():
            # It stands while the report does: there are no values left to look again with.
            if told.seen and account not in found:
                hit = msgspec.structs.replace(told.hit, level=told.level)
                if (shown := screener().shown(hit)) is not None:
                    found[account] = msgspec.structs.replace(told, hit=shown)
    for account, told in found.items():
        earlier = before.pop(account, None)
        if earlier is None or _said(earlier.hit) != _said(told.hit):
            memory.tell(BASE, view.id, account, msgspec.msgpack.encode(told))
            change = "changed" if earlier else "new"
            yield CheckedHit(change=change, checked_on=_shown(told.day), hit=told.hit)
    for account, told in before.items():
        memory.untell(BASE, view.id, account)
        gone = msgspec.structs.replace(told.hit, report_state=view.state)
        yield CheckedHit(change="retracted", checked_on=_shown(told.day), hit=gone)


def _found(
    memory: Memory, screener: Callable[[], Screener], view: ReportView, matching_key: bytes
) -> dict[bytes, _Told]:
    subject = msgspec.json.decode(view.report_json, type=Report).account
    known = {
        memory.digest(each.group, each.text): each for each in _writings(subject, matching_key)
    }
    telling = [key for key, each in known.items() if each.group not in COMMON_FIELDS]
    found: dict[bytes, _Told] = {}
    for checked in memory.sharing(telling):
        agreeing = _agreeing(memory, checked, known)
        for hit in screener().check(agreeing):
            best = found.get(checked.account)
            better = best is None or hit.probability >= best.hit.probability
            if hit.report_id == view.id and better:
                found[checked.account] = _Told(hit, checked.day, hit.level)
    return found


def _agreeing(memory: Memory, checked: Remembered, known: dict[bytes, _Writing]) -> Account:
    """An account of those values of a report that the account checked had too."""
    values: dict[str, list[str]] = {"id": [checked.id]}
    for key in memory.shared(checked.record, list(known)):
        values.setdefault(known[key].field, []).append(known[key].text)
    return msgspec.convert(
        {
            name: sorted(texts) if name in LIST_FIELDS else texts[0]
            for name, texts in values.items()
        },
        Account,
    )


def _writings(
    account: Account | Subject, matching_key: bytes, default_country: str = ""
) -> Iterator[_Writing]:
    """Every writing under which a value may be met again, the most exact first."""
    for field in (*LIST_FIELDS, "birth_date"):
        given = getattr(account, field)
        group = _NAMES[0] if field in _NAMES else field
        for value in [given] if isinstance(given, str) else given:
            for text in _texts(field, value, account.country, matching_key, default_country):
                yield _Writing(field, group, text)


def _texts(
    field: str,
    value: str,
    countries: Sequence[str],
    matching_key: bytes,
    default_country: str,
) -> Iterator[str]:
    try:
        if field in DIGESTED_FIELDS and not is_digest(value):
            yield from digest_all(field, value, matching_key, countries, default_country)
            return
        written = normalise_all(field, value, countries, default_country)
    except NotNormalisable:
        return
    yield from written
    for text in written:
        looser = _looser(field, text)
        if looser and looser != text:
            yield looser


def _looser(field: str, text: str) -> str:
    """Another writing that people come back with; the matcher weighs it for what it is."""
    match field:
        case "name" | "alias" | "related":
            return " ".join(sorted(_WORDS.findall(latinise(fold_text(text)))))
        case "email":
            return mailbox(text)
        case "website":
            return registered_domain(text)
        case _:
            return ""


def _said(hit: Hit) -> tuple[object, ...]:
    return tuple(getattr(hit, name) for name in TOLD)


def _shown(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).strftime("%Y-%m-%d")
