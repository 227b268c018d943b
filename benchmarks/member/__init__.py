"""Benchmarks of the member's side."""
