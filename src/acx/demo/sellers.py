"""Ordinary sellers: unrelated accounts of many countries and scripts, in any number.

Columns are drawn as columns, so 100,000 sellers take seconds. What many unrelated sellers share in
life they share here: forwarders' warehouses, formation agents' addresses, agents' phones, shared
mailboxes, networks and collective bank accounts (`hubs`), common names, company words.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import polars as pl

from acx.demo import identifiers
from acx.demo.identifiers import Domains
from acx.demo.words import Culture, Pieces, Script, culture_of, cultures, store_words
from acx.records.account import FIELDS, SCALAR_FIELDS

SCHEMA: Final = pl.Schema(
    {name: pl.String if name in SCALAR_FIELDS else pl.List(pl.String) for name in FIELDS}
)
"""A seller base as a frame: the columns of an account, lists where a field has several values."""

PERSON_SHARE: Final = 0.55

PRESENT: Final[Mapping[str, float]] = {
    "alias": 0.6,
    "email": 0.95,
    "phone": 0.9,
    "address": 0.9,
    "country": 0.97,
    "tax_id": 0.4,
    "registration_no": 0.6,
    "bank_account": 0.75,
    "id_document": 0.5,
    "website": 0.12,
    "contact": 0.15,
    "handle": 0.15,
    "birth_date": 0.65,
    "ip": 0.7,
    "device": 0.6,
    "image_hash": 0.1,
    "related": 0.4,
}
"""Share of sellers of whom a store knows the field (of persons or organizations, where only those
have it)."""

HUB_SHARE: Final[Mapping[str, float]] = {
    "address": 0.06,
    "phone": 0.02,
    "email": 0.008,
    "ip": 0.2,
    "device": 0.02,
    "bank_account": 0.012,
}
"""Share of sellers whose value of a field is a hub's."""


@dataclass(frozen=True, slots=True)
class Hubs:
    """What many unrelated sellers of a culture share, the busiest first.

    Attributes:
        address: forwarders' warehouses and formation agents.
        phone: agents' phones.
        email: agencies' shared mailboxes.
        ip: carriers' and offices' networks.
        device: agencies' machines.
        bank_account: collective accounts of payment services.
    """

    address: pl.Series
    phone: pl.Series
    email: pl.Series
    ip: pl.Series
    device: pl.Series
    bank_account: pl.Series


def ordinary(
    count: int, seed: int, *, prefix: str = "seller-", domains: Domains = "reserved"
) -> pl.DataFrame:
    """Make unrelated sellers of many countries.

    Args:
        count: how many.
        seed: the same seed makes the same sellers.
        prefix: what ids start with; a running number follows.
        domains: at which domains invented mailboxes are.

    Returns:
        A frame of `SCHEMA`.
    """
    weights = {code: weight for culture in cultures() for code, weight in culture.countries.items()}
    shares = np.array(list(weights.values()))
    random = np.random.default_rng((seed, count))
    countries = random.choice(list(weights), count, p=shares / shares.sum()).tolist()
    frame = sellers_in(countries, seed, domains=domains)
    ids = pl.format("{}{}", pl.lit(prefix), pl.int_range(1, pl.len() + 1))
    return frame.with_columns(id=ids)


def sellers_in(
    countries: Sequence[str],
    seed: int,
    *,
    domains: Domains = "reserved",
    present: Mapping[str, float] = PRESENT,
    hub_share: Mapping[str, float] = HUB_SHARE,
) -> pl.DataFrame:
    """Make one unrelated seller, without an id, for each country given, in that order.

    Args:
        countries: ISO codes; those without word lists of their own take a neighbour's.
        seed: the same seed makes the same sellers.
        domains: at which domains invented mailboxes are.
        present: share of sellers that have each field.
        hub_share: share of sellers whose value of a field is a hub's.

    Returns:
        A frame of `SCHEMA`.
    """
    random = np.random.default_rng((seed, len(countries)))
    keys = np.array([culture_of(country).key for country in countries])
    blocks, places = [], []
    for culture in cultures():
        where = np.flatnonzero(keys == culture.key)
        if len(where):
            block = pl.Series([countries[place] for place in where.tolist()])
            made = _block(culture, block, random, domains, present, hub_share)
            blocks.append(_as_accounts(made, present, random))
            places.append(where)
    if not blocks:
        return pl.DataFrame(schema=SCHEMA)
    frame = pl.concat(blocks)[np.argsort(np.concatenate(places))]
    return frame.select(FIELDS).cast(SCHEMA)


