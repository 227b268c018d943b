"""Speeds and accuracies, measured: each module is a benchmark with its data, peer and bar."""
