"""What an actor changes of one value when he comes back: a table of changes, a function each.

A change takes a value as it was known and returns what he writes now, or None where it does not
apply. It never returns the value it was given.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import phonenumbers

from acx.demo import scripts
from acx.demo.identifiers import Domains, mail_domain, national
from acx.demo.words import Culture, alphabet, culture_of, cultures, store_words
from acx.records.account import Account


@dataclass(frozen=True, slots=True)
class Scene:
    """What a change may look at beside the value.

    Attributes:
        account: the account before it came back.
        fresh: an unrelated account of the same country, whose values are new to everybody.
        domains: at which domains invented mailboxes are.
        rng: the source of chance.
    """

    account: Account
    fresh: Account
    domains: Domains
    rng: random.Random

    @property
    def country(self) -> str:
        """The account's first country, or empty."""
        return self.account.country[0] if self.account.country else ""

    @property
    def culture(self) -> Culture:
        """The culture whose words stand for the account's country."""
        return culture_of(self.country)

    @property
    def is_person(self) -> bool:
        """Whether names are a person's."""
        return self.account.kind == "person"


Edit = Callable[[str, Scene], str | None]


# Names


def swapped_order(name: str, scene: Scene) -> str | None:
    """Family and given names change places."""
    if not scene.is_person or not name.isascii():
        return None
    family, comma, given = name.partition(", ")
    if comma:
        return f"{given} {family}"
    words = name.split()
    return " ".join([words[-1], *words[:-1]]) if len(words) > 1 else None


def recased(name: str, _scene: Scene) -> str | None:
    """Upper case becomes title case, or title case lower."""
    return name.title() if name.isupper() else name.lower()


def dropped_form(name: str, scene: Scene) -> str | None:
    """The company form is left out."""
    short = _FORM.sub("", name).strip(" ,.-")
    return short if short and not scene.is_person else None


def changed_form(name: str, scene: Scene) -> str | None:
    """The company form is written another way."""
    found = _FORM.search(name)
    if scene.is_person or not found:
        return None
    written = re.sub(r"[\s.,]", "", found[0]).lower()
    others = [form for group in _FORMS for form in group if written in _folded_group(group)]
    others = [form for form in others if re.sub(r"[\s.,]", "", form).lower() != written]
    if not others:
        return None
    return f"{name[: found.start()].strip(' ,')} {scene.rng.choice(others)}{name[found.end() :]}"


_FORMS: Final = (
    ("Co., Ltd.", "Company Limited", "Co Ltd", "Ltd", "Limited", "Co., Limited"),
    ("S.A. de C.V.", "SA de CV", "SOCIEDAD ANONIMA DE CAPITAL VARIABLE"),
    ("S. de R.L. de C.V.", "S de RL de CV"),
    ("S.A.", "SA", "Sociedad Anonima"),
    ("S.A.S.", "SAS"),
    ("LLC", "L.L.C.", "OOO", "Limited Liability Company"),
    ("GmbH", "G.m.b.H."),
    ("Inc.", "Incorporated", "Inc"),
    ("Corp.", "Corporation"),
    ("Ltda.", "LTDA", "Limitada"),
    ("S.R.L.", "SRL", "S. de R.L."),
    ("C.A.", "CA", "Compania Anonima"),
    ("PJSC", "P.J.S.C.", "Public Joint Stock Company"),
    ("JSC", "Joint Stock Company", "AO"),
    ("Pvt. Ltd.", "Private Limited", "(Pvt) Ltd"),
    ("FZE", "F.Z.E."),
    ("Company", "Co.", "Co"),
    ("A.Ş.", "A.S.", "Anonim Şirketi"),
    ("Ltd. Şti.", "Ltd. Sti.", "Limited Şirketi"),
    ("有限公司", "有限责任公司"),
)
_FORM: Final = re.compile(
    r"(?<=[\s,])(?:"
    + "|".join(
        re.escape(form).replace(r"\ ", r"[\s,]+").replace(r"\.", r"\.?")
        for form in sorted({form for group in _FORMS for form in group}, key=len, reverse=True)
    )
    + r")(?=$|[\s,])|有限(责任)?公司$",
    re.IGNORECASE,
)


def _folded_group(group: tuple[str, ...]) -> set[str]:
    return {re.sub(r"[\s.,]", "", form).lower() for form in group}


def dropped_part(name: str, scene: Scene) -> str | None:
    """A middle name, or a middle word, is left out."""
    words = name.split()
    if len(words) < 3 or not name.isascii():
        return None
    place = scene.rng.randrange(1, len(words) - 1) if "," not in name else len(words) - 1
    return " ".join(word for at, word in enumerate(words) if at != place).rstrip(",")


