"""Names of people, organizations and stores: parsed into words, then aligned word by word.

A name is a set of words in Latin letters, without company forms and store decorations; each word
has its spelling, its sound and its letters. Two names are aligned greedily, closest first: equal
words, words of one sound, words a typo apart, initials, and what is left glued together. An aligned
word counts by its rarity, an unaligned one against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from anyascii import anyascii
from rapidfuzz.distance import OSA
from rapidfuzz.process import cpdist

from acx.matching.columns import F64, I64, U64, Bool, hash_strings, mix, starts_of

MAX_WORDS: Final = 6
"""Words compared of one name."""

FORMS: Final = frozenset(
    "ltd limited llc inc incorporated corp corporation co company plc gmbh ag kg ug ohg sa sas sarl srl spa "
    "sl sau slu bv nv ab as oy aps ltda cv rl de lda sp zoo oao ooo zao pao pte pty pvt sdn bhd kk "
    "limitada sociedad anonima the and of el la los las y e et und youxian gongsi yxgs eurl snc kft doo "
    "jsc ojsc cjsc fze fzco fzc est dmcc mr mrs ms dr bin ibn al abu".split()
)
DECORATIONS: Final = frozenset(
    "official store shop flagship outlet online mall boutique authentic original genuine best top new "
    "sale sales direct factory global world wholesale retail 1 2 no1".split()
)

LEVELS: Final = ("same", "similar", "part", "shared", "differs")
DIFFERS: Final = -2.5
MAX_BITS: Final = 22.0


@dataclass(frozen=True, slots=True)
class WordTable:
    """The different words of one side.

    Attributes:
        text: the words.
        spelling: their codes.
        sound: codes of what vowels and transliterations leave.
        letters: codes of their letters in any order; summed over words they find glued ones.
        mask: which letters occur, a bit each.
        length: characters.
    """

    text: pl.Series
    spelling: U64
    sound: U64
    letters: U64
    mask: npt.NDArray[np.uint32]
    length: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Names:
    """Names of all rows of one side.

    Attributes:
        starts: row i's names are `starts[i]:starts[i + 1]`.
        name: each name's line in `words`.
        related: whether it is an owner's or director's name.
        words: different names × MAX_WORDS, lines of `table`; -1 where a name has fewer.
        table: the words.
    """

    starts: I64
    name: npt.NDArray[np.int32]
    related: Bool
    words: npt.NDArray[np.int32]
    table: WordTable


def _latin(text: str) -> str:
    return text if text.isascii() else anyascii(text)


def parse_names(frame: pl.DataFrame) -> Names:
    """Names, aliases and related names of a frame of accounts."""
    parts = [
        frame.select(
            pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"),
            pl.col(field).alias("value"),
            pl.lit(field == "related").alias("related"),
        )
        .filter(pl.col("value").list.len() > 0)
        .explode("value")
        .filter(pl.col("value").is_not_null())
        for field in ("name", "alias", "related")
    ]
    values = pl.concat(parts)
    different = values.select(pl.col("value").unique(maintain_order=True))
    different = different.with_columns(
        latin=pl.col("value").str.slice(0, 512).map_elements(_latin, return_dtype=pl.String)
    )
    long = _words(different)
    words, text = _padded(long, len(different))
    names = different.select("value", name=pl.int_range(pl.len(), dtype=pl.Int32))
    values = values.join(names, on="value", maintain_order="left").sort("row", maintain_order=True)
    return Names(
        starts=starts_of(values["row"].to_numpy(), len(frame)),
        name=values["name"].to_numpy(),
        related=values["related"].to_numpy(),
        words=words,
        table=_table(text),
    )


def _words(different: pl.DataFrame) -> pl.DataFrame:
    """Significant words of each different name: `name`, `word`, in order."""
    folded = (
        pl.col("latin")
        .str.to_lowercase()
        .str.replace_all(r"['’`]", "")
        .str.replace_all(r"\b([a-z])\.", "$1")
        .str.replace_all(r"[^a-z0-9]+", " ")
        .str.strip_chars()
        .str.split(" ")
    )
    long = (
        different.select(pl.int_range(pl.len(), dtype=pl.Int32).alias("name"), word=folded)
        .explode("word")
        .filter(pl.col("word") != "")
        .with_columns(
            rank=pl.when(pl.col("word").is_in(list(FORMS)))
            .then(2)
            .when(
                pl.col("word").is_in(list(DECORATIONS))
                | pl.col("word").str.contains(r"^(19|20)\d\d$")
            )
            .then(1)
            .otherwise(0)
        )
    )
    # A name made of nothing but decorations or forms is compared by them.
    return (
        long.filter(pl.col("rank") == pl.col("rank").min().over("name"))
        .unique(["name", "word"], keep="first", maintain_order=True)
        .select("name", "word")
    )


def _padded(long: pl.DataFrame, n: int) -> tuple[npt.NDArray[np.int32], pl.Series]:
    text = long["word"].unique()
    codes = pl.DataFrame({"word": text}).with_columns(code=pl.int_range(pl.len(), dtype=pl.Int32))
    coded = long.join(codes, on="word", maintain_order="left")
    name = coded["name"].to_numpy().astype(np.int64)
    place = np.arange(len(name)) - starts_of(name, n)[name]
    fits = place < MAX_WORDS
    words = np.full((n, MAX_WORDS), -1, np.int32)
    words[name[fits], place[fits]] = coded["code"].to_numpy()[fits]
    return words, text


_SOUNDS: Final = (
    (r"ph", "f"),
    (r"sch|sh|zh|ch|tch|cz|j|dj", "c"),
    (r"x|ts|tz|z|c", "s"),
    (r"kh|gh|q|ck", "k"),
    (r"g", "k"),
    (r"w|v|b", "p"),
    (r"d|th", "t"),
    (r"r", "l"),
    (r"m", "n"),
    (r"[aeiouyh]+", ""),
)


def _sound(words: pl.Expr) -> pl.Expr:
    """What is left of a word when transliterations agree: initial vowel class and consonants."""
    first = pl.when(words.str.contains(r"^[aeiouy]")).then(pl.lit("a")).otherwise(pl.lit(""))
    body = words
    for pattern, sound in _SOUNDS:
        body = body.str.replace_all(pattern, sound)
    # The regex engine has no back references: runs of one consonant are written once, each in turn.
    for letter in "bcdfklmnpstl":
        body = body.str.replace_all(letter + "{2,}", letter)
    return first + body


def _table(text: pl.Series) -> WordTable:
    frame = pl.DataFrame({"word": text}).with_columns(
        length=pl.col("word").str.len_bytes().clip(0, 255).cast(pl.UInt8),
        sound=_sound(pl.col("word")),
    )
    sound = hash_strings(
        frame.select(
            pl.when(pl.col("sound").str.len_bytes() >= 2)
            .then(pl.col("sound"))
            .otherwise(pl.lit("=") + pl.col("word"))
            .alias("sound")
        )["sound"],
        "sound",
    )
    letters, mask = _letters(text)
    return WordTable(
        text=text,
        spelling=hash_strings(text, "word"),
        sound=sound,
        letters=letters,
        mask=mask,
        length=frame["length"].to_numpy(),
    )


def _letters(text: pl.Series) -> tuple[U64, npt.NDArray[np.uint32]]:
    """A code of each ASCII word's letters in any order, and a mask of those that occur."""
    n = len(text)
    lengths = text.str.len_bytes().to_numpy().astype(np.int64)
    raw = np.frombuffer("".join(text.to_list()).encode(), np.uint8)
    if not len(raw):
        return np.zeros(n, np.uint64), np.zeros(n, np.uint32)
    first = np.cumsum(lengths) - lengths
    letters = np.add.reduceat(mix(raw.astype(np.uint64), 21), first)
    # a..z are bits 0..25, the digits share the rest.
    bit = np.where(raw >= ord("a"), raw - ord("a"), 26 + raw % 6).astype(np.uint32)
    mask = np.bitwise_or.reduceat(np.uint32(1) << bit, first)
    return letters, mask


