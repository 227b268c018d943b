"""Customs: rank shipments under the capacity there is, say why, and learn from what is found."""
