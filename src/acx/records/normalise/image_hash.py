"""PDQ hashes of pictures."""

from __future__ import annotations

import re
from typing import Final

from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import plain

FIELD: Final = "image_hash"


def normalise(value: str) -> str:
    """64 hexadecimal digits in lower case.

    Raises:
        NotNormalisable: anything else.

    Source: Facebook/Meta, «The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing
        Algorithm», 2019: 256 bits, written in hexadecimal.
    """
    text = plain(FIELD, value).lower()
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise NotNormalisable(FIELD, "a PDQ hash is 64 hexadecimal digits")
    return text