def name_keys(names: Names) -> tuple[I64, U64]:
    """Keys by which rows become candidates for their names: all letters, pairs of sounds, words.

    Returns:
        Position of the name in `names.words`, and the key.
    """
    table, words = names.table, names.words
    present = words >= 0
    letters = (
        np.where(present, table.letters[words], 0)
        if len(table.letters)
        else np.zeros_like(words, np.uint64)
    )
    sounds = (
        np.where(present, mix(table.sound[words], 31), 0)
        if len(table.sound)
        else np.zeros_like(words, np.uint64)
    )
    spelling = (
        np.where(present, mix(table.spelling[words], 32), 0)
        if len(table.sound)
        else np.zeros_like(words, np.uint64)
    )
    n = len(words)
    every = np.arange(n, dtype=np.int64)
    owners, keys = [], []
    total = letters.sum(axis=1, dtype=np.uint64)
    nonempty = present.any(axis=1)
    owners.append(every[nonempty])
    keys.append(mix(total[nonempty], 33))
    for i in range(4):
        one = present[:, i]
        owners.append(every[one])
        keys.append(mix(spelling[one, i], 34))
        for j in range(i + 1, 4):
            both = present[:, j]
            owners.append(every[both])
            keys.append(mix(sounds[both, i] + sounds[both, j], 35))
    return np.concatenate(owners), np.concatenate(keys)


