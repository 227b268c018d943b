"""Benchmarks of ranking shipments."""
