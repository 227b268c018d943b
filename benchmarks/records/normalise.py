"""Normalisation by column: a million values of each kind, all different.

Data: drawn from a fixed seed, in the shapes that seller bases have: 10 % of e-mail addresses with
capitals and blanks; phones of five countries with punctuation, and of six countries as written at
home; URLs with path and query; names in Latin letters, accented and Han.
Bar: 1 M e-mail addresses < 2 s, phones < 10 s, websites < 5 s.
Times are CPU seconds over all threads, so that a busy machine gives the same.
"""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable

import polars as pl

from acx.records.normalise import (
    digest_column,
    latinise,
    mailbox,
    map_unique,
    normalise_column,
    registered_domain,
)

VALUES = 1_000_000
KEY = bytes(range(32))
ABROAD = (
    "+86 13# #### ####",
    "+1 (212) ###-####",
    "+44 7### ######",
    "+49 151 ########",
    "+9198########",
)
AT_HOME = {
    "CN": "13#########",
    "US": "(212) ###-####",
    "GB": "07### ######",
    "DE": "0151 ########",
    "IN": "98########",
    "BR": "(11) 9####-####",
}


def main() -> None:
    """Draw, normalise, print."""
    draw = random.Random(20260301)

    def column(value: Callable[[int], str]) -> pl.Series:
        return pl.Series([value(row) for row in range(VALUES)])

    def word(length: int) -> str:
        return "".join(draw.choices(string.ascii_lowercase, k=length))

    def number(form: str) -> str:
        return "".join(draw.choice(string.digits) if sign == "#" else sign for sign in form)

    def email(row: int) -> str:
        plain = f"{word(6)}.{word(7)}@{word(8)}.com"
        return plain if row % 10 else f" {plain.title()} "

    emails = column(email)
    report("e-mail addresses", 2, lambda: normalise_column("email", emails))
    report("  mailboxes", None, lambda: map_unique(normalise_column("email", emails), mailbox))

    phones = column(lambda _: number(draw.choice(ABROAD)))
    report("phones, international", 10, lambda: normalise_column("phone", phones))
    homes = [draw.choice(list(AT_HOME)) for _ in range(VALUES)]
    national = column(lambda row: number(AT_HOME[homes[row]]))
    countries = pl.Series([[home] for home in homes])
    report("phones, national", 10, lambda: normalise_column("phone", national, countries))

    urls = column(lambda _: f"https://www.{word(9)}.co.uk/shop/{word(10)}?id={word(5)}")
    report("websites", 5, lambda: normalise_column("website", urls))
    hosts = normalise_column("website", urls)
    report("  registered domains", None, lambda: map_unique(hosts, registered_domain))

    names = column(lambda _: f"{word(6).title()} ñ{word(8)}")
    report("names, Latin", None, lambda: normalise_column("name", names))
    han = column(lambda _: "".join(chr(draw.randrange(0x4E00, 0x9000)) for _ in range(3)))
    report("  names, Han, latinised", None, lambda: map_unique(han, latinise))

    accounts = column(lambda _: number("DE## #### #### #### #### ##"))
    report("bank accounts", None, lambda: normalise_column("bank_account", accounts))
    report("  digested", None, lambda: digest_column("bank_account", accounts, KEY))
    documents = column(lambda _: number("passport:CN:E########"))
    report("documents", None, lambda: normalise_column("id_document", documents))
    taxes = column(lambda _: number("DE:### ### ###"))
    report("tax numbers with country", None, lambda: normalise_column("tax_id", taxes))
    tenth = column(lambda _: number("#########"))[: VALUES // 10]
    issuers = countries[: VALUES // 10]
    report("  without, a tenth of them", None, lambda: normalise_column("tax_id", tenth, issuers))


def report(name: str, bar: float | None, run: Callable[[], pl.Series]) -> None:
    """Print what a run takes, and how many values it refuses."""
    started = time.process_time()
    result = run()
    taken = time.process_time() - started
    promise = f"bar {bar} s" if bar else ""
    refused = result.null_count()
    print(f"{name:28} {taken:6.2f} s CPU  {promise:10} {refused or 'none'} refused")


if __name__ == "__main__":
    main()
