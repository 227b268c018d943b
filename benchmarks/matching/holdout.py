"""A second generator of reported accounts, come-backs and innocents, which tuning never uses.

Nothing is shared with `acx.demo` but the real identities: names, companies and streets are Faker's,
other writings are by `benchmarks.matching.respelling`, changes and shares are its own. What holds
here as well was not learnt from how one generator changes things.
"""

# ruff: noqa: RUF001 -- letters that look like others are the point

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import phonenumbers
import polars as pl
from faker import Faker

from acx.records.account import FIELDS, LIST_FIELDS, SCALAR_FIELDS, Account
from benchmarks.matching import respelling
from benchmarks.matching.data import (
    BUILD,
    Labelled,
    Size,
    Split,
    real_identities,
    same_actors,
    split_of,
)

SIZES: Final = {
    "small": Size(4_650, 14_000, 1_500, 0, 6_000),
    "holdout": Size(100_000, 30_000, 3_000, 1_500, 6_000),
}
SCHEMA: Final = pl.Schema(
    {name: pl.String() if name in SCALAR_FIELDS else pl.List(pl.String()) for name in FIELDS}
)

_LOCALES: Final = {
    "zh_CN": ("CN", 26), "zh_TW": ("TW", 3), "ja_JP": ("JP", 2), "ko_KR": ("KR", 3),
    "ru_RU": ("RU", 5), "uk_UA": ("UA", 3), "bg_BG": ("BG", 1), "el_GR": ("GR", 2),
    "ar_SA": ("SA", 2), "fa_IR": ("IR", 2), "he_IL": ("IL", 1), "hi_IN": ("IN", 2),
    "en_IN": ("IN", 5), "th_TH": ("TH", 2), "tr_TR": ("TR", 6), "vi_VN": ("VN", 4),
    "de_DE": ("DE", 3), "fr_FR": ("FR", 3), "it_IT": ("IT", 3), "es_ES": ("ES", 2),
    "es_MX": ("MX", 2), "es_CO": ("CO", 1), "pt_BR": ("BR", 2), "pt_PT": ("PT", 1),
    "nl_NL": ("NL", 1), "pl_PL": ("PL", 2), "ro_RO": ("RO", 1), "en_US": ("US", 5),
    "en_GB": ("GB", 3), "id_ID": ("ID", 2), "en_NG": ("NG", 1), "hu_HU": ("HU", 1),
}  # fmt: skip
_MAILBOXES: Final = {
    "CN": ("163.com", "qq.com", "126.com", "foxmail.com"), "RU": ("mail.ru", "yandex.ru"),
    "DE": ("gmx.de", "web.de", "t-online.de"), "IR": ("chmail.ir", "mailfa.com"),
    "KR": ("naver.com", "daum.net"), "FR": ("laposte.net", "orange.fr"),
}  # fmt: skip
_WORDS: Final = (
    "lucky", "golden", "sunny", "ocean", "star", "magic", "trendy", "urban", "happy", "royal",
    "smart", "fresh", "moon", "panda", "tiger", "rose", "style", "gear", "kicks", "glam", "bazaar",
    "corner", "house", "planet", "hub", "closet", "vault", "dream", "silk", "velvet", "nova",
    "pixel", "alpha", "mega", "prime", "pearl", "lotus", "maple", "crystal", "cloud",
)  # fmt: skip
_TRIMMINGS: Final = ("{} Official", "{} Store", "{}_2023", "{} Outlet UK", "The {} Shop", "{}-HQ",
                     "☆{}☆", "{} Direct 88", "Original {}")  # fmt: skip
_FORMS: Final = ("Co., Ltd.", "Ltd", "LLC", "Limited", "Trading Co., Ltd.", "GmbH", "S.A.", "Inc.",
                 "S.r.l.", "S.A. DE C.V.", "OOO", "JSC", "Pvt Ltd", "FZE", "L.L.C.",
                 "COMPANY")  # fmt: skip
_LOOKS_LIKE: Final = dict(zip("aeopcxyABEKMHOPCTX", "аеорсхуАВЕКМНОРСТХ", strict=True))

