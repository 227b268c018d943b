"""The accused's pages: see what is held about an address or a domain of one's own, and contest it.

Plain HTML from the server: no script, no cookie, nothing from elsewhere. They call
`acx.exchange.governance.accused`, which says what may be told to whom.
"""

from acx.web.dispute_pages.routes import dispute_routes

__all__ = ["dispute_routes"]
