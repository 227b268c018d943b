"""Pictures of a report's goods: read and hashed here, so that only hashes leave."""

from __future__ import annotations

from pathlib import Path

import msgspec

from acx.matching.goods.pdq import hexadecimal
from acx.matching.goods.pictures import BadPicture, read_picture, require_reader
from acx.matching.goods.windows import reported
from acx.member.errors import ContributionError
from acx.records.files.errors import shown_path
from acx.records.files.reports import ReportRow
from acx.records.report import Image, Product


class UnreadPicture(ContributionError):
    """A row names a picture that cannot be read."""


def pictured(row: ReportRow) -> tuple[Product, ...]:
    """The products of a row with its pictures, as hashes.

    The pictures are of the row's product, where it names exactly one; else of one without a name.

    Args:
        row: its pictures are looked for beside its file.

    Raises:
        UnreadPicture: one cannot be read; the message names it.
        NoPictureReader: pictures cannot be read at all without Pillow.
    """
    if not row.pictures:
        return row.products
    require_reader()
    images = tuple(_hashed(Path(row.file).parent / name, name) for name in row.pictures)
    single = len(row.products) == 1
    product = row.products[0] if single else Product()
    with_pictures = msgspec.structs.replace(product, images=(*product.images, *images))
    return (with_pictures,) if single else (*row.products, with_pictures)


def _hashed(file: Path, name: str) -> Image:
    try:
        found = reported(read_picture(file))
    except BadPicture as error:
        raise UnreadPicture(f"{shown_path(name)}: {error}") from None
    return Image(variants=tuple(hexadecimal(found.hashes)), quality=found.quality)