_SHORT_STREETS: Final = (
    ("Street", "St"), ("Avenue", "Ave"), ("Road", "Rd"), ("Building", "Bldg"), ("Floor", "F"),
    ("Calle", "Cl."), ("Apartment", "Apt"), ("Square", "Sq"), ("Number", "No"), ("Strasse", "Str"),
    ("straße", "str."), ("ulitsa", "ul"), ("Province", "Prov"), ("District", "Dist"),
)  # fmt: skip


# Who is reported, and who sells


@cache
def _faker(locale: str) -> Faker:
    fake = Faker(locale)
    fake.seed_instance(f"acx holdout {locale}")
    return fake


@cache
def _streets(country: str) -> Faker:
    """Addresses of a country, from a stream of their own, which is seeded for each."""
    known = {code: locale for locale, (code, _) in _LOCALES.items()}
    return Faker(known.get(country, "en_US"))


def _stranger(locale: str, rng: random.Random, issued: set[str], account_id: str) -> Account:
    """An account that has nothing to do with any other."""
    fake, country = _faker(locale), _LOCALES[locale][0]
    person = rng.random() < 0.5
    name = _person(fake, locale) if person else _company(fake, locale, rng)
    native = respelling.script_of(name)
    if native not in ("latin", "kana") and rng.random() < 0.5:
        name = respelling.latin(name, rng)
    address = fake.address().replace("\n", ", ")
    blank = Account(
        id=account_id,
        kind="person" if person else "organization",
        name=(name,),
        alias=(_store(rng),) if rng.random() < 0.6 else (),
        address=(address,) if rng.random() < 0.85 else (),
        country=(country,),
        birth_date=_birthday(rng) if person and rng.random() < 0.6 else "",
        related=(_person(fake, locale),) if not person and rng.random() < 0.4 else (),
    )
    return _with_contacts(blank, rng, issued)


def _person(fake: Faker, locale: str) -> str:
    first, last = fake.first_name(), fake.last_name()
    if locale in ("zh_CN", "zh_TW", "ko_KR"):
        return f"{last}{first}"
    return f"{last} {first}" if locale in ("ja_JP", "vi_VN", "hu_HU") else f"{first} {last}"


def _company(fake: Faker, locale: str, rng: random.Random) -> str:
    if rng.random() < 0.5 or locale.startswith("en"):
        return str(fake.company())
    made = f"{rng.choice(_WORDS)}{rng.choice(('', ' '))}{rng.choice(_WORDS)}".title()
    trade = rng.choice(("Trading", "Electronics", "Garment", "Import Export", "Technology", ""))
    return " ".join(f"{made} {trade} {rng.choice(_FORMS)}".split())


def _store(rng: random.Random) -> str:
    name = f"{rng.choice(_WORDS).title()} {rng.choice(_WORDS).title()}"
    if rng.random() < 0.3:
        name = name.replace(" ", "")
    return rng.choice(_TRIMMINGS).format(name) if rng.random() < 0.5 else name


def _birthday(rng: random.Random) -> str:
    return f"{rng.randint(1950, 2005)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def _with_contacts(account: Account, rng: random.Random, issued: set[str]) -> Account:
    """Fill in what a store knows of nearly everybody, and now and then what many share.

    Args:
        account: what there is.
        rng: the source of chance.
        issued: values that somebody has; nobody else is given one of them but by a hub.
    """
    country = account.country[0] if account.country else "US"

    def some(share: float, make: Callable[[], str]) -> tuple[str, ...]:
        if rng.random() >= share:
            return ()
        value = make()
        while _without_dots(value) in issued:
            value = make()
        issued.add(_without_dots(value))
        return (value,)

    organization = account.kind == "organization"
    values: dict[str, tuple[str, ...]] = {
        "email": some(0.9, lambda: _email(account, country, rng)),
        "phone": some(0.85, lambda: _phone(country, rng)),
        "address": some(0.6, lambda: _plain_address(country, rng)),
        "bank_account": some(0.6, lambda: _bank_account(country, rng)),
        "tax_id": some(0.35, lambda: f"{country}:{_digits(rng, 9)}"),
        "registration_no": some(0.5 * organization, lambda: _digits(rng, rng.randint(7, 12))),
        "id_document": some(0.45 * (not organization), lambda: _document(country, rng)),
        "website": some(
            0.15, lambda: f"www.{_word(rng)}{_word(rng)}{_word(rng)}{_digits(rng, 2)}.com"
        ),
        "contact": some(0.2, lambda: f"wechat:{_word(rng)}{_word(rng)}{_digits(rng, 3)}"),
        "handle": some(0.2, lambda: f"shopee:{_word(rng)}.{_word(rng)}{_digits(rng, 2)}"),
        "device": some(0.5, lambda: _hex(rng, 16)),
        "ip": some(0.6, lambda: ".".join(str(rng.randint(1, 254)) for _ in range(4))),
        "image_hash": some(0.1, lambda: _hex(rng, 64)),
    }
    for name, (share, how_many, _) in _HUBS.items():
        if rng.random() < share:
            values[name] = (_hub(name, int(how_many * rng.random() ** 2)),)
    known = {each: value for each, value in values.items() if not getattr(account, each)}
    return msgspec.structs.replace(account, **known)


