"""The demo: an exchange and three stores on this machine, each a process of its own, over HTTP.

Nothing here reaches into acx: every step is a command that a user could type, and its output is
what they would read. A step that did not happen ends the demo.
"""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

from acx.demo.scenario import STORES, Scenario, write_scenario
from acx.errors import AcxError

Result = TypeVar("Result")

COMMAND_SECONDS: Final = 120.0
ALERT_SECONDS: Final = 60.0
QUIET_SECONDS: Final = 3.0
READERS: Final = ("B", "C")
LEVELS: Final = ("exact", "strong", "possible")


class StepFailed(AcxError):
    """A step of the demo did not happen."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step that happened.

    Attributes:
        title: what happened, in words.
        seconds: how long it took.
        facts: what came of it, by name.
        commands: what was run, as one would type it.
    """

    title: str
    seconds: float
    facts: Mapping[str, Any]
    commands: Sequence[str]


@dataclass(slots=True)
class Process:
    """A command that keeps running; its lines are stamped as they arrive."""

    name: str
    popen: subprocess.Popen[str]
    lines: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def listen(self) -> None:
        """Read lines until the process ends."""

        def read() -> None:
            for line in self.popen.stdout or ():
                if line.startswith("{"):
                    self.lines.append((time.time(), json.loads(line)))

        threading.Thread(target=read, daemon=True).start()

    def said(self, kind: str) -> int:
        """How many lines of a kind it has said."""
        return sum(line["kind"] == kind for _, line in self.lines)

    def reports(self) -> dict[str, float]:
        """Reports that a watch told of, and when, in seconds since 1970."""
        return {
            line["report"]: stamp
            for stamp, line in self.lines
            if line["kind"] == "event" and line["type"] == "report"
        }

    def states(self, report: str) -> list[str]:
        """The states of a report that a watch told of, one an event."""
        return [
            line["report_state"]
            for _, line in self.lines
            if line["kind"] == "event" and line["report"] == report
        ]

    def alerts(self) -> set[str]:
        """Own accounts that a watch told a hit of."""
        return {line["hit"]["account_id"] for _, line in self.lines if line["kind"] == "hit"}

    def settled(self) -> bool:
        """Whether it has alerted, and nothing more has come for a while."""
        return bool(self.alerts()) and time.time() - self.lines[-1][0] > QUIET_SECONDS

    def wait_for(self, what: str, done: Callable[[], object], seconds: float) -> None:
        """Wait until it has said enough.

        Raises:
            StepFailed: it ended, or did not say so in time.
        """
        deadline = time.monotonic() + seconds
        while not done():
            if self.popen.poll() is not None:
                raise StepFailed(f"{self.name} ended with {self.popen.returncode}; see its log")
            if time.monotonic() > deadline:
                raise StepFailed(f"{self.name}: {what} did not happen within {seconds:.0f} s")
            time.sleep(0.01)


