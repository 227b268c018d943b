"""The waterfall: right at every width, in every script, and no value ever becomes markup."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from acx.cli.waterfall import LEAST_WIDTH, Step, Waterfall, as_html, as_svg, as_text, percent

HOSTILE = '<img src=x onerror="alert(1)">&\'"]]>--><script>alert(1)</script>'
RTL = "\u202emoc.live\u202c"


def waterfall(*steps: Step, prior: float = -16.6, ids: tuple[str, str] = ("s1", "r1")) -> Waterfall:
    bits = prior + sum(step.bits for step in steps)
    return Waterfall(
        account_id=ids[0],
        subject_id=ids[1],
        prior=prior,
        steps=steps,
        bits=bits,
        probability=1 / (1 + 2.0**-bits),
        level="strong" if bits > 6 else "",
        limit="not exact all the same: birth_date contradicts",
    )


EXAMPLE = waterfall(
    Step(
        field="bank_account",
        comparison="same",
        bits=31.0,
        m=0.5,
        u=2.0**-32,
        account=("DE89370400440532013000",),
        subject=("DE89370400440532013000",),
    ),
    Step(
        field="name",
        comparison="similar",
        bits=12.3,
        account=("深圳市华强贸易有限公司", "second", "third"),
        subject=("شركة التجارة", HOSTILE),
    ),
    Step(
        field="birth_date",
        comparison="differs",
        bits=-4.5,
        account=("1980-05-06",),
        subject=("1985-11-30",),
    ),
    Step(field="address", comparison="place", bits=0.0, account=(RTL,), subject=()),
)

text = st.text(max_size=40) | st.sampled_from([HOSTILE, RTL, "李伟", "\x00\x1b[31m", "\ud800"])
values = st.lists(text, max_size=4).map(tuple)
steps = st.builds(
    Step,
    field=st.sampled_from(["name", "email", "registration_no"]),
    comparison=st.sampled_from(["same", "similar", "differs"]),
    bits=st.floats(-60, 60),
    m=st.none() | st.floats(0.001, 1),
    u=st.none() | st.floats(2.0**-60, 1),
    account=values,
    subject=values,
)
waterfalls = st.builds(
    lambda chosen, prior, a, b: waterfall(*chosen, prior=prior, ids=(a, b)),
    st.lists(steps, max_size=8),
    st.floats(-40, 5),
    text,
    text,
)


@settings(deadline=None)
@given(waterfall=waterfalls, width=st.integers(1, 200))
def test_no_line_is_wider_than_the_terminal_and_nothing_in_it_steers_it(
    waterfall: Waterfall, width: int
) -> None:
    drawn = as_text(waterfall, width=width)
    for line in drawn.splitlines():
        assert cell_len(line) <= max(width, LEAST_WIDTH)
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn
    assert drawn.count("\u2068") == drawn.count("\u2069")


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(deadline=None)
@given(waterfall=waterfalls)
def test_a_page_holds_no_markup_but_its_own(waterfall: Waterfall) -> None:
    page = Page(as_html(waterfall))
    assert not {"script", "img", "iframe", "link", "object", "a"} & set(page.tags)
    assert not {name for name in page.attributes if name.startswith("on")}
    assert not {"src", "href"} & page.attributes
    assert "\u202e" not in page.text
    assert page.tags.count("tr") == len(waterfall.steps) + 3


@settings(deadline=None)
@given(waterfall=waterfalls)
def test_a_picture_is_well_formed_and_needs_nothing_from_elsewhere(waterfall: Waterfall) -> None:
    drawn = as_svg(waterfall)
    root = ET.fromstring(drawn.encode("utf-8"))  # noqa: S314 -- our own drawing
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names <= {"svg", "title", "desc", "style", "rect", "text", "tspan", "line", "g"}
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "") or "http" in str(waterfall)


def test_the_page_says_in_words_all_that_the_bars_show() -> None:
    page = Page(as_html(EXAMPLE)).text
    for said in (
        "prior",
        "bank_account",
        "same",
        "+31.0",
        "\N{MINUS SIGN}4.5",
        "log-odds",
        HOSTILE,
    ):
        assert said in page
    assert "⟨202E⟩moc.live⟨202C⟩" in page
    assert "one actor: 50.0 %" in page


def test_the_page_follows_light_and_dark_and_has_a_policy_against_scripts() -> None:
    page = as_html(EXAMPLE)
    assert "prefers-color-scheme: dark" in page
    assert "default-src 'none'" in page
    assert 'name="viewport"' in page
    assert '<html lang="en"' in page


def test_the_picture_has_a_title_a_description_and_a_table() -> None:
    drawn = as_svg(EXAMPLE)
    assert "<title" in drawn
    assert "bank_account same +31.0 bits" in html.unescape(drawn)
    assert 'role="table"' in drawn
    assert drawn.count('role="row"') == len(EXAMPLE.steps) + 2


def test_bars_go_on_where_the_one_before_ended() -> None:
    lines = [line for line in as_text(EXAMPLE, width=100).splitlines() if re.search("[█▌▐]", line)]
    spans = [
        (line.index(min(bar)), max(bar)) for line in lines for bar in [re.findall("[█▌▐]+", line)]
    ]
    assert len(spans) == len(EXAMPLE.steps) + 2
    starts = [re.search("[█▌▐]", line).start() for line in lines]  # type: ignore[union-attr]
    ends = [max(match.end() for match in re.finditer("[█▌▐]", line)) for line in lines]
    assert starts[1] == starts[0]
    assert abs(starts[2] - ends[1]) <= 1
    assert abs(ends[3] - ends[2]) <= 1


def test_colour_is_only_added_and_never_needed() -> None:
    plain = as_text(EXAMPLE, width=80)
    assert click.unstyle(as_text(EXAMPLE, width=80, colour=True)) == plain
    assert "+31.0" in plain
    assert "\N{MINUS SIGN}4.5" in plain


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (0.5, "50.0 %"),
        (0.99954, "99.95 %"),
        (1.0, "over 99.9999 %"),
        (0.0, "under 0.0001 %"),
        (0.00001, "0.0010 %"),
    ],
)
def test_no_probability_is_rounded_to_certainty(probability: float, said: str) -> None:
    assert percent(probability) == said
