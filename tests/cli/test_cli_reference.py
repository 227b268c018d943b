from __future__ import annotations

import re
from pathlib import Path

import pytest

from acx.cli.reference import PAGES

DOCS = Path(__file__).parents[2] / "docs"
PROJECT = DOCS.parent


@pytest.mark.parametrize("name", PAGES)
def test_pages_made_from_the_code_are_as_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_every_relative_link_in_the_documentation_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(PROJECT)}: {link}"
        for page in [*PROJECT.glob("*.md"), *DOCS.rglob("*.md"), *PROJECT.glob("examples/**/*.md")]
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert broken == []
