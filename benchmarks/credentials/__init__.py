"""Benchmarks of anonymous credentials."""
