"""Who reported? What the operator can record, given to a classifier."""
