"""Particulars that lead to the contributor without naming it: tickets, times, listings, prose.

Each expression finds what is more precise than anybody else needs; cutting it out leaves a value
that still tells who the actor is.
"""

from __future__ import annotations

import re
from decimal import Decimal
from importlib.resources import files
from typing import Final

from acx.records.normalise.text import fold_text

TICKET: Final = re.compile(
    r"[\[(#]*(?:\b(?:case|ticket|incident|order|claim|complaint|reference|ref|rma|sr|cs|inc|req|tkt"
    r"|vorgang|aktenzeichen|bestellung|auftrag|dossier|commande|expediente|pedido|pratica|ordine|zaak"
    r"|bestelling|sprawa|zamówienie|заказ|дело|заявка)\b|工单|案件|订单|訂單|注文)"
    r"\.?\s*(?:id|nr|no|n°|№|number|num|号|號|番号)?\.?\s*[#:._-]*\s*"
    r"(?=[a-z0-9-]*\d)[a-z0-9][a-z0-9-]{2,}[\])]?",
    re.IGNORECASE,
)
"""«case 48213», «Ticket #A-993»: a number of somebody's own system."""
ISSUE_KEY: Final = re.compile(r"[\[(#]*\b[A-Z]{2,10}-\d{3,}\b[\])]?|(?<!\w)#\d{4,}\b")
"""«FRAUD-1234», «#48213»; only in names, since elsewhere models and flats look the same."""

_MONTH: Final = (
    r"(?:jan|feb|fev|fév|mar|mär|mae|apr|avr|abr|may|mai|mag|maj|jun|juin|giu|jul|juil|lug|"
    r"aug|aoû|aou|ago|sep|set|oct|okt|ott|out|nov|dec|dez|déc|dic)[a-zà-ü]{0,8}\.?"
)
_YEAR: Final = r"(?:19|20)\d\d"
_CLOCK: Final = r"(?:[01]\d|2[0-3])[:h][0-5]\d(?::[0-5]\d)?"
TIME: Final = re.compile(
    rf"(?<!\d)(?:{_YEAR}(?P<a>[-/.])\d{{1,2}}(?P=a)\d{{1,2}}(?:[T ]{_CLOCK}(?:Z|[+-]\d\d:?\d\d)?)?"
    rf"|\d{{1,2}}(?P<b>[-/.])\d{{1,2}}(?P=b){_YEAR})(?!\d)",
    re.IGNORECASE,
)
"""A day written in figures."""
TIMESTAMP: Final = re.compile(
    rf"{_YEAR}[-/.]?\d\d[-/.]?\d\d[T ]{_CLOCK}|\d\d[-/.]\d\d[-/.]{_YEAR}[T ]{_CLOCK}", re.IGNORECASE
)
"""A day with the hour; no number of any register looks so."""
TIME_IN_WORDS: Final = re.compile(
    rf"(?<!\w)(?:\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:de\s+|of\s+)?{_MONTH},?\s+(?:de\s+)?{_YEAR}"
    rf"|{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+{_YEAR}"
    rf"|{_CLOCK}(?:\s?(?:am|pm|uhr|utc|gmt|cet))?|\d(?::[0-5]\d)?\s?(?:am|pm)"
    rf"|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
    rf"|1[4-9]\d{{8}}(?:\d{{3}})?)(?!\w)",
    re.IGNORECASE,
)
"""A day or an hour in a name or a title; in a handle the same figures may be the handle."""

LINK: Final = re.compile(r"(?:https?|ftp)://\S+|\bwww\.\S+", re.IGNORECASE)
_LISTING: Final = re.compile(
    r"/(?:dp|gp|ip|itm|item|items|listing|listings|product|products|offer|offers|goods|detail|p|i"
    r"|sku|ad|ads|angebot|artikel|article|articulo|annonce|anzeige|s-anzeige|oferta|ogloszenie"
    r"|producto|produto|produit|produkt|prodotto|ml[a-z])"
    r"(?:/|\.|-|$)|-(?:p|i|g)[-.]?\d{4,}|-i\.\d+\.\d+|\d{6,}\.html?",
    re.IGNORECASE,
)
_WEBSITE: Final = re.compile(
    r"(?P<scheme>(?:[a-z][a-z0-9+.-]*:)?//)?(?P<host>[^/?#]*)(?P<path>[^?#]*)", re.IGNORECASE
)

MAX_WORDS: Final = 20
"""In a name; companies of state come close."""
_TOLD: Final = frozenset(
    (files(__package__) / "remark_words.txt").read_text(encoding="utf-8").split()
)
"""Words of telling, not of naming."""


def without_trails(value: str) -> str:
    """A value, whose links are without what tells which listing, visit or referrer it was."""
    return LINK.sub(lambda link: without_trail(link[0]), value)


def without_trail(website: str) -> str:
    """A website without what tells which listing, visit or referrer it came from."""
    match = _WEBSITE.match(website)
    if match is None:
        return website
    path = match["path"]
    if _LISTING.search(path) or TIME.search(path):
        path = ""
    return (match["scheme"] or "") + match["host"].rpartition("@")[2] + path


def is_remark(value: str, at_most: int = MAX_WORDS) -> bool:
    """Whether a value is rather a text somebody wrote about it.

    Args:
        value: of a name, number or address.
        at_most: words that such a value has at most.
    """
    words = re.findall(r"[^\W_]+", value.casefold())
    told = sum(word in _TOLD for word in words)
    return "\n" in value or len(value.split()) > at_most or (len(words) > 6 and told > 1)


def title_tokens(title: str) -> str:
    """A listing's title as it leaves: its words, folded, sorted, each once.

    They match as well as the title does, but no search engine finds the listing by them.
    """
    words = re.findall(r"[^\W_]+(?:[.'-][^\W_]+)*", fold_text(title))
    return " ".join(sorted(set(words)))


def two_figures(price: str) -> str:
    """A price to two significant figures.

    Raises:
        decimal.InvalidOperation: no number.
    """
    exact = Decimal(price)
    if not exact:
        return "0"
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 1))
    # Rounding up may have made it one figure longer.
    return f"{rounded.quantize(Decimal(1).scaleb(rounded.adjusted() - 1)).normalize():f}"
