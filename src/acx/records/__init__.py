"""What is exchanged: accounts, reports and events, and what follows from them.

`account`, `report` and `event` are the frozen types; `state` folds events into a report's state;
`normalise` gives every identifier one writing; `files` reads and writes account files; `leaving`
cuts an account down to what may leave, and `leak` keeps back what would name the contributor.
"""
