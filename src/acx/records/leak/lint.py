"""Reads a report as somebody would who wants to know where it comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    MAX_WORDS,
    TICKET,
    TIME,
    TIME_IN_WORDS,
    TIMESTAMP,
    is_remark,
    title_tokens,
    two_figures,
    without_trail,
    without_trails,
)
from acx.records.leak.writing import (
    MIN_INSIDE_AND_SPACED,
    Sought,
    decoded,
    hidden,
    seek,
    seek_domain,
    seek_exactly,
    seek_person,
)
from acx.records.normalise import registered_domain
from acx.records.normalise.text import fold_text, without_invisible
from acx.records.report import Evidence, Image, Product, Report

Action = Literal["removed", "coarsened", "blocked"]
Rule = Literal[
    "digest",
    "domain",
    "free_text",
    "internal_id",
    "invisible",
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
ACCOUNTS_ELSEWHERE: Final = frozenset({"handle", "contact"})
HASHES: Final = frozenset({"image_hash", "products.images", "evidence.commitment"})
_DIGEST: Final = re.compile(r"h1:[0-9a-f]{64}")
_HASH: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", re.IGNORECASE)
_MAX_ROUNDS: Final = 8
_MAX_WORDS: Final = {"address": 60, "products.title": 80} | dict.fromkeys(
    ("email", "phone", "tax_id", "registration_no", "website", "contact", "handle", "country"), 8
)
_MAX_PARTS: Final = 4
"""Values of a field, or words of a title, that a name may be spread over."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that would give the contributor away, and what was done about it.

    Attributes:
        field: a field of the account, or `brands`, `evidence.kind`, `products.title` ….
        index: which of its values, counted from 0 in the draft; of products, which product.
        rule: what found it.
        action: `removed` (the value stays here), `coarsened` (less of it leaves) or `blocked`
            (the report must not leave until a person has decided).
        explanation: for logs too: does not repeat the value.
        value: in which it was found; for the person's own eyes.
        left: what leaves of it.
    """

    field: str
    index: int
    rule: Rule
    action: Action
    explanation: str
    value: str = ""
    left: str = ""


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
        why = (
            "account: nothing is left to find the actor by: add a value, or put one of these into"
            " `allow` under [contributor] in config.toml"
        )
        findings.append(Finding("account", 0, "nothing_left", "blocked", why))
    report = msgspec.structs.replace(
        draft,
        account=account,
        brands=lint_.values("brands", draft.brands),
        evidence=tuple(lint_.evidence(draft.evidence)),
        products=tuple(lint_.products(draft.products)),
    )
    return Cleaned(report, tuple(findings))


def unsought(contributor: Contributor) -> tuple[str, ...]:
    """Names and words of a profile that are too short or too common to be looked for in texts.

    Domains, ids and URLs are always looked for. Give a longer form of these, if there is one.
    """
    words = (*contributor.names, *contributor.words)
    unsought_words = [w for w in words if (sought := seek(w)).common or sought.expression is None]
    return (*unsought_words, *(n for n in contributor.staff if seek_person(n).expression is None))


@dataclass(frozen=True, slots=True)
class _Verdict:
    rule: Rule
    action: Action
    explanation: str
    left: str = ""


_Judge = Callable[[str, str], _Verdict | None]


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules about who the contributor is.

    Attributes:
        allowed: folded values that may leave.
        judges: find what names it in a value.
        spread: find what names it in several values together.
    """

    allowed: frozenset[str]
    judges: tuple[_Judge, ...]
    spread: _Judge


@lru_cache(maxsize=16)
def _rules(contributor: Contributor) -> _Rules:
    """The rules, compiled once."""
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
    long = [name for name in names if sum(map(str.isalnum, name.word)) >= MIN_INSIDE_AND_SPACED]
    return _Rules(
        frozenset(fold_text(value) for value in contributor.allow),
        judges,
        _naming("name", long, "your name"),
    )


