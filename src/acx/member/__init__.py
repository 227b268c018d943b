"""The member's side: its keys, its copy of the log, what it reports and what it finds.

`home` is the way in, in the words of the commands. Below it: `wallet` keeps secrets and the outbox,
`client` talks to the exchange, `trusted_log` decides what to believe, `replica` keeps what was
believed, `contribute` reports, `screen` looks for the same actors, `watch` stays connected.
"""
