"""Follow an exchange over TAXII 2.1: each run prints what is new since the last, a line each.

    acx wallet token --home HOME > token.txt
    python follow_taxii.py https://exchange.example/taxii2/ token.txt place.txt

Needs taxii2-client. What comes `revoked` is to be forgotten: see docs/interchange.md.
"""

import json
import sys
from pathlib import Path

from taxii2client.v21 import Server


def main(url: str, token_file: str, place_file: str) -> None:
    """Print the new objects, and remember how far they went."""
    token = Path(token_file).read_text().strip()
    place = Path(place_file)
    (collection,) = Server(url, user="acx", password=token).default.collections
    since = {"added_after": place.read_text()} if place.exists() else {}
    while True:
        # The manifest first: what comes in between is then told again, and not left out.
        manifest = collection.get_manifest(**since)
        for made in collection.get_objects(**since).get("objects", []):
            print(json.dumps(made, ensure_ascii=False))
        if records := manifest.get("objects"):
            place.write_text(records[-1]["date_added"])
        if not manifest["more"]:
            return
        since = {"next": manifest["next"]}


if __name__ == "__main__":
    main(*sys.argv[1:])
