"""The exchange over HTTP: parse, authorise, call, render.

`serve` runs it; `build_app` is the ASGI application alone. What each request does is
`acx.exchange.serving`'s matter, `docs/reference/protocol.md` is the contract.
"""

from acx.web.exchange_api.app import build_app
from acx.web.exchange_api.server import serve

__all__ = ["build_app", "serve"]
