"""Networks: accounts linked by what few share ► rings, with what holds them together.

A match says «the same actor»; a link says less, «these two have something in common that few have».
`links.find_links` gives the links of a table of accounts, `rings.find_rings` the groups they make.
"""
