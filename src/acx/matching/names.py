"""Names of people, organizations and stores: divided into words, then aligned word by word.

Company forms, titles, articles and store decorations are left out where something else is left. A
word has a spelling (business words and their abbreviations have one), a sound (what stays equal
when a name is romanised otherwise) and its letters. Two names are aligned greedily, closest first:
equal words, words of one sound, words a typo or two apart, what is left glued together,
abbreviations and initials. An aligned word counts by its rarity, an unaligned one against.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from math import log2
from typing import Final, NamedTuple

import numpy as np

from acx.matching.compiled import (
    I64,
    U8,
    U64,
    find,
    hash_bytes,
    inner,
    kernel,
    salted,
    scatter,
    to_int,
)
from acx.matching.frequencies import UNSEEN_WORD, Frequencies, rarity, word_rarity
from acx.matching.text import MAX_BYTES, Text, Values, data_lines, hash_text

MAX_WORDS: Final = 8
"""Words compared of one name."""
MAX_TOKENS: Final = 64
"""Words read of one name, forms and decorations included."""

NAME, ALIAS, RELATED = 0, 1, 2
"""Roles of names."""

SPELLING_KEY, SOUND_KEY = np.uint64(101), np.uint64(102)
PAIR_KEY, LETTERS_KEY = np.uint64(103), np.uint64(104)
CONSONANTS_KEY = np.uint64(105)
"""Salts of the keys that names give."""

SAME, SIMILAR, PART, SHARED = 0, 1, 2, 3
"""Levels of the model's field `name`, in its order."""
DIFFERENT = -1

PAIRED_WORDS: Final = 4
"""First words of a name whose pairs are keys."""

FEWEST_CONSONANTS: Final = 3
"""Consonants that a whole name needs to be found by them."""
GLUED_SOUND_BITS: Final = 2.0
"""What another division takes from words that are romanised otherwise, beside what that takes."""
SOUND_BITS: Final = 1.0
"""What another romanisation takes from a word for each two letters that differ, at least once."""
TYPO_BITS: Final = 4.0
"""What a typo takes from a word: so many other words are as near."""
UNALIGNED_BITS: Final = 3.0
"""What a word on each side without a counterpart takes from a name."""
MISSING_BITS: Final = 1.2
"""What a word that one side alone has takes from a name."""

_EQUAL, _SOUNDS, _TYPO, _SHORTENED = 1, 2, 3, 4

_UNSEEN: Final = np.uint64(round(-8 * log2(UNSEEN_WORD)))

_PLAIN, _DECORATION, _FORM, _TRADE = 0, 1, 2, 3


class Lexicon(NamedTuple):
    """What is known of words.

    Attributes:
        codes: hashes of words, sorted.
        role: form, decoration or trade word.
        canonical: hash of the word that stands for it.
        variants: hashes of romanisations, sorted.
        usual: hash of the sound of the usual one.
        common: hashes of words and sounds that are common in the world, sorted.
        commonness: how common, in eighths of bits.
    """

    codes: U64
    role: U8
    canonical: U64
    variants: U64
    usual: U64
    common: U64
    commonness: U64


@cache
def lexicon() -> Lexicon:
    """The room's lexicon."""
    roles = {"form": _FORM, "decoration": _DECORATION, "trade": _TRADE}
    words = {
        hash_text(word): (roles[role], hash_text(canonical[0] if canonical else word))
        for word, role, *canonical in data_lines("lexicon.tsv")
    }
    codes = sorted(words)
    usual = {
        hash_text(variant): _sound_of(word) for variant, word in data_lines("romanisations.tsv")
    }
    variants = sorted(usual)
    share: dict[int, float] = defaultdict(float)
    for word, per_million in data_lines("word_frequencies.tsv"):
        code = hash_text(word)
        sound = usual.get(code) or _sound_of(word)
        for each in {code, sound}:
            share[each] += int(per_million) / 1e6
    common = sorted(share)
    return Lexicon(
        np.array(codes, np.uint64),
        np.array([words[code][0] for code in codes], np.uint8),
        np.array([words[code][1] for code in codes], np.uint64),
        np.array(variants, np.uint64),
        np.array([usual[code] for code in variants], np.uint64),
        np.array(common, np.uint64),
        np.array([_eighths(share[code]) for code in common], np.uint64),
    )


