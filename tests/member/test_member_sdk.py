"""What docs/sdk.md shows runs as it stands, against a real exchange."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.member.real_exchange import RealExchange

import acx
from acx import Membership
from acx.member.errors import ContributionError, NoMember

PAGE = Path(__file__).parents[2] / "docs" / "sdk.md"


def test_the_examples_run_in_their_order(
    real_exchange: RealExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    known: dict[str, object] = {"invite": real_exchange.invite("sdk"), "__name__": "sdk"}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"docs/sdk.md, block {number}", "exec"), known)  # noqa: S102 -- our page
    phrase = known["phrase"]
    assert isinstance(phrase, list)
    assert len(phrase[0].replace("-", "").replace(" ", "")) == 55


def test_importing_acx_loads_nothing_until_it_is_asked_for() -> None:
    script = (
        "import sys, acx; before = set(sys.modules); assert 'polars' not in before;"
        "assert 'Membership' in dir(acx); assert 'polars' not in sys.modules;"
        "acx.Membership; assert 'acx.membership' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ)


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        getattr(acx, "Nothing")  # noqa: B009 -- asked for its error


@pytest.mark.parametrize(
    "row",
    [{"names": ["x"]}, {"name": [5]}, {"name": ["x"], "conduct": "lied"}, {"name": ["x"]}],
    ids=["unknown", "type", "conduct", "missing"],
)
def test_a_row_that_is_no_report_is_told(
    row: dict[str, object], real_exchange: RealExchange, tmp_path: Path
) -> None:
    home = tmp_path / "store"
    with pytest.raises(NoMember):
        Membership(home)
    invite = real_exchange.invite(f"sdk-{abs(hash(str(row)))}")
    store = Membership.join(invite, home, keep_phrase=lambda _: None)
    with pytest.raises(ContributionError):
        store.report([row], dry_run=True)
