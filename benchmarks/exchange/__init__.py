"""How fast the exchange takes events in and tells them on."""
