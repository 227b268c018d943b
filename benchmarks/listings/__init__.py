"""Listings against reported products."""
