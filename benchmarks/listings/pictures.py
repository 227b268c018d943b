"""Changed pictures found again, and different ones told apart; how fast pictures are hashed.

Data: product pictures drawn by `benchmarks.listings.generated`, and the photographs that the wheel
of scikit-image carries; each changed in the ways of `CHANGES`, then recompressed as JPEG of quality
30 to 90. Different pictures: the drawn ones among each other, every pair of them.

Peer: plain PDQ, one hash a side, at Meta's 31 bits.

Bar (issue 11): recompressed 0.98, half the size 0.95, mirrored 0.95, border up to 5 % 0.90, cropped
by 5 % 0.85, a bar over 12 % 0.60, at one false match in a million pairs at most; 50 pictures of
1000 pixels a side a second on two cores, parts included.

Run: `python -m benchmarks listings.pictures`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from acx.matching.goods.pdq import hash_and_quality
from acx.matching.goods.pictures import luminance_of
from acx.matching.goods.windows import reported, searched
from acx.matching.images import different_bits
from benchmarks.listings.generated import product_picture

U64 = NDArray[np.uint64]
Random = np.random.Generator
BOUNDS = (20, 24, 28, 31, 36)
PLAIN_BOUND = 31
PICTURES = 150
DIFFERENT = 2000


def _border(picture: Image.Image, random: Random) -> Image.Image:
    width = int(random.uniform(0.005, 0.05) * min(picture.size)) + 1
    return ImageOps.expand(picture, width, fill=tuple(random.integers(0, 256, 3).tolist()))


def _cropped(picture: Image.Image, shares: NDArray[np.float64]) -> Image.Image:
    width, height = picture.size
    left, top, right, below = (shares * [width, height, width, height]).round()
    return picture.crop((int(left), int(top), int(width - right), int(height - below)))


def _off_centre(picture: Image.Image, random: Random) -> Image.Image:
    before = random.uniform(0, 0.05, 2)
    return _cropped(picture, np.concatenate([before, 0.05 - before]))


def _written_over(picture: Image.Image, top: float) -> Image.Image:
    written = picture.copy()
    width, height = written.size
    draw = ImageDraw.Draw(written)
    first = top * (height - 0.12 * height)
    draw.rectangle([0, first, width, first + 0.12 * height], fill=(20, 20, 20))
    size = max(6, int(height * 0.07))
    draw.text((width * 0.1, first + size * 0.3), "100% ORIGINAL", fill="white", font_size=size)
    return written


CHANGES: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "recompressed": lambda p, _: p,
    "half the size": lambda p, _: p.resize((p.width // 2, p.height // 2)),
    "mirrored": lambda p, _: ImageOps.mirror(p),
    "border up to 5 %, any colour": _border,
    "cropped 5 % at each side": lambda p, _: _cropped(p, np.full(4, 0.05)),
    "cropped up to 5 % at each side alike": lambda p, r: _cropped(
        p, np.full(4, r.uniform(0, 0.05))
    ),
    "cropped 5 % of each axis, off centre": _off_centre,
    "cropped up to 5 % at each side by itself": lambda p, r: _cropped(p, r.uniform(0, 0.05, 4)),
    "bar over 12 % at the foot": lambda p, _: _written_over(p, 1.0),
    "bar over 12 % at the head": lambda p, _: _written_over(p, 0.0),
    "bar over 12 % anywhere": lambda p, r: _written_over(p, r.uniform()),
}


def main() -> None:
    """Print the tables."""
    sets = {
        "drawn": [product_picture(seed, 400) for seed in range(PICTURES)],
        "scikit-image": photographs(),
    }
    for name, originals in sets.items():
        print(f"\n{name}: {len(originals)} pictures; share found within so many bits")
        print(f"{'change':42}plain {PLAIN_BOUND}  " + "".join(f"{bound:6}" for bound in BOUNDS))
        for change in CHANGES:
            plain, near = recall(originals, change)
            shares = "".join(f"{np.mean(near <= bound):6.2f}" for bound in BOUNDS)
            print(f"{change:42}{np.mean(plain <= PLAIN_BOUND):8.2f}  {shares}")
    false_matches(DIFFERENT)
    speed()


def photographs() -> list[Image.Image]:
    """The photographs in scikit-image's wheel that are larger than an icon."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    files = sorted([*folder.glob("*.png"), *folder.glob("*.jpg")])
    read = [Image.open(file).convert("RGB") for file in files]
    return [picture for picture in read if min(picture.size) >= 150]


