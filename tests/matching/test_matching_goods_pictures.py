"""Pictures: PDQ as the reference computes it, windows that survive changes, files of any kind."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from acx.matching.goods import pdq, windows
from acx.matching.goods.pictures import BadPicture, luminance_of, read_picture
from acx.matching.goods.windows import LEAST_QUALITY, reported, searched

Grey = npt.NDArray[np.uint8]
SAME_BITS = 28


def pattern(rows: int, columns: int, kind: str) -> Grey:
    """Pixels that are the same wherever they are computed: integers alone."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.int64)
    if kind == "waves":
        mixed = x * x // (columns // 3 + 1) + y * y // (rows // 5 + 1) + (x * y) // (rows // 2 + 1)
        waves: Grey = (mixed % 256).astype(np.uint8)
        return waves
    across, down = x * 7 // columns, y * 5 // rows
    blocks: Grey = ((across * 53 + down * 91 + across * down * 17) % 256).astype(np.uint8)
    return blocks


@pytest.mark.parametrize(
    ("rows", "columns", "kind", "shows", "expected"),
    [
        (512, 512, "waves", 100,
         "983fb8ff31f863c0678067024e1fce3fcc7fcc7cccf8ccf09ce098e098e098c0"),
        (300, 451, "waves", 100,
         "9c1f31ff67c04e02d83f98ffb3e03380270f661f667f6e786c704c704ce04ce0"),
        (64, 64, "waves", 100,
         "533fb6c0a59fab70528f55b0b563ab5caab1552e554855539a94aaa902bae96a"),
        (1000, 1000, "blocks", 100,
         "bf6080df409f692d6b853d686b85c297947a96d2bf6080df409f692d6b853d68"),
        (63, 129, "waves", 100,
         "67ff8e00317f6f80903fa9d0722f44dc4983db5e5aa1544e9690b6a7b6ac94ac"),
        (65, 260, "waves", 100,
         "df5f20809febe800077f7880c23f2ee0720ea5f56b0a567ec4c0d59fddb89530"),
        (40, 33, "waves", 89,
         "ad5152a6255bdab4656b9ad56d2b925428a9d5562aadd7522da5d25a65358aaa"),
        (1411, 777, "blocks", 100,
         "3f2082d7c0df692d6b853d2c6b85c2d7947a96d23f2082d7c0df692d6b853d28"),
    ],
)  # fmt: skip
def test_hashes_as_the_reference_does(
    rows: int, columns: int, kind: str, shows: int, expected: str
) -> None:
    # Expected: pdqhash 0.2.7, the binding of Meta's C++ code.
    found, quality = pdq.hash_and_quality(pattern(rows, columns, kind))
    assert distance(found[np.newaxis], pdq.from_hexadecimal([expected])) <= 2
    assert quality == shows


def test_a_blank_picture_has_quality_0() -> None:
    assert pdq.hash_and_quality(np.full((100, 100), 128, np.uint8))[1] == 0


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=5))
def test_the_writing_of_hashes_round_trips(hashes: list[bytes]) -> None:
    written = [each.hex() for each in hashes]
    assert pdq.hexadecimal(pdq.from_hexadecimal(written)) == written


@given(st.integers(0, 2**32))
def test_mirroring_samples_changes_signs_alone(seed: int) -> None:
    sampled = np.random.default_rng(seed).uniform(0, 255, (64, 64)).astype(np.float32)
    mirrored = pdq.coefficients(sampled[:, ::-1])
    assert np.allclose(mirrored, pdq.coefficients(sampled) * pdq.MIRRORED, atol=0.05)


@given(st.integers(5, 700))
def test_sampling_keeps_a_plain_picture_plain(length: int) -> None:
    assert np.allclose(pdq.sampling(length).sum(axis=1), 1, atol=1e-5)