def _eighths(share: float) -> int:
    """Rarity of a share in eighths of bits."""
    return round(-8 * log2(share))


def _sound_of(word: str) -> int:
    data = np.frombuffer(bytearray(word.encode()), np.uint8)
    return int(_sound(data, 0, len(data), np.empty(64, np.uint8)))


SPELLING, SOUND, LETTERS, MORE_LETTERS, ABOUT, ANAGRAM, CONSONANTS = range(7)
"""Columns of a word: codes of spelling and sound, its first sixteen letters, what else there is
about it (see below), codes of its letters and of its sound's consonants in any order."""

_LENGTH, _SPELLING_RARITY, _SOUND_RARITY = np.uint64(32), np.uint64(40), np.uint64(48)
_CONSONANTS = np.uint64(56)
"""Where in ABOUT what begins, after 32 bits for the letters that occur, a byte each: how many
letters, how rare spelling and sound are in the world in eighths of bits, how many consonants."""

LONGEST_WORD: Final = 16

NAME_LETTERS, NAME_SOUNDS = 0, 1
"""Columns of what there is about a name."""


class Names(NamedTuple):
    """Names of all rows of one side.

    Attributes:
        starts: row i's names are `starts[i]:starts[i + 1]`.
        first: name j's words are `first[j]:first[j + 1]`.
        role: whose name each is.
        about: names × 2: a code of its letters in any order, and a bit for each of its sounds.
        words: words × columns.
    """

    starts: I64
    first: I64
    role: U8
    about: U64
    words: U64


def parse_names(values: Values, roles: U8) -> Names:
    """Divide folded names into words.

    Args:
        values: folded names by row.
        roles: whose name each is.
    """
    text = values.text
    count = len(roles)
    first = np.zeros(count + 1, np.int64)
    about = np.zeros((count, 2), np.uint64)
    words = np.empty((_count_tokens(text), 7), np.uint64)
    size = _parse(
        text,
        lexicon(),
        first,
        about,
        words,
        np.empty(MAX_BYTES * 2 + 64, np.uint8),
        np.empty((3, MAX_TOKENS + 2), np.int64),
        np.empty(64, np.uint8),
    )
    return Names(values.starts, first, roles, about, words[:size].copy())


@inner
def _is_letter(c: int) -> bool:
    return 97 <= c <= 122


@inner
def _is_digit(c: int) -> bool:
    return 48 <= c <= 57


@inner
def _unleet(c: int) -> int:
    """The letter for which a digit between letters stands, as in «n1ke»; 0 if none."""
    if c == 48:
        return 111
    if c == 49:
        return 105
    if c == 51:
        return 101
    if c == 52:
        return 97
    if c == 53:
        return 115
    if c == 55:
        return 116
    return 0


@kernel
def _count_tokens(text: Text) -> int:
    """No fewer words than there are, at most `MAX_WORDS` of each name."""
    total = 0
    for v in range(len(text.offsets) - 1):
        tokens = 0
        before = 32
        for i in range(text.offsets[v], text.offsets[v + 1]):
            c = to_int(text.data[i])
            if _is_letter(c) != _is_letter(before) or _is_digit(c) != _is_digit(before):
                tokens += 1
            before = c
        tokens += (text.offsets[v + 1] - text.offsets[v]) // LONGEST_WORD
        total += min(MAX_WORDS, tokens)
    return total


