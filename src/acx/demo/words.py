"""Word lists by culture: what names, companies and addresses are made of in the demo's data.

The lists are short and written from general knowledge (`data/cultures/*.toml`); frequencies follow
Zipf's law where none are given, so that common names are as common as they are in life.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from anyascii import anyascii

Script = Literal["native", "latin", "ascii"]
DATA: Final = files("acx.demo") / "data"


@dataclass(frozen=True, slots=True)
class Words:
    """A list of words in up to two scripts, with the share each has.

    Attributes:
        native: the words in the culture's own script.
        latin: the same in Latin letters.
        ascii: the same as they stand in an e-mail address: lower case, letters and digits only.
        shares: how often each occurs; they sum to 1.
    """

    native: pl.Series
    latin: pl.Series
    ascii: pl.Series
    shares: np.ndarray[Any, np.dtype[np.float64]]

    def __len__(self) -> int:
        return len(self.native)

    def draw(self, count: int, random: np.random.Generator) -> Pieces:
        """Take words at random, each as often as its share says."""
        return self.take(random.choice(len(self), size=count, p=self.shares))

    def take(self, places: np.ndarray[Any, Any]) -> Pieces:
        """Take the words at these places."""
        at = pl.Series(places)
        return Pieces(self.native.gather(at), self.latin.gather(at), self.ascii.gather(at))


@dataclass(frozen=True, slots=True)
class Pieces:
    """One piece of text a row, in each script."""

    native: pl.Series
    latin: pl.Series
    ascii: pl.Series

    def followed_by(self, other: Pieces, where: pl.Series, joint: str, native_joint: str) -> Pieces:
        """Append the other piece in the rows of `where`; glued in Latin, it loses its capital."""

        def join(left: pl.Series, right: pl.Series, by: str) -> pl.Series:
            frame = pl.DataFrame({"left": left, "right": right, "where": where})
            tail = pl.col("right") if by else pl.col("right").str.to_lowercase()
            whole = pl.concat_str(["left", pl.lit(by), tail])
            return frame.select(pl.when("where").then(whole).otherwise("left")).to_series()

        return Pieces(
            join(self.native, other.native, native_joint),
            join(self.latin, other.latin, joint),
            join(self.ascii, other.ascii, ""),
        )


@dataclass(frozen=True, slots=True)
class Culture:
    """Names, companies and addresses of one culture.

    Attributes:
        key: the name of its file.
        countries: countries it stands for, with the weight of each among all sellers.
        native_share: share of accounts that write names in the native script.
        words: lists by name (`families`, `given`, `cities`, …).
        cities: by country, the place of its first city in `words["cities"]`, and its cities.
        templates: patterns by name (`person_latin`, `address_native`, …).
        postcodes: pattern by country, `#` a digit and `@` a letter.
        settings: the remaining single values.
    """

    key: str
    countries: dict[str, float]
    native_share: float
    words: dict[str, Words]
    cities: dict[str, tuple[int, Words]]
    templates: dict[str, tuple[str, ...]]
    postcodes: dict[str, str]
    settings: dict[str, Any]

    def template(self, name: str, script: Script) -> tuple[str, ...]:
        """Templates of a name in a script, or those in Latin where the culture has no other."""
        return self.templates.get(f"{name}_{script}") or self.templates[f"{name}_latin"]


@cache
def cultures() -> tuple[Culture, ...]:
    """All cultures, in alphabetical order of their files."""
    found = (entry for entry in (DATA / "cultures").iterdir() if entry.name.endswith(".toml"))
    return tuple(
        _culture(entry.name.removesuffix(".toml"), tomllib.loads(entry.read_text("utf-8")))
        for entry in sorted(found, key=lambda entry: entry.name)
    )


@cache
def culture_of(country: str) -> Culture:
    """The culture that stands for a country; English where none does."""
    by_country = {code: culture for culture in cultures() for code in culture.countries}
    neighbours: dict[str, str] = _table("countries")["neighbours"]
    return (
        by_country.get(country) or by_country.get(neighbours.get(country, "")) or by_country["US"]
    )


@cache
def store_words() -> dict[str, tuple[str, ...]]:
    """What store names are made of, by role (`adjectives`, `nouns`, `decorations`, …)."""
    return {role: tuple(text.split()) for role, text in _table("stores").items()}


@cache
def spellings() -> dict[str, tuple[str, ...]]:
    """Each known spelling of a name in Latin letters, with all spellings of that name."""
    groups = (tuple(line.split()) for line in _table("spellings")["names"].strip().splitlines())
    return {spelling: group for group in groups for spelling in group}


@cache
def alphabet(name: str) -> dict[str, str]:
    """A table of letters or syllables and what they become."""
    pairs = (pair.partition("=") for pair in _table("alphabets")[name].split())
    return {old: new for old, _, new in pairs}


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((DATA / f"{name}.toml").read_text("utf-8"))


def _culture(key: str, table: dict[str, Any]) -> Culture:
    words = {
        name: _words(text.split(), table.get(f"{_singular(name)}_shares", ()))
        for name, text in table.items()
        if isinstance(text, str) and name not in _SINGLE_VALUES and text.strip()
    }
    cities: dict[str, tuple[int, Words]] = {}
    every: list[str] = []
    for country, text in table["cities"].items():
        cities[country] = (len(every), _words(text.split(), ()))
        every += text.split()
    words["cities"] = _words(every, ())
    return Culture(
        key=key,
        cities=cities,
        countries=table["countries"],
        native_share=table["native_share"],
        words=words,
        templates={
            name: tuple(value)
            for name, value in table.items()
            if isinstance(value, list) and not name.endswith("_shares")
        },
        postcodes=table["postcodes"],
        settings={
            name: value
            for name, value in table.items()
            if name in _SINGLE_VALUES or isinstance(value, float)
        },
    )


_SINGLE_VALUES: Final = frozenset(
    {"title", "given_joint", "given_joint_native", "brand_joint", "brand_joint_native"}
)


def _singular(name: str) -> str:
    return "family" if name == "families" else name.removesuffix("s")


def _words(items: Sequence[str], shares: Sequence[float]) -> Words:
    pairs = [item.replace("_", " ").split("|") for item in items]
    latin = [pair[-1] for pair in pairs]
    known = np.array(shares[: len(items)], dtype=float)
    rest = 1.0 / (np.arange(len(items) - len(known)) + 8.0)
    if len(known) and len(rest):
        # Where shares are known, the rest goes on below the last of them.
        rest *= float(known[-1]) / float(rest[0])
    weights = np.concatenate([known, rest])
    return Words(
        native=pl.Series([pair[0] for pair in pairs], dtype=pl.String),
        latin=pl.Series(latin, dtype=pl.String),
        ascii=pl.Series(
            ["".join(c for c in anyascii(word).lower() if c.isalnum()) for word in latin],
            dtype=pl.String,
        ),
        shares=weights / weights.sum(),
    )
