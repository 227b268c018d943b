"""What members read: pages of entries and keys, and a stream that follows the log."""