@inner
def _tokens(data: U8, start: int, end: int, out: U8, bounds: I64) -> int:
    """Words of one name.

    Args:
        data: folded text.
        start: where the name begins.
        end: where it ends.
        out: filled with the words' letters.
        bounds: filled: word t is `out[bounds[0, t]:bounds[0, t + 1]]`.

    Returns:
        How many words.
    """
    count, n = 0, 0
    bounds[0, 0] = 0
    before = 32
    for i in range(start, end):
        c = to_int(data[i])
        after = to_int(data[i + 1]) if i + 1 < end else 32
        if c == 39 or c == 96:
            continue
        if _is_digit(c) and _is_letter(before) and _is_letter(after) and _unleet(c) > 0:
            c = _unleet(c)
        letter = _is_letter(c)
        open_word = n > bounds[0, count]
        if letter or _is_digit(c):
            if open_word and letter != _is_letter(before) and before != 46:
                count += 1
                bounds[0, count] = n
                if count == MAX_TOKENS:
                    break
            out[n] = c
            n += 1
        elif c == 46 and open_word and _is_letter(after) and _is_initial(data, i, start, end):
            # «S.A.» is one word, «co.,ltd» two.
            pass
        elif open_word:
            count += 1
            bounds[0, count] = n
            if count == MAX_TOKENS:
                break
        before = c
    if count < MAX_TOKENS and n > bounds[0, count]:
        count += 1
        bounds[0, count] = n
    return count


@inner
def _is_initial(data: U8, dot: int, start: int, end: int) -> bool:
    """Whether single letters stand on both sides of a dot."""
    alone_before = dot - 2 < start or not _is_letter(to_int(data[dot - 2]))
    alone_after = dot + 2 >= end or not _is_letter(to_int(data[dot + 2]))
    return alone_before and alone_after


@inner
def _is_counter(data: U8, start: int, end: int) -> bool:
    """Whether a word is a year or a short number, as in «Store-2024» and «Fashion 88»."""
    if end - start > 4:
        return False
    for i in range(start, end):
        if not _is_digit(to_int(data[i])):
            return False
    return True


@kernel
def _parse(
    text: Text,
    known: Lexicon,
    first: I64,
    about: U64,
    words: U64,
    data: U8,
    tokens: I64,
    buffer: U8,
) -> int:
    """Fill `first`, `about` and `words`; returns how many words."""
    n = 0
    for v in range(len(text.offsets) - 1):
        count = _tokens(text.data, text.offsets[v], text.offsets[v + 1], data, tokens)
        kept = _FORM
        for t in range(count):
            code = hash_bytes(data, tokens[0, t], tokens[0, t + 1])
            place = find(known.codes, code)
            kind = _PLAIN
            if place >= 0:
                kind = to_int(known.role[place])
                code = known.canonical[place]
            elif _is_counter(data, tokens[0, t], tokens[0, t + 1]):
                kind = _DECORATION
            tokens[1, t] = kind
            tokens[2, t] = to_int(code)
            if kind == _TRADE:
                kind = _PLAIN
            if kind < kept:
                kept = kind
        total, sounds = np.uint64(0), np.uint64(0)
        for t in range(count):
            kind = tokens[1, t]
            if kind != kept and not (kind == _TRADE and kept == _PLAIN):
                continue
            # Long words, which other scripts have without blanks, are compared in pieces.
            start, end = tokens[0, t], tokens[0, t + 1]
            pieces = 1 + (end - start - 1) // LONGEST_WORD if kind == _PLAIN else 1
            for piece in range(pieces):
                begin = start + (end - start) * piece // pieces
                stop = start + (end - start) * (piece + 1) // pieces
                code = hash_bytes(data, begin, stop) if pieces > 1 else np.uint64(tokens[2, t])
                if n - first[v] == MAX_WORDS or _is_among(words, first[v], n, code):
                    continue
                total += _write_word(words, n, data, begin, stop)
                words[n, SPELLING] = code
                sound = _sound(data, begin, stop, buffer)
                words[n, CONSONANTS], consonants = _consonants(buffer)
                words[n, ABOUT] |= consonants << _CONSONANTS
                place = find(known.variants, code)
                if place >= 0:
                    sound = known.usual[place]
                words[n, SOUND] = sound
                sounds |= np.uint64(1) << (sound & np.uint64(63))
                words[n, ABOUT] |= _rarity_in_the_world(known, code) << _SPELLING_RARITY
                words[n, ABOUT] |= _rarity_in_the_world(known, sound) << _SOUND_RARITY
                n += 1
        about[v, NAME_LETTERS], about[v, NAME_SOUNDS] = total, sounds
        first[v + 1] = n
    return n