def initials(name: str, scene: Scene) -> str | None:
    """A given name shrinks to its initial."""
    if not scene.is_person or not name.isascii():
        return None
    family, comma, given = name.partition(", ")
    words = given.split() if comma else name.split()[:-1]
    if not words or len(words[0]) < 3:
        return None
    short = " ".join([f"{words[0][0]}.", *words[1:]])
    return f"{family}, {short}" if comma else f"{short} {name.split()[-1]}"


def typo(name: str, scene: Scene) -> str | None:
    """A letter is lost, doubled or swapped with the next."""
    places = [at for at in range(1, len(name) - 1) if name[at].isalpha() and name[at + 1].isalpha()]
    if len(name) < 5 or not places:
        return None
    at = scene.rng.choice(places)
    ways = (
        name[:at] + name[at + 1 :],
        name[:at] + name[at] + name[at:],
        name[:at] + name[at + 1] + name[at] + name[at + 2 :],
    )
    other = scene.rng.choice(ways)
    return other if other != name else None


def keyboard_neighbour(name: str, scene: Scene) -> str | None:
    """A letter is replaced by one beside it on the keyboard."""
    places = [at for at, letter in enumerate(name) if letter.lower() in _NEIGHBOURS and at]
    if len(name) < 5 or not places:
        return None
    at = scene.rng.choice(places)
    near = scene.rng.choice(_NEIGHBOURS[name[at].lower()])
    return name[:at] + (near.upper() if name[at].isupper() else near) + name[at + 1 :]


_ROWS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS: Final[Mapping[str, str]] = {
    letter: row[max(at - 1, 0) : at] + row[at + 1 : at + 2]
    for row in _ROWS
    for at, letter in enumerate(row)
}


def glued(name: str, scene: Scene) -> str | None:
    """Two words become one, or a hyphen a blank."""
    if "-" in name:
        return name.replace("-", " ", 1)
    words = name.split(" ")
    if len(words) < 3 - (not scene.is_person) or "," in name or not name.isascii():
        return None
    at = scene.rng.randrange(len(words) - 1)
    return " ".join([*words[:at], words[at] + words[at + 1].lower(), *words[at + 2 :]])


def homoglyphs(name: str, scene: Scene) -> str | None:
    """Letters give way to ones that look the same, or marks that nobody sees slip in."""
    lookalikes = alphabet("lookalikes")
    places = [at for at, letter in enumerate(name) if letter in lookalikes]
    if not places:
        return None
    letters = list(name)
    for at in scene.rng.sample(places, min(len(places), scene.rng.randint(1, 3))):
        letters[at] = lookalikes[letters[at]]
    if scene.rng.random() < 0.3:
        letters.insert(scene.rng.randrange(1, len(letters)), "\u200b")
    return "".join(letters)


def decorated(name: str, scene: Scene) -> str | None:
    """A shop's trimmings round the name."""
    words = store_words()
    rng = scene.rng
    ornament = rng.choice(words["ornaments"])
    trimming = rng.choice(words["decorations"]).replace("_", " ")
    return rng.choice((f"{name} {trimming}", f"{ornament}{name}{ornament}", f"{name}-{trimming}"))


def respelled(name: str, scene: Scene) -> str | None:
    """Another romanisation of the same name."""
    other = scripts.respelled(name, scene.country, scene.rng)
    return other if other != name else None


def other_script(name: str, scene: Scene) -> str | None:
    """The name in the script of his country, or from that into Latin letters."""
    return scripts.in_native_script(
        name, scene.country, scene.rng, person=scene.is_person
    ) or scripts.in_latin(name)


def relative_as_owner(name: str, scene: Scene) -> str | None:
    """A relative is put forward: the family name stays, the given name is another's."""
    if not scene.is_person:
        return None
    return relative_of(name, scene)


def director_as_owner(name: str, scene: Scene) -> str | None:
    """An owner or director of the company appears in its place."""
    people = [person for person in scene.account.related if person != name]
    return scene.rng.choice(people) if people and not scene.is_person else None


def relative_of(name: str, scene: Scene) -> str | None:
    """Someone of the same family name and another given name."""
    borne = set(name.casefold().replace(",", " ").split())
    given = scene.rng.choice(
        [each for each in _latin_words(scene.culture.key, "given") if each.casefold() not in borne]
    )
    family, comma, _ = name.partition(", ")
    if comma:
        return f"{family}, {given.upper() if name.isupper() else given}"
    words = name.split()
    if len(words) < 2 or not name.isascii():
        return None
    at = 0 if scene.culture.key in _FAMILY_FIRST else -1
    return f"{given} {words[at]}"