_HUBS: Final[dict[str, tuple[float, int, Callable[[str, random.Random], str]]]] = {
    "address": (0.05, 40, lambda country, rng: _plain_address(country, rng)),
    "phone": (0.02, 30, lambda country, rng: _phone(country, rng)),
    "email": (0.01, 20, lambda _, rng: f"desk{_digits(rng, 3)}@relay.marketplace.com"),
    "ip": (0.2, 200, lambda _, rng: f"100.64.{rng.randint(0, 254)}.{rng.randint(0, 254)}"),
    "device": (0.02, 40, lambda _, rng: _hex(rng, 16)),
    "bank_account": (0.01, 20, lambda country, rng: _bank_account(country, rng)),
}
"""What many share: share of accounts that have a hub's value, how many hubs, how one is made."""


@cache
def _hub(name: str, number: int) -> str:
    """The value of a hub, the busiest first."""
    rng = random.Random(f"{name} {number}")
    return _HUBS[name][2](rng.choice(("US", "CN", "GB", "DE")), rng)


@cache
def _shared_values() -> frozenset[str]:
    return frozenset(_hub(name, at) for name, (_, many, _) in _HUBS.items() for at in range(many))


def _without_dots(value: str) -> str:
    """As Gmail reads a mailbox."""
    return value.replace(".", "") if value.endswith("@gmail.com") else value


def _word(rng: random.Random) -> str:
    return rng.choice(_WORDS)


def _digits(rng: random.Random, count: int) -> str:
    return str(rng.randint(1, 9)) + "".join(str(rng.randint(0, 9)) for _ in range(count - 1))


def _hex(rng: random.Random, count: int) -> str:
    return f"{rng.getrandbits(4 * count):0{count}x}"


def _email(account: Account, country: str, rng: random.Random) -> str:
    domain = rng.choice(("gmail.com", "gmail.com", "outlook.com", "yahoo.com", "hotmail.com",
                         *_MAILBOXES.get(country, ())))  # fmt: skip
    words = [w.lower() for w in respelling.latin(account.name[0], rng).split() if w.isalpha()]
    style = rng.random()
    if style < 0.3 and len(words) > 1 and all(word.isascii() for word in words[:2]):
        joint = rng.choice(("", ".", "_"))
        local = f"{words[0]}{joint}{words[1]}{rng.choice(('', _digits(rng, rng.randint(1, 4))))}"
    elif style < 0.45 and account.kind == "organization" and words and words[0].isascii():
        return f"{rng.choice(('info', 'sales', 'admin'))}@{words[0]}{_word(rng)}{_word(rng)}.com"
    elif style < 0.55:
        local = _digits(rng, 9)
    else:
        local = f"{_word(rng)}{rng.choice(('', '.', '-'))}{_word(rng)}{_digits(rng, 3)}"
    return f"{local}@{domain}"


def _phone(country: str, rng: random.Random) -> str:
    kind = phonenumbers.PhoneNumberType.MOBILE
    number = phonenumbers.example_number_for_type(country, kind)
    if number is None:
        return f"+{_digits(rng, 11)}"
    digits = str(number.national_number)
    changed = digits[:-7] + "".join(str(rng.randint(0, 9)) for _ in range(7))
    return f"+{number.country_code}{changed}"


