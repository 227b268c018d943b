"""The exchange's rows: tables, migrations, and the two databases they live in."""
