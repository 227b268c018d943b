"""The demo's world: reported actors, their come-backs, look-alikes, and ordinary sellers.

Everything is drawn from a seed, and every come-back tells whom it is and what was changed, so the
same generator feeds the demo, the tests and the benchmarks.
"""
