"""Benchmarks of the records."""
