"""100,000 changed presentations and issuance messages: none may be accepted, nothing may break.

Data: valid messages of each kind, changed as in `tests/credentials/mutating.py` (bits flipped,
fields swapped, replaced, negated, written otherwise, spliced from other valid messages, cut,
lengthened). The seed is printed; each run draws another.
Bar: 0 accepted, 0 crashes.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from random import Random

from tests.credentials.mutating import TARGETS, mutated

from acx.credentials.errors import CredentialError

MUTATIONS = 100_000


def main() -> None:
    seed = secrets.randbits(32)
    random = Random(seed)
    print(f"seed {seed}")
    accepted = crashes = 0
    for target in TARGETS:
        refusals: Counter[str] = Counter()
        started = time.process_time()
        count = MUTATIONS // len(TARGETS) + (target is TARGETS[0]) * (MUTATIONS % len(TARGETS))
        for _ in range(count):
            message = mutated(target, random)
            try:
                target.accept(message)
            except CredentialError as error:
                refusals[type(error).__name__] += 1
            except Exception as error:  # noqa: BLE001 -- what a crash is
                crashes += 1
                print(f"{target.name}: {error!r} on {message.hex()}")
            else:
                accepted += 1
                print(f"{target.name}: accepted {message.hex()}")
        reasons = ", ".join(f"{name} {number:,}" for name, number in refusals.most_common())
        print(f"{target.name:<26}{count:>8,} in {time.process_time() - started:5.0f} s: {reasons}")
    print(f"accepted: {accepted}, crashes: {crashes}  bar: 0, 0")
    assert accepted == crashes == 0