@inner
def _is_among(words: U64, first: int, last: int, code: np.uint64) -> bool:
    for w in range(first, last):
        if words[w, SPELLING] == code:
            return True
    return False


@inner
def _rarity_in_the_world(known: Lexicon, code: np.uint64) -> np.uint64:
    """How rare a word or a sound is before anything is counted, in eighths of bits."""
    place = find(known.common, code)
    return known.commonness[place] if place >= 0 else _UNSEEN


@inner
def _write_word(words: U64, w: int, data: U8, start: int, end: int) -> np.uint64:
    """Write a word's letters, their mask and length; returns the sum of the letters' codes."""
    total = np.uint64(0)
    mask = np.uint64(0)
    packed, more = np.uint64(0), np.uint64(0)
    for i in range(start, end):
        c = np.uint64(data[i])
        total += scatter(c)
        mask |= np.uint64(1) << (c - np.uint64(97) if c >= 97 else np.uint64(26) + c % np.uint64(6))
        place = i - start
        if place < 8:
            packed |= c << np.uint64(8 * place)
        elif place < LONGEST_WORD:
            more |= c << np.uint64(8 * (place - 8))
    length = min(255, end - start)
    words[w, LETTERS], words[w, MORE_LETTERS] = packed, more
    words[w, ANAGRAM] = total
    words[w, ABOUT] = mask | np.uint64(length) << _LENGTH
    return total


@kernel
def _sound(data: U8, start: int, end: int, out: U8) -> np.uint64:
    """What is left of a word where romanisations agree: its consonants by class, and how it begins.

    Vowels, `h` and doubled letters go; `sh`, `zh`, `ch`, `j` are one class, at the beginning also
    `hs`, `x` and `qi` (Wade-Giles and pinyin), so are `k`, `g`, `q`, `kh`, `gh`, so are `d` and
    `t`, `b` and `p`, `v`, `w` and `f`, `s` and `z`. A word of fewer than two consonants keeps its
    first vowel, one without any is its spelling.
    """
    n = 0
    vowel = 0
    together = False
    i = start
    while i < end and n < len(out) - 4:
        c = to_int(data[i])
        d = to_int(data[i + 1]) if i + 1 < end else 0
        e = to_int(data[i + 2]) if i + 2 < end else 0
        if i > start and c == to_int(data[i - 1]) and not _is_digit(c):
            i += 1
            continue
        step = 1
        letter = 0
        if c in (97, 101, 105, 111, 117, 121):
            if vowel == 0:
                vowel = 97 if c == 97 else 117 if c in (111, 117) else 105
            letter = 97 if i == start else 0
        elif c == 104:
            if i == start:
                letter = 104
                if d == 115 and e in (105, 117):
                    letter, step = 99, 2
        elif c == 115:
            if d == 99 and e == 104:
                letter, step = 99, 3
            elif d == 104:
                letter, step = 99, 2
            else:
                letter = 115
        elif c == 99:
            if d == 104:
                letter, step = 99, 2
            elif d == 107:
                letter, step = 107, 2
            elif d in (101, 105, 121, 122):
                letter = 115
            else:
                letter = 107
        elif c == 116:
            if d == 99 and e == 104:
                letter, step = 99, 3
            elif d == 115 and e == 99:
                # «tsch»: the rest says it.
                letter = 0
            elif d in (115, 122):
                letter, step = 115, 2
            else:
                letter = 116
        elif c == 122:
            letter = 115
            if d == 104:
                letter, step = 99, 2
        elif c == 100:
            letter = 116
            if d == 106:
                letter, step = 99, 2
            elif d == 122 and e == 104:
                letter, step = 99, 3
        elif c == 106:
            letter = 99 if i == start or d != 0 else 0
        elif c in (107, 103, 113):
            letter = 107
            if d == 104:
                step = 2
            elif c == 113 and d == 105 and i == start:
                letter = 99
        elif c == 120:
            letter = 99
            if i > start:
                out[n] = 107
                n += 1
                letter = 115
        elif c == 112:
            letter = 112
            if d == 104:
                letter, step = 102, 2
        elif c == 98:
            letter = 112
        elif c in (102, 118):
            letter = 102
        elif c == 119:
            letter = 102 if i == start else 0
        else:
            letter = c
        # Classes that meet are one: «tch», «sch», «dt».
        if letter and not (together and out[n - 1] == letter):
            out[n] = letter
            n += 1
        together = letter > 0 and letter != 97
        i += step
    # A zero ends what was written, for whoever reads the consonants.
    out[n] = 0
    consonants = n - (n > 0 and out[0] == 97)
    if consonants == 0:
        return hash_bytes(data, start, end)
    if consonants < 2:
        out[n] = vowel
        code = hash_bytes(out, 0, n + 1)
        out[n] = 0
        return code
    return hash_bytes(out, 0, n)


