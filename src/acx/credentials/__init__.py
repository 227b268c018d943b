"""Anonymous credentials: an admitted member shows that it may post, and not which member it is.

ARC over P-256 (draft-ietf-privacypass-arc-crypto-01) and a single-use profile of our own, for what
a member may do once. Pure: no network, no database, no clock, and nothing of acx but `acx.errors`;
counters, keys and spent tags are kept by the wallet and the exchange.

`keys` and `issuance` make a credential: the member's secret stays, the issuer keeps a commitment to
it, and every period's credential is issued over exactly that commitment, so that tags stay equal
while keys change. `presentation` shows it up to a limit of times a context, `single_use` once a
context; both bind the presentation to a message. Below them stand `sigma` (proofs about linear
relations, made non-interactive), `range_proof`, and `group` with `scalar`, `element` and
`hash_to_curve`. `docs/anonymity.md` has the protocol and what it does and does not hide.
"""
