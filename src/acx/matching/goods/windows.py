"""What of a picture is hashed, so that it is found again cropped, framed, mirrored or written over.

PDQ forgives compression and scaling, but a border of 2 % or a crop of 5 % moves every coefficient.
So both sides hash parts. The reporter hashes few: the picture, what is left without its plain
borders, its middle, and parts that a bar of text leaves out; each mirrored too. The searcher
assumes that his picture is a crop of the reported one, or has a border around it, and hashes for
each such assumption the part that would then be the reported middle. A part that shows too little
(PDQ's quality) is left out on both sides: half a white picture is like every other.

The windows lie so close that an error of half their distance costs fewer bits than a match may.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from acx.matching.compiled import U64
from acx.matching.goods.pdq import (
    COEFFICIENTS,
    F32,
    MIRRORED,
    WORDS,
    both_axes,
    coefficients,
    cosines,
    packed,
    part,
    quality,
    samples,
)

U8: TypeAlias = npt.NDArray[np.uint8]
Interval = tuple[float, float]
"""Part of an axis, as shares of it."""

LEAST_QUALITY: Final = 50
"""PDQ's quality below which a picture matches nothing (the reference's recommendation)."""

_SIDE: Final = 256
"""Pixels to which a picture is brought, whatever its shape, before its windows are cut out."""
_ALL: Final[Interval] = (0.0, 1.0)
_MIDDLE: Final[Interval] = (0.05, 0.95)
_WITHOUT_BAR: Final[tuple[Interval, ...]] = ((0.0, 0.85), (0.15, 1.0), (0.0, 0.44), (0.56, 1.0))
"""Rows of a picture of which a bar of 12 %, wherever it lies, leaves out one at least."""

_CROPPED: Final = tuple(
    (before * 0.05 / 3, after * 0.05 / 3) for before in range(4) for after in range(4 - before)
)
"""Shares cut off at both ends of an axis, 5 % together; any two of them for the two axes."""
_ALIKE: Final = (0.033, 0.042, 0.05, -0.01, -0.02, -0.03, -0.04, -0.05)
"""Shares cut off (or, below 0, added) at all four sides alike."""

_TRIMS: Final = 2
"""Borders taken off one after another: a frame, then the white around the product."""
_STEP: Final = 16
"""Grey levels by which a border's pixels differ at most; compression moves them that far."""
_SPECKS: Final = 0.005
"""Share of a border's pixels that may differ all the same."""
_LEAST_PIXELS: Final = 24


class Reported(NamedTuple):
    """A picture as a report carries it.

    Attributes:
        hashes: of the picture and its parts, mirrored and not; four words each.
        quality: the least of them; a picture that shows too little has one hash and matches
            nothing.
    """

    hashes: U64
    quality: int


def reported(luminance: U8, inset: float = 0.0) -> Reported:
    """Hash a picture as its reporter does.

    Args:
        luminance: rows × columns.
        inset: share of each side to leave out first, where a store marks its pictures.
    """
    rows, columns = (int(inset * length) for length in luminance.shape)
    kept = luminance[rows : len(luminance) - rows, columns : luminance.shape[1] - columns]
    parts = list(_parts(kept, _squared(kept)))
    shown = [(each, shows) for each, shows in parts if shows >= LEAST_QUALITY]
    if not shown:
        whole, shows = parts[0]
        return Reported(packed(whole[np.newaxis]), shows)
    plain = np.stack([each for each, _ in shown])
    both = np.concatenate([plain, plain * MIRRORED])
    return Reported(packed(both), min(shows for _, shows in shown))


def searched(luminance: U8) -> U64:
    """Hash a picture as who looks for it does.

    Args:
        luminance: rows × columns.

    Returns:
        Hashes, four words each; none of a picture that shows too little.
    """
    squared = _squared(luminance)
    parts = list(_parts(luminance, squared))
    shown = [each for each, shows in parts if shows >= LEAST_QUALITY]
    if parts[0][1] >= LEAST_QUALITY:
        windows = _crops()
        cropped = (windows @ squared).reshape(-1, _SIDE) @ windows.reshape(-1, _SIDE).T
        count = len(windows)
        cut = cropped.reshape(count, COEFFICIENTS, count, COEFFICIENTS).swapaxes(1, 2)
        shown += list(cut.reshape(-1, COEFFICIENTS, COEFFICIENTS))
        shown += [both_axes(window, squared, window) for window in _alike()]
    return packed(np.stack(shown)) if shown else np.zeros((0, WORDS), np.uint64)


def _parts(luminance: U8, squared: F32) -> Iterator[tuple[F32, int]]:
    """Coefficients and quality of what both sides hash: whole, trimmed, middle, without bars."""
    sampled = samples(luminance)
    whole = quality(sampled)
    yield coefficients(sampled), whole
    for trimmed in _trimmed(luminance):
        sampled = samples(trimmed)
        yield coefficients(sampled), quality(sampled)
    across = part(*_ALL, _SIDE)
    middle = part(*_MIDDLE, _SIDE)
    yield coefficients(both_axes(middle, squared, middle)), whole
    for rows in _WITHOUT_BAR:
        sampled = both_axes(part(*rows, _SIDE), squared, across)
        yield coefficients(sampled), quality(sampled)


def _trimmed(luminance: U8) -> Iterator[U8]:
    """The picture without its plain border, then without that one's."""
    for _ in range(_TRIMS):
        edge = np.concatenate(
            [luminance[0], luminance[-1], luminance[:, 0], luminance[:, -1]]
        )  # fmt: skip
        plain = int(np.median(edge))
        differs = luminance > min(plain + _STEP, 255)
        differs |= luminance < max(plain - _STEP, 0)
        rows = _span(np.count_nonzero(differs, axis=1), luminance.shape[1])
        columns = _span(np.count_nonzero(differs, axis=0), luminance.shape[0])
        inner = luminance[rows, columns]
        if inner.shape == luminance.shape or min(inner.shape) < _LEAST_PIXELS:
            return
        yield inner
        luminance = inner


def _span(differing: npt.NDArray[np.intp], length: int) -> slice:
    """From the first line to the last that has more than specks in it."""
    lines = np.flatnonzero(differing > max(1, _SPECKS * length))
    return slice(int(lines[0]), int(lines[-1]) + 1) if len(lines) else slice(0, 0)


def _squared(luminance: U8) -> F32:
    """The picture as a square of fixed size, each pixel the average of what it covers."""
    from PIL import Image

    picture = Image.fromarray(luminance).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(picture, np.float32)


@lru_cache(maxsize=1)
def _crops() -> F32:
    """For each crop of an axis the part that is the reported picture's middle, transformed."""
    return np.stack([_assumed(before, after) for before, after in _CROPPED])


@lru_cache(maxsize=1)
def _alike() -> F32:
    return np.stack([_assumed(cut, cut) for cut in _ALIKE])


def _assumed(before: float, after: float) -> F32:
    left = 1 - before - after
    first, last = ((bound - before) / left for bound in _MIDDLE)
    return cosines() @ part(first, last, _SIDE)
