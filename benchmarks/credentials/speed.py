"""What anonymity costs: credentials issued, shown and verified, by either library for the group.

Data: one issuer, one member; the last nonce below each limit. CPU time of one core, as the machine
may be shared; the better half of the runs, averaged.
Bars: limit 1,000: presentation 25 ms, verification 20 ms, growing with the logarithm of the limit;
single use 5 ms each; an intake of 30 reports/s/core by pycryptodome alone and 100 by OpenSSL, a
report being one presentation under the exchange's limit of 10,000 and a single-use one.
Peer: the multiplications alone, by the library; the rest is ours.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from acx.credentials.group import GENERATOR_G, GENERATOR_H, LIBRARY, hash_to_group
from acx.credentials.issuance import ClientRequest, MemberSecret, enrol
from acx.credentials.keys import SecretKey
from acx.credentials.presentation import present, verify
from acx.credentials.scalar import Scalar, system_random
from acx.credentials.single_use import present_once, verify_once

REQUEST_CONTEXT, CONTEXT, MESSAGE = b"exchange.example", b"rate/2026-03-01", bytes(32)
DAILY_LIMIT = 10_000
WITHOUT_OPENSSL = """
import sys
sys.modules["acx.credentials.openssl_element"] = None
from benchmarks.credentials.speed import measure
measure()
"""


def milliseconds(run: Callable[[], object], times: int = 30) -> float:
    """CPU time of one run."""
    run()
    spent = []
    for _ in range(times):
        started = time.process_time_ns()
        run()
        spent.append(time.process_time_ns() - started)
    better = sorted(spent)[: times // 2]
    return sum(better) / len(better) / 1e6


def show(what: str, spent: float, bar: str = "") -> None:
    print(f"  {what:<52}{spent:8.3f} ms  {bar}")


def multiplications() -> None:
    point = Scalar.random(system_random) * GENERATOR_H
    secret = Scalar.random(system_random)
    public = Scalar.decode(secret.encode(), public=True)
    show("secret scalar · element", milliseconds(lambda: secret * point, 300))
    show("public scalar · element", milliseconds(lambda: public * point, 300))
    show("secret scalar · G", milliseconds(lambda: secret * GENERATOR_G, 300))
    show("element + element", milliseconds(lambda: point + GENERATOR_H, 300))
    encoding = point.encode()
    show("an element read", milliseconds(lambda: LIBRARY.decode(encoding), 300))
    show("an element written", milliseconds(lambda: (point + point).encode(), 300))
    show(
        "a context hashed to an element",
        milliseconds(lambda: hash_to_group.__wrapped__(CONTEXT, b"Tag"), 300),
    )


def measure() -> None:
    """Everything, by the library of this process."""
    print(f" {LIBRARY.__name__}")
    multiplications()
    key = SecretKey.generate()
    secret = MemberSecret.generate()
    asked = ClientRequest.create(secret, REQUEST_CONTEXT)
    answer = enrol(key, asked.request)
    member = asked.finalize(answer, key.public_key)
    show("request", milliseconds(lambda: ClientRequest.create(secret, REQUEST_CONTEXT)))
    show("response", milliseconds(lambda: enrol(key, asked.request)))
    show("finalize", milliseconds(lambda: asked.finalize(answer, key.public_key)))

    verified = {}
    for limit in (2, 10, 100, 1000, DAILY_LIMIT, 10**6):
        bars = ("bar: 25 ms", "bar: 20 ms") if limit == 1000 else ("", "")

        def shown(limit: int = limit) -> bytes:
            return present(
                member, context=CONTEXT, limit=limit, nonce=limit - 1, message=MESSAGE
            ).encode()

        def check(limit: int = limit, presentation: bytes = shown()) -> bytes:
            return verify(
                key,
                presentation,
                request_context=REQUEST_CONTEXT,
                context=CONTEXT,
                limit=limit,
                message=MESSAGE,
            )

        show(f"limit {limit:,}: present ({len(shown()):,} bytes)", milliseconds(shown), bars[0])
        verified[limit] = milliseconds(check)
        show(f"limit {limit:,}: verify", verified[limit], bars[1])

    once = present_once(member, context=CONTEXT, message=MESSAGE).encode()
    show(
        f"single use: present ({len(once)} bytes)",
        milliseconds(lambda: present_once(member, context=CONTEXT, message=MESSAGE)),
        "bar: 5 ms",
    )
    verified[1] = milliseconds(
        lambda: verify_once(
            key, once, request_context=REQUEST_CONTEXT, context=CONTEXT, message=MESSAGE
        )
    )
    show("single use: verify", verified[1], "bar: 5 ms")
    bar = "bar: 100" if LIBRARY.__name__.startswith("Openssl") else "bar: 30"
    rate = 1000 / (verified[DAILY_LIMIT] + verified[1])
    print(f"  {'reports verified, a second and core':<52}{rate:8.0f}     {bar}")


def main() -> None:
    measure()
    if LIBRARY.__name__.startswith("Openssl"):
        subprocess.run([sys.executable, "-c", WITHOUT_OPENSSL], check=True)
