"""Backups, and the way back from them without ever forking the log."""
