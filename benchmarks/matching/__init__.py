"""How well and how fast acx finds the same actor again, beside what one would use instead."""