@inner
def _consonants(sound: U8) -> tuple[np.uint64, np.uint64]:
    """A code of a sound's consonants in any order, and how many they are."""
    total, count = np.uint64(0), np.uint64(0)
    i = 1 if sound[0] == 97 else 0
    while sound[i] != 0:
        total += scatter(np.uint64(sound[i]))
        count += np.uint64(1)
        i += 1
    return total, count


@inner
def name_keys(names: Names, row: int, keys: U64, n: int) -> int:
    """Keys of a row's names, written from `keys[n]` on; returns their new end.

    All letters of a name, and all consonants; each word's spelling and sound, which also count how
    common it is; pairs of the sounds of its first words, in either order.
    """
    starts, bounds, about, words = names.starts, names.first, names.about, names.words
    for j in range(starts[row], starts[row + 1]):
        first, last = bounds[j], bounds[j + 1]
        if first == last:
            continue
        keys[n] = salted(about[j, NAME_LETTERS], LETTERS_KEY)
        n += 1
        consonants, count = _open_consonants(words, first, last, 0)
        if count >= FEWEST_CONSONANTS:
            keys[n] = salted(consonants, CONSONANTS_KEY)
            n += 1
        for w in range(first, last):
            keys[n] = salted(words[w, SPELLING], SPELLING_KEY)
            keys[n + 1] = salted(words[w, SOUND], SOUND_KEY)
            n += 2
        if last > first + PAIRED_WORDS:
            last = first + PAIRED_WORDS
        for w in range(first, last):
            for x in range(w + 1, last):
                keys[n] = salted(scatter(words[w, SOUND]) + scatter(words[x, SOUND]), PAIR_KEY)
                n += 1
    return n