def hubs(culture: Culture, domains: Domains = "reserved") -> Hubs:
    """The hubs of a culture: the same for every seed, for everybody uses the same forwarders."""
    return _hubs(culture.key, domains)


@cache
def _hubs(key: str, domains: Domains) -> Hubs:
    (culture,) = (each for each in cultures() if each.key == key)
    random = np.random.default_rng(zlib.crc32(culture.key.encode()))
    countries = _countries(culture, 40, random)
    places = addresses(culture, countries, random, pl.repeat(value=False, n=40, eager=True))
    names = companies(culture, countries, random).latin
    signs = pl.Series(["Warehouse", "c/o", "Logistics Center", "Forwarding Dept."] * 10)
    return Hubs(
        address=(names + " " + signs + ", " + places)[:12],
        phone=by_country(identifiers.mobiles, countries, random)[:8],
        email=pl.Series(
            [
                f"{name}@{identifiers.mail_domain('seller-service.com', domains)}"
                for name in identifiers.patterned("shop@@##", 6, random)
            ]
        ).str.to_lowercase(),
        ip=pl.Series(identifiers.ip_addresses(30, random)),
        device=pl.Series(identifiers.devices(10, random)),
        bank_account=by_country(identifiers.bank_accounts, countries, random)[:4],
    )


def shared(name: str, value: str) -> bool:
    """Whether a value is one that many unrelated sellers have: a forwarder's address, say."""
    return any(value.startswith(known) for known in _shared_values().get((name, value[:8]), ()))


