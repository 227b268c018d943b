"""How long it takes to find the networks behind many accounts."""
