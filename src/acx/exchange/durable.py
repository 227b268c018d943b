"""Files that are whole and on the disk once a call returns, or are not there.

The system calls of a durable write: the bytes into a file of another name, fsync of the file,
rename, fsync of the directory. The rename makes it whole, the second fsync makes it stay.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def write_durably(file: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write or replace one file.

    Args:
        file: its directory is there already.
        data: the whole content.
        mode: permissions, held from the first byte on.

    Raises:
        OSError: nothing has changed, except perhaps a file `NAME.tmp`.
    """
    _write_renamed(file, data, mode)
    sync_directory(file.parent)


def write_all_durably(root: Path, files: Mapping[str, bytes], *, mode: int = 0o644) -> None:
    """Write many files that never change, each directory synced once.

    A name that is there already is written again with the same bytes, so a write that was broken
    off is simply repeated.

    Args:
        root: is there already.
        files: path below `root`, with `/`, and content.
        mode: permissions.

    Raises:
        OSError: some are written and some are not: call again.
    """
    directories: dict[Path, None] = {}
    for name, data in files.items():
        file = root / name
        for parent in _missing(file.parent):
            make_directory(parent, mode=0o755)
        _write_renamed(file, data, mode)
        directories[file.parent] = None
    for directory in directories:
        sync_directory(directory)


def make_directory(path: Path, *, mode: int) -> None:
    """Make a directory, and its place in its parent durable.

    Raises:
        OSError: it cannot be made.
    """
    path.mkdir(parents=True, exist_ok=True)
    # Whatever the umask says.
    path.chmod(mode)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing(directory: Path) -> list[Path]:
    """The directories that must be made, from the top."""
    missing = []
    while not directory.is_dir():
        missing.append(directory)
        directory = directory.parent
    return missing[::-1]


def _write_renamed(file: Path, data: bytes, mode: int) -> None:
    temporary = file.with_name(file.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.fchmod(descriptor, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(file)
