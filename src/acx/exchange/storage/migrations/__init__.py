"""Alembic's scripts; run by `Database.migrate`, never by hand."""