def _naming(rule: Rule, sought: list[Sought], what: str) -> _Judge:
    def judge(field: str, value: str) -> _Verdict | None:
        for word in sought:
            if not word.found_in(field, value):
                continue
            if rule == "staff" and field in PEOPLE:
                why = (
                    f"{what} «{word.word}»; if the actor bears the same name, put the value into"
                    " `allow` under [contributor] in config.toml"
                )
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
    left = without_invisible(value)
    if left != value:
        why = "characters that nobody sees, by which a copy can be marked"
        return _Verdict("invisible", "coarsened" if left.strip() else "removed", why, left.strip())
    if field == "website" or field in ACCOUNTS_ELSEWHERE:
        left = without_trail(value) if field == "website" else without_trails(value)
        if left != value:
            return _Verdict("trail", "coarsened", "which listing, visit or referrer it was", left)
    elif LINK.search(decoded(value)):
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
    if is_remark(value, at_most=_MAX_WORDS.get(field, MAX_WORDS)):
        return _Verdict("free_text", "removed", "a remark, where a name or number belongs")
    return None


def _cut(rule: Rule, expression: re.Pattern[str], value: str, why: str) -> _Verdict:
    left = re.sub(r"\s+", " ", expression.sub(" ", value)).strip(" ,;:-|/()[]")
    if left == value or not any(character.isalnum() for character in left):
        return _Verdict(rule, "removed", why)
    return _Verdict(rule, "coarsened", why, left)


def _fewest(parts: Sequence[str], names: Callable[[str], bool]) -> slice | None:
    """The fewest neighbouring parts that together name the contributor."""
    for count in range(1, min(_MAX_PARTS, len(parts)) + 1):
        for first in range(len(parts) - count + 1):
            if names(" ".join(parts[first : first + count])):
                return slice(first, first + count)
    return None


