"""A page of the documentation whose console blocks are played, so that they stay true.

`$` begins a command, what follows is its output. `acx` runs in this process, everything else in a
shell; `name=$(acx …)` keeps an output as `$name`. One comment stands for what a person does in a
browser. `python -m tests.cli.played_page` writes the page anew from what its commands print.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import string
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from tests.member.real_exchange import serving
from tests.web.browsing import file_as_the_seller

from acx.cli.app import run

PAGE = Path(__file__).parents[2] / "docs/life-of-a-report.md"
PORT = "8440"
BROWSER = "<!-- the seller files on the page -->"
_KEPT = re.compile(r"(\w+)=\$\((.*)\)")
_MASKS = (
    (r"\b[a-z2-7]{26}\b", "ID"),
    (r"\b[0-9a-f]{16,64}(…|\b)", "HEX"),
    (r"\b[A-Z0-9]{5}-[A-Z0-9]{5}\b", "CODE"),
    (r"[A-Za-z0-9+/]{43}=", "KEY"),
    (r"(sandbox\.acx\.localhost/)[a-z2-7]{8}", r"\1NAME"),
    (r"\d{4}-\d\d-\d\dT\d\dZ", "HOUR"),
    (r"\b\d{4}-\d\d-\d\d\b", "DAY"),
)


@dataclass
class Player:
    """Plays a page in a directory.

    Attributes:
        directory: where its commands run.
        port: in the place of the page's.
        kept: outputs that were given names.
    """

    directory: Path
    port: str
    stack: ExitStack
    kept: dict[str, str] = field(default_factory=dict)

    def play(self, page: str) -> str:
        """The page as its commands print it now."""
        return "\n".join(self._lines(page.split("\n")))

    def _lines(self, lines: list[str]) -> Iterator[str]:
        console = False
        for line in lines:
            if line.startswith("```"):
                console = line == "```console"
                yield line
            elif not console:
                if line == BROWSER:
                    file_as_the_seller(f"http://127.0.0.1:{self.port}", self.directory / "exchange")
                yield line
            elif line.startswith("$ "):
                yield line
                output = self.command(line[2:].replace(PORT, self.port))
                yield from (
                    output.replace(self.port, PORT).rstrip("\n").split("\n") if output else ()
                )

    def command(self, line: str) -> str:
        """Do what a line says, and give what it prints."""
        if line.endswith(" &"):
            self.stack.enter_context(serving(self.directory / "exchange", int(self.port)))
            return ""
        found = _KEPT.fullmatch(line)
        if found:
            self.kept[found[1]] = self._output(found[2], errors=False).strip()
            return ""
        return self._output(line, errors=True)

    def _output(self, line: str, *, errors: bool) -> str:
        if not line.startswith("acx "):
            return self._shell(line)
        first, _, rest = line.partition(" | ")
        output = self._acx(first, errors=errors)
        return self._shell(rest, output) if rest else output

    def _acx(self, line: str, *, errors: bool) -> str:
        words = [string.Template(word).substitute(self.kept) for word in shlex.split(line)]
        output = io.StringIO()
        told = output if errors else io.StringIO()
        with redirect_stdout(output), redirect_stderr(told):
            code = run(words[1:])
        assert code == 0, f"{line}: {code}\n{output.getvalue()}{told.getvalue()}"
        return output.getvalue()

    def _shell(self, line: str, given: str = "") -> str:
        done = subprocess.run(
            ["bash", "-c", line],
            env=os.environ | self.kept,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def playing(directory: Path, port: int) -> Iterator[Player]:
    """A player, whose commands run in a directory."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        with ExitStack() as stack:
            yield Player(directory, str(port), stack)
    finally:
        os.chdir(before)


def masked(page: str) -> list[str]:
    """The page without what is another each time."""
    for pattern, name in _MASKS:
        page = re.sub(pattern, name, page)
    return [" ".join(line.split()) for line in page.split("\n")]


def main() -> None:
    """Write the page anew."""
    with tempfile.TemporaryDirectory() as directory, playing(Path(directory), int(PORT)) as player:
        played = player.play(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(played, encoding="utf-8")


if __name__ == "__main__":
    main()
