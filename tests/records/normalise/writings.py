"""Values as people write them, well and badly, for every field of an account."""

from __future__ import annotations

import string
from typing import Final

from hypothesis import strategies as st

_NOISE = st.sampled_from([" ", "  ", "-", ".", "/", "(", ")", "\u200b", "\u202e", "\xa0", ":", "+"])
_LETTERS = st.text(string.ascii_letters + "äßéøИвСλΣς李伟深かなカ김ﬁＡ①²", min_size=1, max_size=8)
_DIGITS = st.text(string.digits + "٣３", min_size=1, max_size=12)
_ASCII_WORD = st.text(string.ascii_letters + string.digits + "-_+.", min_size=1, max_size=12)
_CODES = st.sampled_from(["CN", "de", "GB", "UK", "XX", "CHN", "Germany", "", " FR "])

COUNTRIES: Final = st.lists(
    st.sampled_from(["CN", "US", "DE", "GB", "CA", "IT", "BR", "AR", "ru", "Vietnam", "XX", ""]),
    max_size=3,
)


def any_text() -> st.SearchStrategy[str]:
    """Any text without surrogates, and the pieces from which values are made."""
    pieces = st.lists(_LETTERS | _DIGITS | _NOISE | st.text(max_size=4), max_size=8).map("".join)
    return st.text(max_size=40) | pieces


def written_value(field: str) -> st.SearchStrategy[str]:
    """A value that somebody may have written into a field."""
    names = st.lists(_LETTERS | _DIGITS, max_size=5).map(" ".join)
    digests = st.sampled_from(["h1:" + "0a" * 32, " h1:0", "H1:CN:5", "\u200bh1:" + "0a" * 32])
    return any_text() | digests | _SHAPED.get(field, names).flatmap(_disturbed)


def phones() -> st.SearchStrategy[str]:
    """Numbers of many countries: international, national, with and without punctuation."""
    codes = ["+86", "+1", "+44", "+49", "+39", "+7", "+55", "+54", "+800", "00", "0", ""]
    digits = st.text(string.digits, min_size=4, max_size=13)
    parts = st.lists(st.text(string.digits, min_size=1, max_size=5), min_size=1, max_size=5)
    separator = st.sampled_from(["", " ", "-", ".", ") ", " (", "/"])
    national = digits | st.builds(lambda parts, sign: sign.join(parts), parts, separator)
    return st.builds("{}{}".format, st.sampled_from(codes), national)


def _disturbed(value: str) -> st.SearchStrategy[str]:
    # Mostly as it is; else with noise around or within.
    place = st.integers(0, len(value))
    within = st.builds(lambda at, noise: value[:at] + noise + value[at:], place, _NOISE)
    return st.just(value) | st.just(f"  {value} ") | within


def _hosts() -> st.SearchStrategy[str]:
    return st.builds(
        "{}{}.{}".format,
        st.sampled_from(["", "www.", "WWW.www.", "shop.", "a.b."]),
        _ASCII_WORD | _LETTERS,
        st.sampled_from(
            ["com", "co.uk", "CN", "test", "例え", "myshopify.com", "com.", "1", "x_y"]
        ),
    )


def _emails() -> st.SearchStrategy[str]:
    bare = st.builds("{}@{}".format, _ASCII_WORD | _LETTERS, _hosts())
    return bare | st.builds("{} <{}>".format, _LETTERS, bare) | st.builds("mailto:{}".format, bare)


def _websites() -> st.SearchStrategy[str]:
    return st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "https://", "HTTP://", "//", "http://user:pw@", "user@"]),
        _hosts(),
        st.sampled_from(["", ":443", ":"]),
        st.sampled_from(["", "/", "/a b", "?q=ä", "#x", "\\x", "/\n"]),
    )


def _official_numbers() -> st.SearchStrategy[str]:
    number = st.from_regex(r"\A([A-Z]{2})?[0-9]{8,12}[A-Z]{0,3}\Z")
    return number | st.builds("{}:{}".format, _CODES, number)


def _bank_accounts() -> st.SearchStrategy[str]:
    known = st.sampled_from(["DE89 3704 0044 0532 0130 00", "iban GB29NWBK60161331926819"])
    return known | st.from_regex(r"\A(IBAN ?)?[A-Za-z]{2}[0-9]{2}[0-9 ]{11,20}\Z")


def _handles() -> st.SearchStrategy[str]:
    schemes = st.sampled_from(["wechat", "Shopee", "whatsapp", "tg", "微信", "Signal", "https"])
    links = st.sampled_from(["https://t.me/Foo_1", "wa.me/8613800138000", "shopee:@Shop.1"])
    return links | st.builds("{}:{}".format, schemes, _ASCII_WORD | _LETTERS | phones())


_SHAPED: Final[dict[str, st.SearchStrategy[str]]] = {
    "kind": st.sampled_from(["person", "Organisation", " COMPANY", "robot"]),
    "email": _emails(),
    "phone": phones(),
    "country": _CODES,
    "tax_id": _official_numbers(),
    "registration_no": _official_numbers(),
    "bank_account": _bank_accounts(),
    "id_document": st.builds("{}:{}:{}".format, _ASCII_WORD, _CODES, _ASCII_WORD | _LETTERS),
    "website": _websites(),
    "contact": _handles(),
    "handle": _handles(),
    "birth_date": st.dates().map(str)
    | st.from_regex(r"\A[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}\Z"),
    "ip": st.ip_addresses().map(str) | st.builds("::ffff:{}".format, st.ip_addresses(v=4)),
    "image_hash": st.text("0123456789abcdefABCDEF", min_size=63, max_size=65),
}
