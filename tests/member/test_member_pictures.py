"""Pictures in a report's file: hashed here, rejected with a reason, and nothing else leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acx.matching.goods.pdq import from_hexadecimal
from acx.matching.goods.pictures import read_picture
from acx.matching.goods.windows import searched
from acx.member.pictures import UnreadPicture, pictured
from acx.records.account import Account
from acx.records.files import Rejects, read_reports
from acx.records.files.reports import ReportRow
from acx.records.report import Product

HEAD = "id,name,conduct,confirmed_by,confirmed_on,image\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cells = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    goods = Image.fromarray(cells).resize((400, 300), Image.Resampling.BICUBIC)
    goods.save(tmp_path / "bag.jpg")
    goods.crop((20, 15, 380, 285)).save(tmp_path / "cropped.jpg", quality=70)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    return tmp_path


def row(folder: Path, *pictures: str, products: tuple[Product, ...] = ()) -> ReportRow:
    return ReportRow(
        file=str(folder / "reports.csv"),
        line=2,
        account=Account(id="1"),
        conduct="sold_counterfeits",
        confirmed_by=("test_buy",),
        confirmed_on="2026-10",
        products=products,
        pictures=pictures,
    )


def test_a_file_names_pictures_beside_itself(folder: Path) -> None:
    file = folder / "reports.csv"
    file.write_text(HEAD + "1,Li Wei,sold_counterfeits,test_buy,2026-10,bag.jpg|cropped.jpg\n")
    (read,) = read_reports(file, rejects=Rejects())
    assert read.pictures == ("bag.jpg", "cropped.jpg")
    (product,) = pictured(read)
    assert len(product.images) == 2


def test_a_cropped_copy_is_found_by_the_hashes_that_leave(folder: Path) -> None:
    (product,) = pictured(row(folder, "bag.jpg"))
    kept = from_hexadecimal(product.images[0].variants)
    looked_for = searched(read_picture(folder / "cropped.jpg"))
    distances = np.bitwise_count(looked_for[:, np.newaxis] ^ kept[np.newaxis]).sum(axis=2)
    assert distances.min() <= 28


def test_pictures_join_the_one_product_or_make_one(folder: Path) -> None:
    bag, shoe = Product(title="bag red"), Product(title="shoe")
    (joined,) = pictured(row(folder, "bag.jpg", products=(bag,)))
    assert (joined.title, len(joined.images)) == ("bag red", 1)
    *named, unnamed = pictured(row(folder, "bag.jpg", products=(bag, shoe)))
    assert named == [bag, shoe]
    assert len(unnamed.images) == 1


def test_a_row_without_pictures_is_as_it_was(folder: Path) -> None:
    bag = Product(title="bag red")
    assert pictured(row(folder, products=(bag,))) == (bag,)


@pytest.mark.parametrize("name", ["missing.jpg", "broken.jpg"])
def test_a_picture_that_cannot_be_read_is_named(folder: Path, name: str) -> None:
    with pytest.raises(UnreadPicture, match=name):
        pictured(row(folder, name))