_FAMILY_FIRST: Final = frozenset({"chinese", "cantonese", "korean", "vietnamese", "japanese"})


def culture_given(culture: Culture, rng: random.Random) -> str:
    """A given name of a culture, in Latin letters."""
    return rng.choice(_latin_words(culture.key, "given"))


def family_names(culture: Culture) -> tuple[str, ...]:
    """Family names of a culture, in Latin letters."""
    return _latin_words(culture.key, "families")


@cache
def _latin_words(key: str, name: str) -> tuple[str, ...]:
    (culture,) = (each for each in cultures() if each.key == key)
    return tuple(culture.words[name].latin)


# Contacts


def email_dots(email: str, scene: Scene) -> str | None:
    """Dots come or go in the local part."""
    local, _, domain = email.rpartition("@")
    if "." in local:
        return f"{local.replace('.', '')}@{domain}"
    if len(local) < 4:
        return None
    at = scene.rng.randrange(1, len(local))
    return f"{local[:at]}.{local[at:]}@{domain}"


def email_plus_tag(email: str, scene: Scene) -> str | None:
    """A tag behind a plus."""
    local, _, domain = email.rpartition("@")
    return f"{local}+{scene.rng.choice(('shop', 'store', 'sales', '1', 'eu', 'new'))}@{domain}"


def email_digits(email: str, scene: Scene) -> str | None:
    """Digits appended to the local part, or the old ones replaced."""
    local, _, domain = email.rpartition("@")
    bare = local.rstrip("0123456789")
    if len(bare) < 4:
        return None
    other = f"{bare}{scene.rng.randint(1, 999)}@{domain}"
    return other if other != email else None


def email_provider(email: str, scene: Scene) -> str | None:
    """The same local part at another provider."""
    local, _, domain = email.rpartition("@")
    if len(local) < 6 or local in _ROLES:
        return None
    providers = scene.culture.words["providers"].latin.to_list()
    domains = [mail_domain(provider, scene.domains) for provider in providers]
    return f"{local}@{scene.rng.choice([other for other in domains if other != domain])}"


_ROLES: Final = frozenset({"info", "sales", "service", "shop", "admin", "office", "contact"})


def phone_national(phone: str, _scene: Scene) -> str | None:
    """The number as written at home, without the country's code."""
    return _if_new(phone, _national(phone, spaced=False))


def phone_spaced(phone: str, scene: Scene) -> str | None:
    """The number with blanks, brackets or dashes, at home or abroad."""
    if scene.rng.random() < 0.5:
        return _if_new(phone, _national(phone, spaced=True))
    try:
        number = phonenumbers.parse(phone, None)
    except phonenumbers.NumberParseException:
        return None
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return _if_new(phone, written)


def _national(phone: str, *, spaced: bool) -> str | None:
    try:
        return national(phone, spaced=spaced)
    except phonenumbers.NumberParseException:
        return None


def _if_new(old: str, new: str | None) -> str | None:
    return new if new and new != old else None


# Addresses


def address_abbreviated(address: str, _scene: Scene) -> str | None:
    """Words for streets, rooms and buildings are abbreviated, or written out."""
    other = address
    for long, short in _ABBREVIATIONS:
        found = re.sub(rf"\b{long}\b", short, other, flags=re.IGNORECASE)
        if found == other and not short.endswith("str."):
            found = re.sub(rf"\b{re.escape(short)}(?=[\s,\d]|$)", long, other, flags=re.IGNORECASE)
        other = found
    other = re.sub("straße|strasse", "str.", other)
    return _if_new(address, other)


_ABBREVIATIONS: Final = (
    ("Street", "St."), ("Road", "Rd."), ("Avenue", "Ave."), ("Building", "Bldg."),
    ("Boulevard", "Blvd."), ("District", "Dist."), ("Calle", "C/"), ("Avenida", "Av."),
    ("Carrera", "Cra."), ("Apartment", "Apt."), ("Floor", "Fl."), ("Number", "No."),
    ("Suite", "Ste."), ("Room", "Rm."), ("Lane", "Ln."), ("Drive", "Dr."), ("ulitsa", "ul."),
    ("Square", "Sq."), ("Colonia", "Col."), ("Caddesi", "Cad."), ("Sokak", "Sok."),
)  # fmt: skip


