"""Goods: pictures of products, by hashes that survive what is done to them.

`pdq` hashes, `windows` says which parts of a picture, `pictures` reads files.
"""
