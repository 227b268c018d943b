"""The shapes in which most values come, read by a whole column at once.

Each function gives the `h1` writing of the values whose shape it knows, and null for all others,
which then go through the rule itself. Where it gives a writing it is the rule's, byte for byte: a
property test holds every one to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import polars as pl

from acx.records.account import MAX_VALUE_CHARACTERS
from acx.records.normalise.country import alpha_2_codes
from acx.records.normalise.handle import FOUND_BY_PHONE, SAME_PLATFORM
from acx.records.normalise.id_document import SAME_KIND
from acx.records.normalise.text import MAX_INPUT_CHARACTERS

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_TOP_LABEL: Final = r"[A-Za-z](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = rf"(?:{_LABEL}\.)+{_TOP_LABEL}"
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"

_EMAIL: Final = rf"^ *({_ATOM}(?:\.{_ATOM})*)@({_HOST}) *$"
_WEBSITE: Final = rf"(?s)^ *(?:https?://)?({_HOST})(?::[0-9]+)?(?:[/?#].*)?$"
_PRINTABLE_ASCII: Final = "^[ -~]+$"
_COMPOSED_LETTERS: Final = (
    "À-ÖØ-Þà-öø-ÿ"  # Latin-1 but ß, which folds to two letters
    "\u0100-\u012f\u0134-\u013e\u0141-\u0148\u014a-\u017e"  # Latin Extended-A, in parts
    "\u0400-\u045f"  # Cyrillic
    "\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3"  # kana, Han, Hangul syllables
)
"""Letters that every normalisation form with composition leaves alone, alone or side by side, and
whose lower case is their case folding."""
_COMPOSED_TEXT: Final = f"^[ -~{_COMPOSED_LETTERS}]+$"
_DOCUMENT: Final = "^ *([A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*):([A-Za-z]{2}):([ -9;-~]+)$"
_OFFICIAL: Final = "^ *([A-Za-z]{2}) *:([ .-]*[0-9][ -9;-~]*)$"
_HANDLE: Final = "^ *([A-Za-z0-9]+):@?([A-Za-z0-9_.-]+) *$"
_DIGEST_LIKE: Final = "^ *h1:"
_IPV4: Final = r"^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.|$)){4}$"
"""Each part is followed by a dot or the end; `ip` rules out a dot at the end."""


def text(values: pl.Series) -> pl.Series:
    """Names and addresses in ASCII, composed Latin letters, Cyrillic, Han, kana and Hangul."""
    return _tidy(values, _COMPOSED_TEXT).str.to_lowercase()


def opaque(values: pl.Series) -> pl.Series:
    """Device identifiers in ASCII."""
    return _where(~values.str.contains(_DIGEST_LIKE), _tidy(values, _PRINTABLE_ASCII))


def email(values: pl.Series) -> pl.Series:
    """Addresses in ASCII without name or brackets around them."""
    parts = values.str.extract_groups(_EMAIL).struct
    local, domain = parts.field("1"), parts.field("2")
    fits = (local.str.len_bytes() <= 64) & (domain.str.len_bytes() <= 189)
    return _where(fits, local + "@" + domain).str.to_lowercase()


def website(values: pl.Series) -> pl.Series:
    """URLs and domains in ASCII without a user."""
    host = values.str.extract(_WEBSITE).str.to_lowercase()
    without = host.str.replace(r"^(?:www\.)+([^.]+\.)", "${1}")
    return _where((host.str.len_bytes() <= 253) & _short_enough(values), without)


def bank_account(values: pl.Series) -> pl.Series:
    """Account strings in ASCII, except those that start with the word IBAN."""
    number = _alphanumeric(values)
    return _where(~number.str.starts_with("IBAN"), number)


def official_number(values: pl.Series) -> pl.Series:
    """Numbers after a code of two letters that cannot begin or end as a VAT number does."""
    parts = values.str.extract_groups(_OFFICIAL).struct
    issuer, number = parts.field("1").str.to_uppercase(), _alphanumeric(parts.field("2"))
    written = issuer + ":" + number
    known = issuer.is_in(list(alpha_2_codes())) & ~number.str.ends_with("MVA")
    return _where(known & _short_enough(values) & _fits(written), written)


def id_document(values: pl.Series) -> pl.Series:
    """Numbers alone, or after a kind and a code of two letters."""
    parts = values.str.extract_groups(_DOCUMENT).struct
    kind, issuer = parts.field("1").str.to_lowercase(), parts.field("2").str.to_uppercase()
    number = _alphanumeric(parts.field("3"))
    known = issuer.is_in(list(alpha_2_codes())) & ~kind.is_in([*SAME_KIND, "h1"])
    written = kind + ":" + issuer + ":" + number
    named = _where(known & _fits(written), written)
    alone = _where(~values.str.contains(":", literal=True), _alphanumeric(values))
    return _where(_short_enough(values), named.fill_null(alone))


def ip(values: pl.Series) -> pl.Series:
    """IPv4 addresses."""
    return _where(values.str.contains(_IPV4) & ~values.str.ends_with("."), values)


def image_hash(values: pl.Series) -> pl.Series:
    """Hashes with nothing around them."""
    return _where(values.str.contains("^[0-9A-Fa-f]{64}$"), values).str.to_lowercase()


def handle(values: pl.Series) -> pl.Series:
    """Names on platforms that go by one name and find nobody by phone."""
    parts = values.str.extract_groups(_HANDLE).struct
    scheme, name = parts.field("1").str.to_lowercase(), parts.field("2").str.to_lowercase()
    known = ~scheme.is_in([*SAME_PLATFORM, *FOUND_BY_PHONE])
    return _where(known & _fits(scheme + ":" + name), scheme + ":" + name)


COMMON_SHAPES: Final[dict[str, Callable[[pl.Series], pl.Series]]] = {
    "name": text,
    "alias": text,
    "email": email,
    "address": text,
    "tax_id": official_number,
    "registration_no": official_number,
    "bank_account": bank_account,
    "id_document": id_document,
    "website": website,
    "contact": handle,
    "handle": handle,
    "ip": ip,
    "device": opaque,
    "image_hash": image_hash,
    "related": text,
}


def _tidy(values: pl.Series, shape: str) -> pl.Series:
    tidy = values.str.replace_all(" {2,}", " ").str.strip_chars(" ")
    return _where(values.str.contains(shape) & _short_enough(values) & _fits(tidy), tidy)


def _alphanumeric(values: pl.Series) -> pl.Series:
    kept = values.str.to_uppercase().str.replace_all("[^A-Z0-9]+", "")
    known = values.str.contains(_PRINTABLE_ASCII) & ~values.str.contains(_DIGEST_LIKE)
    return _where(known & _short_enough(values) & _fits(kept), kept)


def _fits(written: pl.Series) -> pl.Series:
    return written.str.len_chars().is_between(1, MAX_VALUE_CHARACTERS)


def _short_enough(values: pl.Series) -> pl.Series:
    return values.str.len_chars() <= MAX_INPUT_CHARACTERS


def _where(known: pl.Series, written: pl.Series) -> pl.Series:
    return written.set(~known, None)
