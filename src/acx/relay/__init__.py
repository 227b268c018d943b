"""A relay: passes members' anonymous posts on to one exchange, and sees neither what nor whose."""
