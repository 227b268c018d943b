"""Who may take part: invites, members, their tokens, and what each role may do."""