def _plain_address(country: str, rng: random.Random) -> str:
    fake = _streets(country)
    fake.seed_instance(rng.getrandbits(40))
    return str(fake.address()).replace("\n", ", ")


def _bank_account(country: str, rng: random.Random) -> str:
    if country in ("DE", "FR", "IT", "ES", "GB", "NL", "PL", "TR", "RO", "PT", "GR"):
        return f"{country}{_digits(rng, 2)}{_digits(rng, 18)}"
    return _digits(rng, rng.choice((10, 12, 16, 19)))


def _document(country: str, rng: random.Random) -> str:
    return f"{rng.choice(('passport', 'id'))}:{country}:{rng.choice('ABCEGKP')}{_digits(rng, 8)}"


# How an actor comes back


@dataclass(slots=True)
class _Return:
    """An account on its way back: values, what was done, what still shows who it is."""

    values: dict[str, tuple[str, ...]]
    rng: random.Random
    changes: list[str] = field(default_factory=list)
    tells: set[str] = field(default_factory=set)


_TELLING: Final = ("email", "phone", "bank_account", "tax_id", "registration_no", "id_document",
                   "website", "contact", "handle", "device", "image_hash")  # fmt: skip


def _come_back(identity: Account, other: Account, rng: random.Random, new_id: str) -> _Return:
    draft = _Return({n: _tuple(identity, n) for n in FIELDS if n != "id"}, rng)
    draft.values["id"] = (new_id,)
    _rename(draft, identity)
    if rng.random() < 0.6:
        draft.values["alias"] = (_store(rng),)
        draft.changes.append("new_store")
    else:
        draft.values["alias"] = ()
    for name in _TELLING:
        if draft.values[name]:
            _renew(draft, name, other)
    _move(draft, other)
    if draft.values["birth_date"] and rng.random() < 0.08:
        year, month, day = draft.values["birth_date"][0].split("-")
        if int(day) <= 12:
            draft.values["birth_date"] = (f"{year}-{day}-{month}",)
            draft.changes.append("day_and_month")
    _lose(draft, identity)
    draft.tells &= {name for name, value in draft.values.items() if value}
    return draft


def _rename(draft: _Return, identity: Account) -> None:
    rng = draft.rng
    names = [*identity.name, *(alias for alias in identity.alias if len(alias) > 6)]
    name = rng.choice(names) if rng.random() < 0.5 else identity.name[0]
    if name != identity.name[0]:
        draft.changes.append("other_alias")
    wanted = rng.choice((0, 1, 1, 1, 2, 2))
    edits = list(_NAME_EDITS.items())
    rng.shuffle(edits)
    for kind, edit in edits:
        changed = edit(name, identity, rng) if wanted else None
        if changed and changed.strip() and changed != name:
            name, wanted = changed.strip(), wanted - 1
            draft.changes.append(kind)
    draft.values["name"] = (name,)
    draft.tells.add("name")


def _swap(name: str, identity: Account, _rng: random.Random) -> str | None:
    if identity.kind != "person":
        return None
    if "," in name:
        family, given = name.split(",", 1)
        return f"{given.strip()} {family}"
    words = name.split()
    return " ".join(words[1:] + words[:1]) if len(words) == 2 else None


def _other_script(name: str, identity: Account, rng: random.Random) -> str | None:
    if respelling.script_of(name) not in ("latin", "kana"):
        return respelling.latin(name, rng)
    return respelling.cyrillic(name, identity.country[0]) if identity.country else None


def _less_form(name: str, identity: Account, _rng: random.Random) -> str | None:
    if identity.kind != "organization":
        return None
    head, _, tail = name.rpartition(" ")
    ending = tail.lower().replace(".", "")
    forms = {"ltd", "llc", "gmbh", "sa", "limited", "inc", "srl", "ooo", "jsc", "fze", "company",
             "cv", "ltda", "sas", "corp", "co", "plc", "bv", "ag", "est"}  # fmt: skip
    return head.rstrip(" ,") if head and ending in forms else None


def _more_form(name: str, identity: Account, rng: random.Random) -> str | None:
    if identity.kind != "organization" or rng.random() < 0.5:
        return None
    return f"{name} {rng.choice(_FORMS)}"


