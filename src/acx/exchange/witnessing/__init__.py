"""Witnesses: which are asked, how, and what is published of their answers."""