class _Lint:
    """One report's lint: goes through its values and notes what it finds."""

    def __init__(self, rules: _Rules, own_ids: list[Sought], findings: list[Finding]) -> None:
        self._rules = rules
        own = _naming("own_id", own_ids, "your id of this account or listing")
        self._naming = (own, *rules.judges)
        self._judges = (*self._naming, _particulars)
        self._findings = findings

    def values(self, field: str, values: tuple[str, ...], at: int | None = None) -> tuple[str, ...]:
        left: dict[str, int] = {}
        for number, value in enumerate(values):
            index = number if at is None else at
            cleaned = self.value(field, index, value)
            if cleaned:
                left.setdefault(cleaned, index)
        while spread := self._spread(field, tuple(left)):
            for value in spread:
                part = _Verdict("name", "removed", "with the values beside it your name")
                self._note(field, left.pop(value), value, part)
        return tuple(left)

    def value(self, field: str, index: int, value: str) -> str:
        """What is left of a value; empty if nothing."""
        if field in HASHES or _DIGEST.fullmatch(value):
            return self._closed(field, index, value)
        if field in DIGESTED_FIELDS:
            clear = _Verdict("undigested", "blocked", "it would leave in the clear: digest it")
            self._note(field, index, value, clear)
            return value
        for _ in range(_MAX_ROUNDS):
            if fold_text(value) in self._rules.allowed:
                return value
            verdict = self._verdict(field, value)
            if verdict is None:
                return value
            self._note(field, index, value, verdict)
            if verdict.action == "blocked":
                return value
            value = verdict.left
            if not value:
                return ""
        return ""

    def _closed(self, field: str, index: int, value: str) -> str:
        """A digest or hash: what stands beside it stays here, such as the name of a file."""
        found = _DIGEST.fullmatch(value) if field in DIGESTED_FIELDS else _HASH.search(value)
        left = found[0] if found else ""
        if left != value:
            why = (
                "no digest but a text" if not left else "more than a digest, such as a file's name"
            )
            action: Action = "coarsened" if left else "removed"
            self._note(field, index, value, _Verdict("digest", action, why, left))
        for judge in self._naming:
            if any(judge(field, text) for text in hidden(left)):
                coded = _Verdict("digest", "removed", "no digest: it spells what names you")
                self._note(field, index, value, coded)
                return ""
        return left

    def _spread(self, field: str, values: tuple[str, ...]) -> tuple[str, ...]:
        """The fewest neighbouring values that together name the contributor."""
        if len(values) < 2 or self._rules.spread(field, " ".join(values)) is None:
            return ()
        fewest = _fewest(values, lambda text: bool(self._rules.spread(field, text)))
        return values[fewest] if fewest else ()

    def evidence(self, all_evidence: tuple[Evidence, ...]) -> Iterator[Evidence]:
        for index, evidence in enumerate(all_evidence):
            if not self._closed("evidence.commitment", index, evidence.commitment):
                continue
            kind = evidence.kind
            if verdict := self._verdict("evidence.kind", kind):
                coarser = replace(verdict, action="coarsened", left="document")
                self._note("evidence.kind", index, kind, coarser)
                kind = coarser.left
            yield msgspec.structs.replace(evidence, kind=kind)

    def products(self, products: tuple[Product, ...]) -> Iterator[Product]:
        for index, product in enumerate(products):
            cleaned = msgspec.structs.replace(
                product,
                title=self._title(index, product.title),
                brand=self.value("products.brand", index, product.brand) if product.brand else "",
                price=self._price(index, product.price),
                currency=self.value("products.currency", index, product.currency),
                identifiers=self.values("products.identifiers", product.identifiers, at=index),
                images=tuple(self._images(index, product.images)),
            )
            if cleaned != Product():
                yield cleaned

    def _images(self, index: int, images: tuple[Image, ...]) -> Iterator[Image]:
        for image in images:
            variants = self.values("products.images", image.variants, at=index)
            if variants:
                yield msgspec.structs.replace(image, variants=variants)

    def _title(self, index: int, title: str) -> str:
        """Only the words that may leave, in no order that a search would find."""
        title = self._without_particulars(index, title)
        verdict = self._verdict("products.title", title)
        if verdict is not None:
            left = self._without_words(title)
            action: Action = "coarsened" if left else "removed"
            self._note("products.title", index, title, replace(verdict, action=action, left=left))
            title = left
        tokens = title_tokens(title)
        if verdict := self._verdict("products.title", tokens):
            self._note("products.title", index, title, replace(verdict, action="removed", left=""))
            return ""
        if tokens != title:
            why = "in order its words would find the listing"
            self._note("products.title", index, title, _Verdict("title", "coarsened", why, tokens))
        return tokens

    def _without_words(self, title: str) -> str:
        """A title without the words that name the contributor, alone or in their sequence."""
        words = title.split()
        while self._verdict("products.title", " ".join(words)):
            fewest = _fewest(words, lambda text: bool(self._verdict("products.title", text)))
            if not fewest:
                return ""
            del words[fewest]
        return " ".join(words)

    def _without_particulars(self, index: int, title: str) -> str:
        for _ in range(_MAX_ROUNDS):
            verdict = _particulars("products.title", title)
            if verdict is None or not title:
                return title
            self._note("products.title", index, title, verdict)
            title = verdict.left
        return ""

    def _price(self, index: int, price: str) -> str:
        if not price:
            return ""
        try:
            rounded = two_figures(price)
        except InvalidOperation:
            self._note("products.price", index, price, _Verdict("price", "removed", "no number"))
            return ""
        if rounded != price:
            why = "more than two figures would find the listing"
            precise = _Verdict("price", "coarsened", why, rounded)
            self._note("products.price", index, price, precise)
        return rounded

    def _verdict(self, field: str, value: str) -> _Verdict | None:
        return next((found for judge in self._judges if (found := judge(field, value))), None)

    def _note(self, field: str, index: int, value: str, verdict: _Verdict) -> None:
        done = {
            "removed": "the value stays here",
            "coarsened": "that part stays here",
            "blocked": "the report waits for your decision",
        }[verdict.action]
        explanation = f"{field}, value {index + 1}: {verdict.explanation}; {done}"
        left = value if verdict.action == "blocked" else verdict.left
        finding = Finding(field, index, verdict.rule, verdict.action, explanation, value, left)
        self._findings.append(finding)
