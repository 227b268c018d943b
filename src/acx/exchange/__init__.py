"""The operator's service: admission, intake, sequencer, governance, feed, storage.

`service.Exchange` is the exchange as commands handle it, `serving.Service` as the web calls it.
"""