def _trim(name: str, _identity: Account, rng: random.Random) -> str | None:
    return rng.choice(_TRIMMINGS).format(name) if rng.random() < 0.3 else None


def _shorten(name: str, identity: Account, rng: random.Random) -> str | None:
    words = name.split()
    if identity.kind == "person" and len(words) > 2 and "," not in name:
        words.pop(rng.randrange(1, len(words) - 1))
        return " ".join(words)
    return None


def _initial(name: str, identity: Account, rng: random.Random) -> str | None:
    words = name.replace(",", " , ").split()
    if identity.kind != "person" or len(words) < 2 or rng.random() < 0.6 or not name.isascii():
        return None
    at = words.index(",") + 1 if "," in words else 0
    if len(words[at]) < 3:
        return None
    words[at] = words[at][0] + "."
    return " ".join(words).replace(" ,", ",")


def _disguise(name: str, _identity: Account, rng: random.Random) -> str | None:
    places = [at for at, letter in enumerate(name) if letter in _LOOKS_LIKE]
    if not places or rng.random() < 0.6:
        return None
    letters = list(name)
    for at in rng.sample(places, min(2, len(places))):
        letters[at] = _LOOKS_LIKE[letters[at]]
    return "".join(letters)


def _glue(name: str, _identity: Account, rng: random.Random) -> str | None:
    words = name.split()
    if len(words) < 2 or rng.random() < 0.7 or "," in name:
        return None
    at = rng.randrange(len(words) - 1)
    return " ".join([*words[:at], words[at] + words[at + 1], *words[at + 2 :]])


_NAME_EDITS: Final[dict[str, Callable[[str, Account, random.Random], str | None]]] = {
    "typo": lambda name, _identity, rng: respelling.typed(name, rng),
    "swapped": _swap,
    "other_script": _other_script,
    "less_form": _less_form,
    "more_form": _more_form,
    "trimmings": _trim,
    "respelled": lambda name, _identity, rng: (
        respelling.respelled(name, rng) if name.isascii() else None
    ),
    "shorter": _shorten,
    "initial": _initial,
    "disguised": _disguise,
    "glued": _glue,
    "lower_case": lambda name, _identity, _rng: name.lower(),
}


def _renew(draft: _Return, name: str, other: Account) -> None:
    """Keep a value, vary it, or replace it by one that nobody has."""
    rng, value = draft.rng, draft.values[name][0]
    chance = rng.random()
    if chance < 0.4:
        draft.values[name] = _tuple(other, name)
        draft.changes.append(f"new_{name}")
        return
    if chance < 0.65 and name in _VARIED:
        draft.values[name] = (_VARIED[name](value, rng),)
        draft.changes.append(f"varied_{name}")
    if value not in _shared_values():
        draft.tells.add(name)


def _vary_email(value: str, rng: random.Random) -> str:
    local, _, domain = value.rpartition("@")
    return rng.choice(
        (
            f"{local}{rng.randint(1, 99)}@{domain}",
            f"{local}+{_word(rng)}@{domain}",
            f"{local[:3]}.{local[3:]}@{domain}" if len(local) > 4 else value,
            f"{local}@{rng.choice(('gmail.com', 'proton.me', 'yahoo.com'))}",
            value.upper(),
        )
    )


def _vary_phone(value: str, rng: random.Random) -> str:
    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        return value
    styles = phonenumbers.PhoneNumberFormat
    written = phonenumbers.format_number(
        number, rng.choice((styles.NATIONAL, styles.INTERNATIONAL, styles.RFC3966))
    )
    return rng.choice((written, written.replace("+", "00"), written.replace(" ", "-")))


def _vary_number(value: str, rng: random.Random) -> str:
    bare = value.rsplit(":", 1)[-1]
    return rng.choice((bare, bare.lower(), "-".join((bare[:3], bare[3:])), f" {bare} "))


def _vary_image(value: str, rng: random.Random) -> str:
    bits = int(value, 16) if len(value) == 64 else 0
    for _ in range(rng.randint(1, 20)):
        bits ^= 1 << rng.randrange(256)
    return f"{bits:064x}"


