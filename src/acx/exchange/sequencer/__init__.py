"""The one place that appends to the log: group commit, order of writes, resumption."""
