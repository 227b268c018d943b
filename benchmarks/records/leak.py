"""The leak lint: how fast it reads a report, and how often it is wrong about an ordinary one.

Data: the accounts of `../shared/data/accounts` (real names, aliases, addresses, websites of
designated persons and companies; none of them is a member's), as reports. Each of some well-known
stores' names in turn is the contributor: whatever is then found as its name is a false positive, or
a real company of that name, which is not to be told apart.
Bars: < 1 ms a report; a store's name found in < 0.1 % of reports that do not come from it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec

from acx.records.account import DIGESTED_FIELDS, Account
from acx.records.leak import Contributor, clean, lint, unsought
from acx.records.leak.writing import readings
from acx.records.leaving import subject_of
from acx.records.report import Report

ACCOUNTS = Path(__file__).parents[3] / "shared" / "data" / "accounts" / "designated.jsonl"
COUNT = 5000
STORES = (
    "Amazon", "Target", "Walmart", "Zalando", "Otto", "Gap", "Aldi", "IKEA", "Wayfair", "Sephora",
    "Home Depot", "Best Buy", "Shop", "Temu", "Shein", "AliExpress", "Mercado Libre", "Rakuten",
    "Coupang", "Jumia",
)  # fmt: skip


def reports() -> list[Report]:
    """The accounts, as reports."""
    found = []
    with ACCOUNTS.open(encoding="utf-8") as lines:
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
            if len(found) == COUNT:
                break
    return found


def main() -> None:
    """Measure both."""
    if not ACCOUNTS.exists():
        print(f"no accounts at {ACCOUNTS}: nothing measured")
        return
    drafts = reports()
    whole = Contributor(
        names=STORES, domains=("store.example",), staff=("Jane Doe",), id_patterns=(r"KN-\d{6}",)
    )
    readings.cache_clear()
    started = time.process_time()
    for draft in drafts:
        clean(draft, whole)
    each = (time.process_time() - started) / len(drafts)
    print(f"{len(drafts):,} reports, {len(STORES)} names: {each * 1e3:.2f} ms each (bar: 1 ms)")
    found: dict[str, int] = {}
    for draft in drafts:
        for finding in lint(draft, Contributor()):
            found[finding.rule] = found.get(finding.rule, 0) + 1
    print(f"particulars found: {found}")
    for store in STORES:
        contributor = Contributor(names=(store,))
        hits = [
            draft
            for draft in drafts
            if any(finding.rule == "name" for finding in lint(draft, contributor))
        ]
        share = len(hits) / len(drafts)
        note = " (not sought in texts)" if unsought(contributor) else ""
        print(f"{store:15} {len(hits):4}  {share:.3%}{note}")


if __name__ == "__main__":
    main()
