"""Rings as a page that can be passed on as one file: no network, no server, nothing fetched.

Values come from strangers, so the page's script only ever sets them as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

import msgspec

_PLACE: Final = files("acx.networks")


def ring_page(networks: Mapping[str, Any]) -> str:
    """The page.

    Args:
        networks: `rings` (as `acx.member.networks.RingView`), `found` (how many there are in all),
            `reports`, `log_size`.

    Returns:
        HTML, with Cytoscape.js (MIT) in it.
    """
    # In a script element only `<` could end it; in JSON it may be written as an escape.
    data = msgspec.json.encode(networks).decode().replace("<", "\\u003c")
    page = (_PLACE / "page.html").read_text(encoding="utf-8")
    library = (_PLACE / "data" / "cytoscape.min.js").read_text(encoding="utf-8")
    before, _, rest = page.partition("__NETWORKS__")
    between, _, after = rest.partition("__CYTOSCAPE__")
    return f"{before}{data}{between}{library}{after}"
