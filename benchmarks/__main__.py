"""Run benchmarks: `python -m benchmarks [NAME …]`, all of them by default.

A benchmark is a module below this folder with a `main()` and a docstring that states data, peer and
bar; `NAME` is a part of its dotted name (`log`, `matching.speed`).
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from pathlib import Path


def names() -> list[str]:
    """Dotted names of all benchmarks."""
    here = Path(__file__).parent
    return sorted(
        ".".join(path.relative_to(here).with_suffix("").parts)
        for path in here.rglob("*.py")
        if not path.name.startswith("_") and "def main()" in path.read_text()
    )


def main() -> int:
    """Run those asked for; 2 if there is none of that name."""
    wanted = sys.argv[1:]
    chosen = [name for name in names() if not wanted or any(part in name for part in wanted)]
    if not chosen:
        print(f"no benchmark of that name; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    print(
        f"machine: {os.cpu_count()} cores, {platform.platform()}, Python {sys.version.split()[0]}"
    )
    for name in chosen:
        print(f"\n== {name}")
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
