"""Benchmarks of the log."""
