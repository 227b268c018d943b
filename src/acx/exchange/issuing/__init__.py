"""Anonymous credentials: the exchange's keys to issue them under, and to whom it has."""
