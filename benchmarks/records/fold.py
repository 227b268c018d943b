"""The fold's speed and size: a million events in, every report's view out.

Data: a log as ten years of one exchange may fill it, drawn from a fixed seed: 55 % reports, 20 %
corroborations, 15 % outcomes, the rest amendments, withdrawals, disputes and their decisions,
expiries. Signatures are random bytes: whoever hands events to the fold verifies them.
Bar: 1 M events folded (applied, and every view asked for) < 30 s, < 2 GB.
Times are CPU seconds of one core, so that a busy machine gives the same.
"""

from __future__ import annotations

import base64
import io
import random
import resource
import time
from collections.abc import Iterator

import msgspec

from acx.records.event import (
    canonical,
    outcome_context,
    parse_event,
    report_id,
    short_id,
    stand_context,
)
from acx.records.state import Entry, Reports

EVENTS = 1_000_000
BLOCK = 10_000
OPERATORS = (base64.b64encode(b"\x01" * 32).decode(), base64.b64encode(b"\x02" * 32).decode())


class Exchange:
    """Writes events, one after the other, as members and operators would."""

    def __init__(self, operators: tuple[str, str] = OPERATORS) -> None:
        """Start from the seed."""
        self.operators = operators
        self.random = random.Random(20260301)
        self.reports: list[tuple[str, str, bytes]] = []
        self.seqs: dict[tuple[str, str], int] = {}
        self.disputes: list[tuple[str, str]] = []
        self.proposals: list[str] = []

    def write(self, count: int) -> Iterator[bytes]:
        """The bytes of so many events."""
        for _ in range(count):
            draw = self.random.random()
            if draw < 0.55 or not self.reports:
                yield self.report()
            elif draw < 0.75:
                yield self.corroboration()
            elif draw < 0.90:
                yield self.outcome()
            elif draw < 0.95:
                yield self.amendment()
            elif draw < 0.97:
                yield self.withdrawal()
            elif draw < 0.999 or not self.disputes:
                yield self.dispute()
            else:
                yield self.expiry()

    def report(self) -> bytes:
        """A member reports."""
        by = self.key()
        report = report_id(by)
        digits = self.random.randrange(10**9)
        body = {
            "account": {
                "name": [f"Shenzhen {digits} Trading Co., Ltd.", f"Chen {digits}"],
                "alias": [f"store{digits}", "official outlet"],
                "email": [f"seller{digits}@mail.example"],
                "phone": [f"+86755{digits:09}"],
                "address": [f"Room {digits % 900}, No. {digits % 99} Bao'an Road, Shenzhen 518000"],
                "country": ["CN"],
                "bank_account": [f"h1:{self.random.randbytes(32).hex()}"],
                "registration_no": [f"CN:91440300MA5{digits:09}"],
            },
            "brands": ["Acme"],
            "categories": ["footwear"],
            "conduct": "sold_counterfeits",
            "confirmed_by": ["test_buy"],
            "confirmed_on": "2026-03",
        }
        self.reports.append((report, by, canonical(body)))
        tags = {"rate/2026-03-01": self.tag(), stand_context(report, 1): self.tag()}
        return self.event("report", by, report, body, tags)

    def corroboration(self) -> bytes:
        """Another member confirms a report."""
        report, _, _ = self.any_report()
        body = {"confirmed_by": ["rights_owner"], "confirmed_on": "2026-04", "version": 1}
        tags = {stand_context(report, 1): self.tag()}
        return self.event("corroboration", self.key(), report, body, tags)

    def outcome(self) -> bytes:
        """A member tells what it did."""
        report, _, _ = self.any_report()
        tags = {outcome_context(report): self.tag()}
        return self.event("outcome", self.key(), report, {"outcome": "blocked"}, tags)

    def amendment(self) -> bytes:
        """A contributor gives its account a version."""
        report, by, body = self.any_report()
        tags = {stand_context(report, version): self.tag() for version in (1, 2)}
        return self.event("amendment", by, report, body, tags)

    def withdrawal(self) -> bytes:
        """A contributor takes its report back."""
        report, by, _ = self.any_report()
        return self.event("withdrawal", by, report, {"reason": "error"}, {})

    def dispute(self) -> bytes:
        """A dispute, or the next step towards deciding one."""
        if self.proposals:
            proposal = self.proposals.pop()
            return self.event("act", self.operators[1], "", {"act": "approved"}, {}, ref=proposal)
        if self.disputes and self.random.random() < 0.6:
            report, dispute = self.disputes.pop()
            body = {"code": "proof", "decision": self.random.choice(["upheld", "dismissed"])}
            raw = self.event("resolution", self.operators[0], report, body, {}, ref=dispute)
            self.proposals.append(short_id(raw))
            return raw
        report, _, _ = self.any_report()
        raw = self.event("dispute", self.operators[0], report, {"code": "not_me"}, {})
        self.disputes.append((report, short_id(raw)))
        return raw

    def expiry(self) -> bytes:
        """Ten entries end."""
        body = {"indices": sorted(self.random.sample(range(len(self.reports)), 10))}
        return self.event("expiry", self.operators[0], "", body, {})

    def any_report(self) -> tuple[str, str, bytes]:
        """One of the reports so far."""
        return self.random.choice(self.reports)

    def key(self) -> str:
        """A public key."""
        return base64.b64encode(self.random.randbytes(32)).decode()

    def tag(self) -> str:
        """A tag."""
        return self.key()

    def event(
        self, kind: str, by: str, report: str, body: object, tags: dict[str, str], ref: str = ""
    ) -> bytes:
        """An event's bytes, its seq counted where the key signs several."""
        seq = self.seqs.get((by, report), 0)
        if kind in {"report", "amendment", "withdrawal"} or by in self.operators:
            self.seqs[by, report] = seq + 1
        return canonical(
            {
                "v": 1,
                "type": kind,
                "report": report,
                "ref": ref,
                "seq": seq,
                "body": body if not isinstance(body, bytes) else msgspec.Raw(body),
                "tags": tags,
                "key": "2026q1" if tags else "",
                "by": by,
                "signature": base64.b64encode(self.random.randbytes(64)).decode(),
            }
        )