@cache
def _shared_values() -> Mapping[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for culture in cultures():
        for values in (hubs(culture, "reserved"), hubs(culture, "real")):
            for name in HUB_SHARE:
                for value in getattr(values, name):
                    found.setdefault((name, value[:8]), []).append(value)
    return found


def by_country(
    make: Callable[[str, int, np.random.Generator], list[str]],
    countries: pl.Series,
    random: np.random.Generator,
) -> pl.Series:
    """Values for a column of countries, made country by country."""
    values = np.empty(len(countries), dtype=object)
    codes = countries.to_numpy()
    for country in sorted(set(codes.tolist())):
        where = np.flatnonzero(codes == country)
        values[where] = make(country, len(where), random)
    return pl.Series(values.tolist(), dtype=pl.String)


def people(culture: Culture, count: int, random: np.random.Generator) -> dict[str, Pieces]:
    """Pieces of persons' names: `family` and `given`, as that culture puts them together."""
    words, settings = culture.words, culture.settings
    family = words["families"].draw(count, random)
    if "family_stems" in words:
        family = _mixed(
            family,
            words["family_stems"]
            .draw(count, random)
            .followed_by(
                words["family_endings"].draw(count, random),
                _always(count),
                joint="",
                native_joint="",
            ),
            _chance(settings.get("family_tail_share", 0.0), count, random),
        )
    double = _chance(settings.get("family_second_share", 0.0), count, random)
    family = family.followed_by(words["families"].draw(count, random), double, " ", " ")
    joint = settings.get("given_joint", " ")
    given = words["given"].draw(count, random)
    given = given.followed_by(
        words["given"].draw(count, random),
        _chance(settings.get("given_second_share", 0.0), count, random),
        joint,
        settings.get("given_joint_native", joint),
    )
    if "middles" in words:
        middle = _chance(settings["middle_share"], count, random)
        given = given.followed_by(words["middles"].draw(count, random), middle, " ", " ")
    return {"family": family, "given": given}


def companies(culture: Culture, countries: pl.Series, random: np.random.Generator) -> Pieces:
    """Names of companies, in both scripts (`ascii` is the brand, as a domain would have it)."""
    words, settings, count = culture.words, culture.settings, len(countries)
    brand = words["brands"].draw(count, random)
    if "brand_endings" in words:
        brand = brand.followed_by(
            words["brand_endings"].draw(count, random), _chance(0.8, count, random), "", ""
        )
    joint = settings.get("brand_joint", "")
    brand = brand.followed_by(
        words["brands"].draw(count, random),
        _chance(settings.get("brand_second_share", 0.0), count, random),
        joint,
        joint,
    )
    pieces = {
        "brand": brand,
        "trade": words["trades"].draw(count, random),
        "form": words["forms"].draw(count, random),
        "city": _cities(culture, countries, random),
        "family": words["families"].draw(count, random),
        "family2": words["families"].draw(count, random),
    }
    return Pieces(
        native=_filled(culture.template("company", "native"), "native", pieces, random),
        latin=_filled(culture.template("company", "latin"), "latin", pieces, random),
        ascii=brand.ascii,
    )


def addresses(
    culture: Culture, countries: pl.Series, random: np.random.Generator, native: pl.Series
) -> pl.Series:
    """Postal addresses, natively written where `native` says so."""
    count = len(countries)
    words = culture.words
    numbers = 1 + random.exponential(70.0, count).astype(int)
    plain = {
        "number": numbers.astype(str),
        "unit": (random.integers(1, 31, count) * 100 + random.integers(1, 19, count)).astype(str),
        "block": random.integers(1, 24, count).astype(str),
        "letter": random.choice(list("abcd"), count),
    }
    pieces = {name: _plain(pl.Series(values.tolist())) for name, values in plain.items()}
    pieces["postcode"] = _plain(
        by_country(
            lambda c, n, r: identifiers.patterned(culture.postcodes.get(c, "#####"), n, r),
            countries,
            random,
        )
    )
    pieces["city"] = _cities(culture, countries, random)
    for name, source in {"district": "districts", "street": "streets"}.items():
        pieces[name] = words[source].draw(count, random)
    if "street_ends" in words:
        pieces["end"] = words["street_ends"].draw(count, random)
    return _where(
        native,
        _filled(culture.template("address", "native"), "native", pieces, random),
        _filled(culture.template("address", "latin"), "latin", pieces, random),
    )


def mailboxes(
    culture: Culture,
    names: Mapping[str, Pieces],
    random: np.random.Generator,
    domains: Domains,
) -> pl.Series:
    """Personal e-mail addresses, made of a name as people make them."""
    count = len(names["family"].ascii)
    pieces = dict(names)
    pieces["initial"] = _plain(names["given"].ascii.str.slice(0, 1))
    years = random.integers(60, 108, count) % 100
    digits = np.where(random.random(count) < 0.35, years, random.integers(1, 10_000, count))
    pieces["digits"] = _plain(pl.Series(digits.astype(str).tolist()))
    pieces["digits6"] = _plain(pl.Series(identifiers.patterned("######", count, random)))
    local = _filled(culture.templates["local_parts"], "ascii", pieces, random)
    # Mailboxes without a number went long ago: few have one, and no two the same.
    crowded = ~local.str.contains(r"\d") & _chance(0.96, count, random)
    local = _where(crowded, local + pieces["digits"].ascii, local)
    providers = culture.words["providers"].draw(count, random).latin
    return local + "@" + identifiers.mail_domains(providers, domains)


def store_names(brands: pl.Series, random: np.random.Generator) -> pl.Series:
    """Names of shops: plain, glued, decorated, some with the owner's brand in them."""
    count = len(brands)
    words = store_words()

    def some(role: str) -> pl.Series:
        return pl.Series(random.choice(words[role], count).tolist())

    pieces = {
        "adjective": _plain(some("adjectives")),
        "noun": _plain(some("nouns")),
        "noun2": _plain(some("nouns")),
        "mark": _plain(some("marks")),
        "brand": _plain(brands.str.to_titlecase()),
        "letters": _plain(pl.Series(identifiers.patterned("@@@", count, random))),
    }
    return _filled(_STORE_NAMES, "latin", pieces, random)


_STORE_NAMES: Final = (
    "{adjective} {noun} {noun2}",
    "{adjective}{noun}-{mark}",
    "{brand} {noun}",
    "{brand}{noun}{mark}",
    "{letters} {noun}",
    "{adjective} {brand} {noun}",
    "{letters}{noun} {mark}",
    "{brand}_{mark}",
)


def _block(
    culture: Culture,
    countries: pl.Series,
    random: np.random.Generator,
    domains: Domains,
    present: Mapping[str, float],
    hub_share: Mapping[str, float],
) -> pl.DataFrame:
    """The sellers of one culture with all fields, but tax numbers only where they are wanted."""
    count = len(countries)
    person = _chance(PERSON_SHARE, count, random)
    native = _chance(culture.native_share, count, random)
    owner, firm = people(culture, count, random), companies(culture, countries, random)
    owner_names = person_names(culture, owner, native, random)
    brand = _where(person, owner["family"].ascii, firm.ascii)
    personal = mailboxes(culture, owner, random, domains)
    roles = pl.Series(random.choice(["info", "sales", "service", "shop", "admin"], count).tolist())
    numbered = pl.Series(identifiers.patterned("#####", count, random))
    site = (firm.ascii + numbered + ".example").rename("site")
    own_domain = _chance(0.3, count, random) & ~person
    shared = hubs(culture, domains)
    frame = pl.DataFrame(
        {
            "kind": _where(person, _same("person", count), _same("organization", count)),
            "name": _where(person, owner_names, _where(native, firm.native, firm.latin)),
            "alias": store_names(brand, random),
            "email": _where(own_domain, roles + "@" + site, personal),
            "phone": written_phones(by_country(identifiers.mobiles, countries, random), random),
            "address": addresses(culture, countries, random, native),
            "country": countries,
            "tax_id": _sparse(identifiers.tax_ids, countries, present.get("tax_id", 1.0), random),
            "registration_no": by_country(identifiers.registration_numbers, countries, random),
            "bank_account": by_country(identifiers.bank_accounts, countries, random),
            "id_document": by_country(identifiers.passports, countries, random),
            "website": _where(_chance(0.5, count, random), "https://www." + site + "/", site),
            "contact": "wechat:" + brand + numbered,
            "handle": pl.Series(random.choice(store_words()["networks"], count).tolist())
            + ":"
            + brand
            + "_"
            + numbered,
            "birth_date": birth_dates(count, random),
            "ip": pl.Series(identifiers.ip_addresses(count, random)),
            "device": pl.Series(identifiers.devices(count, random)),
            "image_hash": pl.Series(identifiers.image_hashes(count, random)),
            "related": owner_names,
        }
    ).with_columns(person.alias("person"))
    for field, share in hub_share.items():
        values = getattr(shared, field)
        busiest = 1.0 / np.arange(1, len(values) + 1)
        chosen = values.gather(random.choice(len(values), count, p=busiest / busiest.sum()))
        if field == "address":
            # Forwarders give each customer a mark of his own, which is part of what he writes.
            marked = chosen + ", " + pl.Series(identifiers.patterned("@@-####", count, random))
            chosen = _where(_chance(0.5, count, random), marked, chosen)
        frame = frame.with_columns(
            _where(_chance(share, count, random), chosen, frame[field]).alias(field)
        )
    return frame


def _as_accounts(
    frame: pl.DataFrame, present: Mapping[str, float], random: np.random.Generator
) -> pl.DataFrame:
    """Drop what the store does not know, and make lists of what is left."""
    count = len(frame)
    of = {
        "id_document": "person",
        "birth_date": "person",
        "registration_no": "firm",
        "related": "firm",
    }
    columns = []
    for field in frame.columns:
        if field == "person":
            continue
        known = pl.lit(value=True)
        if field in present and field != "tax_id":
            known = pl.lit(_chance(present[field], count, random))
        if field in of:
            known &= pl.col("person") if of[field] == "person" else ~pl.col("person")
        value = pl.when(known).then(pl.col(field))
        if field in SCALAR_FIELDS:
            columns.append(value.otherwise(pl.lit("")).alias(field))
        else:
            columns.append(pl.concat_list(value).list.drop_nulls().alias(field))
    return frame.select(pl.lit("").alias("id"), *columns).select(FIELDS)


def person_names(
    culture: Culture, pieces: Mapping[str, Pieces], native: pl.Series, random: np.random.Generator
) -> pl.Series:
    """Whole names of persons, natively written where `native` says so."""
    return _where(
        native,
        _filled(culture.template("person", "native"), "native", pieces, random),
        _filled(culture.template("person", "latin"), "latin", pieces, random),
    )


def written_phones(phones: pl.Series, random: np.random.Generator) -> pl.Series:
    """International numbers as sellers type them: most as they are, some with 00 or blanks."""
    way = pl.Series(random.random(len(phones)))
    frame = pl.DataFrame({"phone": phones, "way": way})
    phone = pl.col("phone")
    return frame.select(
        pl.when(pl.col("way") < 0.7)
        .then(phone)
        .when(pl.col("way") < 0.8)
        .then("00" + phone.str.slice(1))
        .otherwise(phone.str.replace(r"^(\+.+)(.{3})(.{4})$", "$1 $2 $3"))
    ).to_series()


def birth_dates(count: int, random: np.random.Generator) -> pl.Series:
    """Days of birth of grown-ups."""
    days = np.datetime64("1955-01-01") + random.integers(0, 18_000, count)
    return pl.Series(days.astype(str).tolist())


def _countries(culture: Culture, count: int, random: np.random.Generator) -> pl.Series:
    codes = list(culture.countries)
    weights = np.array([culture.countries[code] for code in codes], dtype=float)
    return pl.Series(random.choice(codes, count, p=weights / weights.sum()).tolist())


def _cities(culture: Culture, countries: pl.Series, random: np.random.Generator) -> Pieces:
    """A city of each row's country."""
    places = np.zeros(len(countries), dtype=int)
    codes = countries.to_numpy()
    for country, (first, words) in culture.cities.items():
        where = np.flatnonzero(codes == country)
        places[where] = first + random.choice(len(words), len(where), p=words.shares)
    return culture.words["cities"].take(places)


def _sparse(
    make: Callable[[str, int, np.random.Generator], list[str]],
    countries: pl.Series,
    share: float,
    random: np.random.Generator,
) -> pl.Series:
    """Values for a share of the rows, null elsewhere."""
    known = _chance(share, len(countries), random)
    values = np.full(len(countries), None, dtype=object)
    values[known.to_numpy()] = by_country(make, countries.filter(known), random).to_list()
    return pl.Series(values.tolist(), dtype=pl.String)


def _filled(
    templates: tuple[str, ...],
    script: Script,
    pieces: Mapping[str, Pieces],
    random: np.random.Generator,
) -> pl.Series:
    """Fill templates with pieces, a template chosen at random in each row."""
    frame = pl.DataFrame({name: getattr(piece, script) for name, piece in pieces.items()})
    chosen = pl.Series(random.integers(0, len(templates), len(frame)))
    value: Any = pl.lit(None, dtype=pl.String)
    for place, template in enumerate(templates):
        value = pl.when(pl.lit(chosen) == place).then(_expression(template)).otherwise(value)
    return frame.select(value.alias("text")).to_series()


def _expression(template: str) -> pl.Expr:
    """`{given} {FAMILY}` as an expression over the columns of that name."""
    parts: list[pl.Expr] = []
    for literal in template.split("{"):
        name, closed, rest = literal.rpartition("}")
        if closed:
            column = pl.col(name.lower())
            parts.append(column.str.to_uppercase() if name.isupper() else column)
        if rest:
            parts.append(pl.lit(rest))
    return pl.concat_str(parts)


def _where(condition: pl.Series, then: pl.Series, otherwise: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"if": condition, "then": then, "else": otherwise})
    return frame.select(pl.when("if").then("then").otherwise("else")).to_series()


def _mixed(usual: Pieces, other: Pieces, where: pl.Series) -> Pieces:
    return Pieces(
        _where(where, other.native, usual.native),
        _where(where, other.latin, usual.latin),
        _where(where, other.ascii, usual.ascii),
    )


def _plain(text: pl.Series) -> Pieces:
    return Pieces(text, text, text)


def _same(value: str, count: int) -> pl.Series:
    return pl.repeat(value, count, eager=True)


def _always(count: int) -> pl.Series:
    return pl.repeat(value=True, n=count, eager=True)


def _chance(share: float, count: int, random: np.random.Generator) -> pl.Series:
    return pl.Series(random.random(count) < share)