def word_key(spelling: U64) -> U64:
    """The key that counts how many rows have a word in their names."""
    return mix(mix(spelling, 32), 34)


@dataclass(frozen=True, slots=True)
class Alignment:
    """How pairs of names compare: for each pair, bits and the level's place in `LEVELS`."""

    bits: F64
    level: npt.NDArray[np.int8]


def align(
    a: Names,
    b: Names,
    name_a: npt.NDArray[Any],
    name_b: npt.NDArray[Any],
    rarity_a: F64,
    rarity_b: F64,
) -> Alignment:
    """Align names pairwise.

    Args:
        a: names of the accounts.
        b: names of the subjects.
        name_a: lines of `a.words`.
        name_b: lines of `b.words`, as many.
        rarity_a: bits of each word of `a.table`.
        rarity_b: bits of each word of `b.table`.
    """
    chunk = 1 << 16
    parts = [
        _align(a, b, name_a[i : i + chunk], name_b[i : i + chunk], rarity_a, rarity_b)
        for i in range(0, len(name_a), chunk)
    ]
    if not parts:
        return Alignment(np.empty(0), np.empty(0, np.int8))
    return Alignment(
        np.concatenate([p.bits for p in parts]), np.concatenate([p.level for p in parts])
    )


def _align(
    a: Names,
    b: Names,
    name_a: npt.NDArray[Any],
    name_b: npt.NDArray[Any],
    rarity_a: F64,
    rarity_b: F64,
) -> Alignment:
    words_a, words_b = a.words[name_a], b.words[name_b]
    left_a, left_b = words_a >= 0, words_b >= 0
    count_a, count_b = left_a.sum(1), left_b.sum(1)
    weight_a = np.where(left_a, rarity_a[words_a], 0.0)
    weight_b = np.where(left_b, rarity_b[words_b], 0.0)
    # Equal words: a name's words differ from one another, so the alignment is one to one.
    equal = a.table.spelling[words_a][:, :, None] == b.table.spelling[words_b][:, None, :]
    equal &= left_a[:, :, None] & left_b[:, None, :]
    hit_a = equal.any(2)
    bits = (weight_a * hit_a).sum(1)
    left_a &= ~hit_a
    left_b &= ~equal.any(1)
    exact = ~left_a.any(1) & ~left_b.any(1)

    def close(matches: Bool, discount: float) -> None:
        """Take one-to-one matches of what is left; a word already taken is not left."""
        nonlocal bits
        for i in range(MAX_WORDS):
            row = matches[:, i, :] & left_a[:, i, None] & left_b
            found = row.any(1)
            if found.any():
                j = row.argmax(1)
                where = np.flatnonzero(found)
                gain = np.minimum(weight_a[where, i], weight_b[where, j[where]]) - discount
                bits[where] += np.maximum(gain, 0.5)
                left_a[where, i] = False
                left_b[where, j[where]] = False

    both = left_a[:, :, None] & left_b[:, None, :]
    close(both & (a.table.sound[words_a][:, :, None] == b.table.sound[words_b][:, None, :]), 2.0)
    close(_typos(a, b, words_a, words_b, left_a[:, :, None] & left_b[:, None, :]), 3.5)
    # What is left, glued: the same letters in both.
    open_both = left_a.any(1) & left_b.any(1)
    if open_both.any():
        sum_a = (np.where(left_a, a.table.letters[words_a], 0)).sum(1, dtype=np.uint64)
        sum_b = (np.where(left_b, b.table.letters[words_b], 0)).sum(1, dtype=np.uint64)
        glued = open_both & (sum_a == sum_b)
        bits[glued] += np.maximum((weight_a * left_a).sum(1), (weight_b * left_b).sum(1))[glued]
        left_a[glued] = False
        left_b[glued] = False
    initials = (a.table.length[words_a] == 1)[:, :, None] | (b.table.length[words_b] == 1)[
        :, None, :
    ]
    if initials.any():
        first_a, first_b = _initial(a.table)[words_a], _initial(b.table)[words_b]
        close(initials & (first_a[:, :, None] == first_b[:, None, :]), 1.0)
    open_a, open_b = left_a.sum(1), left_b.sum(1)
    either = np.minimum(open_a, open_b)
    bits = bits - 3.0 * either - 1.5 * (np.maximum(open_a, open_b) - either)
    level = np.full(len(bits), LEVELS.index("differs"), np.int8)
    level[bits > 0] = LEVELS.index("shared")
    aligned = (count_a > 0) & (count_b > 0) & (bits > 0)
    level[aligned & (either == 0)] = LEVELS.index("part")
    level[aligned & (open_a + open_b == 0)] = LEVELS.index("similar")
    level[aligned & exact] = LEVELS.index("same")
    bits = np.clip(bits, DIFFERS, MAX_BITS)
    return Alignment(bits, level)


