"""Alembic's entry: migrates over the connection `Database.migrate` holds, in its transaction."""

from __future__ import annotations

from alembic import context

from acx.exchange.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
