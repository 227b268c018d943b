"""A witness: cosigns a log's checkpoints once it has seen that each continues the last one."""
