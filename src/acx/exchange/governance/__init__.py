"""What operators decide, and the log says so: operators, terms, erasure by two."""
