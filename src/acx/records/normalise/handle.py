"""Handles: a name on a platform, `scheme:value`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from acx.records.normalise import phone
from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import fold

SAME_PLATFORM: Final = {
    "weixin": "wechat", "wx": "wechat", "tg": "telegram", "wa": "whatsapp", "fb": "facebook",
    "ig": "instagram", "insta": "instagram", "kakao": "kakaotalk", "tel": "phone",
    "vk": "vkontakte", "\u5fae\u4fe1": "wechat",
}  # fmt: skip
"""Other writings of a platform's name."""
_LINK: Final = re.compile(
    r"(?:https?://)?(?:www\.)?(?:(?P<telegram>t\.me|telegram\.me)/@?(?P<name>[a-z0-9_]+)"
    r"|(?P<whatsapp>wa\.me/|api\.whatsapp\.com/send/?\?phone=)\+?(?P<number>[0-9]+)).*"
)
FOUND_BY_PHONE: Final = ("whatsapp", "viber", "signal", "phone")
"""Platforms that know people by their number."""


def normalise(
    field: str, value: str, countries: Sequence[str] = (), default_country: str = ""
) -> str:
    """`scheme:value`, both folded; where people are found by phone, the number in E.164.

    Args:
        field: `contact` or `handle`.
        value: `scheme:value`, or a link of Telegram or WhatsApp.
        countries: the account's own, for national numbers.
        default_country: likewise, tried last.

    Raises:
        NotNormalisable: no scheme, or nothing after it.
    """
    text = fold(field, value)
    if link := _LINK.fullmatch(text):
        text = f"telegram:{link['name']}" if link["name"] else f"whatsapp:+{link['number']}"
    scheme, colon, name = text.partition(":")
    scheme = re.sub(r"[\W_]+", "", scheme)
    scheme = re.sub("[^a-z0-9]+", "", SAME_PLATFORM.get(scheme, scheme))
    name = name.strip().lstrip("@").strip()
    if not colon or not scheme or not name or name.startswith("//"):
        raise NotNormalisable(field, "write it as scheme:value, such as wechat:name or shopee:shop")
    if scheme in FOUND_BY_PHONE or name.startswith("+"):
        # Signal has names too, and a number that is none is still the same writing.
        with suppress(NotNormalisable):
            name = next(phone.candidates(name, countries, default_country))
    return f"{scheme}:{name}"