def recall(originals: list[Image.Image], change: str) -> tuple[NDArray[np.int64], ...]:
    """Bits between original and changed picture: by plain PDQ, and by the nearest parts."""
    random = np.random.default_rng(7)
    plain, near = [], []
    for original in originals:
        file = io.BytesIO()
        quality = int(random.integers(30, 91))
        CHANGES[change](original, random).save(file, "JPEG", quality=quality)
        changed = luminance_of(file.getvalue())
        grey = np.asarray(original.convert("L"))
        plain.append(
            int(np.bitwise_count(hash_and_quality(grey)[0] ^ hash_and_quality(changed)[0]).sum())
        )
        looked_for, kept = searched(changed), reported(grey)
        bits = np.bitwise_count(looked_for[:, np.newaxis] ^ kept.hashes[np.newaxis]).sum(axis=2)
        # What shows too little matches nothing: it counts as not found.
        near.append(int(bits.min()) if bits.size and kept.quality >= 50 else 256)
    return np.array(plain), np.array(near)


def false_matches(count: int) -> None:
    """How many pairs of different pictures are near each other."""
    greys = [np.asarray(product_picture(100_000 + n, 200).convert("L")) for n in range(count)]
    kept = [found for grey in greys if (found := reported(grey)).quality >= 50]
    looked_for = [searched(grey) for grey in greys[: count // 2]]
    owner = np.repeat(np.arange(len(kept)), [len(found.hashes) for found in kept])
    hashes = np.concatenate([found.hashes for found in kept])
    bits = np.full((len(looked_for), len(kept)), 255, np.int64)
    for row, queries in enumerate(looked_for):
        if len(queries):
            _nearest(queries, hashes, owner, bits[row])
    names = [number for number, grey in enumerate(greys) if reported(grey).quality >= 50]
    same = np.arange(len(looked_for))[:, np.newaxis] == np.array(names)[np.newaxis]
    apart = bits[~same]
    print(f"\n{apart.size:,} pairs of different pictures")
    for bound in (*BOUNDS, 40, 44):
        false = int((apart <= bound).sum())
        print(f"within {bound} bits: {false} ({false / apart.size * 1e6:.1f} in a million)")


@numba.njit(parallel=True)
def _nearest(
    queries: U64, hashes: U64, owner: NDArray[np.int64], nearest: NDArray[np.int64]
) -> None:
    least = np.full(len(hashes), 255, np.int64)
    for place in numba.prange(len(hashes)):
        for query in range(len(queries)):
            bits = different_bits(queries, query, hashes, place)
            least[place] = min(least[place], bits)
    for place in range(len(hashes)):
        nearest[owner[place]] = min(nearest[owner[place]], least[place])


def speed(count: int = 100) -> None:
    """Pictures of 1000 pixels a side that two threads hash in a second, decoding included."""
    files = []
    for seed in range(10):
        file = io.BytesIO()
        product_picture(seed, 1000).save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    for name, hashed in (("reported", reported), ("searched", searched)):
        hashed(luminance_of(files[0]))
        with ThreadPoolExecutor(2) as threads:
            start = time.perf_counter()
            list(threads.map(lambda n, h=hashed: h(luminance_of(files[n % 10])), range(count)))
            print(f"{name}: {count / (time.perf_counter() - start):.0f} pictures a second")


if __name__ == "__main__":
    main()