_VARIED: Final[dict[str, Callable[[str, random.Random], str]]] = {
    "email": _vary_email,
    "phone": _vary_phone,
    "bank_account": lambda value, _: " ".join(value[at : at + 4] for at in range(0, len(value), 4)),
    "tax_id": _vary_number,
    "registration_no": _vary_number,
    "id_document": _vary_number,
    "website": lambda value, rng: f"https://{value.replace('www.', '')}/{_word(rng)}",
    "handle": lambda value, rng: f"{rng.choice(('lazada', 'ebay', 'etsy'))}:{value.split(':')[-1]}",
    "image_hash": _vary_image,
}


def _move(draft: _Return, other: Account) -> None:
    """Stay, write the address another way, borrow a forwarder's, or move."""
    rng, addresses = draft.rng, draft.values["address"]
    if not addresses:
        return
    chance, address = rng.random(), rng.choice(addresses)
    if chance < 0.2:
        draft.values["address"] = (_hub("address", int(40 * rng.random() ** 2)),)
        draft.changes.append("borrowed_address")
        return
    if chance < 0.4:
        draft.values["address"] = other.address
        draft.changes.append("moved")
        return
    if chance < 0.75:
        for long, short in _SHORT_STREETS:
            address = address.replace(long, short)
        parts = address.split(", ")
        if len(parts) > 2 and rng.random() < 0.5:
            parts.pop(rng.randrange(1, len(parts)))
        if rng.random() < 0.3:
            parts.reverse()
        address = ", ".join(parts)
        draft.changes.append("address_rewritten")
    draft.values["address"] = (address,)
    if not _shared_values() & set(addresses):
        draft.tells.add("address")


def _lose(draft: _Return, identity: Account) -> None:
    """30 to 70 % of the fields go; nineteen in twenty keep something that tells who it is."""
    rng = draft.rng
    there = sorted(n for n, v in draft.values.items() if v and n not in ("id", "kind", "name"))
    gone = rng.sample(there, round(rng.uniform(0.3, 0.7) * len(there)))
    tell = draft.tells - set(gone) - {"name"}
    if not tell & {*_TELLING, "address"} and "birth_date" not in set(there) - set(gone):
        back = sorted(draft.tells & set(gone))
        if back and rng.random() < 0.95:
            gone.remove(rng.choice(back))
    for name in gone:
        draft.values[name] = ()
    if draft.values["birth_date"] and identity.birth_date:
        draft.tells.add("birth_date")


def _tuple(account: Account, name: str) -> tuple[str, ...]:
    value: str | tuple[str, ...] = getattr(account, name)
    if isinstance(value, tuple):
        return value
    return (value,) if value else ()


# Innocents who look like somebody reported


