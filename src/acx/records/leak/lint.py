"""Reads a report as somebody would who wants to know where it comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import InvalidOperation
from functools import lru_cache
from typing import Final, Literal

import msgspec

from acx.records.account import DIGESTED_FIELDS, LIST_FIELDS
from acx.records.leak.contributor import Contributor
from acx.records.leak.particulars import (
    ISSUE_KEY,
    LINK,
    TICKET,
    TIME,
    TIME_IN_WORDS,
    TIMESTAMP,
    is_remark,
    title_tokens,
    two_figures,
    without_trail,
)
from acx.records.leak.writing import (
    Sought,
    decoded,
    seek,
    seek_domain,
    seek_exactly,
    seek_person,
)
from acx.records.normalise import registered_domain
from acx.records.normalise.text import fold_text
from acx.records.report import Evidence, Product, Report

Action = Literal["removed", "coarsened", "blocked"]
Rule = Literal[
    "domain",
    "free_text",
    "internal_id",
    "link",
    "name",
    "nothing_left",
    "own_id",
    "price",
    "staff",
    "ticket",
    "time",
    "title",
    "trail",
    "undigested",
    "url",
    "word",
]

NAMES: Final = frozenset({"name", "alias", "related", "brands", "products.brand"})
"""Fields of names, where figures and prose have no place."""
TEXTS: Final = NAMES | {"products.title"}
PEOPLE: Final = frozenset({"name", "related"})
CLOSED: Final = re.compile(r"h1:[0-9a-f]{64}|[0-9a-f]{64}")
"""Digests and picture hashes: no writing, so nothing can be read in them."""
_MAX_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that would give the contributor away, and what was done about it.

    Attributes:
        field: a field of the account, or `brands`, `evidence.kind`, `products.title` ….
        index: which of its values, counted from 0 in the draft; of products, which product.
        rule: what found it.
        action: `removed` (the value stays here), `coarsened` (less of it leaves) or `blocked`
            (the report must not leave until a person has decided).
        explanation: for the person at the command line. Does not repeat the value.
    """

    field: str
    index: int
    rule: Rule
    action: Action
    explanation: str


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A report after the lint.

    Attributes:
        report: what is left; to be sent only if nothing is `blocked`.
        findings: all that was found, in the order of the report.
    """

    report: Report
    findings: tuple[Finding, ...]

    @property
    def blocked(self) -> tuple[Finding, ...]:
        """What a person has to decide first."""
        return tuple(finding for finding in self.findings if finding.action == "blocked")


def lint(
    draft: Report, contributor: Contributor, internal_ids: Iterable[str] = ()
) -> tuple[Finding, ...]:
    """What in a report would give its contributor away, and what `clean` does about it.

    Args:
        draft: the report, its account cut down by `subject_of`.
        contributor: what would give it away.
        internal_ids: its own ids of this very account and its listings.
    """
    return clean(draft, contributor, internal_ids).findings


def clean(draft: Report, contributor: Contributor, internal_ids: Iterable[str] = ()) -> Cleaned:
    """Remove or coarsen what would give the contributor away.

    Cleaning again finds nothing but what is blocked.

    Args:
        draft: the report, its account cut down by `subject_of`.
        contributor: what would give it away.
        internal_ids: its own ids of this very account and its listings.
    """
    findings: list[Finding] = []
    lint_ = _Lint(_rules(contributor), [seek_exactly(id_) for id_ in internal_ids], findings)
    account = msgspec.structs.replace(
        draft.account,
        **{name: lint_.values(name, getattr(draft.account, name)) for name in LIST_FIELDS},
    )
    if not any(getattr(account, name) for name in LIST_FIELDS if name != "country"):
        why = "account: nothing is left to find the actor by: add a value, or allow one"
        findings.append(Finding("account", 0, "nothing_left", "blocked", why))
    report = msgspec.structs.replace(
        draft,
        account=account,
        brands=lint_.values("brands", draft.brands),
        evidence=tuple(lint_.evidence(n, evidence) for n, evidence in enumerate(draft.evidence)),
        products=tuple(lint_.products(draft.products)),
    )
    return Cleaned(report, tuple(findings))


def unsought(contributor: Contributor) -> tuple[str, ...]:
    """Names and words of a profile that are too short or too general to be looked for in texts.

    Domains, ids and URLs are always looked for. Give a longer form of these, if there is one.
    """
    words = (*contributor.names, *contributor.words)
    unsought_words = [word for word in words if seek(word).expression is None]
    return (*unsought_words, *(n for n in contributor.staff if seek_person(n).expression is None))


@dataclass(frozen=True, slots=True)
class _Verdict:
    rule: Rule
    action: Action
    explanation: str
    left: str = ""


_Judge = Callable[[str, str], _Verdict | None]


@lru_cache(maxsize=16)
def _rules(contributor: Contributor) -> tuple[frozenset[str], tuple[_Judge, ...]]:
    """What is allowed, and the rules about who the contributor is, compiled once."""
    labels = {registered_domain(domain).partition(".")[0] for domain in contributor.domains}
    names = [seek(name) for name in dict.fromkeys((*contributor.names, *sorted(labels)))]
    ids = [re.compile(pattern, re.IGNORECASE) for pattern in contributor.id_patterns]
    judges: tuple[_Judge, ...] = (
        _naming("domain", [seek_domain(d) for d in contributor.domains], "your domain"),
        _naming("url", [_seek_url(url) for url in contributor.urls], "your page"),
        _naming("name", names, "your name"),
        _naming("word", [seek(word) for word in contributor.words], "your word"),
        _naming("staff", [seek_person(name) for name in contributor.staff], "your staff's name"),
        _ids(ids),
    )
    return frozenset(fold_text(value) for value in contributor.allow), judges


def _naming(rule: Rule, sought: list[Sought], what: str) -> _Judge:
    def judge(field: str, value: str) -> _Verdict | None:
        for word in sought:
            if not word.found_in(field, value):
                continue
            if rule == "staff" and field in PEOPLE:
                why = f"{what} «{word.word}»; if the actor bears the same name, allow the value"
                return _Verdict(rule, "blocked", why)
            return _Verdict(rule, "removed", f"{what} «{word.word}», in some writing")
        return None

    return judge


def _seek_url(url: str) -> Sought:
    place = re.sub(r"^(?:[a-z][a-z0-9+.-]*:)?//(?:www\.)?|^www\.", "", fold_text(url)).rstrip("/")
    expression = re.compile(rf"(?<![\w-]){re.escape(place)}(?!\w)") if place else None
    return Sought(url, expression, frozenset(place))


def _ids(patterns: list[re.Pattern[str]]) -> _Judge:
    def judge(_field: str, value: str) -> _Verdict | None:
        for pattern in patterns:
            if pattern.search(value) or pattern.search(decoded(value)):
                return _Verdict("internal_id", "removed", f"an id of yours ({pattern.pattern})")
        return None

    return judge


def _particulars(field: str, value: str) -> _Verdict | None:
    """What leads to the contributor without naming it."""
    if field == "website":
        left = without_trail(value)
        if left != value:
            return _Verdict("trail", "coarsened", "which listing, visit or referrer it was", left)
    elif field in TEXTS and LINK.search(decoded(value)):
        return _cut("link", LINK, value, "a link; a website has its own field")
    if field in TEXTS | {"address"} and TICKET.search(decoded(value)):
        return _cut("ticket", TICKET, value, "a number of somebody's own system")
    if field in NAMES and ISSUE_KEY.search(value):
        return _cut("ticket", ISSUE_KEY, value, "a number of somebody's own system")
    if field in TEXTS | {"address"} and TIME.search(decoded(value)):
        return _cut("time", TIME, value, "a day; the month of the confirmation is enough")
    if TIMESTAMP.search(decoded(value)):
        return _Verdict("time", "removed", "a day and an hour; the month is enough")
    if field in TEXTS and TIME_IN_WORDS.search(decoded(value)):
        return _cut("time", TIME_IN_WORDS, value, "a day or an hour; the month is enough")
    if field in NAMES and is_remark(value):
        return _Verdict("free_text", "removed", "no name but a remark")
    return None


def _cut(rule: Rule, expression: re.Pattern[str], value: str, why: str) -> _Verdict:
    left = re.sub(r"\s+", " ", expression.sub(" ", value)).strip(" ,;:-|/()[]")
    if left == value or not any(character.isalnum() for character in left):
        return _Verdict(rule, "removed", why)
    return _Verdict(rule, "coarsened", why, left)


class _Lint:
    """One report's lint: goes through its values and notes what it finds."""

    def __init__(
        self,
        rules: tuple[frozenset[str], tuple[_Judge, ...]],
        own_ids: list[Sought],
        findings: list[Finding],
    ) -> None:
        self._allowed, judges = rules
        own = _naming("own_id", own_ids, "your id of this account or listing")
        self._judges = (own, *judges, _particulars)
        self._findings = findings

    def values(self, field: str, values: tuple[str, ...], at: int | None = None) -> tuple[str, ...]:
        cleaned = (
            self.value(field, index if at is None else at, value)
            for index, value in enumerate(values)
        )
        return tuple(dict.fromkeys(value for value in cleaned if value))

    def value(self, field: str, index: int, value: str) -> str:
        """What is left of a value; empty if nothing."""
        if CLOSED.fullmatch(value):
            return value
        if field in DIGESTED_FIELDS:
            clear = _Verdict("undigested", "blocked", "it would leave in the clear: digest it")
            self._note(field, index, clear)
            return value
        for _ in range(_MAX_ROUNDS):
            if fold_text(value) in self._allowed:
                return value
            verdict = self._verdict(field, value)
            if verdict is None:
                return value
            self._note(field, index, verdict)
            if verdict.action == "blocked":
                return value
            value = verdict.left
            if not value:
                return ""
        return ""

    def evidence(self, index: int, evidence: Evidence) -> Evidence:
        verdict = self._verdict("evidence.kind", evidence.kind)
        if verdict is None:
            return evidence
        self._note("evidence.kind", index, replace(verdict, action="coarsened"))
        return msgspec.structs.replace(evidence, kind="document")

    def products(self, products: tuple[Product, ...]) -> Iterator[Product]:
        for index, product in enumerate(products):
            cleaned = msgspec.structs.replace(
                product,
                title=self._title(index, product.title),
                brand=self.value("products.brand", index, product.brand) if product.brand else "",
                price=self._price(index, product.price),
                identifiers=self.values("products.identifiers", product.identifiers, at=index),
            )
            if cleaned != Product():
                yield cleaned

    def _title(self, index: int, title: str) -> str:
        """Only the words that may leave, in no order that a search would find."""
        title = self._without_particulars(index, title)
        verdict = self._verdict("products.title", title)
        if verdict is not None:
            words = [word for word in title.split() if not self._verdict("products.title", word)]
            title = " ".join(words)
            # The words may be harmless, and their sequence not.
            title = "" if self._verdict("products.title", title) else title
            action: Action = "coarsened" if title else "removed"
            self._note("products.title", index, replace(verdict, action=action))
        tokens = title_tokens(title)
        if self._verdict("products.title", tokens):
            return ""
        if tokens != title:
            sorted_ = _Verdict("title", "coarsened", "in order its words would find the listing")
            self._note("products.title", index, sorted_)
        return tokens

    def _without_particulars(self, index: int, title: str) -> str:
        for _ in range(_MAX_ROUNDS):
            verdict = _particulars("products.title", title)
            if verdict is None or not title:
                return title
            self._note("products.title", index, verdict)
            title = verdict.left
        return ""

    def _price(self, index: int, price: str) -> str:
        if not price:
            return ""
        try:
            rounded = two_figures(price)
        except InvalidOperation:
            self._note("products.price", index, _Verdict("price", "removed", "no number"))
            return ""
        if rounded != price:
            precise = _Verdict("price", "coarsened", "more than two figures would find the listing")
            self._note("products.price", index, precise)
        return rounded

    def _verdict(self, field: str, value: str) -> _Verdict | None:
        return next((found for judge in self._judges if (found := judge(field, value))), None)

    def _note(self, field: str, index: int, verdict: _Verdict) -> None:
        done = {
            "removed": "the value stays here",
            "coarsened": "that part stays here",
            "blocked": "the report waits for your decision",
        }[verdict.action]
        explanation = f"{field}, value {index + 1}: {verdict.explanation}; {done}"
        self._findings.append(Finding(field, index, verdict.rule, verdict.action, explanation))
