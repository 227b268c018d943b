"""An index on disk: two may have it open, and one takes subjects out of it."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from acx.matching import BadIndex, SubjectIndex
from acx.matching.storage import HEADER_BYTES, Secret
from acx.records.account import Account

SECRET = Secret.of(bytes(range(32)))
MANY = 9_000
"""More than lie on one page of memory in any array."""


def subjects() -> pl.DataFrame:
    """Accounts in pairs: two have one phone."""
    numbers = range(MANY)
    return pl.DataFrame(
        {
            "id": [f"r{number}" for number in numbers],
            "name": [[f"Person{number} Number{number}"] for number in numbers],
            "phone": [[f"+4930{10_000_000 + number // 2}"] for number in numbers],
        }
    )


def by_phone(index: SubjectIndex, number: int) -> set[str]:
    account = Account(phone=(f"+4930{10_000_000 + number // 2}",))
    return {hit.subject_id for hit in index.check(account)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("index") / "index"
    index = SubjectIndex.build(subjects(), secret=SECRET)
    assert by_phone(index, 6_000) == {"r6000", "r6001"}
    index.save(directory, SECRET, {"size": 1})
    return directory


def test_who_has_it_open_while_another_takes_subjects_out_still_finds_those_that_stand(
    saved: Path,
) -> None:
    reader, about = SubjectIndex.open(saved, SECRET)
    writer, _ = SubjectIndex.open(saved, SECRET, change=True)
    assert about == {"size": 1}
    # Pages that a reader has changed itself stay as it left them; elsewhere it sees the writer's.
    for number in range(6_000, 6_100, 20):
        first, second = f"r{number + 10}", f"r{number}"
        reader.remove([first])
        writer.remove([first, second])
        writer.save(saved, SECRET, {"size": 2})
        reader.remove([second])
        for index in (reader, writer, SubjectIndex.open(saved, SECRET)[0]):
            assert by_phone(index, number) == {f"r{number + 1}"}
            assert by_phone(index, number + 10) == {f"r{number + 11}"}
    assert len(reader) == len(writer) == MANY - 10


def test_an_index_opens_with_its_own_secret_alone(saved: Path) -> None:
    with pytest.raises(BadIndex, match="build it again"):
        SubjectIndex.open(saved, Secret.of(bytes(32)))


@pytest.mark.parametrize(
    "array",
    [
        "ids.offsets",
        "subjects.profiles.names.first",
        "subjects.table.starts",
        "subjects.table.rows",
    ],
)
def test_a_damaged_place_is_no_place_to_read_from(array: str, tmp_path: Path) -> None:
    SubjectIndex.build(subjects()[:50], secret=SECRET).save(tmp_path, SECRET, {})
    path = tmp_path / "base"
    data = bytearray(path.read_bytes())
    _, _, offset = json.loads(data[:HEADER_BYTES])["arrays"][array]
    data[offset + 40 : offset + 44] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(BadIndex, match=r"damaged.*build it again"):
        SubjectIndex.open(tmp_path, SECRET)