def address_unit(address: str, scene: Scene) -> str | None:
    """Another unit of the same building."""
    number = str(scene.rng.randint(1, 29))
    found = _UNIT.search(address)
    if found:
        return _if_new(address, address[: found.start(2)] + number + address[found.end(2) :])
    if not address.isascii() or not re.search(r"\d", address):
        # Without a house there is no unit of it, and «Unit» is not what others write.
        return None
    return f"{scene.rng.choice(('Unit', 'Room', 'Suite', 'Apt'))} {number}, {address}"


_UNIT: Final = re.compile(
    r"\b(Room|Unit|Suite|Office|Flat|Apt\.?|Local|Shop No\.|kv\.)\s*(\d+)", re.IGNORECASE
)


def address_split(address: str, scene: Scene) -> str | None:
    """Only part of it is given: the country or another part is left out."""
    parts = [part.strip() for part in re.split("[,،]", address)]
    if len(parts) < 3:
        return None
    at = scene.rng.randrange(1, len(parts))
    return ", ".join(part for place, part in enumerate(parts) if place != at)


def address_reordered(address: str, _scene: Scene) -> str | None:
    """The parts come in another order."""
    parts = [part.strip() for part in re.split("[,،]", address)]
    return _if_new(address, ", ".join([*parts[1:], parts[0]])) if len(parts) > 1 else None


# Identifiers


def spaced_number(value: str, _scene: Scene) -> str | None:
    """Digits in groups, as on a card."""
    bare = value.replace(" ", "").replace("-", "")
    return _if_new(value, " ".join(bare[at : at + 4] for at in range(0, len(bare), 4)))


def without_issuer(value: str, _scene: Scene) -> str | None:
    """The issuing country or kind that led the number is left out."""
    return value.rsplit(":", 1)[1] if re.match(r"^(\w+:)?[A-Z]{2}:", value) else None


def day_and_month_swapped(day: str, _scene: Scene) -> str | None:
    """Day and month change places."""
    year, month, date = day.split("-")
    return f"{year}-{date}-{month}" if date != month and int(date) <= 12 else None


def other_page(website: str, scene: Scene) -> str | None:
    """Another page or subdomain of the same site."""
    host = re.sub(r"^(https?://)?(www\.)?", "", website).split("/")[0]
    sub = scene.rng.choice(("shop", "store", "m", "www"))
    return _if_new(
        website, scene.rng.choice((f"https://{sub}.{host}/", f"http://{host}/shop", host))
    )


def other_network(handle: str, scene: Scene) -> str | None:
    """The same handle on another platform."""
    network, colon, name = handle.partition(":")
    others = [other for other in store_words()["networks"] if other != network]
    return f"{scene.rng.choice(others)}:{name}" if colon else None


def reencoded_image(image: str, scene: Scene) -> str | None:
    """The picture saved again, cropped a little: some bits of its PDQ hash flip."""
    bits = int(image, 16)
    for bit in scene.rng.sample(range(256), scene.rng.randint(2, 24)):
        bits ^= 1 << bit
    return f"{bits:064x}"


NAME_CHANGES: Final[Mapping[str, Edit]] = {
    "swapped_order": swapped_order,
    "recased": recased,
    "dropped_form": dropped_form,
    "changed_form": changed_form,
    "dropped_part": dropped_part,
    "initials": initials,
    "typo": typo,
    "keyboard_neighbour": keyboard_neighbour,
    "glued": glued,
    "homoglyphs": homoglyphs,
    "decorated": decorated,
    "respelled": respelled,
    "other_script": other_script,
}
"""Changes to a name that leave it the same actor's."""

OWNER_CHANGES: Final[Mapping[str, Edit]] = {
    "relative_as_owner": relative_as_owner,
    "director_as_owner": director_as_owner,
}
"""Changes that put someone else forward."""

FIELD_CHANGES: Final[Mapping[str, Mapping[str, Edit]]] = {
    "email": {
        "email_dots": email_dots,
        "email_plus_tag": email_plus_tag,
        "email_digits": email_digits,
        "email_provider": email_provider,
    },
    "phone": {"phone_national": phone_national, "phone_spaced": phone_spaced},
    "address": {
        "address_abbreviated": address_abbreviated,
        "address_unit": address_unit,
        "address_split": address_split,
        "address_reordered": address_reordered,
    },
    "bank_account": {"spaced_number": spaced_number},
    "tax_id": {"without_issuer": without_issuer},
    "registration_no": {"without_issuer": without_issuer},
    "id_document": {"without_issuer": without_issuer},
    "birth_date": {"day_and_month_swapped": day_and_month_swapped},
    "website": {"other_page": other_page},
    "handle": {"other_network": other_network},
    "image_hash": {"reencoded_image": reencoded_image},
}
"""Changes to the other fields under which the same contact or number is still to be seen."""
