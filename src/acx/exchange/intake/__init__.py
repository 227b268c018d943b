"""What the log takes: cheap checks first, the authorisation last, all before the sequencer."""