def _innocent(kind: str, actor: Account, third: Account, own: Account, rng: random.Random) -> Any:
    """What an innocent of a kind has in common with reported actors; None if that is nothing."""
    words = [word.strip(",.") for word in actor.name[0].split()]
    others = [word.strip(",.") for word in third.name[0].split()]
    if kind == "recombined":
        if min(len(words), len(others)) < 2:
            return None
        size = max(1, len(words) // 2)
        return {"name": (" ".join(words[:size] + others[-max(1, len(others) // 2) :]),),
                "kind": actor.kind, "country": rng.choice((actor, own)).country}  # fmt: skip
    if kind == "surname":
        if actor.kind != "person" or len(words) < 2 or own.kind != "person":
            return None
        return {"name": (f"{own.name[0].split()[0]} {words[0]}",), "country": actor.country,
                "address": rng.choice((actor.address[:1], own.address, own.address))}  # fmt: skip
    if kind == "namesake":
        if actor.kind != "person" or not actor.birth_date or not own.birth_date:
            return None
        return {"name": actor.name[:1], "kind": "person", "country": actor.country}
    if kind == "building":
        if not actor.address or not any(letter.isdigit() for letter in actor.address[0]):
            return None
        return {"address": (f"{rng.randint(1, 30)}/F, {actor.address[0]}",)}
    if kind == "sister":
        if actor.kind != "organization" or len(words) < 2 or len(words[0]) < 4:
            return None
        line = rng.choice(("Logistics", "Cosmetics", "Agro", "Travel", "Media", "Energy"))
        return {"name": (f"{words[0]} {line} {rng.choice(_FORMS)}",), "kind": "organization",
                "related": rng.choice((actor.related[:1], ()))}  # fmt: skip
    name = {"forwarder": "address", "agent_phone": "phone", "relay": "email"}[kind]
    return {name: (_hub(name, int(_HUBS[name][1] * rng.random() ** 2)),)}


_INNOCENT: Final = (
    "surname",
    "namesake",
    "building",
    "sister",
    "forwarder",
    "agent_phone",
    "relay",
)


# On disk


def holdout(split: Split, size: str) -> Labelled:
    """Make the data, or find it made; `split` chooses the real identities as in `data`."""
    sources = [Path(__file__), Path(__file__).with_name("respelling.py")]
    stamp = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    folder = BUILD / f"holdout-{split}-{size}-{stamp}"
    if not (folder / "actors.parquet").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, split, SIZES[size])
    return Labelled(folder)


def _write(folder: Path, split: Split, size: Size) -> None:
    rng = random.Random(f"acx holdout {split} {size}")
    _faker.cache_clear()
    actor_of = same_actors(real_identities())
    half = [each for each in real_identities() if split_of(actor_of[each.id]) == split]
    issued: set[str] = set()

    def strangers(count: int, prefix: str) -> list[Account]:
        drawn = rng.choices(list(_LOCALES), [share for _, share in _LOCALES.values()], k=count)
        return [_stranger(locale, rng, issued, f"{prefix}-{at}") for at, locale in enumerate(drawn)]

    real = [_with_contacts(each, rng, issued) for each in half if each.name][: size.subjects]
    invented = strangers(size.subjects - len(real), "invented")
    subjects = real + invented

    returning = [real[at % len(real)] for at in rng.sample(range(2 * len(real)), size.come_backs)]
    returning += rng.sample(invented, size.invented_come_backs)
    fronts = strangers(len(returning), "front")
    back = [
        _come_back(identity, front, rng, f"back-{at}")
        for at, (identity, front) in enumerate(zip(returning, fronts, strict=True))
    ]
    alike = _look_alikes(real, strangers(size.look_alikes, "alike"), rng)
    sellers = [_account(draft) for draft in back] + [own for own, _, _ in alike]
    sellers += strangers(size.innocents, "seller")
    rng.shuffle(sellers)

    _frame(subjects).write_parquet(folder / "subjects.parquet")
    _frame(sellers).write_parquet(folder / "sellers.parquet")
    pl.DataFrame(
        {
            "account_id": [draft.values["id"][0] for draft in back],
            "subject_id": [identity.id for identity in returning],
            "changes": [draft.changes for draft in back],
            "kept": [sorted(draft.tells) for draft in back],
            "detail": [json.dumps(draft.changes) for draft in back],
        },
        schema_overrides={"changes": pl.List(pl.String), "kept": pl.List(pl.String)},
    ).write_parquet(folder / "truth.parquet")
    pl.DataFrame(
        [(own.id, resembled, kind) for own, resembled, kind in alike],
        schema=["account_id", "resembles", "kind"],
        orient="row",
    ).write_parquet(folder / "look_alikes.parquet")
    ids = [each.id for each in subjects]
    pl.DataFrame(
        {"subject_id": ids, "actor": [actor_of.get(each, each) for each in ids]}
    ).write_parquet(folder / "actors.parquet")


def _look_alikes(
    actors: Sequence[Account], fronts: Sequence[Account], rng: random.Random
) -> list[tuple[Account, str, str]]:
    """Innocents, whom each resembles, and how: five in six are recombined."""
    made = []
    for front in fronts:
        kind = "recombined" if rng.random() < 5 / 6 else rng.choice(_INNOCENT)
        common = None
        while common is None:
            actor, third = rng.choice(actors), rng.choice(actors)
            common = _innocent(kind, actor, third, front, rng)
            kind = kind if common or rng.random() < 0.9 else "recombined"
        made.append((msgspec.structs.replace(front, **common), actor.id, kind))
    return made


def _account(draft: _Return) -> Account:
    return msgspec.convert(
        {n: v if n in LIST_FIELDS else (v or ("",))[0] for n, v in draft.values.items()}, Account
    )


def _frame(accounts: Sequence[Account]) -> pl.DataFrame:
    rows = [
        {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}
        for fields in map(msgspec.structs.asdict, accounts)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)