def main() -> None:
    """Measure, in the order in which a replica would do it."""
    exchange, reports = Exchange(), Reports(OPERATORS)
    parsing = folding = 0.0
    index = size = 0
    for _ in range(0, EVENTS, BLOCK):
        written = list(exchange.write(BLOCK))
        size += sum(map(len, written))
        started = time.process_time()
        events = [parse_event(raw) for raw in written]
        parsed = time.process_time()
        for event in events:
            reports.apply(Entry(index, event))
            index += 1
        folding += time.process_time() - parsed
        parsing += parsed - started
    started = time.process_time()
    states: dict[str, int] = {}
    for view in reports:
        states[view.state] = states.get(view.state, 0) + 1
    viewing = time.process_time() - started
    # The writer's own lists are in this too.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{index:,} events of {size / index:.0f} bytes; {states}")
    print(f"parse {parsing:6.1f} s ({parsing / index * 1e6:.0f} µs each), not in the fold")
    print(f"apply {folding:6.1f} s ({folding / index * 1e6:.0f} µs each)")
    print(f"views {viewing:6.1f} s ({sum(states.values()):,} reports)")
    print(f"fold  {folding + viewing:6.1f} s   (bar: 30 s)")
    print(f"memory {memory:5.2f} GB  (bar: 2 GB; peak of the process, what wrote the log included)")
    started = time.process_time()
    stream = io.BytesIO()
    reports.write_to(stream)
    written_in = time.process_time() - started
    del reports
    stream.seek(0)
    started = time.process_time()
    Reports.read_from(stream)
    print(
        f"snapshot {stream.getbuffer().nbytes / 1e9:.2f} GB: "
        f"written in {written_in:.1f} s, read in {time.process_time() - started:.1f} s"
    )


if __name__ == "__main__":
    main()