def test_a_part_of_a_picture_hashes_as_a_picture_of_that_part() -> None:
    whole = np.asarray(picture().convert("L"))
    rows, columns = pdq.part(0.1, 0.9, 480), pdq.part(0.05, 0.8, 480)
    sampled = rows @ whole.astype(np.float32) @ columns.T
    apart = pdq.packed(pdq.coefficients(sampled)[np.newaxis])
    cut = whole[48:432, 24:384]
    assert distance(apart, pdq.hash_and_quality(cut)[0][np.newaxis]) <= 20


@cache
def kept() -> npt.NDArray[np.uint64]:
    """What a report of the picture carries."""
    return reported(np.asarray(picture().convert("L"))).hashes


def picture(side: int = 480) -> Image.Image:
    """A bag on a shelf, say: enough in every part of it."""
    random = np.random.default_rng(4)
    cells = Image.fromarray(random.integers(60, 200, (9, 7, 3), np.uint8))
    drawn = cells.resize((side, side), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(drawn)
    draw.rounded_rectangle([side * 0.2, side * 0.3, side * 0.75, side * 0.9], 30, (120, 40, 30))
    draw.arc([side * 0.3, side * 0.1, side * 0.65, side * 0.5], 180, 360, (30, 20, 20), 14)
    draw.ellipse([side * 0.4, side * 0.5, side * 0.55, side * 0.65], (230, 200, 90))
    return drawn


def on_white(side: int = 480) -> Image.Image:
    """The same goods as marketplaces want them."""
    drawn = Image.new("RGB", (side, side), "white")
    bag = picture(side).crop((side // 5, side // 10, side * 3 // 4, side * 9 // 10))
    drawn.paste(bag, (side // 5, side // 10))
    return drawn


def saved(drawn: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    drawn.save(file, kind, **options)
    return file.getvalue()


def distance(some: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64]) -> int:
    return int(np.bitwise_count(some[:, np.newaxis] ^ others[np.newaxis]).sum(axis=2).min())


def cropped(drawn: Image.Image, left: float, top: float, right: float, below: float) -> Image.Image:
    width, height = drawn.size
    return drawn.crop(
        (round(left * width), round(top * height), round((1 - right) * width),
         round((1 - below) * height))
    )  # fmt: skip


def with_bar(drawn: Image.Image, top: float) -> Image.Image:
    written = drawn.copy()
    side = written.width
    draw = ImageDraw.Draw(written)
    draw.rectangle([0, top * side, side, (top + 0.12) * side], fill=(10, 10, 10))
    draw.text((20, top * side + 8), "100% ORIGINAL", fill="white", font_size=side * 0.08)
    return written


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda p: p,
    "half the size": lambda p: p.resize((p.width // 2, p.height // 2)),
    "mirrored": ImageOps.mirror,
    "a red border": lambda p: ImageOps.expand(p, 20, fill=(200, 20, 30)),
    "a white border": lambda p: ImageOps.expand(p, 10, fill="white"),
    "cropped all round": lambda p: cropped(p, 0.05, 0.05, 0.05, 0.05),
    "cropped at two sides": lambda p: cropped(p, 0.03, 0, 0.02, 0.05),
    "cropped below": lambda p: cropped(p, 0, 0, 0, 0.05),
    "a bar at the foot": lambda p: with_bar(p, 0.88),
    "a bar at the head": lambda p: with_bar(p, 0),
    "a bar across": lambda p: with_bar(p, 0.3),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_picture_is_near_the_reported_one(change: str) -> None:
    changed = luminance_of(saved(CHANGES[change](picture()), quality=75))
    assert distance(searched(changed), kept()) <= SAME_BITS


@pytest.mark.parametrize("change", [name for name in CHANGES if "bar" not in name])
def test_so_is_one_on_white(change: str) -> None:
    changed = luminance_of(saved(CHANGES[change](on_white()), quality=75))
    of_white = reported(np.asarray(on_white().convert("L")))
    assert distance(searched(changed), of_white.hashes) <= SAME_BITS


def test_another_picture_is_far() -> None:
    assert distance(searched(pattern(400, 400, "waves")), kept()) > 60


def test_what_shows_too_little_is_kept_with_its_quality_and_searched_for_by_nothing() -> None:
    blank = np.full((300, 300), 250, np.uint8)
    plain = reported(blank)
    assert (len(plain.hashes), plain.quality) == (1, 0)
    assert len(searched(blank)) == 0


def test_a_report_carries_few_hashes_and_their_least_quality() -> None:
    of_white = reported(np.asarray(on_white().convert("L")))
    assert len(of_white.hashes) <= 50
    assert of_white.quality >= LEAST_QUALITY


def test_an_inset_leaves_the_margin_out() -> None:
    marked = picture()
    ImageDraw.Draw(marked).rectangle([0, 440, 480, 480], fill="white")
    inset = reported(np.asarray(marked.convert("L")), inset=0.1)
    plain = reported(np.asarray(cropped(picture(), 0.1, 0.1, 0.1, 0.1).convert("L")))
    assert distance(inset.hashes[:1], plain.hashes[:1]) <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "HEIF"])
def test_reads_every_common_format(kind: str) -> None:
    if kind == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.register_heif_opener()
    read = luminance_of(saved(picture(), kind))
    assert distance(searched(read), kept()) <= 16


def test_reads_every_mode_alike() -> None:
    grey = picture().convert("L")
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    transparent = picture().convert("RGBA")
    for written in (
        saved(picture().convert("CMYK"), "JPEG"),
        saved(wide, "PNG"),
        saved(wide, "TIFF"),
        saved(transparent, "PNG"),
        saved(picture().quantize(128), "PNG"),
        saved(grey.convert("F"), "TIFF"),
        saved(grey.convert("I"), "TIFF"),
    ):
        assert distance(searched(luminance_of(written)), kept()) <= 16


def test_what_is_transparent_is_white() -> None:
    cut_out = on_white().convert("RGBA")
    cut_out.putalpha(ImageOps.invert(on_white().convert("L")).point(lambda v: 255 if v else 0))
    read = luminance_of(saved(cut_out, "PNG"))
    assert read[0, 0] == 255


def test_of_an_animation_the_first_picture_counts() -> None:
    frames = [picture().convert("P"), Image.new("P", (480, 480), 3)]
    animated = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert distance(searched(luminance_of(animated)), kept()) <= 16


def test_stands_a_picture_upright_that_a_camera_turned() -> None:
    turned = picture().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    read = luminance_of(saved(turned, "JPEG", exif=exif))
    assert distance(searched(read), kept()) <= 16


def test_large_pictures_are_read_small() -> None:
    read = luminance_of(saved(picture(2100), "PNG"))
    assert max(read.shape) <= 2048


def bomb() -> bytes:
    """A PNG that says it has 100,000 pixels a side."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (
            (b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b"")
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"not a picture at all", "no picture"),
        (saved(picture())[:4000], "cut off"),
        (saved(picture(), "PNG")[:4000], "cut off"),
        (saved(Image.new("RGB", (1, 1)), "PNG"), "show nothing"),
        (saved(Image.new("RGB", (3000, 5)), "PNG"), "a line"),
        (bomb(), "megapixels"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(40), "picture|damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
    ],
    ids=["empty", "text", "jpeg", "png", "pixel", "line", "bomb", "heic", "postscript"],
)
def test_refuses_what_is_no_picture_and_says_why(data: bytes, said: str) -> None:
    with pytest.raises(BadPicture, match=said):
        luminance_of(data)


@given(st.integers(0, 5000), st.binary(min_size=1, max_size=40))
def test_damaged_bytes_are_read_or_refused(place: int, damage: bytes) -> None:
    data = bytearray(DAMAGEABLE)
    at = place % len(data)
    data[at : at + len(damage)] = damage
    with contextlib.suppress(BadPicture):
        assert luminance_of(bytes(data)).dtype == np.uint8


DAMAGEABLE = saved(picture(96))


def test_a_missing_file_is_a_bad_picture(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="No such file"):
        read_picture(tmp_path / "none.jpg")
    with pytest.raises(BadPicture):
        read_picture(tmp_path)


def test_windows_are_few() -> None:
    assert len(windows.searched(np.asarray(picture().convert("L")))) <= 120
