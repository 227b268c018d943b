"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# Tests assert no times, on a busy machine least of all.
settings.register_profile("acx", deadline=None)
settings.load_profile("acx")
