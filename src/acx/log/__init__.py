"""The transparency log: one Merkle tree over all events, whose head is signed and witnessed.

Pure: no network, no database, no clock, and nothing of acx but `acx.errors`.

`merkle` has the tree and verifies proofs; `note`, `checkpoint`, `cosignature` and `policy` say who
signed which head; `tiles` lays the tree out in files and makes proofs from them; `proof` and
`witness` are the portable forms; `entry` seals an event into the log so that it can be erased;
`fsck` rebuilds a log from its files.
"""
