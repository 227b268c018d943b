"""The commands: thin, one function each, over the same words the library uses.

`app` is the entry point and turns every error into one line and an exit code; `options` are the
options commands share; `output` is what they print. A command's module is imported only when it
runs, so that `acx --help` stays quick.
"""
