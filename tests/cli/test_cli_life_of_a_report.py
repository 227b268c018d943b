"""The page that tells the life of a report tells it as it is."""

from __future__ import annotations

from pathlib import Path

from tests.cli.played_page import PAGE, masked, playing
from tests.member.real_exchange import free_port


def test_the_life_of_a_report_is_as_its_page_tells_it(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    with playing(tmp_path, free_port()) as player:
        assert masked(player.play(page)) == masked(page)
