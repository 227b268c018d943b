"""Picture files as luminance, whatever is in them.

Files come from strangers. What is no picture, is cut off, or would unpack to more than a camera
makes is refused with a reason; of an animation the first picture counts.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from acx.matching.errors import MatchingError
from acx.matching.goods.pdq import LEAST_SIDE

if TYPE_CHECKING:
    from PIL.Image import Image

U8: TypeAlias = npt.NDArray[np.uint8]

SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif"}
)
_FORMATS: Final[tuple[str, ...]] = (
    "JPEG",
    "MPO",
    "PNG",
    "WEBP",
    "AVIF",
    "GIF",
    "BMP",
    "TIFF",
    "HEIF",
)
MAX_BYTES: Final = 64 << 20
MAX_PIXELS: Final = 80_000_000
"""More than a camera makes; unpacked a quarter of a gigabyte."""
_ENOUGH: Final = 1024
"""Pixels of the longer side beyond which a hash does not change; larger pictures are averaged."""


class BadPicture(MatchingError):
    """A file that is no picture, or none that can be hashed."""


class NoPictureReader(MatchingError):
    """Pillow is not installed, without which no picture is read."""


def require_reader() -> None:
    """Make sure that pictures can be read at all.

    Raises:
        NoPictureReader: they cannot.
    """
    if importlib.util.find_spec("PIL") is None:
        raise NoPictureReader(
            "picture files are read with Pillow, which is not installed: pip install"
            " 'acx[pictures]', or give PDQ hashes (image_hash)"
        )


def read_picture(file: Path) -> U8:
    """The luminance of a picture, upright, its longer side about 1,000 pixels at most.

    Args:
        file: JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF; HEIC with the extra `heic`.

    Returns:
        Rows × columns.

    Raises:
        BadPicture: there is none, it is damaged, too large or too small.
        NoPictureReader: Pillow is not installed.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise BadPicture(getattr(error, "strerror", None) or "cannot be read") from None
    return luminance_of(data)


def luminance_of(data: bytes) -> U8:
    """The same, of a picture's bytes."""
    if len(data) > MAX_BYTES:
        raise BadPicture(f"more than {MAX_BYTES >> 20} MiB, as no picture of a listing is")
    if not data:
        raise BadPicture("is empty; an upload that failed looks like this")
    opened = _opener()
    try:
        return _upright(opened(data))
    except BadPicture:
        raise
    except MemoryError:
        raise BadPicture("unpacks to more than fits into memory") from None
    except Exception as error:  # noqa: BLE001 -- a decoder fails on hostile bytes in any way at all
        kind = type(error).__name__
        if kind == "UnidentifiedImageError":
            raise BadPicture(f"is no picture of a known format{_advice(data)}") from None
        if kind.startswith("DecompressionBomb"):
            raise BadPicture(_too_large()) from None
        raise BadPicture("is damaged or cut off; save it again") from None


def _upright(picture: Image) -> U8:
    from PIL import ImageOps

    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise BadPicture(_too_large())
    if min(width, height) < LEAST_SIDE:
        raise BadPicture(f"{width} × {height} pixels show nothing")
    # A JPEG is decoded at the size that is wanted, and to luminance alone.
    picture.draft("L", (_ENOUGH, _ENOUGH))
    picture.load()
    grey = _grey(picture)
    factor = max(grey.size) // _ENOUGH
    if factor > 1:
        grey = grey.reduce(factor)
    if min(grey.size) < LEAST_SIDE:
        raise BadPicture(f"{width} × {height} pixels are a line, and no picture")
    grey.info, turned = {}, picture.getexif().get(_ORIENTATION, 1)
    if turned in _TURNED:
        grey.getexif()[_ORIENTATION] = turned
        grey = ImageOps.exif_transpose(grey)
    return np.asarray(grey, np.uint8)


_ORIENTATION: Final = 0x0112
_TURNED: Final = range(2, 9)


def _grey(picture: Image) -> Image:
    """Any mode as 8 bits of luminance; what is transparent is white, as shops show it."""
    from PIL import Image

    if picture.mode == "L":
        return picture
    if picture.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(picture, np.float64))
        most = values.max(initial=0.0)
        scale = 255 / 65535 if most > 255 else 1.0
        return Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        drawn = picture.convert("RGBA")
        paper = Image.new("RGBA", drawn.size, "white")
        return Image.alpha_composite(paper, drawn).convert("L")
    return picture.convert("RGB").convert("L")


@cache
def _opener() -> Callable[[bytes], Image]:
    require_reader()
    from PIL import Image

    if importlib.util.find_spec("pillow_heif") is not None:
        import pillow_heif

        pillow_heif.register_heif_opener()
    # A bomb is refused by its size; what else a decoder grumbles about concerns nobody.
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", module=r"PIL\.")
    Image.init()
    known = [name for name in _FORMATS if name in Image.OPEN]
    return lambda data: Image.open(io.BytesIO(data), formats=known)


def _too_large() -> str:
    return f"more than {MAX_PIXELS // 1_000_000} megapixels, as no picture of a listing has"


def _advice(data: bytes) -> str:
    heic = data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc")
    return "; for HEIC: pip install 'acx[heic]'" if heic else ""
