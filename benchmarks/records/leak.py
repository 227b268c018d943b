"""The leak lint: how fast it reads a report, and how often it is wrong about an ordinary one.

Data: the 592 accounts of `examples/accounts` and, where present, those of
`../shared/data/accounts`: real names, aliases, addresses, websites of persons and companies, none
of which is a member's. Each of some well-known stores' names in turn is the contributor, then each
word that three or more of these accounts have: whatever is then found as its name is a false alarm,
or a real company of that name, which is not to be told apart. Peer: looking for the name as a word,
in any case, as a filter of one line would do.

Bars: < 1 ms a report of the larger file; a well-known store's name touches < 0.2 % of reports that
do not come from it; of names that are one ordinary word the worst touches < 3 %; rules about
particulars touch < 1 %. How many are blocked is shown beside it.

    python -m benchmarks records.leak
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from acx.records.account import DIGESTED_FIELDS, LIST_FIELDS, Account
from acx.records.leak import Contributor, clean, lint, unsought
from acx.records.leak.writing import readings
from acx.records.leaving import subject_of
from acx.records.report import Report

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "accounts" / "identities.jsonl"
DESIGNATED = ROOT.parent / "shared" / "data" / "accounts" / "designated.jsonl"
STORES = (
    "Amazon", "Target", "Walmart", "Zalando", "Otto", "Gap", "Aldi", "IKEA", "Wayfair", "Sephora",
    "Home Depot", "Best Buy", "Shop", "Temu", "Shein", "AliExpress", "Mercado Libre", "Rakuten",
    "Coupang", "Jumia",
)  # fmt: skip

STAFF = ("Jane Doe", "Wei Chen", "Ali Hassan", "Maria Garcia", "Mohammed Ali", "Kim Jong")


def reports(path: Path) -> list[Report]:
    """The accounts of a file, as reports."""
    found = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            tree = json.loads(line)
            clear = {name: value for name, value in tree.items() if name not in DIGESTED_FIELDS}
            account = msgspec.convert(clear, Account)
            found.append(
                Report(
                    account=subject_of(account, bytes(32)),
                    conduct="sold_counterfeits",
                    confirmed_by=("test_buy",),
                    confirmed_on="2026-03",
                )
            )
    return found


def touched(drafts: Iterable[Report], contributor: Contributor, *rules: str) -> int:
    """Reports in which the rules find something."""
    return sum(any(f.rule in rules for f in lint(draft, contributor)) for draft in drafts)


def words_of(draft: Report) -> set[str]:
    """The Latin words that a filter of one line would look at."""
    values = (value for name in LIST_FIELDS for value in getattr(draft.account, name))
    return {word for value in values for word in re.findall(r"[a-z]{3,}", value.lower())}


def measure_speed(drafts: list[Report]) -> None:
    whole = Contributor(
        names=STORES, domains=("store.example",), staff=("Jane Doe",), id_patterns=(r"KN-\d{6}",)
    )
    clean(drafts[0], whole)
    readings.cache_clear()
    started = time.process_time()
    for draft in drafts:
        clean(draft, whole)
    each = (time.process_time() - started) / len(drafts)
    print(f"{len(drafts):,} reports, {len(STORES)} names: {each * 1e3:.2f} ms each (bar: 1 ms)")


def measure_particulars(drafts: list[Report]) -> None:
    rules = Counter(f.rule for draft in drafts for f in lint(draft, Contributor()))
    share = sum(bool(lint(draft, Contributor())) for draft in drafts) / len(drafts)
    print(f"particulars: {share:.2%} of reports touched (bar: 1 %): {dict(rules)}")


def measure_stores(drafts: list[Report]) -> None:
    blocked = sum(bool(clean(draft, Contributor()).blocked) for draft in drafts)
    print(f"  blocked without a profile: {blocked} of {len(drafts):,}")
    for store in STORES:
        contributor = Contributor(names=(store,))
        share = touched(drafts, contributor, "name") / len(drafts)
        blocked = sum(bool(clean(draft, contributor).blocked) for draft in drafts)
        note = " (alone only: too common)" if unsought(contributor) else ""
        print(f"  {store:15} {share:.3%}, blocked {blocked}{note}")


def measure_staff(drafts: list[Report]) -> None:
    """Common names of people as one of the staff's: what blocks, as the actor may bear it."""
    for staff in STAFF:
        contributor = Contributor(staff=(staff,))
        blocked = sum(bool(clean(draft, contributor).blocked) for draft in drafts)
        print(f"  staff {staff:20} blocked {blocked} of {len(drafts):,}")


def measure_words(drafts: list[Report]) -> None:
    """Each word of the accounts as the name of a store."""
    holders = Counter(word for draft in drafts for word in words_of(draft))
    shares, naive = {}, {}
    for word, count in holders.items():
        if count < 3:
            continue
        shares[word] = touched(drafts, Contributor(names=(word,)), "name") / len(drafts)
        naive[word] = count / len(drafts)
    for name, found in (("acx", shares), ("as a word", naive)):
        worst = sorted(found.items(), key=lambda item: -item[1])[:8]
        print(
            f"  {len(found):,} one-word names, {name}: median"
            f" {statistics.median(found.values()):.2%}, 99th percentile"
            f" {statistics.quantiles(found.values(), n=100)[-1]:.2%}, worst "
            + ", ".join(f"{word} {share:.2%}" for word, share in worst)
        )


def main() -> None:
    """Measure speed and false alarms."""
    for path in (EXAMPLES, DESIGNATED):
        if not path.exists():
            print(f"no accounts at {path}: not measured")
            continue
        drafts = reports(path)
        print(f"\n{path.name}")
        measure_speed(drafts)
        measure_particulars(drafts)
        measure_stores(drafts)
        measure_staff(drafts)
        if path == EXAMPLES:
            measure_words(drafts)


if __name__ == "__main__":
    main()
