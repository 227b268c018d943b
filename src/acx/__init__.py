"""acx: an anti-counterfeiting exchange.

`from acx import Membership, Replica` (`docs/sdk.md`); each is imported when it is first asked for,
so that `import acx` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acx.membership import Account as Account
    from acx.membership import AsyncMembership as AsyncMembership
    from acx.membership import AsyncReplica as AsyncReplica
    from acx.membership import Hit as Hit
    from acx.membership import Membership as Membership
    from acx.membership import Replica as Replica

__version__ = "0.1.0"

_LAZY = ("Account", "AsyncMembership", "AsyncReplica", "Hit", "Membership", "Replica")


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'acx' has no attribute {name!r}")
    from acx import membership

    return getattr(membership, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