class Play:
    """The whole loop, step by step."""

    def __init__(
        self,
        directory: Path,
        *,
        sellers_per_store: int = 3000,
        tell: Callable[[Step], None] = lambda step: None,  # noqa: ARG005 -- the callback's signature
    ) -> None:
        """Nothing runs yet.

        Args:
            directory: an empty one, for homes, input and results.
            sellers_per_store: size of each store's seller base.
            tell: called after each step.
        """
        self.directory = directory
        self.steps: list[Step] = []
        self._sellers_per_store = sellers_per_store
        self._tell = tell
        self._commands: list[str] = []
        self._started = ExitStack()
        self._scenario: Scenario | None = None
        self._doubles: subprocess.Popen[bytes]
        self._reports: list[str] = []
        self._acknowledged: dict[str, float] = {}
        self._watching: dict[str, Process] = {}
        self._rejected = ""
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[list[Step]]:
        """Play every step; the processes run until the context is left.

        Raises:
            StepFailed: a step did not happen.
        """
        with self._started:
            for step in (
                self._set_the_stage,
                self._make_the_exchange,
                self._admit_the_stores,
                self._ready_the_matcher,
                self._watch,
                self._report,
                self._alert,
                self._report_again,
                self._screen,
                self._dispute,
                self._corroborate,
                self._verify,
                self._erase,
                self._watch_from_outside,
            ):
                self._play(step)
            yield self.steps

    def _play(self, step: Callable[[], dict[str, Any]]) -> None:
        self._commands = []
        start = time.monotonic()
        facts = step()
        title = (step.__doc__ or "").strip().removesuffix(".")
        done = Step(title, time.monotonic() - start, facts, tuple(self._commands))
        self.steps.append(done)
        self._tell(done)

    # -- the steps --------------------------------------------------------------------------------

    def _set_the_stage(self) -> dict[str, Any]:
        """Three stores' seller bases, made from real identities and ordinary sellers."""
        self._scenario = write_scenario(
            self.directory / "input", sellers_per_store=self._sellers_per_store
        )
        self._look_for_doubles()
        return {
            "reported by A": len(self._scenario.reports),
            "sellers": {name: len(frame) for name, frame in self._scenario.sellers.items()},
            "of them come-backs": {name: len(self._scenario.truth[name]) for name in READERS},
        }

    def _look_for_doubles(self) -> None:
        """Begin what `_ready_the_matcher` waits for: compiling takes longer than all else."""
        log = self.directory / "doubles.log"
        with log.open("wb") as output:
            self._doubles = subprocess.Popen(  # noqa: S603 -- our own command
                [sys.executable, "-m", "acx", *self._match()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started.callback(self._doubles.kill)

    def _match(self) -> list[str]:
        sellers = self._sellers("A")
        return [
            "match",
            sellers,
            "--against",
            sellers,
            "--out",
            str(self.directory / "doubles.csv"),
        ]

    def _ready_the_matcher(self) -> dict[str, Any]:
        """A has looked for doubles among its own sellers; the matcher is compiled at first use."""
        self._commands.append(" ".join(("acx", *self._match())))
        out = self.directory / "doubles.csv"
        try:
            ended = self._doubles.wait(COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            raise StepFailed(f"acx match did not end within {COMMAND_SECONDS:.0f} s") from None
        if ended:
            raise StepFailed(f"acx match ended with {ended}: see {self.directory}/doubles.log")
        with out.open(encoding="utf-8", newline="") as file:
            levels = _count(row["level"] for row in csv.DictReader(file))
        return {"pairs": levels or "none"}

    def _make_the_exchange(self) -> dict[str, Any]:
        """An exchange, run by a third party; others witness its log and relay posts to it."""
        home = self._home("exchange")
        made = json.loads(self._acx("exchange", "init", "--home", home, "--json"))
        vkey, witness = self._serve(
            "the witness", "witness", "--home", self._home("witness"), "--log", made["log_key"],
            "--port", "0",
        )  # fmt: skip
        for name in ("ann", "bo"):
            self._acx("exchange", "operator", "add", name, "--home", home)
        self._acx("exchange", "witness", "add", "auditor", vkey, "--url", witness, "--home", home)
        log = (self.directory / "exchange.log").open("w", encoding="utf-8")
        self._started.callback(log.close)
        _, self.url = self._serve(
            "the exchange", "exchange", "serve", "--home", home, "--port", "0", stderr=log
        )
        _, relay = self._serve("the relay", "relay", "--to", self.url, "--port", "0")
        self._acx("exchange", "relay", "add", relay, "--home", home)
        return {"url": self.url, "operators": 2, "witness": witness, "relay": relay}

    def _admit_the_stores(self) -> dict[str, Any]:
        """Stores A (apparel), B (home goods) and C (cosmetics) join by a one-time invite."""
        self._each(STORES, self._join)
        return {"members": len(STORES)}

    def _join(self, store: str) -> None:
        invite = self._acx("exchange", "invite", f"store {store}", "--home", self._home("exchange"))
        self._acx("join", self.url, "-", "--home", self._home(store), stdin=invite)

    def _watch(self) -> dict[str, Any]:
        """B and C connect, each watching over its own sellers."""
        for store in READERS:
            process = self._start(
                f"store {store}'s watch", "watch", self._sellers(store), "--home",
                self._home(store), "--json",
            )  # fmt: skip
            process.listen()
            self._watching[store] = process
        for process in self._watching.values():
            process.wait_for("connecting", partial(process.said, "connected"), ALERT_SECONDS)
        return {"connected": len(self._watching)}

    def _report(self) -> dict[str, Any]:
        """A reports what it confirmed."""
        answer = self._acx(
            "report", str(self.directory / "input" / "A" / "reports.jsonl"), "--home",
            self._home("A"), "--now", "--json",
        )  # fmt: skip
        done = json.loads(answer)
        self._reports = [row["report"] for row in done["rows"] if row["report"]]
        self._acknowledged = {
            row["report"]: row["acknowledged"] for row in done["rows"] if row["acknowledged"]
        }
        expected = len(self._stage.reports)
        if done["acknowledged"] != expected or len(self._reports) != expected:
            raise StepFailed(f"{done['acknowledged']} of {expected} reports were acknowledged")
        return {
            "acknowledged": done["acknowledged"],
            "each with a proof that it is in the log": True,
        }

    def _alert(self) -> dict[str, Any]:
        """B and C were informed as A's reports were acknowledged, and alerted on their sellers."""
        facts: dict[str, Any] = {}
        for store, process in self._watching.items():
            process.wait_for(
                "every report arriving", partial(self._all_arrived, process), ALERT_SECONDS
            )
            arrived = process.reports()
            delays = [1000 * (arrived[report] - at) for report, at in self._acknowledged.items()]
            facts[f"{store} informed of"] = len(delays)
            facts[f"{store} after acknowledgement, ms (median, most)"] = (
                f"{max(median(delays), 0):.0f}, {max(delays):.0f}"
            )
        for store, process in self._watching.items():
            process.wait_for("alerts settling", process.settled, ALERT_SECONDS)
            facts[f"{store} alerted on sellers"] = len(process.alerts())
        return facts

    def _all_arrived(self, process: Process) -> bool:
        return self._acknowledged.keys() <= process.reports().keys()

    def _report_again(self) -> dict[str, Any]:
        """A's nightly rerun of the same file sends nothing twice."""
        answer = json.loads(
            self._acx(
                "report", str(self.directory / "input" / "A" / "reports.jsonl"), "--home",
                self._home("A"), "--now", "--json",
            )
        )  # fmt: skip
        if answer["acknowledged"]:
            raise StepFailed(f"{answer['acknowledged']} reports were sent twice")
        return {"unchanged": sum(row["action"] == "unchanged" for row in answer["rows"])}

    def _screen(self) -> dict[str, Any]:
        """B and C screen all their sellers, on their own machines."""
        facts: dict[str, Any] = {}
        for store, hits in self._each(READERS, self._hits).items():
            truth = {row.account_id for row in self._stage.truth[store]}
            strong = {h["account_id"] for h in hits if h["level"] in ("exact", "strong")}
            facts[f"{store} hits"] = dict(
                sorted(_count(h["level"] for h in hits).items(), key=lambda item: item[0])
            )
            facts[f"{store} come-backs found"] = f"{len(strong & truth)} of {len(truth)}"
            facts[f"{store} innocents at strong or above"] = len(strong - truth)
            if not strong & truth:
                raise StepFailed(f"store {store} found nobody")
        return facts

    def _dispute(self) -> dict[str, Any]:
        """A seller contests a report; B sees so at once; two operators decide for the seller."""
        home = self._home("exchange")
        watch = self._watching["B"]
        # The first will be erased, and B's best hit corroborated.
        report = next(
            hit["report_id"]
            for hit in reversed(self._hits("B"))
            if hit["report_id"] not in {self._reports[0], self._hits("B")[0]["report_id"]}
        )
        dispute = self._acx(
            "exchange", "dispute", "open", report, "--code", "not_me", "--as", "ann", "--home", home
        ).strip()
        watch.wait_for(
            "showing the dispute", lambda: watch.states(report)[-1:] == ["disputed"], ALERT_SECONDS
        )
        proposal = self._acx(
            "exchange", "dispute", "decide", dispute, "--uphold", "--code", "other_person", "--as",
            "ann", "--home", home,
        ).strip()  # fmt: skip
        self._acx("exchange", "approve", proposal, "--as", "bo", "--home", home)
        watch.wait_for(
            "showing the decision", lambda: watch.states(report)[-1:] == ["rejected"], ALERT_SECONDS
        )
        self._rejected = report
        return {"report": report, "at B": "disputed, then rejected", "decided by": "ann and bo"}

    def _corroborate(self) -> dict[str, Any]:
        """B confirms one of its hits itself and corroborates it; nobody sees that it is B."""
        truth = {row.account_id: row.subject_id for row in self._stage.truth["B"]}
        best = next(h for h in self._hits("B") if h["account_id"] in truth)
        rows = [
            json.loads(line)
            for line in Path(self._sellers("B")).read_text(encoding="utf-8").splitlines()
        ]
        account = next(row for row in rows if row["id"] == best["account_id"])
        confirmed = self.directory / "B" / "confirmed.json"
        confirmed.write_text(
            json.dumps(
                {"account": account, "conduct": "reoffended", "confirmed_by": ["test_buy"],
                 "confirmed_on": "2026-10"}
            ),
            encoding="utf-8",
        )  # fmt: skip
        self._acx("corroborate", best["report_id"], str(confirmed), "--home", self._home("B"),
                  "--now")  # fmt: skip
        self._each(STORES, self._sync)
        standing = {
            row["report"]: row["contributors"]
            for row in json.loads(self._acx("reports", "--home", self._home("A"), "--json"))
        }
        if standing.get(best["report_id"]) != 2:
            raise StepFailed("the corroboration did not count")
        return {"report": best["report_id"], "contributors": 2}

    def _verify(self) -> dict[str, Any]:
        """Everybody verifies the whole log; B and C compare it with A, and A with the exchange."""
        head = str(self.directory / "A.checkpoint")
        verified = {
            "A": self._verified("--against", self.url, "--checkpoint-out", head, "A"),
            **self._each(READERS, partial(self._verified, "--against", head)),
        }
        cosigned = min(found["witnessed"]["size"] for found in verified.values())
        if not cosigned:
            raise StepFailed("the witness has cosigned nothing")
        return {
            "entries": max(found["size"] for found in verified.values()),
            "cosigned by the witness": cosigned,
            "signatures and proofs": "hold at A, B and C, who hold the same log",
        }

    def _verified(self, *arguments: str) -> dict[str, Any]:
        """What a store's verification found; the store comes last."""
        *options, store = arguments
        answer = self._acx("verify", *options, "--home", self._home(store), "--json")
        found: dict[str, Any] = json.loads(answer)["verified"]
        return found

    def _erase(self) -> dict[str, Any]:
        """One report is erased by two operators; every proof stays valid."""
        erased = self._reports[0]
        home = self._home("exchange")
        proposal = self._acx(
            "exchange", "erase", erased, "--code", "data_subject", "--as", "ann", "--home", home
        ).strip()
        self._acx("exchange", "approve", proposal, "--as", "bo", "--home", home)
        self._each(STORES, self._sync)
        gone = min(found["gone"] for found in self._each(STORES, self._verified).values())
        for store, hits in self._each(READERS, partial(self._hits, fresh=True)).items():
            left = {hit["report_id"] for hit in hits} & {erased, self._rejected}
            if left:
                raise StepFailed(f"store {store} still hits a report that is gone: {min(left)}")
        if not gone:
            raise StepFailed("no entry was erased")
        return {"entries erased": gone, "log": "verifies at A, B and C", "hits on it": 0}

    def _watch_from_outside(self) -> dict[str, Any]:
        """An outsider verifies the public log with nothing but its key."""
        config = (self.directory / "A" / "config.toml").read_text(encoding="utf-8")
        key = re.search(r'^log_key = "(.+)"$', config, re.MULTILINE)
        if key is None:
            raise StepFailed("no log key in A's settings")
        answer = json.loads(
            self._acx("verify", "--log", self.url, "--log-key", key[1].encode().decode(), "--json")
        )
        return {"files": answer["files"], "entries": answer["size"]}

    def some_hits(self, store: str, number: int) -> list[dict[str, str]]:
        """A store's hits on different sellers, from each level some, for people to look at."""
        hits = list({hit["account_id"]: hit for hit in self._hits(store)}.values())
        by_level = [[h for h in hits if h["level"] == level] for level in LEVELS]
        mixed = [hit for row in zip_longest(*by_level) for hit in row if hit is not None]
        return mixed[:number]

    # -- what steps are made of -------------------------------------------------------------------

    @property
    def _stage(self) -> Scenario:
        if self._scenario is None:
            raise StepFailed("the stage is not set")
        return self._scenario

    def _home(self, name: str) -> str:
        return str(self.directory / name)

    def _sellers(self, store: str) -> str:
        return str(self.directory / "input" / store / "sellers.jsonl")

    def _each(self, stores: Iterable[str], step: Callable[[str], Result]) -> dict[str, Result]:
        """What a step gives for each store; they are machines of their own, and go at once."""
        names = list(stores)
        with ThreadPoolExecutor(len(names)) as threads:
            return dict(zip(names, threads.map(step, names), strict=True))

    def _sync(self, store: str) -> None:
        """Bring a store's replica up to date; a watching store's is, by its own process."""
        if store in self._watching:
            process = self._watching.pop(store)
            process.popen.send_signal(signal.SIGINT)
            process.popen.wait(10)
        self._acx("sync", "--home", self._home(store))

    def _hits(self, store: str, *, fresh: bool = False) -> list[dict[str, str]]:
        """What a store's screening finds."""
        out = self.directory / f"hits-{store}.csv"
        if fresh or not out.exists():
            self._acx(
                "screen", self._sellers(store), "--out", str(out), "--home", self._home(store)
            )
        with out.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def _acx(self, *arguments: str, stdin: str = "") -> str:
        """Run a command to its end.

        Raises:
            StepFailed: it did not end well; with what it said.
        """
        self._commands.append(" ".join(("acx", *arguments)))
        try:
            done = subprocess.run(  # noqa: S603 -- our own command
                [sys.executable, "-m", "acx", *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                check=False,
                env=_environment(),
            )
        except subprocess.TimeoutExpired:
            raise StepFailed(
                f"acx {arguments[0]} did not end within {COMMAND_SECONDS:.0f} s"
            ) from None
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise StepFailed(
                f"acx {' '.join(arguments[:2])} ended with {done.returncode} and said: {said}"
            )
        return done.stdout

    def _serve(
        self, name: str, *arguments: str, stderr: Any = subprocess.DEVNULL
    ) -> tuple[str, str]:
        """Run a server until the end; gives the first line it says, and its address."""
        server = self._start(name, *arguments, stderr=stderr)
        said: list[str] = []

        def listen() -> None:
            said.extend(server.popen.stdout or ())

        def address() -> list[str]:
            return re.findall(r"http://[0-9.]+:\d+", "".join(said))

        threading.Thread(target=listen, daemon=True).start()
        server.wait_for("serving", address, 30)
        return said[0].strip(), address()[0]

    def _start(self, name: str, *arguments: str, stderr: Any = subprocess.DEVNULL) -> Process:
        self._commands.append(" ".join(("acx", *arguments)))
        popen = subprocess.Popen(  # noqa: S603 -- our own command
            [sys.executable, "-m", "acx", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=_environment(),
        )
        self._started.callback(_stop, popen)
        return Process(name, popen)


def _stop(popen: subprocess.Popen[str]) -> None:
    if popen.poll() is None:
        popen.terminate()
        try:
            popen.wait(10)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
    if popen.stdout is not None:
        popen.stdout.close()


def _environment() -> dict[str, str]:
    """The user's, without settings of another home; output comes line by line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ACX_")}
    return kept | {"PYTHONUNBUFFERED": "1"}


def _count(values: Iterator[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts
