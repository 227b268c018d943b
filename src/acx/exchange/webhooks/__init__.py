"""Webhooks: what is new in the log, posted to members that ask for it (Standard Webhooks)."""
