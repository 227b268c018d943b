"""The reference page says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acx.records.normalise import digest, normalise
from acx.records.normalise.official_number import CROSS_BORDER

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "normalisation.md").read_text("utf-8")
EXAMPLES = re.findall(r"^\| `(\w+)` \| `(.*?)` \| (.*?) ?\| `(.*?)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("field", "written", "countries", "normalised"), EXAMPLES, ids=ascii)
def test_the_examples_of_the_page_are_true(
    field: str, written: str, countries: str, normalised: str
) -> None:
    assert normalise(field, written, [code for code in countries.split(", ") if code]) == normalised


def test_the_page_has_its_examples_and_the_digest_of_one() -> None:
    assert len(EXAMPLES) > 15
    field, written, _, _ = next(example for example in EXAMPLES if example[0] == "bank_account")
    assert digest(field, written, bytes(range(32))) in PAGE


def test_the_page_has_the_forms_of_vat_numbers() -> None:
    table = PAGE[PAGE.index("cross-border form") : PAGE.index("### `ip`")].replace("\\|", "\0")
    forms = re.findall(r"\| ([A-Z]{2}) \| `(.+?)` (?=\|)", table)
    assert {issuer: form.replace("\0", "|") for issuer, form in forms} == CROSS_BORDER