@inner
def most_name_keys(names: Names, row: int) -> int:
    """No row has more keys of names than this."""
    entries = names.starts[row + 1] - names.starts[row]
    words = names.first[names.starts[row + 1]] - names.first[names.starts[row]]
    return entries * (2 + PAIRED_WORDS * (PAIRED_WORDS - 1) // 2) + words * 2


@inner
def letter_of(words: U64, w: int, place: int) -> np.uint64:
    """The letter at a place of a word."""
    return _letter(words[w, LETTERS], words[w, MORE_LETTERS], place)


@inner
def _letter(letters: np.uint64, more: np.uint64, place: int) -> np.uint64:
    if place < 8:
        return (letters >> np.uint64(8 * place)) & np.uint64(0xFF)
    return (more >> np.uint64(8 * (place - 8))) & np.uint64(0xFF)


@inner
def word_length(words: U64, w: int) -> int:
    """Characters of a word that are compared."""
    length = to_int((words[w, ABOUT] >> _LENGTH) & np.uint64(0xFF))
    return min(LONGEST_WORD, length)


@inner
def edits(a: U64, w: int, b: U64, x: int) -> int:
    """Edits between two words, a swap of neighbours being one."""
    return _edits(
        a[w, LETTERS],
        a[w, MORE_LETTERS],
        word_length(a, w),
        b[x, LETTERS],
        b[x, MORE_LETTERS],
        word_length(b, x),
    )


@inner
def _edits(
    letters_a: np.uint64,
    more_a: np.uint64,
    length_a: int,
    letters_b: np.uint64,
    more_b: np.uint64,
    length_b: int,
) -> int:
    """Edits between up to sixteen letters each.

    Source: H. Hyyrö, «A bit-vector algorithm for computing Levenshtein and Damerau edit
    distances», Nordic Journal of Computing 10 (2003).
    """
    one = np.uint64(1)
    plus, minus = ~np.uint64(0), np.uint64(0)
    diagonal, before = np.uint64(0), np.uint64(0)
    distance = length_a
    last = one << np.uint64(length_a - 1)
    for j in range(length_b):
        letter = _letter(letters_b, more_b, j)
        equal = np.uint64(0)
        for i in range(length_a):
            if _letter(letters_a, more_a, i) == letter:
                equal |= one << np.uint64(i)
        swapped = ((~diagonal & equal) << one) & before
        diagonal = (((equal & plus) + plus) ^ plus) | equal | minus | swapped
        rise, fall = minus | ~(diagonal | plus), diagonal & plus
        if rise & last:
            distance += 1
        if fall & last:
            distance -= 1
        rise = rise << one | one
        fall = fall << one
        plus = fall | ~(diagonal | rise)
        minus = rise & diagonal
        before = equal
    return distance


@inner
def _is_typo(a: U64, w: int, b: U64, x: int) -> bool:
    length_a, length_b = word_length(a, w), word_length(b, x)
    shorter = min(length_b, length_a)
    limit = 2 if shorter >= 8 else 1 if shorter >= 4 else 0
    gap = length_a - length_b
    if limit == 0 or gap > limit or -gap > limit:
        return False
    # An edit changes which letters occur by two at most.
    apart = (a[w, ABOUT] ^ b[x, ABOUT]) & np.uint64(0xFFFFFFFF)
    budget = 2 * limit
    while apart and budget >= 0:
        apart &= apart - np.uint64(1)
        budget -= 1
    return budget >= 0 and edits(a, w, b, x) <= limit


@inner
def _respelled(a: U64, w: int, b: U64, x: int) -> int:
    """Letters that differ between words of one sound; -1 if too many for one name."""
    if a[w, CONSONANTS] != b[x, CONSONANTS]:
        # Not their own sound, but one that the table of romanisations gives them.
        return 1
    differ = edits(a, w, b, x)
    return differ if 2 * differ <= max(word_length(a, w), word_length(b, x)) + 1 else -1


@inner
def _abbreviates(a: U64, w: int, b: U64, x: int) -> int:
    """Letters of the shorter word, if the longer one begins with it, else 0."""
    length_a, length_b = word_length(a, w), word_length(b, x)
    shorter = min(length_b, length_a)
    for place in range(shorter):
        if letter_of(a, w, place) != letter_of(b, x, place):
            return 0
    return shorter


@inner
def _open_letters(words: U64, first: int, last: int, taken: int) -> np.uint64:
    """The code of all letters of a name's words that are not taken."""
    total = np.uint64(0)
    for w in range(first, last):
        if not taken >> (w - first) & 1:
            total += words[w, ANAGRAM]
    return total


@inner
def _spelling_rarity(words: U64, w: int, frequencies: Frequencies) -> float:
    """Bits that an agreement on a word is worth."""
    eighths = (words[w, ABOUT] >> _SPELLING_RARITY) & np.uint64(0xFF)
    return word_rarity(frequencies, salted(words[w, SPELLING], SPELLING_KEY), eighths)


@inner
def _sound_rarity(words: U64, w: int, frequencies: Frequencies) -> float:
    """Bits that an agreement on a word's sound is worth."""
    eighths = (words[w, ABOUT] >> _SOUND_RARITY) & np.uint64(0xFF)
    return word_rarity(frequencies, salted(words[w, SOUND], SOUND_KEY), eighths)


@inner
def _open_consonants(words: U64, first: int, last: int, taken: int) -> tuple[np.uint64, int]:
    """The code of all consonants of a name's words that are not taken, and how many they are."""
    total, count = np.uint64(0), 0
    for w in range(first, last):
        if not taken >> (w - first) & 1:
            total += words[w, CONSONANTS]
            count += to_int(words[w, ABOUT] >> _CONSONANTS)
    return total, count


@inner
def _open_together(
    words: U64, first: int, last: int, taken: int
) -> tuple[np.uint64, np.uint64, int]:
    """The first sixteen letters of a name's words that are not taken, and how many they are."""
    letters, more, length = np.uint64(0), np.uint64(0), 0
    for w in range(first, last):
        if taken >> (w - first) & 1 or length >= LONGEST_WORD:
            continue
        shift = np.uint64(8 * (length & 7))
        if length < 8:
            letters |= words[w, LETTERS] << shift
            more |= words[w, MORE_LETTERS] << shift
            if shift:
                more |= words[w, LETTERS] >> (np.uint64(64) - shift)
        else:
            more |= words[w, LETTERS] << shift
        length += word_length(words, w)
    return letters, more, min(length, LONGEST_WORD)


@inner
def _glued(
    a: U64, first_a: int, last_a: int, taken_a: int, b: U64, first_b: int, last_b: int, taken_b: int
) -> int:
    """Letters that differ where the words that are not taken are one text, divided otherwise.

    -1 if they are not one text.
    """
    if _open_letters(a, first_a, last_a, taken_a) == _open_letters(b, first_b, last_b, taken_b):
        return 0
    consonants_a, count = _open_consonants(a, first_a, last_a, taken_a)
    consonants_b, _ = _open_consonants(b, first_b, last_b, taken_b)
    if consonants_a != consonants_b or count < 2:
        return -1
    letters_a, more_a, length_a = _open_together(a, first_a, last_a, taken_a)
    letters_b, more_b, length_b = _open_together(b, first_b, last_b, taken_b)
    differ = _edits(letters_a, more_a, length_a, letters_b, more_b, length_b)
    return differ if differ <= 4 and 2 * differ <= max(length_a, length_b) + 1 else -1


@inner
def _open_rarity(words: U64, first: int, last: int, taken: int, frequencies: Frequencies) -> float:
    """What a name's words that are not taken are worth."""
    total = 0.0
    for w in range(first, last):
        if not taken >> (w - first) & 1:
            total += _spelling_rarity(words, w, frequencies)
    return total


@inner
def _agrees(a: U64, w: int, b: U64, x: int, how: int) -> bool:
    """Whether two words agree in one way."""
    if how == _EQUAL:
        return a[w, SPELLING] == b[x, SPELLING]
    if how == _SOUNDS:
        return a[w, SOUND] == b[x, SOUND] and _respelled(a, w, b, x) >= 0
    if how == _TYPO:
        return _is_typo(a, w, b, x)
    return _abbreviates(a, w, b, x) > 0


@inner
def _worth(a: U64, w: int, b: U64, x: int, how: int, frequencies: Frequencies) -> float:
    """What two words that agree in one way are worth."""
    if how == _SHORTENED:
        letters = _abbreviates(a, w, b, x)
        return 1.0 if letters == 1 else 4.0 if letters > 2 else 3.0
    if how == _SOUNDS:
        worth = _sound_rarity(a, w, frequencies) - SOUND_BITS * max(1, _respelled(a, w, b, x) // 2)
    else:
        worth = _spelling_rarity(a, w, frequencies)
        if how == _TYPO:
            other = _spelling_rarity(b, x, frequencies)
            worth = (min(other, worth)) - TYPO_BITS
    return max(0.0, worth)


@inner
def _best_pair(
    a: U64,
    first_a: int,
    last_a: int,
    taken_a: int,
    b: U64,
    first_b: int,
    last_b: int,
    taken_b: int,
    how: int,
    frequencies: Frequencies,
) -> tuple[float, int, int]:
    """The two words, not taken, whose agreement in one way is worth most; -1 if none agree."""
    best, best_w, best_x = -1.0, first_a, first_b
    for w in range(first_a, last_a):
        if taken_a >> (w - first_a) & 1:
            continue
        for x in range(first_b, last_b):
            if not taken_b >> (x - first_b) & 1 and _agrees(a, w, b, x, how):
                gain = _worth(a, w, b, x, how, frequencies)
                if gain > best:
                    best, best_w, best_x = gain, w, x
    return best, best_w, best_x


@inner
def align(a: Names, j: int, b: Names, k: int, frequencies: Frequencies) -> tuple[float, int]:
    """Compare name j of a with name k of b.

    Returns:
        Bits, and the level (`SAME` … `SHARED`, `DIFFERENT`).
    """
    words_a, words_b = a.words, b.words
    first_a, last_a, first_b, last_b = a.first[j], a.first[j + 1], b.first[k], b.first[k + 1]
    if first_a == last_a or first_b == last_b:
        return 0.0, DIFFERENT
    # Words that have a counterpart, a bit each.
    taken_a, taken_b = 0, 0
    equal, close = 0, 0
    open_a, open_b = last_a - first_a, last_b - first_b
    bits = 0.0
    for how in range(_EQUAL, _SHORTENED + 1):
        if how == _SHORTENED and open_a > 0 and open_b > 0:
            glued = _glued(words_a, first_a, last_a, taken_a, words_b, first_b, last_b, taken_b)
            if glued >= 0:
                gain = _open_rarity(words_a, first_a, last_a, taken_a, frequencies)
                other = _open_rarity(words_b, first_b, last_b, taken_b, frequencies)
                gain = min(other, gain)
                if glued > 0:
                    gain -= GLUED_SOUND_BITS + SOUND_BITS * (glued // 2)
                bits += max(0.0, gain)
                close += 1
                open_a, open_b = 0, 0
        while open_a > 0 and open_b > 0:
            gain, w, x = _best_pair(
                words_a,
                first_a,
                last_a,
                taken_a,
                words_b,
                first_b,
                last_b,
                taken_b,
                how,
                frequencies,
            )
            if gain < 0:
                break
            bits += gain
            taken_a |= 1 << (w - first_a)
            taken_b |= 1 << (x - first_b)
            open_a -= 1
            open_b -= 1
            if how == _EQUAL:
                equal += 1
            else:
                close += 1
    fewer, more = (open_a, open_b) if open_a < open_b else (open_b, open_a)
    bits -= UNALIGNED_BITS * fewer + MISSING_BITS * (more - fewer)
    if equal + close == 0 or bits <= 0:
        return bits, DIFFERENT
    if more > 0:
        return bits, PART if fewer == 0 else SHARED
    if close > 0:
        return bits, SIMILAR
    # The whole name may be more common than its words, each for itself, would make it.
    known = rarity(frequencies, salted(a.about[j, NAME_LETTERS], LETTERS_KEY), 40.0)
    return min(known, bits), SAME