def _initial(table: WordTable) -> npt.NDArray[np.uint32]:
    return table.text.str.slice(0, 1).hash(1).to_numpy().astype(np.uint32)


def _typos(
    a: Names, b: Names, words_a: npt.NDArray[np.int32], words_b: npt.NDArray[np.int32], both: Bool
) -> Bool:
    """Which of the open word pairs are a typo or two apart."""
    out = np.zeros_like(both)
    pair, i, j = np.nonzero(both)
    code_a, code_b = words_a[pair, i], words_b[pair, j]
    length_a, length_b = a.table.length[code_a], b.table.length[code_b]
    shorter = np.minimum(length_a, length_b)
    allowed = np.where(shorter >= 8, 2, np.where(shorter >= 4, 1, 0))
    gap = np.abs(length_a.astype(np.int16) - length_b.astype(np.int16))
    apart = np.bitwise_count(a.table.mask[code_a] ^ b.table.mask[code_b])
    keep = np.flatnonzero((gap <= allowed) & (apart <= 2 * allowed) & (allowed > 0))
    if not len(keep):
        return out
    pairs = distinct_pairs(code_a[keep], code_b[keep])
    texts_a = a.table.text.gather(pairs.a).to_list()
    texts_b = b.table.text.gather(pairs.b).to_list()
    distance = cpdist(texts_a, texts_b, scorer=OSA.distance, score_cutoff=2, dtype=np.uint8)
    near = distance[pairs.inverse] <= allowed[keep]
    chosen = keep[near]
    out[pair[chosen], i[chosen], j[chosen]] = True
    return out


@dataclass(frozen=True, slots=True)
class DistinctPairs:
    """The different pairs of two code columns, and which of them each line is."""

    a: I64
    b: I64
    inverse: I64


def distinct_pairs(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> DistinctPairs:
    """The different pairs among (a[i], b[i]), so that each is compared once."""
    combined = (a.astype(np.int64) << 32) | b.astype(np.int64)
    order = np.argsort(combined)
    ordered = combined[order]
    new = np.r_[True, ordered[1:] != ordered[:-1]]
    inverse = np.empty(len(order), np.int64)
    inverse[order] = np.cumsum(new) - 1
    kept = ordered[new]
    return DistinctPairs(kept >> 32, kept & 0xFFFFFFFF, inverse)
