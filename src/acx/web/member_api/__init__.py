"""The member's local service: the store's own systems ask it about accounts.

`POST /v1/check` for one, `POST /v1/screen` for a stream of them; nothing leaves the machine.
"""

from acx.web.member_api.server import DEFAULT_PORT, serve

__all__ = ["DEFAULT_PORT", "serve"]
